"""Tests of operators as they were when attributes said what inputs say now, and of numbers that break what
is only right by chance: below zero, fractions, scalars."""

import itertools

import numpy as np
from onnx import helper, numpy_helper

RANDOM = np.random.default_rng(1)


def cases(make):
    """Each made by `make`, whose answers are those of onnx's reference or given here; ONNX Runtime has to
    agree."""

    def own(*arguments, **named):
        return make(*arguments, **{"agreed": True} | named)

    yield from reductions(own)
    yield from shapes(own)
    yield from activations(own)
    yield from resizes(own)
    yield from remainders(own)
    yield from normalizations(own)
    yield from conversions(own)
    yield from windows(own)
    yield from rearrangements(own)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def reductions(own):
    data = np.abs(normal(2, 3, 4)) + 0.1
    functions = {
        "ReduceMean": np.mean,
        "ReduceSum": np.sum,
        "ReduceMax": np.max,
        "ReduceMin": np.min,
        "ReduceProd": np.prod,
        "ReduceL1": lambda x, **kw: np.abs(x).sum(**kw),
        "ReduceL2": lambda x, **kw: np.sqrt((x * x).sum(**kw)),
        "ReduceSumSquare": lambda x, **kw: (x * x).sum(**kw),
        "ReduceLogSum": lambda x, **kw: np.log(x.sum(**kw)),
        "ReduceLogSumExp": lambda x, **kw: np.log(np.exp(x).sum(**kw)),
    }
    for operator, function in functions.items():
        for opset in (10, 12, 17):
            if opset == 17 and operator == "ReduceSum":
                continue  # Its axes are an input since 13.
            for axes, keepdims in itertools.product(([1], [0, 2], [-1], None), (0, 1)):
                if axes == [-1] and opset == 10:
                    continue
                attributes = {"keepdims": keepdims} | ({"axes": axes} if axes else {})
                answer = function(data, axis=tuple(axes) if axes else None, keepdims=bool(keepdims))
                name = f"old-{operator}-{opset}-{axes}-{keepdims}".replace(" ", "")
                yield own(name, operator, [data], answer=np.asarray(answer, np.float32), opset=opset, **attributes)


def shapes(own):
    data = normal(1, 3, 1, 6)
    for opset in (10, 12):
        yield own(f"old-squeeze-{opset}", "Squeeze", [data], answer=data[:, :, 0], opset=opset, axes=[2])
        yield own(f"old-squeeze-all-{opset}", "Squeeze", [data], answer=data[0, :, 0], opset=opset)
        yield own(f"old-unsqueeze-{opset}", "Unsqueeze", [data], answer=data[:, None, ..., None], opset=opset, axes=[1, 5])
        parts = np.split(data, [1, 4], axis=3)
        yield own(f"old-split-{opset}", "Split", [data], answers=parts, opset=opset, axis=3, split=[1, 3, 2])
        yield own(f"old-split-equal-{opset}", "Split", [data], answers=np.split(data, 3, axis=1), opset=opset, axis=1)
    pads = [0, 0, 1, 2, 0, 0, 3, 1]
    sides = list(zip(pads[:4], pads[4:]))
    square = normal(1, 2, 5, 6)
    for mode, numpy_mode, more in (("constant", "constant", {"constant_values": 0.3}), ("reflect", "reflect", {}), ("edge", "edge", {})):
        value = {"value": 0.3} if mode == "constant" else {}
        size = [0, 0, 1, 2, 0, 0, 3, 1]
        answer = np.pad(square, sides, numpy_mode, **more)
        yield own(f"old-pad-{mode}", "Pad", [square], answer=answer, opset=10, mode=mode, pads=size, **value)
    cut = square[:, :1, 1:4, 2:-1]
    yield own("old-slice", "Slice", [square], answer=cut, opset=9, axes=[1, 2, 3], starts=[0, 1, 2], ends=[1, 4, -1])
    yield own("old-slice-all", "Slice", [square], answer=square[:, 1:, :3, :5], opset=9, starts=[0, 1, 0, 0], ends=[1, 2, 3, 5])
    for opset in (6, 8, 9, 11):
        yield own(f"old-dropout-{opset}", "Dropout", [square], answer=square, opset=max(opset, 7), ratio=0.3)
    for least, most in ((-0.5, 0.5), (-3.0, 0.2), (0.0, 6.0)):
        answer = np.clip(square, least, most)
        yield own(f"old-clip-{least}-{most}", "Clip", [square], answer=answer, opset=10, min=least, max=most)
    yield own("old-clip-least", "Clip", [square], answer=np.maximum(square, 0.1), opset=10, min=0.1)


