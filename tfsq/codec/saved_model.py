"""Export of a trained network as a SavedModel that compresses, and its loading."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import pathlib
import re
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from tfsq import range_coder
from tfsq._keras import saving, weights_of
from tfsq._version import __version__
from tfsq.architectures import NETWORKS, CompressionModel
from tfsq.codec.codec import Codec
from tfsq.codec.errors import ModelError
from tfsq.codec.graphs import FUNCTIONS, OF_SEARCHES, Graphs
from tfsq.files import check_is_no_file, name_for_tensorflow, writing_folder

METADATA_FILE = "tfsq.json"
# Of a variable in a checkpoint.
_WEIGHT = re.compile(r"model_weights/(\d+)/")
# What the weights do not say, and tiles would have seams without.
_GEOMETRY = ("size_multiple", "latent_stride", "halo")
_METADATA = ("architecture", "config", "parts", *_GEOMETRY, "lmbda", "distortion", "model_hash")
# What json and TensorFlow raise at files that are missing, truncated or damaged.
_LOADING_ERRORS = (
    OSError,
    KeyError,
    AttributeError,
    IndexError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
_silent = threading.Lock()


def _values_of(model) -> list[np.ndarray]:
    return [weight.numpy() for weight in weights_of(model)]


def _hash_of(values) -> str:
    """SHA-256 over dtype, shape and bytes of all arrays."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _without_gradient_warnings():
    """Silences TensorFlow's warning that `export` saved no gradients."""
    # The verbosity is the process's: threads that load at once would restore each other's.
    with _silent:
        verbosity = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)


def _check(model) -> None:
    if not isinstance(model, CompressionModel):
        raise TypeError(f"`model` must be a tfsq CompressionModel. Received: {model!r}")
    if not hasattr(model, "lmbda"):
        raise RuntimeError("The model must be compiled before export, its `lmbda` is recorded.")
    for weight in weights_of(model):
        if tf.as_dtype(weight.dtype).is_floating and not np.isfinite(weight.numpy()).all():
            raise ValueError(f"`model` has a weight that is not finite: {weight.name}")
    model.check_codable()


def _metadata(model: CompressionModel) -> dict:
    return {
        "tfsq_version": __version__,
        # What coded its strings when it was made: any reads them, but a SavedModel needs the same.
        "coder": range_coder.backend(),
        "tensorflow_version": tf.__version__,
        "architecture": type(model).__name__,
        "class": saving.get_registered_name(type(model)),
        "config": model.get_config(),
        "lmbda": model.lmbda,
        "lmbdas": list(model.ladder.lmbdas) if model.ladder else None,
        "distortion": model.distortion,
        "parts": sorted(model.parts),
        "size_multiple": model.size_multiple,
        "latent_stride": model.latent_stride,
        "halo": model.halo,
        "model_hash": _hash_of(_values_of(model)),
    }


def as_codec(model: CompressionModel) -> Codec:
    """Returns the codec of a model as it is, without writing anything.

    Args:
      model: A model of `tfsq.architectures`, compiled.

    Returns:
      The codec; do not train the model while it is in use.

    Raises:
      TypeError: if `model` is not a model of `tfsq.architectures`.
      ValueError: if a weight is not finite, or too large for exact predictions.
      RuntimeError: if the model was not compiled: its lambda belongs to the metadata.
    """
    _check(model)
    functions = Graphs(model).to_be_traced()
    return Codec(_metadata(model), **functions, _owner=model, _network=lambda: model)


def export(model: CompressionModel, path) -> dict:
    """Writes a SavedModel with the functions of a `Codec` as signatures, whole or not at all.

    Where TFC's range coder is not installed, signatures are the functions that code nothing, and
    "predictions": the exact scale and mean of the latent for a quantized hyper-latent. `load` makes
    the others from weights and metadata, anywhere.

    The coding tables are built from the present weights and frozen in it. Beside the SavedModel
    lies `tfsq.json` with the metadata, among it a hash of all weights and tables.

    Args:
      model: As for `as_codec`.
      path: Folder to write. A codec that is there is replaced; what lies beside it, such as a
        card, stays.

    Returns:
      The metadata, see `Codec`.

    Raises:
      OSError: if `path` cannot be written to, or holds something else than a codec.
      TypeError: as `as_codec`.
      ValueError: as `as_codec`.
      RuntimeError: as `as_codec`.
    """
    _check(model)
    path = pathlib.Path(path)
    _check_replaceable(path)
    # TensorFlow saves functions of distributed variables inside of their strategy only.
    with model.distribute_strategy.scope(), writing_folder(path) as unfinished:
        return _export(model, unfinished)


def _check_replaceable(path: pathlib.Path) -> None:
    check_is_no_file(path)
    if path.is_dir() and any(path.iterdir()) and not (path / METADATA_FILE).exists():
        raise FileExistsError(f"Neither empty nor a codec, which would be replaced: {path}")


