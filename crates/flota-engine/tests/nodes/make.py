"""Writes onnx's own tests of operators into a folder, and what ONNX Runtime makes of each.

    pip install onnx==1.23.2 onnxruntime==1.31.1 && python make.py FOLDER

They are those of nodes, of the newest operator sets, and those of PyTorch's first exporters, of old ones,
and some of our own of what both lack. Each test becomes FOLDER/NAME with model.onnx, input_N.pb, output_N.pb and tolerance.txt. Networks have their
weights as constants where the tests feed them as inputs, so each test with more than one input is also written
as NAME+constants, with all inputs but the first as initializers. FOLDER/onnxruntime.tsv says of each
whether ONNX Runtime answers as wanted.
"""

import sys
import warnings
from pathlib import Path

import google.protobuf.message
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase
from onnx.reference import ReferenceEvaluator

warnings.simplefilter("ignore")
onnxruntime.set_default_logger_severity(4)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    cases = [*collect_testcases(None), *stored_cases(), *own_cases()]
    for case in sorted(cases, key=lambda case: case.name):
        inputs, outputs = case.data_sets[0]
        if not all(isinstance(value, np.ndarray | np.generic) for value in [*inputs, *outputs]):
            continue
        inputs, outputs = [list(map(np.asarray, values)) for values in (inputs, outputs)]
        write(folder / case.name, case, case.model, inputs, outputs)
        lines.append((case.name, run(case, case.model, inputs, outputs)))
        if len(inputs) > 1:
            model, name = with_constants(case.model, inputs), f"{case.name}+constants"
            write(folder / name, case, model, inputs[:1], outputs)
            lines.append((name, run(case, model, inputs[:1], outputs)))
    text = "".join(f"{name}\t{result}\n" for name, result in lines)
    (folder / "onnxruntime.tsv").write_text(text)
    (folder / "defaults.txt").write_text("".join(f"{line}\n" for line in sorted(defaults())))
    (folder / "version.txt").write_text(f"{onnx.__version__} {onnxruntime.__version__}\n")
    print(f"{len(lines)} tests in {folder}")


def defaults():
    """`Operator.attribute:value` of each integer and text that is the default in all operator sets."""
    found = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        for name, attribute in schema.attributes.items():
            value = onnx.helper.get_attribute_value(attribute.default_value)
            kind = attribute.type.name
            if kind in ("INT", "STRING") and attribute.default_value.type:
                value = value.decode() if isinstance(value, bytes) else value
                found.setdefault((schema.name, name), set()).add(value)
            else:
                found.setdefault((schema.name, name), set()).add(None)
    for (operator, name), values in found.items():
        if len(values) == 1 and None not in values:
            yield f"{operator}.{name}:{values.pop()}"


def own_cases():
    """What onnx has no test of and networks have; the answers are those of onnx's reference."""
    random = np.random.default_rng(0)
    image = random.normal(size=(1, 3, 9, 10)).astype(np.float32)
    kernel = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    depthwise = random.normal(size=(3, 1, 3, 3)).astype(np.float32)
    transposed = random.normal(size=(3, 4, 3, 3)).astype(np.float32)
    for pad in ["SAME_UPPER", "SAME_LOWER", "VALID"]:
        for strides in [[1, 1], [2, 2]]:
            name = f"{pad.lower()}-{strides[0]}"
            yield own(f"conv-{name}", "Conv", [image, kernel], auto_pad=pad, strides=strides)
            yield own(f"depthwise-{name}", "Conv", [image, depthwise], auto_pad=pad, strides=strides, group=3)
            # Of MaxPool onnx has tests, and its reference is wrong on one of these.
            shape = {"kernel_shape": [3, 3], "strides": strides, "auto_pad": pad}
            yield own(f"averagepool-{name}", "AveragePool", [image], **shape)
    yield own("convtranspose-group", "ConvTranspose", [image, transposed[:, :1]], group=3, strides=[2, 2])
    for p in [1, 2]:
        sums = (np.abs(image) ** p).sum(axis=(2, 3), keepdims=True) ** (1 / p)
        yield own(f"globallppool-{p}", "GlobalLpPool", [image], answer=sums, p=p)
        yield own(f"lppool-{p}", "LpPool", [image], p=p, kernel_shape=[2, 2])
    yield own("lrn", "LRN", [image], size=5, alpha=1e-4, beta=0.75, bias=1.0)
    yield own("flatten", "Flatten", [image], axis=1)
    then = branch("Relu", image.shape)
    scales = np.float32([1, 1, 2, 2])
    yield own("upsample-nearest", "Upsample", [image, scales], opset=9, mode="nearest")
    yield own("if", "If", [np.array(True)], then_branch=then, else_branch=then, outer=image)