def activations(own):
    data = normal(2, 3, 5) * 4
    for operator, attributes in {
        "Celu": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
        "Elu": [{}, {"alpha": 0.5}],
        "Selu": [{}, {"alpha": 2.0, "gamma": 3.0}],
        "LeakyRelu": [{}, {"alpha": 0.2}],
        "ThresholdedRelu": [{}, {"alpha": 2.0}],
        "HardSigmoid": [{}, {"alpha": 0.3, "beta": 0.6}],
        "HardSwish": [{}],
        "Shrink": [{}, {"bias": 1.5, "lambd": 1.0}],
        "Softplus": [{}],
        "Softsign": [{}],
        "Mish": [{}],
        "Sign": [{}],
        "Round": [{}],
        "Floor": [{}],
        "Ceil": [{}],
    }.items():
        for number, given in enumerate(attributes):
            yield own(f"activation-{operator}-{number}", operator, [data], opset=18, **given)
    for operator, opset in itertools.product(("Softmax", "LogSoftmax", "Hardmax"), (10, 12, 18)):
        for given in ({}, {"axis": 0}, {"axis": 1}, {"axis": 2}, {"axis": -1}):
            axis = given.get("axis", -1 if opset == 18 else 1)
            if axis < 0 and opset == 10:
                continue
            answer = softmax(operator, data, axis % 3, opset < 13)
            yield own(f"softmax-{operator}-{opset}-{given}".replace(" ", ""), operator, [data], answer=answer, opset=opset, **given)


def softmax(operator, data, axis, is_flat):
    """Before the operator set 13 all axes from the given one on are one."""
    flat = data.reshape(int(np.prod(data.shape[:axis])), -1) if is_flat else np.moveaxis(data, axis, -1)
    powers = np.exp(flat - flat.max(axis=-1, keepdims=True))
    found = powers / powers.sum(axis=-1, keepdims=True)
    if operator == "LogSoftmax":
        found = np.log(found)
    if operator == "Hardmax":
        found = (np.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]).astype(np.float32)
    return found.reshape(data.shape) if is_flat else np.moveaxis(found, -1, axis)


def resizes(own):
    image = normal(1, 2, 8, 8)
    # All are exact in binary; of the last the sizes have a fraction, which is dropped.
    sides = [(2, 2), (0.75, 0.625), (1.75, 0.375), (1.5, 2.5), (3, 1), (1.3125, 0.6875)]
    scales = [[1, 1, *pair] for pair in sides]
    for mode, scale in itertools.product(("nearest", "linear"), scales):
        fed = [image, np.float32(scale)]
        answer = by_nearest(image, scale) if mode == "nearest" else by_line(image, scale)
        yield own(f"resize-10-{mode}-{scale}".replace(" ", ""), "Resize", fed, answer=answer, opset=10, mode=mode)
    for mode, scale in itertools.product(("nearest", "linear", "cubic"), scales):
        roundings = ("floor", "round_prefer_floor", "ceil", "round_prefer_ceil") if mode == "nearest" else (None,)
        for coordinates, rounding, opset in itertools.product(
            ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"), roundings, (11, 13, 18, 19)
        ):
            given = {"mode": mode, "coordinate_transformation_mode": coordinates}
            given |= {"nearest_mode": rounding} if rounding else {}
            name = f"resize-{opset}-{mode}-{coordinates}-{rounding}-{scale}".replace(" ", "")
            fed = [image, np.float32([]) if opset == 11 else None, np.float32(scale)]
            yield own(name, "Resize", fed, opset=opset, **given)
        for coordinates, opset in itertools.product(("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"), (11, 13, 18, 19)):
            sizes = np.int64([1, 2, *(int(8 * side) for side in scale[2:])])
            fed = [image, None, None, sizes]
            name = f"resize-{opset}-{mode}-{coordinates}-sizes-{scale}".replace(" ", "")
            yield own(name, "Resize", fed, opset=opset, mode=mode, coordinate_transformation_mode=coordinates)