def _export(model, path: pathlib.Path) -> dict:
    graphs = Graphs(model)
    # The host's coder is Python, which no graph can hold: whoever loads this builds the network.
    is_whole = range_coder.backend() == "tfc"
    signatures = graphs.all_traced(graphs.names if is_whole else graphs.names_without_coder)
    # The weights are all that is saved beside the functions; the Keras model is not.
    module = tf.Module()
    module.model_weights = list(weights_of(model))
    metadata = _metadata(model)
    # Nobody differentiates through a codec.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with name_for_tensorflow(path) as folder:
        tf.saved_model.save(module, str(folder), signatures=signatures, options=options)
    (path / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n")
    return metadata


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files of a codec, sorted, without the card that lies beside them.

    Args:
      folder: Folder of the codec.
    """
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".md")


def read_metadata(path) -> dict:
    """Reads what an exported codec says of itself, without loading its weights.

    Args:
      path: Folder of the SavedModel.

    Returns:
      The metadata, see `Codec`.

    Raises:
      ModelError: if the folder is not an exported codec.
    """
    path = pathlib.Path(path)
    with told_of_codec(path):
        metadata = dict(json.loads((path / METADATA_FILE).read_text()))
        missing = [name for name in _METADATA if name not in metadata]
        if missing:
            raise KeyError(f"{METADATA_FILE} lacks {missing}")
        for name, kind in (("parts", list), ("config", dict)):
            if not isinstance(metadata[name], kind):
                raise TypeError(f"{METADATA_FILE} has no {name}: {metadata[name]}")
    return metadata


@contextlib.contextmanager
def told_of_codec(path: pathlib.Path) -> Iterator[None]:
    """Raises ModelError, that a folder is no codec, in the place of the error that shows it.

    Args:
      path: The folder.
    """
    try:
        yield
    except _LOADING_ERRORS as error:
        raise ModelError(f"Not a codec exported by tfsq: {path} ({_why(path, error)})") from error


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
    metadata = read_metadata(path)
    with told_of_codec(path):
        has_coder = metadata.get("coder", "tfc") == range_coder.backend() == "tfc"
        found = (_traced_functions if has_coder else _saved_weights)(path)
        model_hash = _hash_of(found.weights)
        network = _class_of(metadata)
    for name in _GEOMETRY if network in NETWORKS.values() else ():
        if metadata[name] != getattr(network, name):
            raise ModelError(
                f"{path} is damaged: {name} must be {getattr(network, name)} for "
                f"{metadata['architecture']}. Received: {metadata[name]}"
            )
    if metadata.get("model_hash") != model_hash:
        raise ModelError(f"The weights of {path} are not those that its {METADATA_FILE} names.")
    rebuild = functools.lru_cache(functools.partial(_rebuilt, path, metadata, found.weights))
    functions = found.functions or Graphs(rebuild()).to_be_traced()
    return Codec(metadata, **functions, _owner=found, _network=rebuild, folder=path)


def _why(path: pathlib.Path, error: Exception) -> str:
    """Why a folder is no codec, by the mistakes that are usual."""
    if isinstance(error, FileNotFoundError) and not path.exists():
        return "no such folder"
    if (path / "codec" / METADATA_FILE).is_file():
        return f"the folder of a run; its codec is {path / 'codec'}"
    return str(error)


class _Saved(NamedTuple):
    """What a folder holds.

    Attributes:
      weights: Variables or arrays.
      functions: Those of a codec, empty if they cannot run here.
      owner: What they belong to.
    """

    weights: list
    functions: dict
    owner: object = None


def _traced_functions(path) -> _Saved:
    with _without_gradient_warnings(), name_for_tensorflow(path) as folder:
        module = tf.saved_model.load(str(folder))
    functions = {name: module.signatures[name] for name in FUNCTIONS}
    functions.update({name: module.signatures.get(name) for name in OF_SEARCHES})
    return _Saved([weight.numpy() for weight in module.model_weights], functions, module)


def _saved_weights(path) -> _Saved:
    with name_for_tensorflow(path) as folder:
        reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        names = sorted(
            (int(match[1]), name)
            for name in reader.get_variable_to_shape_map()
            if (match := _WEIGHT.match(name))
        )
        return _Saved([reader.get_tensor(name) for _, name in names], {})


def _class_of(metadata) -> Any:
    """The class of a codec's network, None if Keras does not know it."""
    # Codecs of before this was written are of tfsq's own networks.
    name = metadata.get("class", f"tfsq>{metadata['architecture']}")
    return saving.get_registered_object(name)


def _rebuilt(path, metadata, weights) -> CompressionModel:
    """The network of a codec, from its configuration and its weights."""
    name, kind = metadata["architecture"], _class_of(metadata)
    if kind is None:
        raise ModelError(
            f"The network of {path}, {name}, is of a class that Keras does not know. Classes of "
            "your own must be registered with Keras and imported before."
        )
    try:
        model = kind.from_config(metadata["config"])
        for mine, theirs in zip(weights_of(model), weights):
            mine.assign(theirs)
        model.compile("sgd", lmbda=metadata["lmbda"], distortion=metadata["distortion"])
    except _LOADING_ERRORS as error:
        raise ModelError(
            f"The network of {path}, {name}, cannot be built from its configuration: {error}. "
            "Quantizers of your own must be registered with Keras and imported before."
        ) from error
    if _hash_of(_values_of(model)) != metadata["model_hash"]:
        raise ModelError(
            f"The network of {path}, {name}, has other weights than its {METADATA_FILE} names."
        )
    return model
