"""The transforms of a codec as ONNX and TFLite models; tfsq codes what is between them.

    pip install 'tfsq[onnx]'
    python examples/onnx_and_tflite.py photograph.png transforms

Predictions of the entropy model decide how strings decode, so they stay where they are exact.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx

from tfsq import codec, evaluation

_OPSET = 17


def transforms(network) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Analysis of images [batch, height, width, 3], and synthesis of what is decoded."""
    shapes = {
        "analysis": [None, None, None, 3],
        "synthesis": [None, None, None, network.num_latents],
    }
    functions = {"analysis": network.transform, "synthesis": network.synthesize}
    return {
        name: tf.function(function).get_concrete_function(tf.TensorSpec(shapes[name], name="given"))
        for name, function in functions.items()
    }


def write(network, folder: pathlib.Path) -> None:
    """Writes `analysis` and `synthesis` in both formats."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, function in transforms(network).items():
        tf2onnx.convert.from_function(
            tf.function(function),
            function.structured_input_signature[0],
            opset=_OPSET,
            output_path=str(folder / f"{name}.onnx"),
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], network)
        (folder / f"{name}.tflite").write_bytes(converter.convert())


def of_onnx(file: pathlib.Path) -> Callable:
    """The function in an ONNX file."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda array: session.run(None, {given.name: array})[0]


def of_tflite(file: pathlib.Path) -> Callable:
    """The function in a TFLite file."""

    def run(array):
        interpreter = tf.lite.Interpreter(str(file))
        (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(given["index"], array.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], array)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return run


def there_and_back(
    image, quality: float, loaded: codec.Codec, analysis: Callable, synthesis: Callable
):
    """The bytes of a .tfsq file and its pixels, with transforms of another runtime."""
    network = loaded.network
    y = analysis(network.padded(image[np.newaxis]).numpy())
    size = image.shape[:2]
    data = codec.compress_latents(loaded.latents_of(y=tf.constant(y[0])), size, loaded, quality)
    container = codec.unpack(data)
    y_hat = loaded.decode(
        strings=tf.constant(container.strings),
        fingerprints=tf.constant([list(f) for f in container.fingerprints], tf.uint8),
        size=tf.constant(size),
        **loaded.at(quality),
    )["y_hat"]
    pixels = synthesis(y_hat.numpy()[np.newaxis])[0, : size[0], : size[1]]
    return data, np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def main(arguments=None) -> None:
    """Writes the transforms of the bundled codec, and compares what they give with tfsq."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quality", type=float, default=4.0)
    given = parser.parse_args(arguments)
    image, loaded = codec.read_image(given.image), codec.shipped_codec()
    write(loaded.network, given.folder)
    data = codec.compress(image, loaded, quality=given.quality)
    print("tfsq", evaluation.figures_of(image, data, codec.decompress(data, loaded)))
    for kind, of_file in (("onnx", of_onnx), ("tflite", of_tflite)):
        names = ("analysis", "synthesis")
        functions = [of_file(given.folder / f"{name}.{kind}") for name in names]
        data, pixels = there_and_back(image, given.quality, loaded, *functions)
        # Any decoder of tfsq reads the file.
        apart = np.abs(codec.decompress(data, loaded).astype(int) - pixels).max()
        assert apart <= 1, (kind, apart)
        print(kind, evaluation.figures_of(image, data, pixels), f"at most {apart} from tfsq's")


if __name__ == "__main__":
    main()