def by_nearest(image, scales):
    """As before the operator set 11: asymmetric, and the pixel before the place."""
    rows, columns = ((np.arange(int(side * scale)) / scale).astype(int) for side, scale in zip(image.shape[2:], scales[2:]))
    return image[:, :, rows][:, :, :, columns]


def by_line(image, scales):
    """Between the pixels before and behind the place, which is counted from the corner."""
    for axis in (2, 3):
        count = image.shape[axis]
        places = np.minimum(np.arange(int(count * scales[axis])) / scales[axis], count - 1)
        before = places.astype(int)
        behind = np.minimum(before + 1, count - 1)
        part = (places - before).reshape([-1 if one == axis else 1 for one in range(4)])
        image = image.take(before, axis) * (1 - part) + image.take(behind, axis) * part
    return image.astype(np.float32)


def normalizations(own):
    data = normal(2, 3, 4, 5)
    scale, bias, mean = normal(3), normal(3), normal(3)
    variance = np.abs(normal(3)) + 0.5
    one = [value.reshape(1, 3, 1, 1) for value in (scale, bias, mean, variance)]
    for opset, epsilon in itertools.product((8, 13, 14, 18), (1e-5, 0.1)):
        answer = (data - one[2]) / np.sqrt(one[3] + epsilon) * one[0] + one[1]
        fed = [data, scale, bias, mean, variance]
        name = f"batchnormalization-{opset}-{epsilon}"
        yield own(name, "BatchNormalization", fed, answer=answer, opset=opset, epsilon=epsilon)


    for opset in (8, 13, 14, 18):
        answer = (data - one[2]) / np.sqrt(one[3] + 0.01) * one[0] + one[1]
        fed = [data, scale, bias, mean, variance]
        given = {"momentum": 0.7, "epsilon": 0.01}
        yield own(f"batchnormalization-{opset}-momentum", "BatchNormalization", fed, answer=answer, opset=opset, **given)


def windows(own):
    """Convolutions and pools with the attributes that exporters always write, and those of Keras."""
    image, kernel = normal(1, 4, 9, 10), normal(6, 4, 3, 3)
    grouped, transposed = normal(4, 2, 3, 3), normal(4, 3, 3, 3)
    pads = [1, 2, 0, 1]
    for opset in (9, 10, 18, 22):
        for dilations, strides in itertools.product(([1, 1], [2, 2], [2, 1]), ([1, 1], [2, 1])):
            given = {"dilations": dilations, "strides": strides, "kernel_shape": [3, 3], "pads": pads}
            name = f"{opset}-{dilations}-{strides}".replace(" ", "")
            yield own(f"conv-{name}", "Conv", [image, kernel], opset=opset, group=1, **given)
            yield own(f"conv-grouped-{name}", "Conv", [image, grouped], opset=opset, group=2, **given)
            yield own(f"convtranspose-{name}", "ConvTranspose", [image, transposed], opset=opset, **given)
            if opset >= 10:
                yield own(f"maxpool-{name}", "MaxPool", [image], opset=opset, **given)
        for pad, strides in itertools.product(("SAME_UPPER", "SAME_LOWER", "VALID"), ([1, 1], [2, 2], [3, 2])):
            given = {"auto_pad": pad, "strides": strides, "kernel_shape": [3, 3]}
            name = f"{opset}-{pad.lower()}-{strides}".replace(" ", "")
            yield own(f"conv-{name}", "Conv", [image, kernel], opset=opset, **given)
            yield own(f"conv-grouped-{name}", "Conv", [image, grouped], opset=opset, group=2, **given)
            yield own(f"maxpool-{name}", "MaxPool", [image], opset=opset, **given)
            yield own(f"averagepool-{name}", "AveragePool", [image], opset=opset, **given)
        yield own(f"averagepool-{opset}-global", "GlobalAveragePool", [image], opset=opset)


