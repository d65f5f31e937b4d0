"""image-quality 1.0.0, which the learned network replaces: a graph of standard operators in which
nothing is learned. Kept so that the two can be compared on the same photos.
"""

import numpy as np
from onnx import TensorProto, checker, helper

from flota_training import export, metrics
from flota_training.preprocess import Input

from .graph import Graph

OPSET = 13
IR_VERSION = 8
SIDE = 512
SCORES = [
    "sharpness_fine",
    "sharpness_coarse",
    "exposure",
    "clipped_dark",
    "clipped_bright",
    "contrast",
    "noise",
    "blockiness",
]
LEVELS = 255.0

# ITU-R BT.601 luma.
LUMA = [0.299, 0.587, 0.114]
LAPLACIAN = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
# J. Immerkaer, "Fast Noise Variance Estimation", 1996: the difference of two Laplacians, blind to
# planes and to most edges; for white noise of deviation s its mean absolute answer is
# 6 * sqrt(2 / pi) * s.
NOISE_MASK = [[1, -2, 1], [-2, 4, -2], [1, -2, 1]]
NOISE_GAIN = np.sqrt(np.pi / 2) / 6

# Variances of the Laplacian, in squared levels of 0..255, that score 0.5.
FINE_HALF_VARIANCE = 100.0
COARSE_HALF_VARIANCE = 400.0
# Pixels up to DARK_LEVEL and from BRIGHT_LEVEL on are clipped; the ramps are one level wide, so
# that rounding in another engine moves the share hardly at all.
DARK_LEVEL = 10.0
BRIGHT_LEVEL = 245.0
# Noise is read in the calmest quarter of the blocks; texture would be taken for noise elsewhere.
NOISE_BLOCK = 15
NOISE_BLOCK_COUNT = ((SIDE - 2) // NOISE_BLOCK) ** 2
NOISE_CALM_COUNT = NOISE_BLOCK_COUNT // 4
# A deviation of a tenth of the range scores 1.
NOISE_FULL = 0.1
# Frequencies, in cycles per 512 pixels, at which a grid of 8 pixels is looked for: 30 is a grid
# enlarged to 17 pixels, 205 one reduced to 2.5.
GRID_FREQUENCIES = np.arange(30, 205, 0.5)
# The steps beside a step, across which its height is compared.
GRID_NEIGHBOURS = 9
# About one level of 0..255: what keeps the ratio calm where the picture is flat.
GRID_FLOOR = 0.004
# How wide, in frequencies, and how strongly the background of the spectrum is taken off.
GRID_BACKGROUND_WIDTH = 41
GRID_BACKGROUND_WEIGHT = 1.5
# Keeps the depth of an empty profile at 0.
PROFILE_FLOOR = 1e-4


def sharpness(g, laplacian, name, half_variance):
    """v / (v + half), where v is the variance of the Laplacian."""
    mean = g.mean_of_plane(laplacian, f"{name}_mean")
    squares = g.add("Mul", [laplacian, laplacian], f"{name}_squares")
    mean_of_squares = g.mean_of_plane(squares, f"{name}_mean_of_squares")
    square_of_mean = g.add("Mul", [mean, mean], f"{name}_square_of_mean")
    variance = g.add("Sub", [mean_of_squares, square_of_mean], f"{name}_variance")
    half = g.constant(f"{name}_half", half_variance / LEVELS**2)
    whole = g.add("Add", [variance, half], f"{name}_whole")
    ratio = g.add("Div", [variance, whole], f"{name}_ratio")
    return g.clip(ratio, name)


def clipped(g, luma, name, factor, offset):
    """The share of pixels for which factor * luma + offset is at least 1."""
    scaled = g.scaled(luma, f"{name}_scaled", factor)
    shifted = g.add("Add", [scaled, g.constant(f"{name}_offset", offset)], f"{name}_shifted")
    return g.mean_of_plane(g.clip(shifted, f"{name}_pixels"), name)


def contrast(g, luma, exposure):
    """Twice the standard deviation of the luma: 1 for half black, half white."""
    axes = g.constant("contrast_axes", [2, 3], np.int64)
    mean = g.add("Unsqueeze", [exposure, axes], "contrast_mean")
    deviation = g.add("Sub", [luma, mean], "contrast_deviation")
    squares = g.add("Mul", [deviation, deviation], "contrast_squares")
    variance = g.mean_of_plane(squares, "contrast_variance")
    return g.scaled(g.add("Sqrt", [variance], "contrast_std"), "contrast", 2.0)


def noise(g, masked):
    """Immerkaer's estimate over the calmest quarter of the blocks."""
    size = [NOISE_BLOCK, NOISE_BLOCK]
    magnitude = g.add("Abs", [masked], "noise_magnitude")
    blocks = g.add("AveragePool", [magnitude], "noise_blocks", kernel_shape=size, strides=size)
    flat = g.add("Flatten", [blocks], "noise_flat", axis=1)
    count = g.constant("noise_calm_count", [NOISE_CALM_COUNT], np.int64)
    g.nodes.append(
        helper.make_node(
            "TopK",
            [flat, count],
            ["noise_calm", "noise_calm_index"],
            name="noise_calm",
            axis=1,
            largest=0,
            sorted=1,
        )
    )
    calm = g.add("ReduceMean", ["noise_calm"], "noise_mean", axes=[1], keepdims=1)
    return g.clip(g.scaled(calm, "noise_scaled", NOISE_GAIN / NOISE_FULL), "noise")


def step_profile(g, luma, name, axis):
    """How much higher the steps at each of 511 places are than those beside them, on average."""
    after = g.slice(luma, f"{name}_after", axis, 1, SIDE)
    before = g.slice(luma, f"{name}_before", axis, 0, SIDE - 1)
    step = g.add("Abs", [g.add("Sub", [after, before], f"{name}_signed")], f"{name}_step")
    reach = GRID_NEIGHBOURS // 2
    kernel, pads = ([GRID_NEIGHBOURS, 1], [reach, 0, reach, 0])
    if axis == 3:
        kernel, pads = kernel[::-1], [0, reach, 0, reach]
    around = g.add("AveragePool", [step], f"{name}_around", kernel_shape=kernel, pads=pads)
    floored = g.add("Add", [around, "grid_floor"], f"{name}_floored")
    ratio = g.add("Div", [step, floored], f"{name}_ratio")
    return g.add("ReduceMean", [ratio], name, axes=[5 - axis], keepdims=0)


def blockiness(g, luma):
    """The depth of the strongest regular grid that runs across as well as down.

    The resize has moved the encoder's 8 pixels to some other distance, so every distance is
    tried: a windowed Fourier sum of both step profiles, their geometric mean, less the
    background around it.
    """
    place_count = SIDE - 1
    g.constant("grid_floor", GRID_FLOOR)
    across = step_profile(g, luma, "across", 3)
    down = step_profile(g, luma, "down", 2)
    profiles = g.add("Concat", [across, down], "profiles", axis=1)

    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(place_count) + 0.5) / place_count)
    g.constant("window", window)
    share = g.constant("window_share", (window / window.sum())[:, None])
    mean = g.add("MatMul", [profiles, share], "profile_mean")
    centred = g.add("Sub", [profiles, mean], "profile_centred")
    windowed = g.add("Mul", [centred, "window"], "profile_windowed")

    # The angles are made here rather than stored: they would be a thousand times the graph.
    places = g.constant("places", np.arange(place_count)[:, None])
    frequencies = g.constant("frequencies", GRID_FREQUENCIES[None, :] / SIDE)
    turns = g.add("Mul", [places, frequencies], "turns")
    part = g.add("Sub", [turns, g.add("Floor", [turns], "whole_turns")], "part_of_turn")
    angle = g.scaled(part, "angle", 2 * np.pi)
    energy = []
    for op in ("Cos", "Sin"):
        wave = g.add(op, [angle], op.lower())
        found = g.add("MatMul", [windowed, wave], f"{op.lower()}_found")
        energy.append(g.add("Mul", [found, found], f"{op.lower()}_energy"))
    amplitude = g.add("Sqrt", [g.add("Add", energy, "energy")], "amplitude")
    floored = g.add(
        "Add", [mean, g.constant("profile_floor", PROFILE_FLOOR)], "profile_mean_floored"
    )
    full = g.scaled(floored, "full_amplitude", window.sum())
    depth = g.add("Div", [amplitude, full], "depth")

    depth_across = g.slice(depth, "depth_across", 1, 0, 1)
    depth_down = g.slice(depth, "depth_down", 1, 1, 2)
    product = g.add("Mul", [depth_across, depth_down], "depth_product")
    both = g.add("Sqrt", [product], "depth_both")
    reach = GRID_BACKGROUND_WIDTH // 2
    around = g.add(
        "AveragePool",
        [both],
        "depth_around",
        kernel_shape=[GRID_BACKGROUND_WIDTH],
        pads=[reach, reach],
    )
    background = g.scaled(around, "depth_background", GRID_BACKGROUND_WEIGHT)
    peaks = g.add("Sub", [both, background], "depth_peaks")
    highest = g.add("ReduceMax", [peaks], "depth_highest", axes=[2], keepdims=0)
    return g.clip(highest, "blockiness")


