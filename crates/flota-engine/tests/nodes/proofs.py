"""What an engine has proven that gets a test right.

A line is `Operator@VERSION`, `Operator@VERSION.attribute`, or of a text `Operator@VERSION.attribute=text`;
the version is that in which the operator took the meaning that it has. An attribute is proven only where
another value of it makes another answer: the alpha of a Celu is not proven by numbers above zero. Of a text
this holds for the default, too, where a node leaves it out.
"""

import numpy as np
import onnx
from onnx import helper

from runs import answers_of, is_near, reference_answers_of

#: Attributes that are of no matter to the types that networks of images have.
EXEMPT = {"round_mode"}
#: Texts of which any is of the same kind.
ANY_TEXT = {("Einsum", "equation")}
#: Attributes that mean something to training alone.
OF_TRAINING = {("Dropout", "ratio"), ("Dropout", "seed"), ("BatchNormalization", "momentum")}
#: Of nodes in large graphs this many attributes are tried: the tests of single nodes try all.
MOST_TRIED = 12
#: The texts that attributes have in any test.
known_texts: dict[tuple[str, str], set[str]] = {}


def defaults(schema) -> dict:
    """The defaults of an operator's attributes."""
    found = {}
    for name, attribute in schema.attributes.items():
        if attribute.default_value.type and name not in EXEMPT:
            value = helper.get_attribute_value(attribute.default_value)
            found[name] = value.decode() if isinstance(value, bytes) else value
    return found


def learn_texts(models):
    """Notes which texts attributes have."""
    for model in models:
        for node, _ in nodes_of(model):
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.STRING:
                    texts = known_texts.setdefault((node.op_type, attribute.name), set())
                    texts.add(attribute.s.decode("utf-8", "replace"))
    for schema in onnx.defs.get_all_schemas_with_history():
        for name, value in defaults(schema).items():
            if isinstance(value, str):
                known_texts.setdefault((schema.name, name), set()).add(value)


def nodes_of(model):
    """The nodes of a model's graph and of the graphs in them, with the versions of operator sets."""
    sets = {imported.domain.replace("ai.onnx.ml", "ml").replace("ai.onnx", ""): imported.version for imported in model.opset_import}
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        for node in graph.node:
            yield node, sets.get("ml" if node.domain == "ai.onnx.ml" else "", 1)
            for attribute in node.attribute:
                graphs += [attribute.g] * attribute.HasField("g") + list(attribute.graphs)


def schema_of(node, opset):
    """The schema of a node; `None` of one that onnx does not have."""
    try:
        domain = "ai.onnx.ml" if node.domain == "ai.onnx.ml" else ""
        return onnx.defs.get_schema(node.op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


def of(model, inputs, case) -> set[str]:
    """What `model`, run on `inputs`, proves."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    proven, tried = set(), 0
    answers, run = answers_of(model, inputs), answers_of
    if answers is None:
        answers, run = reference_answers_of(model, inputs), reference_answers_of
    for node, opset in nodes_of(model):
        schema = schema_of(node, opset)
        if schema is None:
            continue
        name = f"{node.op_type}@{schema.since_version}"
        proven.add(name)
        given = {attribute.name for attribute in node.attribute}
        texts = {name: value for name, value in defaults(schema).items() if isinstance(value, str)}
        for attribute in sorted(given | set(texts)):
            feature = f"{name}.{attribute}"
            found = next((one for one in node.attribute if one.name == attribute), None)
            is_text = attribute in texts or found.type == onnx.AttributeProto.STRING
            if is_text and (node.op_type, attribute) not in ANY_TEXT:
                text = found.s.decode("utf-8", "replace") if found is not None else texts[attribute]
                feature = f"{feature}={text}"
            if feature in proven or tried == MOST_TRIED:
                continue
            if (node.op_type, attribute) in OF_TRAINING or is_graph(found):
                proven.add(feature)
                continue
            tried += 1
            others = alternatives(node.op_type, attribute, found)
            if answers is not None and matters(node, others, attribute, lambda: run(model, inputs), answers, case):
                proven.add(feature)
    return proven


def is_graph(attribute) -> bool:
    return attribute is not None and attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.TENSOR)


def matters(node, others, attribute, run, answers, case) -> bool:
    """Whether another value of an attribute makes another answer. It matters, too, where the node is refused
    without it, and it does no harm where it says what is known without it: any other value is refused."""
    kept = [onnx.AttributeProto.FromString(one.SerializeToString()) for one in node.attribute]
    rest = [one for one in kept if one.name != attribute]
    expected = [np.asarray(answer) for answer in answers]
    is_given = len(rest) < len(kept)
    taken = 0
    try:
        for other in others:
            del node.attribute[:]
            node.attribute.extend(rest + ([] if other is None else [other]))
            found = run()
            if found is None and other is None and is_given:
                return True
            if found is not None and not is_near(found, expected, case):
                return True
            taken += found is not None and other is not None
    finally:
        del node.attribute[:]
        node.attribute.extend(kept)
    return is_given and taken == 0


def alternatives(operator, name, was):
    """Other values of an attribute, `None` for leaving it out."""
    if was is None or was.type == onnx.AttributeProto.STRING:
        text = was.s.decode("utf-8", "replace") if was is not None else None
        for other in sorted(known_texts.get((operator, name), set()) - {text}):
            yield helper.make_attribute(name, other)
        if was is not None:
            yield None
        return
    yield None
    value = helper.get_attribute_value(was)
    kind = onnx.AttributeProto
    others = {
        kind.INT: lambda: [1 - value, value + 1, value - 1, 0],
        kind.FLOAT: lambda: [value * 2 + 0.5, value / 2, 0.0],
        kind.INTS: lambda: [[n + 1 for n in value], value[::-1], [n - 1 for n in value]],
        kind.FLOATS: lambda: [[n * 2 + 0.5 for n in value]],
    }.get(was.type, list)()
    for other in others:
        if other != value:
            made = onnx.AttributeProto(name=name, type=was.type)
            field = {kind.INT: "i", kind.FLOAT: "f", kind.INTS: "ints", kind.FLOATS: "floats"}[was.type]
            if was.type in (kind.INTS, kind.FLOATS):
                getattr(made, field).extend(other)
            else:
                setattr(made, field, other)
            yield made