def rearrangements(own):
    """Of depth and space, of sums by a text, and what is filled."""
    image = normal(1, 8, 2, 3)
    rows = image.reshape(1, 2, 2, 2, 2, 3)
    for opset in (10, 12, 18, 23):
        deep = rows.transpose(0, 3, 4, 1, 5, 2).reshape(1, 2, 4, 6)
        given = {} if opset == 10 else {"mode": "DCR"}
        yield own(f"depthtospace-{opset}", "DepthToSpace", [image], answer=deep, opset=opset, blocksize=2, **given)
        if opset > 10:
            by_column = image.reshape(1, 2, 2, 2, 2, 3).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 4, 6)
            yield own(f"depthtospace-{opset}-crd", "DepthToSpace", [image], answer=by_column, opset=opset, blocksize=2, mode="CRD")
        wide = normal(1, 2, 4, 6)
        blocks = wide.reshape(1, 2, 2, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4).reshape(1, 8, 2, 3)
        yield own(f"spacetodepth-{opset}", "SpaceToDepth", [wide], answer=blocks, opset=opset, blocksize=2)
    for opset, equation in itertools.product((12, 18, 23), ("bij,bjk->bik", "bhid,bhjd->bhij", "ij->ji", "bij->b")):
        terms = equation.split("->")[0].split(",")
        sides = {"b": 2, "h": 3, "i": 4, "j": 5, "k": 6, "d": 7}
        fed = [normal(*(sides[letter] for letter in term)) for term in terms]
        answer = np.einsum(equation, *fed)
        name = f"einsum-{opset}-{equation.replace('->', '-').replace(',', '-')}"
        yield own(name, "Einsum", fed, answer=answer, opset=opset, equation=equation)
    for opset in (12, 20, 21, 23, 24):
        value = numpy_helper.from_array(np.float32([1.5]))
        answer = np.full((2, 3), 1.5, np.float32)
        yield own(f"constantofshape-{opset}", "ConstantOfShape", [np.int64([2, 3])], answer=answer, opset=opset, value=value)
    data = normal(2, 3, 4)
    for operator, keepdims in itertools.product(("ReduceMax", "ReduceMin"), (0, 1)):
        function = np.max if operator == "ReduceMax" else np.min
        answer = function(data, axis=(1, 2), keepdims=bool(keepdims))
        fed = [data, np.int64([1, 2])]
        yield own(f"{operator}-20-{keepdims}", operator, fed, answer=answer, opset=20, keepdims=keepdims)


def conversions(own):
    data = normal(3, 4) * 5
    for opset in (8, 12, 18, 20, 22, 23, 24):
        for kind in (np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_):
            fed = np.abs(data) if kind is np.uint8 else data
            to = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            yield own(f"cast-{np.dtype(kind)}-{opset}", "Cast", [fed], answer=fed.astype(kind), opset=opset, to=to)
        for number, value in enumerate((data, np.int64([3, 1]), np.float32(0.5).reshape(()))):
            tensor = numpy_helper.from_array(value)
            yield own(f"constant-{opset}-{number}", "Constant", [], answer=value, opset=opset, value=tensor)
        if opset >= 12:
            yield own(f"constant-{opset}-float", "Constant", [], answer=np.float32(0.5).reshape(()), opset=opset, value_float=0.5)
            yield own(f"constant-{opset}-int", "Constant", [], answer=np.int64(-3).reshape(()), opset=opset, value_int=-3)
            yield own(f"constant-{opset}-ints", "Constant", [], answer=np.int64([1, -2]), opset=opset, value_ints=[1, -2])


def remainders(own):
    for kind, opset in itertools.product((np.int64, np.int32, np.float32), (12, 18)):
        numbers = np.arange(-7, 8).astype(kind)
        for divisor in (3, -3):
            fmod = int(kind is np.float32)
            function = np.fmod if fmod else np.mod
            scalar = np.asarray(divisor, kind)
            answer = function(numbers, scalar).astype(kind)
            name = f"mod-{np.dtype(kind)}-{opset}-{divisor}"
            yield own(name, "Mod", [numbers, scalar], answer=answer, opset=opset, fmod=fmod)
            if not fmod:
                answer = np.fmod(numbers, scalar).astype(kind)
                yield own(f"{name}-fmod", "Mod", [numbers, scalar], answer=answer, opset=opset, fmod=1)
    for operator, function in {"Div": lambda a, b: np.trunc(a / b).astype(np.int64)}.items():
        numbers = np.arange(-7, 8)
        for divisor in (3, -3):
            scalar = np.asarray(divisor, np.int64)
            yield own(f"int-{operator}-{divisor}", operator, [numbers, scalar], answer=function(numbers, scalar), opset=18)
