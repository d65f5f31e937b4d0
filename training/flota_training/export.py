"""From a network to ONNX, and whether every engine says the same of it."""

import json
import math
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import shape_inference
from PIL import Image

OPSET = 17
# Operators that the worker's engines are known to run.
OPERATORS = set(
    "Abs Add AveragePool BatchNormalization Clip Concat Constant Conv Cumsum Div Exp Flatten Gemm GlobalAveragePool "
    "GlobalMaxPool HardSigmoid HardSwish Identity LeakyRelu Log MatMul Max MaxPool Min Mul Neg Pad Pow "
    "ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Sigmoid Slice Softmax Softplus Sqrt Squeeze Sub "
    "Tanh Transpose Unsqueeze".split()
)
# Most pictures in one call of the product's command line.
PREDICT_BATCH = 200


def export(net, file, spec, output_name):
    """Writes `net`, which takes the tensors of `spec`, with a free batch size."""
    example = torch.zeros(1, 3, spec.height, spec.width)
    with torch.no_grad():
        torch.onnx.export(
            net.eval(),
            (example,),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=[spec.name],
            output_names=[output_name],
            dynamic_axes={spec.name: {0: "batch"}, output_name: {0: "batch"}},
        )
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    others = {node.op_type for node in model.graph.node} - OPERATORS
    if others:
        raise SystemExit(f"{file} uses operators that no engine was tried with: {sorted(others)}")


def multiply_adds(file):
    """Multiply-adds of one picture, of convolutions and matrix products."""
    model = onnx.load(file)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        v.name: [d.dim_value or 1 for d in v.type.tensor_type.shape.dim]
        for v in [*graph.input, *graph.value_info, *graph.output]
    }
    shapes |= {weight.name: list(weight.dims) for weight in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return total


def session(file, threads=1):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        file if isinstance(file, bytes) else str(file), options, providers=["CPUExecutionProvider"]
    )


def run(session, tensor):
    """The answers of ONNX Runtime for a tensor, a picture at a time."""
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: one[None]})[0] for one in np.asarray(tensor)])


# ONNX Runtime is asked by its own package.
TRACT = {**os.environ, "FLOTA__ENGINE__KIND": "tract"}


def predict(flota, folder, pictures, labels):
    """What the product itself says of pictures (bytes, of the network's size, so that nothing is
    resized): `flota model predict`, whose command `flota` is a list of words."""
    answers = []
    with tempfile.TemporaryDirectory() as place:
        for start in range(0, len(pictures), PREDICT_BATCH):
            files = [
                Path(place) / f"{index:05}.png"
                for index in range(len(pictures[start : start + PREDICT_BATCH]))
            ]
            for file, picture in zip(files, pictures[start:]):
                Image.fromarray(picture).save(file, compress_level=1)
            command = [*flota, "model", "predict", str(folder), *map(str, files), "--json"]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=TRACT)
            answers += scores_of(json.loads(done.stdout), files, labels)
    return np.array(answers)


def scores_of(answer, files, labels):
    """The scores in the order of `labels`, file by file."""
    by_file = {
        seen["image"]: {score["label"]: score["score"] for score in seen["prediction"]["output"]["scores"]}
        for seen in answer["predictions"]
    }
    return [[by_file[str(file)][label] for label in labels] for file in files]


def flota_command():
    """The words that call the product, from `FLOTA` in the environment, or nothing."""
    return os.environ.get("FLOTA", "").split() or None


def differences(name, one, other):
    """A row of the parity table: mean, standard deviation, P50, P99 and maximum of |one - other|."""
    gap = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).ravel()
    figures = [gap.mean(), gap.std(), *np.percentile(gap, [50, 99]), gap.max()]
    return [name, *[f"{figure:.1e}" for figure in figures]]


DIFFERENCES_HEAD = ["outputs compared", "mean", "standard deviation", "P50", "P99", "max"]