def build():
    g = Graph()
    g.constant("zero", 0.0)
    g.constant("one", 1.0)
    luma_weights = g.constant("luma_weights", np.reshape(LUMA, (1, 3, 1, 1)))
    luma = g.add("Conv", ["photo", luma_weights], "luma", kernel_shape=[1, 1])

    fine_masks = g.constant("fine_masks", np.array([LAPLACIAN, NOISE_MASK])[:, None])
    fine = g.add("Conv", [luma, fine_masks], "fine", kernel_shape=[3, 3])
    half = g.add("AveragePool", [luma], "half", kernel_shape=[2, 2], strides=[2, 2])
    coarse_mask = g.constant("coarse_mask", np.array([LAPLACIAN])[:, None])
    coarse = g.add("Conv", [half, coarse_mask], "coarse", kernel_shape=[3, 3])

    exposure = g.mean_of_plane(luma, "exposure")
    scores = [
        sharpness(g, g.slice(fine, "laplacian", 1, 0, 1), "sharpness_fine", FINE_HALF_VARIANCE),
        sharpness(g, coarse, "sharpness_coarse", COARSE_HALF_VARIANCE),
        exposure,
        clipped(g, luma, "clipped_dark", -LEVELS, DARK_LEVEL + 1),
        clipped(g, luma, "clipped_bright", LEVELS, 1 - BRIGHT_LEVEL),
        contrast(g, luma, exposure),
        noise(g, g.slice(fine, "noise_masked", 1, 1, 2)),
        blockiness(g, luma),
    ]
    g.add("Concat", scores, "scores", axis=1)

    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    answer = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(scores)])
    graph = helper.make_graph(g.nodes, "image-quality", [photo], [answer], g.constants)
    model = helper.make_model(
        graph,
        producer_name="flota image-quality",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model, full_check=True)
    return model


def scorer():
    """What 1.0.0 says of pictures (bytes): [count, scores]."""
    session = export.session(build().SerializeToString())
    spec = Input(SIDE, SIDE, {"mode": "shortest_edge", "size": SIDE, "rounding": "format_1"})
    return lambda shown: export.run(session, spec.tensor(shown))


def best_auc(truth, scores):
    """(area, name) of the score that tells best, whichever way it points: `scores` is
    [count, scores]."""
    areas = [metrics.roc_auc(truth, column) for column in np.transpose(scores)]
    return max((max(area, 1 - area), name) for area, name in zip(areas, SCORES))