def branch(operator, shape):
    output = helper.make_tensor_value_info(operator, TensorProto.FLOAT, shape)
    return helper.make_graph([helper.make_node(operator, ["outer"], [operator])], operator, [], [output])


def own(name, operator, inputs, outer=None, answer=None, opset=18, **attributes):
    names = [f"x{n}" for n in range(len(inputs))]
    node = helper.make_node(operator, names, ["y"], **attributes)
    if outer is not None:
        # The first is what stays an input.
        names, inputs = ["outer", *names], [outer, *inputs]
    types = [onnx.helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
    fed = [
        helper.make_tensor_value_info(name, kind, value.shape)
        for name, kind, value in zip(names, types, inputs)
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], name, fed, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    answers = [answer]
    if answer is None:
        answers = ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))
    return TestCase(f"own-{name}", name, None, None, model, [(inputs, answers)], "own", 1e-3, 1e-5)


def stored_cases():
    """The tests that come as files: networks that PyTorch exported at the operator sets 6 to 9."""
    data = Path(onnx.__file__).parent / "backend/test/data"
    for kind in ["pytorch-operator", "pytorch-converted", "simple"]:
        for folder in sorted((data / kind).iterdir()):
            model = onnx.load(folder / "model.onnx")
            sets = folder / "test_data_set_0"
            try:
                tensors = [read_tensors(sets, name) for name in ["input", "output"]]
            except (google.protobuf.message.DecodeError, TypeError):
                continue  # A sequence or an optional.
            name = f"{kind}-{folder.name}"
            yield TestCase(name, name, None, None, model, [tensors], kind, 1e-3, 1e-5)


def read_tensors(folder, kind):
    tensors = []
    while (file := folder / f"{kind}_{len(tensors)}.pb").exists():
        tensors.append(numpy_helper.to_array(onnx.load_tensor(file)))
    return tensors


def with_constants(model, inputs):
    """The model with all inputs but the first that is fed as initializers."""
    constant = onnx.ModelProto()
    constant.CopyFrom(model)
    stored = {value.name for value in constant.graph.initializer}
    fed = [value.name for value in constant.graph.input if value.name not in stored]
    for name, value in list(zip(fed, inputs))[1:]:
        constant.graph.initializer.append(numpy_helper.from_array(value, name))
    inputs = [value for value in constant.graph.input if value.name not in fed[1:]]
    del constant.graph.input[:]
    constant.graph.input.extend(inputs)
    return constant


def write(folder, case, model, inputs, outputs):
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    for kind, values in [("input", inputs), ("output", outputs)]:
        for number, value in enumerate(values):
            tensor = numpy_helper.from_array(value, f"{kind}_{number}")
            (folder / f"{kind}_{number}.pb").write_bytes(tensor.SerializeToString())
    (folder / "tolerance.txt").write_text(f"{case.rtol} {case.atol}\n")


def run(case, model, inputs, outputs):
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]
        answers = session.run(None, dict(zip(names, inputs)))
    except Exception:
        return "refused"
    for wanted, answer in zip(outputs, answers):
        if not isinstance(answer, np.ndarray) or wanted.shape != answer.shape:
            return "wrong"
        if wanted.dtype.kind in "fc":
            wanted, answer = wanted.astype(np.float64), answer.astype(np.float64)
            if not np.allclose(answer, wanted, case.rtol, max(case.atol, 1e-6), equal_nan=True):
                return "wrong"
        elif not np.array_equal(wanted, answer):
            return "wrong"
    return "right"


main()
