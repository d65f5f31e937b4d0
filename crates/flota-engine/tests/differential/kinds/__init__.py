"""The kinds of files that the gate makes.

To add a kind: write a module here with a function `samples()` that yields `Sample`s, made on the
spot from fixed seeds, and name the module in `MODULES`. Its files are tried, cut and counted like
all others. Files come from encoders that are not the engine's own: Pillow, libjpeg-turbo's
programs, or bytes put together by the module.
"""

MODULES = ["jpeg_encoded", "jpeg_composed", "jpeg_refused", "jpeg_damaged", "png", "moving", "webp_written", "bmp", "tiff"]
