"""Runs models by ONNX Runtime and by onnx's reference implementation."""

import multiprocessing

import numpy as np
import onnxruntime
from onnx.reference import ReferenceEvaluator

#: Inputs of more bytes take the reference longer than what they show is worth.
TOO_LARGE = 200_000


#: Seconds after which a run is given up.
TIMEOUT = 20


class Runtime:
    """ONNX Runtime in a process of its own: some nodes without sense, such as a group of 0, end it."""

    def __init__(self):
        self.process = None

    def answers_of(self, model: bytes, inputs):
        if self.process is None:
            self.pipe, other = multiprocessing.Pipe()
            self.process = multiprocessing.Process(target=serve, args=(other,), daemon=True)
            self.process.start()
            other.close()
        try:
            self.pipe.send((model, inputs))
            if self.pipe.poll(TIMEOUT):
                return self.pipe.recv()
        except (EOFError, OSError):
            pass
        self.process.kill()
        self.process = None
        return None


def serve(pipe):
    """Answers one model after the other."""
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    while True:
        model, inputs = pipe.recv()
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            names = [value.name for value in session.get_inputs()]
            pipe.send(session.run(None, dict(zip(names, inputs))))
        except Exception:
            pipe.send(None)


RUNTIME = Runtime()


def answers_of(model, inputs):
    """What ONNX Runtime answers; `None` where it refuses."""
    return RUNTIME.answers_of(model.SerializeToString(), list(inputs))


def reference_answers_of(model, inputs):
    """What onnx's reference implementation answers; `None` where it refuses."""
    names = [value.name for value in model.graph.input]
    stored = {value.name for value in model.graph.initializer}
    names = [name for name in names if name not in stored]
    try:
        with np.errstate(all="ignore"):
            return ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))
    except Exception:
        return None


def is_near(answers, outputs, case) -> bool:
    """Whether answers are as expected, within the tolerance of a test."""
    if len(answers) != len(outputs):
        return False
    for wanted, answer in zip(outputs, answers):
        if not isinstance(answer, np.ndarray | np.generic) or wanted.shape != answer.shape:
            return False
        if wanted.dtype.kind in "fc":
            wanted, answer = wanted.astype(np.float64), answer.astype(np.float64)
            if not np.allclose(answer, wanted, case.rtol, max(case.atol, 1e-6), equal_nan=True):
                return False
        elif not np.array_equal(wanted, answer):
            return False
    return True


def agreed_answers(model, inputs, case):
    """What both answer; `None` where one refuses, or they do not agree."""
    answers = answers_of(model, inputs)
    if answers is None:
        return None
    expected = reference_answers_of(model, inputs)
    if expected is None or not all(isinstance(v, np.ndarray | np.generic) for v in [*answers, *expected]):
        return None
    expected = [np.asarray(value) for value in expected]
    if any(a.dtype != b.dtype for a, b in zip(answers, expected)):
        return None
    return expected if is_near(answers, expected, case) else None
