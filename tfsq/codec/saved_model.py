"""Export of a trained network as a SavedModel that compresses, and its loading."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging

from tfsq._version import __version__
from tfsq.architectures import CompressionModel
from tfsq.codec.errors import ModelError

_METADATA_FILE = "tfsq.json"
_SIGNATURES = ("compress", "decompress", "reconstruct")
# What json and TensorFlow raise at files that are missing, truncated or damaged.
_LOADING_ERRORS = (
    OSError,
    KeyError,
    AttributeError,
    IndexError,
    json.JSONDecodeError,
    tf.errors.OpError,
)


@dataclasses.dataclass(frozen=True)
class Codec:
    """A loaded codec.

    Attributes:
      metadata: Dict with `tfsq_version`, `tfc_version`, `tensorflow_version`, `architecture`,
        `config`, `lmbda`, `distortion`, `parts` and `model_hash`.
      compress: uint8 image [height, width, 3] -> {"strings": string tensor [parts]}.
      decompress: (strings [parts], size [2]) -> {"image": uint8 [height, width, 3]}.
      reconstruct: uint8 image -> {"image": what `decompress` gives, "bits": float32 [parts],
        what evaluation predicts for the strings}.
    """

    metadata: dict
    compress: tf.types.experimental.ConcreteFunction
    decompress: tf.types.experimental.ConcreteFunction
    reconstruct: tf.types.experimental.ConcreteFunction
    # The functions hold weak references to the variables.
    _owner: object = dataclasses.field(repr=False)

    @property
    def model_id(self) -> bytes:
        """The 16 bytes that name this model in a file."""
        return bytes.fromhex(self.metadata["model_hash"])[:16]


def _to_uint8(image):
    return tf.saturate_cast(tf.round(image), tf.uint8)


def _signatures_of(model: CompressionModel) -> dict:
    """Traces the three functions of a codec over a single image of any size."""
    names = sorted(model.parts)

    def compress(image):
        strings = model.compress(image[tf.newaxis])
        return {"strings": tf.concat([strings[name] for name in names], axis=0)}

    def decompress(strings, size):
        parts = {name: strings[i : i + 1] for i, name in enumerate(names)}
        return {"image": _to_uint8(model.decompress(parts, size)[0])}

    def reconstruct(image):
        reconstruction, bits = model(image[tf.newaxis], training=False)
        return {
            "image": _to_uint8(reconstruction[0]),
            "bits": tf.concat([bits[name] for name in names], axis=0),
        }

    image = tf.TensorSpec([None, None, 3], tf.uint8, name="image")
    strings = tf.TensorSpec([len(names)], tf.string, name="strings")
    size = tf.TensorSpec([2], tf.int32, name="size")
    arguments = {compress: [image], decompress: [strings, size], reconstruct: [image]}
    return {
        function.__name__: tf.function(function, specs, autograph=False).get_concrete_function()
        for function, specs in arguments.items()
    }


def _hash_of(variables) -> str:
    """SHA-256 over dtype, shape and bytes of all variables."""
    digest = hashlib.sha256()
    for variable in variables:
        value = variable.numpy()
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _without_gradient_warnings():
    """Silences TensorFlow's warning that `export` saved no gradients."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def export(model: CompressionModel, path) -> dict:
    """Writes a SavedModel with signatures `compress`, `decompress` and `reconstruct`.

    The coding tables are built from the present weights and frozen in it. Beside the SavedModel
    lies `tfsq.json` with the metadata, among it a hash of all weights and tables.

    Args:
      model: A model of `tfsq.architectures`, compiled.
      path: Folder to write.

    Returns:
      The metadata, see `Codec`.

    Raises:
      TypeError: if `model` is not a model of `tfsq.architectures`.
      ValueError: if a weight is not finite.
      RuntimeError: if the model was not compiled: its lambda belongs to the metadata.
    """
    if not isinstance(model, CompressionModel):
        raise TypeError(f"`model` must be a tfsq CompressionModel. Received: {model!r}")
    if not hasattr(model, "lmbda"):
        raise RuntimeError("The model must be compiled before export, its `lmbda` is recorded.")
    for weight in model.weights:
        if weight.dtype.is_floating and not np.isfinite(weight.numpy()).all():
            raise ValueError(f"`model` has a weight that is not finite: {weight.name}")
    # TensorFlow saves functions of distributed variables inside of their strategy only.
    with model.distribute_strategy.scope():
        return _export(model, pathlib.Path(path))


def _export(model, path: pathlib.Path) -> dict:
    signatures = _signatures_of(model)
    # The weights are all that is saved beside the functions; the Keras model is not. Tracing
    # `compress` has built the tables, so the hash covers them.
    module = tf.Module()
    module.model_weights = list(model.weights)
    metadata = {
        "tfsq_version": __version__,
        "tfc_version": importlib.metadata.version("tensorflow-compression"),
        "tensorflow_version": tf.__version__,
        "architecture": type(model).__name__,
        "config": model.get_config(),
        "lmbda": model.lmbda,
        "distortion": model.distortion,
        "parts": sorted(model.parts),
        "model_hash": _hash_of(module.model_weights),
    }
    # A codec is never differentiated.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), signatures=signatures, options=options)
    (path / _METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n")
    return metadata


def load(path) -> Codec:
    """Loads what `export` wrote.

    Args:
      path: Folder of the SavedModel.

    Returns:
      The codec.

    Raises:
      ModelError: if the folder is not an exported codec, or if its weights are not those that
        its metadata describes.
    """
    path = pathlib.Path(path)
    try:
        metadata = json.loads((path / _METADATA_FILE).read_text())
        with _without_gradient_warnings():
            module = tf.saved_model.load(str(path))
        functions = {name: module.signatures[name] for name in _SIGNATURES}
        model_hash = _hash_of(module.model_weights)
    except _LOADING_ERRORS as error:
        raise ModelError(f"Not a codec exported by tfsq: {path} ({error})") from error
    if metadata.get("model_hash") != model_hash:
        raise ModelError(f"The weights of {path} are not those that its {_METADATA_FILE} names.")
    return Codec(metadata, **functions, _owner=module)
