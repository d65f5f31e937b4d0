"""What can be wrong with a photo, in standard terms of the photo whose longer side has 640 pixels."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter
from scipy.signal import fftconvolve

# The longer side, in pixels, of the picture in whose terms strengths are given.
SIDE = 640
SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
NAMES = ("none", "mild", "moderate", "strong", "extreme")
# What each severity means; between two of them strengths are interpolated.
STRENGTHS = {
    "blurred": ("Gaussian blur, sigma in pixels", (0, 0.8, 1.6, 2.8, 4.5)),
    "noisy": ("noise, standard deviation in levels of 255", (0, 4, 9, 18, 32)),
    "too_dark": ("stops of exposure, in linear light", (0, -1, -2, -3, -4)),
    "overexposed": ("stops of exposure, in linear light, clipped", (0, 1, 2, 3, 4)),
    "low_contrast": ("contrast, factor", (1, 0.7, 0.45, 0.28, 0.15)),
    "blocky": ("JPEG, quality", (95, 50, 25, 14, 7)),
    "low_resolution": ("enlarged from a picture smaller by the factor", (1, 1.6, 2.5, 4, 6)),
}
AXES = tuple(STRENGTHS)
# Blur of the same visible strength: radius of a defocus disc and length of a straight motion, in
# sigmas of the Gaussian.
DISC_RADIUS, MOTION_LENGTH = 1.75, 4.5
REDUCING = [
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
]
ENLARGING = [
    Image.Resampling.BILINEAR,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
]
# Encoded levels to linear light and back, by sRGB.
LEVELS = np.arange(256) / 255
LINEAR = np.where(LEVELS <= 0.04045, LEVELS / 12.92, ((LEVELS + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True)
class Recipe:
    """How degradations are carried out, whatever their strength."""

    blur: str
    angle: float
    grain: str
    noise_seed: int
    fog: float
    reducing: int
    enlarging: int
    small_quality: int | None
    grid_scale: float
    subsampling: int
    is_left_small: bool
    """Whether a reduced picture is left for its viewer to enlarge."""


def draw_recipe(rng):
    return Recipe(
        blur=str(rng.choice(["gaussian", "disc", "motion"])),
        angle=rng.uniform(0, np.pi),
        grain=str(rng.choice(["colour", "grey", "coarse", "shot"])),
        noise_seed=int(rng.integers(2**32)),
        fog=float(rng.choice([rng.uniform(0, 0.3), rng.uniform(0.3, 0.8), rng.uniform(0.7, 1)])),
        reducing=int(rng.integers(len(REDUCING))),
        enlarging=int(rng.integers(len(ENLARGING))),
        small_quality=int(rng.integers(75, 96)) if rng.random() < 0.4 else None,
        grid_scale=float(rng.uniform(1, 1.3)) if rng.random() < 0.15 else 1.0,
        subsampling=int(rng.choice([0, 2])),
        is_left_small=bool(rng.random() < 0.5),
    )


def strength(axis, severity):
    """What `severity` (0 to 1) means on `axis`."""
    return float(np.interp(severity, SEVERITIES, STRENGTHS[axis][1]))


def degrade(pixels, severities, recipe):
    """A picture (bytes) with every axis as severe as `severities` says."""
    of = {axis: strength(axis, severity) for axis, severity in severities.items() if severity > 0}
    if "blurred" in of:
        pixels = blur(pixels, of["blurred"], recipe)
    stops = of.get("too_dark", 0) + of.get("overexposed", 0)
    if stops:
        pixels = expose(pixels, stops)
    if "low_contrast" in of:
        pixels = fade(pixels, of["low_contrast"], recipe.fog)
    if "low_resolution" in of and not recipe.is_left_small:
        pixels = enlarge(pixels, of["low_resolution"], recipe)
    if "noisy" in of:
        pixels = add_noise(pixels, of["noisy"], recipe)
    if "blocky" in of:
        pixels = squeeze(pixels, of["blocky"], recipe)
    if "low_resolution" in of and recipe.is_left_small:
        image = Image.fromarray(pixels)
        size = [max(1, round(n / of["low_resolution"])) for n in image.size]
        pixels = np.asarray(image.resize(size, REDUCING[recipe.reducing]))
    return pixels


def blur(pixels, sigma, recipe):
    if recipe.blur == "gaussian":
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))
    kernel = (
        disc(sigma * DISC_RADIUS)
        if recipe.blur == "disc"
        else line(sigma * MOTION_LENGTH, recipe.angle)
    )
    reach = kernel.shape[0] // 2
    padded = np.pad(pixels, [(reach, reach), (reach, reach), (0, 0)], "reflect").astype(np.float32)
    return to_bytes(fftconvolve(padded, kernel[..., None], "valid", axes=(0, 1)))


def disc(radius):
    """A filled circle with soft rim, of sum 1."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


def line(length, angle):
    """A straight stroke through the middle, of sum 1."""
    reach = int(np.ceil(length / 2))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


def expose(pixels, stops):
    """As if exposed `stops` longer."""
    light = np.clip(LINEAR * 2.0**stops, 0, 1)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return to_bytes(encoded * 255)[pixels]


def fade(pixels, factor, fog):
    """Every level moves towards the level `fog` (0 to 1)."""
    return to_bytes(np.arange(256) * factor + fog * 255 * (1 - factor))[pixels]


def add_noise(pixels, deviation, recipe):
    rng = np.random.default_rng(recipe.noise_seed)
    height, width, _ = pixels.shape
    if recipe.grain == "coarse":
        # Grains of about two pixels, as a camera's own denoising leaves them; made strong again.
        small = rng.standard_normal((height // 2 + 2, width // 2 + 2, 3), dtype=np.float32)
        noise = small.repeat(2, 0).repeat(2, 1)[1 : height + 1, 1 : width + 1]
        noise = (noise[:, :-1] + noise[:, 1:]) / 2**0.5
        noise = np.concatenate([noise, noise[:, -1:]], 1)
    else:
        channels = 1 if recipe.grain == "grey" else 3
        noise = rng.standard_normal((height, width, channels), dtype=np.float32)
    if recipe.grain == "shot":
        noise = noise * SHOT[pixels]
    return to_bytes(pixels + noise * np.float32(deviation))


# Photon noise grows as the root of the light, and is 1 on average over the levels.
SHOT = np.sqrt(0.1 + LEVELS).astype(np.float32)
SHOT /= np.sqrt((SHOT**2).mean())


def enlarge(pixels, factor, recipe):
    """Reduced by `factor`, perhaps saved at that size, and brought back."""
    image = Image.fromarray(pixels)
    small = image.resize([max(1, round(n / factor)) for n in image.size], REDUCING[recipe.reducing])
    if recipe.small_quality:
        small = Image.fromarray(saved(np.asarray(small), recipe.small_quality, recipe.subsampling))
    return np.asarray(small.resize(image.size, ENLARGING[recipe.enlarging]))


def squeeze(pixels, quality, recipe):
    """Saved as JPEG of low quality, perhaps somewhat larger than it is now."""
    if recipe.grid_scale == 1.0:
        return saved(pixels, round(quality), recipe.subsampling)
    image = Image.fromarray(pixels)
    large = image.resize(
        [round(n * recipe.grid_scale) for n in image.size], Image.Resampling.BICUBIC
    )
    large = saved(np.asarray(large), round(quality), recipe.subsampling)
    return np.asarray(Image.fromarray(large).resize(image.size, Image.Resampling.BILINEAR))


def saved(pixels, quality, subsampling):
    """As it comes back from a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(file) as image:
        return np.asarray(image)


def to_bytes(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
