"""A graph in the making."""

import numpy as np
from onnx import helper, numpy_helper


class Graph:
    """Collects nodes and constants under readable names."""

    def __init__(self):
        self.nodes = []
        self.constants = []

    def constant(self, name, value, dtype=np.float32):
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def mean_of_plane(self, plane, name):
        """[batch, 1, h, w] -> [batch, 1]; row by row, so that no sum outgrows its mantissa."""
        rows = self.add("ReduceMean", [plane], f"{name}_rows", axes=[3], keepdims=0)
        return self.add("ReduceMean", [rows], name, axes=[2], keepdims=0)

    def slice(self, tensor, name, axis, start, end):
        bounds = [
            self.constant(f"{name}_{key}", [value], np.int64)
            for key, value in (("start", start), ("end", end), ("axis", axis))
        ]
        return self.add("Slice", [tensor, *bounds], name)

    def clip(self, tensor, name):
        return self.add("Clip", [tensor, "zero", "one"], name)

    def scaled(self, tensor, name, factor):
        return self.add("Mul", [tensor, self.constant(f"{name}_factor", factor)], name)
