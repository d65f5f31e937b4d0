"""Networks of well-known shapes with random weights: only their cost matters here.

    python networks.py FOLDER

makes a model folder in FOLDER for each: ResNet-50 (arXiv:1512.03385), MobileNetV2 (arXiv:1801.04381) and
EfficientNet-B0 (arXiv:1905.11946), 224 x 224, 1,000 classes, normalisation folded into the convolutions.
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

SIDE, CLASSES = 224, 1000
OPSET = 17
MANIFEST = """\
format: 2
name: {name}
version: "1"
weights: {{ file: {name}.onnx }}
labels: {{ file: labels.txt }}
input:
  width: 224
  height: 224
  resize: {{ shortest_edge: 256 }}
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
output: {{ kind: softmax, apply: true, top_k: 5 }}
batch: {{ max_size: 1, max_wait_ms: 0 }}
"""


class Graph:
    """Nodes and weights, one behind the other."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0

    def add(self, operator, inputs, **attributes):
        self.count += 1
        name = f"value_{self.count}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def weight(self, array):
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def convolution(self, value, ins, outs, side, stride=1, groups=1):
        fan_in = ins // groups * side * side
        kernel = self.random.normal(0, (2 / fan_in) ** 0.5, (outs, ins // groups, side, side))
        bias = self.weight(np.zeros(outs))
        return self.add(
            "Conv",
            [value, self.weight(kernel), bias],
            kernel_shape=[side] * 2,
            strides=[stride] * 2,
            pads=[side // 2] * 4,
            group=groups,
        )

    def classifier(self, value, ins):
        flat = self.add("Flatten", [self.add("GlobalAveragePool", [value])])
        kernel = self.weight(self.random.normal(0, ins**-0.5, (CLASSES, ins)))
        bias = self.weight(np.zeros(CLASSES))
        self.nodes.append(helper.make_node("Gemm", [flat, kernel, bias], ["logits"], transB=1))

    def model(self, name):
        of = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(
            self.nodes,
            name,
            [of("image", "batch", 3, SIDE, SIDE)],
            [of("logits", "batch", CLASSES)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        checker.check_model(model)
        return model


def resnet50(seed):
    graph = Graph(seed)
    relu = lambda value: graph.add("Relu", [value])
    value = relu(graph.convolution("image", 3, 64, 7, 2))
    value = graph.add("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ins = 64
    for width, blocks, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            inner = relu(graph.convolution(value, ins, width, 1))
            inner = relu(graph.convolution(inner, width, width, 3, stride))
            inner = graph.convolution(inner, width, 4 * width, 1)
            if block == 0:
                value = graph.convolution(value, ins, 4 * width, 1, stride)
            value, ins = relu(graph.add("Add", [inner, value])), 4 * width
    graph.classifier(value, ins)
    return graph.model("resnet50")


def mobilenet_v2(seed):
    graph = Graph(seed)
    low, high = graph.weight(np.array(0.0)), graph.weight(np.array(6.0))
    relu6 = lambda value: graph.add("Clip", [value, low, high])
    value, ins = relu6(graph.convolution("image", 3, 32, 3, 2)), 32
    for expansion, outs, blocks, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for block in range(blocks):
            stride, width = first_stride if block == 0 else 1, ins * expansion
            inner = value if expansion == 1 else relu6(graph.convolution(value, ins, width, 1))
            inner = relu6(graph.convolution(inner, width, width, 3, stride, width))
            inner = graph.convolution(inner, width, outs, 1)
            value = graph.add("Add", [inner, value]) if stride == 1 and ins == outs else inner
            ins = outs
    graph.classifier(relu6(graph.convolution(value, ins, 1280, 1)), 1280)
    return graph.model("mobilenet-v2")


def efficientnet_b0(seed):
    graph = Graph(seed)
    swish = lambda value: graph.add("Mul", [value, graph.add("Sigmoid", [value])])
    value, ins = swish(graph.convolution("image", 3, 32, 3, 2)), 32
    for expansion, outs, blocks, first_stride, side in (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ):
        for block in range(blocks):
            stride, width = first_stride if block == 0 else 1, ins * expansion
            inner = value if expansion == 1 else swish(graph.convolution(value, ins, width, 1))
            inner = swish(graph.convolution(inner, width, width, side, stride, width))
            # Squeeze and excite: each channel is weighed by what all of them have on average.
            gate = graph.add("GlobalAveragePool", [inner])
            gate = swish(graph.convolution(gate, width, ins // 4, 1))
            gate = graph.add("Sigmoid", [graph.convolution(gate, ins // 4, width, 1)])
            inner = graph.convolution(graph.add("Mul", [inner, gate]), width, outs, 1)
            value = graph.add("Add", [inner, value]) if stride == 1 and ins == outs else inner
            ins = outs
    graph.classifier(swish(graph.convolution(value, ins, 1280, 1)), 1280)
    return graph.model("efficientnet-b0")


NETWORKS = {
    "resnet50": resnet50,
    "mobilenet-v2": mobilenet_v2,
    "efficientnet-b0": efficientnet_b0,
}


def write(target):
    for name, make in NETWORKS.items():
        folder = target / name
        folder.mkdir(parents=True, exist_ok=True)
        save(make(1), folder / f"{name}.onnx")
        (folder / "model.yaml").write_text(MANIFEST.format(name=name))
        (folder / "labels.txt").write_text("".join(f"class {n}\n" for n in range(CLASSES)))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
