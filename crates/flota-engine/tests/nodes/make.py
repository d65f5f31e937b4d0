"""Writes onnx's own tests of operators into a folder, and what ONNX Runtime makes of each.

    pip install onnx==1.23.2 onnxruntime==1.31.1 && python make.py FOLDER

They are those of nodes, those of PyTorch's first exporters, some of our own of what both lack, and what
variants.py makes of each test of a single node: the same node of every older version of its operator, fed
with other numbers, and without each of its attributes. What is expected of those is what onnx's reference
implementation and ONNX Runtime agree on.

Each test becomes FOLDER/NAME with model.onnx, input_N.pb, output_N.pb, tolerance.txt and proves.txt: what
an engine that gets it right has proven (proofs.py). Networks have their weights as constants where the
tests feed them as inputs, so each test with more than one input is also written as NAME+constants, with all
inputs but the first as initializers. FOLDER/onnxruntime.tsv says of each whether ONNX Runtime answers as
expected, and FOLDER/operators.txt has the versions of all operators, with their defaults.
"""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import google.protobuf.message
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase
from onnx.reference import ReferenceEvaluator

import older
import proofs
import variants
from runs import agreed_answers, answers_of, is_near

warnings.simplefilter("ignore")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    cases = [*collect_testcases(None), *stored_cases(), *own_cases(), *older.cases(own)]
    cases = [case for case in cases if case is not None and is_of_tensors(case)]
    proofs.learn_texts(case.model for case in cases)
    print(f"{len(cases)} tests as they are", flush=True)
    # Our own are of old versions and of other numbers already.
    theirs = [case for case in cases if case.kind != "own"]
    cases += [variant for case in theirs for variant in variants.of(case)]
    print(f"{len(cases)} with variants", flush=True)
    for case in sorted(cases, key=lambda case: case.name):
        inputs, outputs = [list(map(np.asarray, values)) for values in case.data_sets[0]]
        proven = proofs.of(case.model, inputs, case)
        write(folder / case.name, case, case.model, inputs, outputs, proven)
        lines.append((case.name, run(case, case.model, inputs, outputs)))
        if len(inputs) > 1:
            model, name = with_constants(case.model, inputs), f"{case.name}+constants"
            write(folder / name, case, model, inputs[:1], outputs, proven)
            lines.append((name, run(case, model, inputs[:1], outputs)))
    text = "".join(f"{name}\t{result}\n" for name, result in lines)
    (folder / "onnxruntime.tsv").write_text(text)
    (folder / "operators.txt").write_text("".join(f"{line}\n" for line in sorted(operators())))
    (folder / "version.txt").write_text(f"{onnx.__version__} {onnxruntime.__version__}\n")
    print(f"{len(lines)} tests in {folder}")


def is_of_tensors(case) -> bool:
    inputs, outputs = case.data_sets[0]
    return all(isinstance(value, np.ndarray | np.generic) for value in [*inputs, *outputs])


def operators():
    """`Operator VERSION attribute=default …` with the defaults that are texts or whole numbers. Texts in
    quotes are no matter: none has a blank."""
    for schema in onnx.defs.get_all_schemas_with_history():
        defaults = []
        for name, value in sorted(proofs.defaults(schema).items()):
            if isinstance(value, int | str) and " " not in str(value):
                defaults.append(f" {name}={value}")
        if schema.domain in ("", "ai.onnx.ml"):
            yield f"{schema.name} {schema.since_version}{''.join(defaults)}"


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
    for opset in (12, 14, 18, 20, 22, 23, 24):
        branches = {"then_branch": then, "else_branch": branch("Neg", image.shape)}
        for chosen in (True, False):
            yield own(f"if-{opset}-{chosen}", "If", [np.array(chosen)], opset=opset, outer=image, **branches)


def branch(operator, shape):
    output = helper.make_tensor_value_info(operator, TensorProto.FLOAT, shape)
    return helper.make_graph([helper.make_node(operator, ["outer"], [operator])], operator, [], [output])


def own(name, operator, inputs, outer=None, answer=None, answers=None, opset=18, agreed=False, **attributes):
    """A test of one node. Its answers are those given, or those of onnx's reference; where they have to be
    `agreed`, it is `None` unless ONNX Runtime answers the same."""
    # What is left out has no name.
    names = ["" if value is None else f"x{n}" for n, value in enumerate(inputs)]
    answers = answers or [answer]
    outputs = [f"y{n}" for n in range(len(answers))] if len(answers) > 1 else ["y"]
    node = helper.make_node(operator, names, outputs, **attributes)
    names, inputs = [name for name in names if name], [value for value in inputs if value is not None]
    if outer is not None:
        # The first is what stays an input.
        names, inputs = ["outer", *names], [outer, *inputs]
    types = [onnx.helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
    fed = [
        helper.make_tensor_value_info(name, kind, value.shape)
        for name, kind, value in zip(names, types, inputs)
    ]
    kind = TensorProto.FLOAT if answers[0] is None else onnx.helper.np_dtype_to_tensor_dtype(answers[0].dtype)
    given = [helper.make_tensor_value_info(output, kind, None) for output in outputs]
    graph = helper.make_graph([node], name, fed, given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    case = TestCase(f"own-{name}", name, None, None, model, [(inputs, answers)], "own", 1e-3, 1e-5)
    if agreed and answers[0] is None:
        answers = agreed_answers(model, inputs, case)
    elif answers[0] is None:
        answers = ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))
    elif agreed and not is_near(answers_of(model, inputs) or [], answers, case):
        answers = None
    if answers is None:
        print(f"not agreed on: {name}")
        return None
    return replace(case, data_sets=[(inputs, answers)])


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


def write(folder, case, model, inputs, outputs, proven):
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    for kind, values in [("input", inputs), ("output", outputs)]:
        for number, value in enumerate(values):
            tensor = numpy_helper.from_array(value, f"{kind}_{number}")
            (folder / f"{kind}_{number}.pb").write_bytes(tensor.SerializeToString())
    (folder / "tolerance.txt").write_text(f"{case.rtol} {case.atol}\n")
    (folder / "proves.txt").write_text("".join(f"{feature}\n" for feature in sorted(proven)))


def run(case, model, inputs, outputs):
    answers = answers_of(model, inputs)
    if answers is None:
        return "refused"
    return "right" if is_near(answers, outputs, case) else "wrong"


if __name__ == "__main__":
    main()
