"""Pictures to encode: smooth, so that encoders and decoders lose little of them, with a different
colour at every place, so that nothing can be shifted, swapped or left out unseen."""

import numpy


def rgb(width: int, height: int, seed: int = 0) -> numpy.ndarray:
    """Red, green and blue of 8 bits (height, width, 3)."""
    y, x = numpy.mgrid[0:height, 0:width]
    phases = numpy.random.default_rng(seed).uniform(0, 2 * numpy.pi, 3)
    waves = [
        numpy.sin(x / 9 + y / 13 + phases[0]),
        numpy.sin(x / 14 - y / 10 + phases[1]),
        numpy.cos(x / 11 + y / 17 + phases[2]),
    ]
    return numpy.rint(128 + 100 * numpy.stack(waves, axis=2)).astype(numpy.uint8)


def ycc(picture: numpy.ndarray) -> list[numpy.ndarray]:
    """Luminance and two colour differences (ITU-T T.871, 6.1)."""
    r, g, b = (picture[:, :, channel].astype(float) for channel in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return [
        numpy.clip(numpy.rint(plane), 0, 255)
        for plane in (y, (b - y) / 1.772 + 128, (r - y) / 1.402 + 128)
    ]


def planes(picture: numpy.ndarray, count: int) -> list[numpy.ndarray]:
    """Planes for `count` components: what each means is told by the file's markers."""
    fourth = 255 - picture[:, :, 1] // 3
    channels = [picture[:, :, channel] for channel in range(3)] + [fourth]
    return ycc(picture)[:1] if count == 1 else channels[:count]
