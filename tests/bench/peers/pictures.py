"""Photo-like JPEGs, drawn, so that anybody has the same.

python pictures.py FOLDER COUNT MEGAPIXELS
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

# Pictures that are drawn; more files than that share them.
MAX_PICTURES = 8
QUALITY = 85


def draw(folder, count, megapixels, seed):
    """`count` files of 4:3 that differ in content, alone in `folder`."""
    folder.mkdir(parents=True)
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    size = (width, round(width * 3 / 4))
    encoded = []
    for n in range(min(count, MAX_PICTURES)):
        file = folder / f"drawn-{n}.jpg"
        picture(size, seed * MAX_PICTURES + n).save(file, quality=QUALITY)
        encoded.append(file.read_bytes())
        file.unlink()
    files = []
    for n in range(count):
        file = folder / f"{n:05}.jpg"
        # Bytes after the end of the picture change its hash and not its decoding.
        file.write_bytes(encoded[n % len(encoded)] + f"{seed}-{n}".encode())
        files.append(file)
    return files


def picture(size, seed):
    """Noise of all scales, the finer the fainter, as in photographs."""
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for scale in (4, 8, 16, 32, 64, 128, 256, 512, size[0]):
        grid = (max(2, round(scale * size[1] / size[0])), scale, 3)
        layer = Image.fromarray((random.random(grid) * 255).astype(np.uint8))
        layer = layer.resize(size, Image.Resampling.BICUBIC)
        total += (np.asarray(layer, float) - 128) * (3 / scale**0.5)
    return Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    draw(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), 0)
