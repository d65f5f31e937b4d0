"""What is right: Pillow's pixels, upright, over white. Pillow's wheels bring their own libjpeg-turbo,
libtiff and libwebp, none of which the engine's default build has."""

import io
import subprocess
import warnings

import numpy
from PIL import Image, ImageFile, ImageOps

from sample import Sample

ImageFile.LOAD_TRUNCATED_IMAGES = False
Image.MAX_IMAGE_PIXELS = None
warnings.simplefilter("ignore")


def pixels(sample: Sample) -> numpy.ndarray | None:
    """The reference's pixels (height, width, 3), or `None` where it refuses the file."""
    if sample.reference is not None:
        return sample.reference
    try:
        with Image.open(io.BytesIO(sample.data)) as image:
            image.load()
            return over_white(ImageOps.exif_transpose(image))
    except Exception:  # Pillow refuses files with a dozen types of exceptions, SyntaxError among them.
        return None


def over_white(image: Image.Image) -> numpy.ndarray:
    """`image` as the engine sees it: 8 bits of red, green and blue, over white where transparent."""
    if image.mode.startswith("I;16"):
        deep = numpy.asarray(image).astype(numpy.uint32)
        grey = ((deep * 255 + 32767) // 65535).astype(numpy.uint8)
        return numpy.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return numpy.asarray(image.convert("RGB"))


def djpeg_without_smoothing(sample: Sample) -> numpy.ndarray | None:
    """A JPEG of libjpeg-turbo with each chroma sample repeated, not interpolated: decoders are free to
    choose, and libjpeg itself repeats those of pictures two samples wide or with rare factors."""
    command = ["djpeg", "-nosmooth", "-pnm", "-rgb"]
    done = subprocess.run(command, input=sample.data, capture_output=True, check=False)
    if done.returncode != 0:
        return None
    with Image.open(io.BytesIO(done.stdout)) as image:
        return numpy.asarray(ImageOps.exif_transpose(image).convert("RGB"))


ALSO = {"djpeg_without_smoothing": djpeg_without_smoothing}
