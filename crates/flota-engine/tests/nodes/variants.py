"""Variants of tests of single nodes: of every older version of the operator, with other numbers, and without
each attribute. Those are kept on whose answers onnx's reference implementation and ONNX Runtime agree."""

import collections

import numpy as np
import onnx
from onnx import helper
from onnx.backend.test.case.test_case import TestCase

from runs import TOO_LARGE, agreed_answers

#: The newest operator set of which ONNX Runtime has all operators that it has of older ones.
NEWEST_OPSET = 23
#: Tests of one kind that are kept: the same operator, attributes, texts, types and numbers of axes.
MOST_OF_A_KIND = 2
kinds = collections.Counter()


def of(case):
    """All variants of a test."""
    node = single_node(case.model)
    inputs = [np.asarray(value) for value in case.data_sets[0][0]]
    if node is None or not inputs or sum(value.nbytes for value in inputs) > TOO_LARGE:
        return
    for version, opset in older_versions(node.op_type, opset_of(case.model)):
        model = copied(case.model)
        del model.opset_import[:]
        model.opset_import.append(helper.make_opsetid("", opset))
        yield from made(case, f"of-{version}", model, inputs)
        yield from others(case, model, inputs, f"of-{version}-")
    yield from others(case, case.model, inputs, "")


def others(case, model, inputs, prefix):
    for number, fed in enumerate(changed(inputs)):
        yield from made(case, f"{prefix}other-numbers-{number}", model, fed)
    for attribute in [one.name for one in single_node(model).attribute]:
        without = copied(model)
        node = without.graph.node[0]
        kept = [one for one in node.attribute if one.name != attribute]
        del node.attribute[:]
        node.attribute.extend(kept)
        yield from made(case, f"{prefix}without-{attribute}", without, inputs)


def single_node(model):
    """The only node of a model; `None` where there are more, or it is of a domain of its own."""
    nodes = model.graph.node
    is_usual = len(nodes) == 1 and nodes[0].domain in ("", "ai.onnx") and not model.functions
    return nodes[0] if is_usual else None


def opset_of(model) -> int:
    return next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)


def older_versions(operator, opset):
    """The versions of an operator before that of `opset`, each with the last operator set that has it."""
    history = [one for one in onnx.defs.get_all_schemas_with_history() if one.name == operator and one.domain == ""]
    versions = sorted({one.since_version for one in history})
    for version, following in zip(versions, versions[1:]):
        if following <= opset:
            yield version, max(version, min(following - 1, NEWEST_OPSET))


def changed(inputs):
    """Inputs with the signs and sizes of the first changed, and with a scalar in place of the second."""
    first = inputs[0]
    if first.dtype.kind == "f" and first.size:
        with np.errstate(all="ignore"):
            yield [(first * -1.7 + 0.13).astype(first.dtype), *inputs[1:]]
            yield [(first * 3.1 - 1.4).astype(first.dtype), *inputs[1:]]
    elif first.dtype.kind == "i" and first.size:
        yield [(-first).astype(first.dtype), *inputs[1:]]
    if len(inputs) == 2 and inputs[1].ndim and inputs[1].size:
        scalar = inputs[1].reshape(-1)[:1].reshape(())
        yield [first, scalar]
        if first.dtype.kind in "if":
            yield [(-first).astype(first.dtype), scalar]
            yield [first, (-scalar).astype(scalar.dtype)] if scalar.dtype.kind in "if" else [first, scalar]


def kind_of(what, model, inputs):
    node = single_node(model)
    attributes = [(one.name, one.s) for one in node.attribute]
    tensors = [(str(value.dtype), value.ndim) for value in inputs]
    return str([what, node.op_type, opset_of(model), sorted(attributes), tensors])


def made(case, what, model, inputs):
    """The variant, where both answer the same and there are few of its kind."""
    kind = kind_of(what, model, inputs)
    if kinds[kind] == MOST_OF_A_KIND:
        return
    model = copied(model)
    for value, fed in zip(model.graph.input, inputs):
        set_shape(value, fed)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    answers = agreed_answers(model, inputs, case)
    if answers is None or any(value.size == 0 for value in answers):
        return
    for output, answer in zip(model.graph.output, answers):
        set_shape(output, answer)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        return
    kinds[kind] += 1
    name = f"{case.name}-{what}"
    yield TestCase(name, name, None, None, model, [(inputs, answers)], "variant", case.rtol, case.atol)


def set_shape(value, tensor):
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    shape.SetInParent()
    for side in tensor.shape:
        shape.dim.add().dim_value = side


def copied(model):
    return onnx.ModelProto.FromString(model.SerializeToString())
