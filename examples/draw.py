"""Draws the images that `flota demo` looks at.

    python draw.py

Five scenes, well kept; four of them again after something happened, two after somebody wrote on
them, and one under two names.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from land import mountains, still_life, street
from sea import harbour, lighthouse

FOLDER = Path(__file__).parent / "images"
WIDTH, HEIGHT = 720, 540
SEED = 11
EXIF_ORIENTATION = 0x0112
TURNED_LEFT = 6
JPEG_QUALITY = 86


def grain(image, deviation):
    """The grain of a sensor: without it a drawing is smoother than any photo."""
    noise = np.random.default_rng(SEED).normal(0, deviation, (*image.size[::-1], 1))
    levels = np.asarray(image, dtype=np.float32) + noise
    return Image.fromarray(np.clip(levels, 0, 255).round().astype(np.uint8))


def faded(image, contrast):
    """As through fog: levels close to a light grey."""
    return image.point(lambda level: 170 + (level - 170) * contrast)


def written_on(image, text, place, size, opacity=1.0):
    """The picture with white, black-rimmed text, as a seller or a shop pastes it."""
    layer = Image.new("RGBA", image.size)
    ImageDraw.Draw(layer).text(
        place, text, "white", ImageFont.load_default(size), stroke_width=3, stroke_fill="black"
    )
    layer.putalpha(layer.getchannel("A").point(lambda level: int(level * opacity)))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def save(image, name, **options):
    file = FOLDER / name
    image.save(file, **options)
    print(f"{name}: {file.stat().st_size} bytes")


def save_turned(image, name):
    """On its side, with the mark that tells viewers to turn it upright."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = TURNED_LEFT
    turned = image.transpose(Image.Transpose.ROTATE_90)
    save(turned, name, quality=JPEG_QUALITY, exif=exif)


def main():
    FOLDER.mkdir(exist_ok=True)
    harbour_view = harbour(WIDTH, HEIGHT)
    street_view = street(WIDTH, HEIGHT)
    table = still_life(WIDTH, HEIGHT)

    save(grain(harbour_view, 1.5), "harbour.jpg", quality=JPEG_QUALITY)
    save(grain(street_view, 1.5), "street.webp", quality=82, method=6)
    save(table, "still-life.png", optimize=True)
    save(mountains(WIDTH, HEIGHT).quantize(64), "mountains.gif", optimize=True)
    save_turned(grain(lighthouse(HEIGHT, WIDTH), 1.5), "lighthouse-turned.jpg")

    small = street_view.resize((WIDTH // 3, HEIGHT // 3), Image.Resampling.LANCZOS)
    save(small, "street-small.jpg", quality=JPEG_QUALITY)
    save(grain(faded(harbour_view, 0.12), 1), "harbour-faded.jpg", quality=JPEG_QUALITY)
    save(grain(table, 32), "still-life-noisy.jpg", quality=85)
    save(street_view, "street-squeezed.jpg", quality=4)
    priced = written_on(table, "NEW  45 EUR\n+49 151 2345678", (150, 30), 60)
    save(grain(priced, 1.5), "still-life-priced.jpg", quality=JPEG_QUALITY)
    marked = written_on(harbour_view, "www.my-shop.com", (40, 220), 72, opacity=0.5)
    save(grain(marked, 1.5), "harbour-watermark.jpg", quality=JPEG_QUALITY)
    # The same bytes under another name: looked at once.
    (FOLDER / "harbour-copy.jpg").write_bytes((FOLDER / "harbour.jpg").read_bytes())


if __name__ == "__main__":
    main()
