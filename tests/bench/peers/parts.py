"""The parts alone: decoding with resizing, and inference, one thread, without any queue."""

import json
import subprocess
import time

import cv2
import numpy as np
import openvino

import look
import pictures

MEGAPIXELS = (12.0, 2.0, 0.3)
PICTURES = 4
# So long a measurement lasts at least.
MIN_S = 1.0


def measure(options, root, library, model, work):
    cv2.setNumThreads(1)
    tuned = look.Tuned(model / f"{model.name}.onnx")
    black = np.zeros((1, 3, look.SIDE, look.SIDE), np.float32)
    infer = lambda _: tuned.session.run(None, {tuned.input: black})
    compiled = with_openvino(model / f"{model.name}.onnx", black.shape)
    rows = {}
    for megapixels in MEGAPIXELS:
        folder = work / f"parts-{megapixels:g}"
        files = pictures.draw(folder, PICTURES, megapixels, 0)
        name = f"decode, resize: {megapixels:g} megapixels, "
        for number in range(options.rounds + 1):
            measured = {
                name + "Flota": flota(root, library, model, folder),
                name + "Pillow": per_image_ms(lambda file: look.tensor(file, False), files),
                name + "Pillow, draft": per_image_ms(lambda file: look.tensor(file, True), files),
                name + "OpenCV": per_image_ms(with_opencv, files),
            }
            both = measured[name + "Flota"]
            measured[name + "Flota"] = both["decode, prepare"]
            if megapixels == MEGAPIXELS[-1]:
                measured["infer: Flota, ONNX Runtime"] = both["ONNX Runtime"]
                measured["infer: Flota, tract"] = both["tract"]
                measured["infer: onnxruntime of Python"] = per_image_ms(infer, files)
                measured["infer: OpenVINO"] = per_image_ms(lambda _: compiled([black]), files)
            if number:
                for key, value in measured.items():
                    rows.setdefault(key, []).append(value)
    return rows


def flota(root, library, model, folder):
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "flota-tests", "--bench", "fleet"]
    command += ["--features", "turbojpeg", "--", "--only", "engine", "--rounds", "1", "--json"]
    command += ["--model-dir", model, "--image-dir", folder, "--library", library]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return {f["name"].split(": ")[1]: f["median"] for f in json.loads(done.stdout)}


def with_openvino(model, shape):
    """With numbers of 32 bits, as all others: without that it takes shorter ones where a processor has them."""
    core = openvino.Core()
    network = core.read_model(model)
    network.reshape(list(shape))
    settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    return core.compile_model(network, "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"})


def with_opencv(file):
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    scale = look.SHORTER_SIDE / min(picture.shape[:2])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    top, left = (picture.shape[0] - look.SIDE) // 2, (picture.shape[1] - look.SIDE) // 2
    picture = picture[top : top + look.SIDE, left : left + look.SIDE].astype(np.float32) / 255
    return ((picture - look.MEAN) / look.STD).transpose(2, 0, 1)[None]


def per_image_ms(work, files):
    before, count = time.process_time(), 0
    while (spent := time.process_time() - before) < MIN_S:
        for file in files:
            work(file)
            count += 1
    return 1000 * spent / count
