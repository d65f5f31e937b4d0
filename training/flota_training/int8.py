"""From a network in 32-bit floating point to one in eight bits, by ONNX Runtime's own tools: static,
with QuantizeLinear and DequantizeLinear around what is quantized, a scale for each channel of the weights.
"""

import contextlib
import fnmatch
import io
import logging
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, version_converter
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

# What is quantized: the sums of products, and what ONNX Runtime fuses with them. More of them, such as
# Add or Concat, made no network faster that was measured, and ours wrong.
PRODUCTS = ("Conv", "Gemm", "MatMul")
QUANTIZED = (*PRODUCTS, "Relu", "Clip")
METHODS = {
    "minmax": quantization.CalibrationMethod.MinMax,
    "entropy": quantization.CalibrationMethod.Entropy,
    "percentile": quantization.CalibrationMethod.Percentile,
}
# Scales per channel came with this one.
LEAST_OPSET = 13
# Pictures whose inner values are held in memory at once: 75 MB each for the larger of our networks.
AT_ONCE = 4


def prepare(weights, file):
    """Writes the network of `weights` to `file` as quantizing wants it: each node named, constants
    folded, norms in their convolutions, shapes noted."""
    try:
        model = onnx.load(weights)
    except DecodeError as error:
        raise SystemExit(f"{weights} is not an ONNX file: {error}") from None
    check(model, weights)
    opset = next((used.version for used in model.opset_import if not used.domain), 1)
    if opset < LEAST_OPSET:
        model = version_converter.convert_version(model, LEAST_OPSET)
    for node in model.graph.node:
        node.name = node.name or node.output[0]
    named = Path(file).with_suffix(".named.onnx")
    onnx.save(model, named)
    with quiet():
        # What sizes are free does not matter here; ours have one, the number of pictures.
        quant_pre_process(named, file, skip_symbolic_shape=True)


def check(model, weights):
    """That there is something to quantize, and that nobody has done it before."""
    types = {node.op_type for node in model.graph.node}
    done = sorted(name for name in types if "QuantizeLinear" in name or name.startswith("QLinear"))
    if done or any(name.endswith("Integer") for name in types):
        raise SystemExit(f"{weights} is quantized already: begin with the fp32 weights")
    if not types & set(PRODUCTS):
        raise SystemExit(
            f"{weights} has nothing to quantize: none of {', '.join(PRODUCTS)}, "
            f"only {', '.join(sorted(types))}"
        )
    halves = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    if any(weight.data_type in halves for weight in model.graph.initializer):
        raise SystemExit(f"{weights} has weights of 16 bits: begin with the fp32 weights")


def kept_nodes(file, patterns):
    """The nodes that stay in floating point: those whose name or operator is like one of
    `patterns`, in which `*` stands for anything."""
    nodes = [node for node in onnx.load(file).graph.node if node.op_type in QUANTIZED]
    kept = set()
    for pattern in patterns:
        like = [
            node.name
            for node in nodes
            if fnmatch.fnmatchcase(node.name, pattern) or node.op_type == pattern
        ]
        if not like:
            known = ", ".join(node.name for node in nodes if node.op_type in PRODUCTS)
            raise SystemExit(
                f"--keep {pattern}: no node that is quantized is called so; there are "
                f"{', '.join(QUANTIZED)}, and by name {known}"
            )
        kept.update(like)
    if not any(node.op_type in PRODUCTS and node.name not in kept for node in nodes):
        raise SystemExit("--keep keeps everything: nothing would be quantized")
    return sorted(kept)


def quantize(prepared, file, tensors, method, kept, seven_bits=False):
    """Writes the int8 network of `prepared` to `file`, the ranges of its inner values by `method` from
    what `tensors` make of them."""
    graph = onnx.load(prepared).graph
    weights = {weight.name for weight in graph.initializer}
    source = next(value.name for value in graph.input if value.name not in weights)
    with quiet():
        quantization.quantize_static(
            prepared,
            file,
            Tensors(source, tensors),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_exclude=kept,
            per_channel=True,
            reduce_range=seven_bits,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=METHODS[method],
            extra_options={"CalibStridedMinMax": AT_ONCE},
        )
    model = onnx.load(file)
    used = {node.domain for node in model.graph.node}
    for opset in [opset for opset in model.opset_import if opset.domain not in used]:
        model.opset_import.remove(opset)
    onnx.save(model, file)


class Tensors(quantization.CalibrationDataReader):
    """Tensors as calibration reads them: some at a time."""

    def __init__(self, source, tensors):
        self.source, self.tensors = source, tensors
        self.set_range(0, len(tensors))

    def __len__(self):
        return len(self.tensors)

    def set_range(self, start_index, end_index):
        self.rest = iter(self.tensors[start_index:end_index])

    def get_next(self):
        tensor = next(self.rest, None)
        return None if tensor is None else {self.source: tensor}


@contextlib.contextmanager
def quiet():
    """Keeps what ONNX Runtime's tools print and warn of to themselves."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
