"""The functions of a codec, traced from a network."""

from __future__ import annotations

import functools
import threading
from typing import Any

import tensorflow as tf

from tfsq.architectures import CompressionModel
from tfsq.architectures.base import LATENT
from tfsq.architectures.hyperprior import HYPER_LATENT, AtOnce
from tfsq.architectures.images import padded_size
from tfsq.codec.container import FINGERPRINT_BYTES
from tfsq.entropy_models import FactorizedEntropyModel
from tfsq.layers import find
from tfsq.range_coder.refusals import refuse_unless

TRANSFORMS = ("analysis", "latents_of", "synthesis")
FUNCTIONS = ("compress", "decompress", *TRANSFORMS, "encode", "decode")
# Of networks of many rates that code the latent in one piece: what finds a quality in less time
# than coding takes.
OF_SEARCHES = ("predict", "bits_along", "encode_predicted")

_IMAGE = tf.TensorSpec([None, None, 3], tf.uint8, name="image")
_QUALITIES = tf.TensorSpec([None], tf.float32, name="qualities")


def _latent(channels, name):
    return tf.TensorSpec([None, None, channels], tf.float32, name=name)


def fingerprint(quantized):
    """Returns the first bytes of the FarmHash64 of a quantized latent as little-endian float32.

    Args:
      quantized: Floating-point tensor.

    Returns:
      uint8 tensor [FINGERPRINT_BYTES].
    """
    data = tf.reshape(tf.cast(quantized, tf.float32), [1, -1])
    return tf.raw_ops.Fingerprint(data=data, method="farmhash64")[0, :FINGERPRINT_BYTES]


def batched(latents, model: CompressionModel) -> dict:
    """Returns the latents of one image as a batch, in the dtype that the model computes in."""
    return {name: tf.cast(x[tf.newaxis], model.compute_dtype) for name, x in latents.items()}


def split(given: dict) -> tuple[dict, dict]:
    """Returns what a network is given beside latents, for the one image of a batch; and latents.

    Args:
      given: Latents by their parts, and `quality` of a network of many rates.
    """
    latents = {name: value for name, value in given.items() if name != "quality"}
    return {"quality": given["quality"][tf.newaxis]} if "quality" in given else {}, latents


def _to_uint8(image):
    return tf.saturate_cast(tf.round(image), tf.uint8)


class Graphs:
    """Traces a network over a single image of any size; `Codec` says what each function does.

    Args:
      model: A compiled model.
    """

    def __init__(self, model: CompressionModel):
        self.model = model
        self._names = sorted(model.parts)
        self._at = {"quality": tf.TensorSpec([], tf.float32, "quality")} if model.ladder else {}
        self._found: dict[str, Any] = {}
        self._tracing = threading.RLock()
        # Here, since a graph that had built them could not be saved under a strategy.
        for part in find(model, FactorizedEntropyModel):
            part.update_tables()

    @property
    def names(self) -> tuple[str, ...]:
        """The functions of a codec of the network."""
        is_searched = self.model.ladder and isinstance(self.model, AtOnce)
        return (*FUNCTIONS, *OF_SEARCHES) if is_searched else FUNCTIONS

    @property
    def names_without_coder(self) -> tuple[str, ...]:
        """The functions that code nothing: transforms, and exact predictions."""
        return (*TRANSFORMS, "predictions") if isinstance(self.model, AtOnce) else TRANSFORMS

    def all_traced(self, names) -> dict:
        """Returns functions by name, traced.

        Args:
          names: Those that are wanted.
        """
        return {name: self.traced(name) for name in names}

    def to_be_traced(self) -> dict:
        """Returns the functions of a codec, each of which is traced when it is first called."""
        return {name: functools.partial(self._call, name) for name in self.names}

    def traced(self, name: str) -> Any:
        """Returns one function, concrete; it is traced once.

        Args:
          name: Which one.
        """
        with self._tracing:
            if name not in self._found:
                function = tf.function(getattr(self, name), autograph=False)
                self._found[name] = function.get_concrete_function(**self._arguments(name))
            return self._found[name]

    def _call(self, name, **given):
        return self.traced(name)(**given)

    def _arguments(self, name) -> dict:
        """What a function is called with."""
        at, latents, y = self._at, self._latents, self.model.num_latents
        return {
            "compress": lambda: {"image": _IMAGE, **at},
            "decompress": lambda: {**self._coded, **at},
            "analysis": lambda: {"image": _IMAGE},
            "latents_of": lambda: {"y": _latent(y, "y")},
            "encode": lambda: {**latents(), **at},
            "decode": lambda: {**self._coded, **at},
            "synthesis": lambda: {"y_hat": _latent(y, "y_hat")},
            "predict": lambda: {HYPER_LATENT: latents()[HYPER_LATENT]},
            "predictions": lambda: {HYPER_LATENT: latents()[HYPER_LATENT]},
            "bits_along": lambda: {**self._predicted(), "qualities": _QUALITIES},
            "encode_predicted": lambda: {**self._predicted(), **at},
        }[name]()

    @property
    def _coded(self):
        parts = len(self._names)
        return {
            "strings": tf.TensorSpec([parts], tf.string, name="strings"),
            "fingerprints": tf.TensorSpec([parts, FINGERPRINT_BYTES], tf.uint8, "fingerprints"),
            "size": tf.TensorSpec([2], tf.int32, name="size"),
        }

    def _latents(self):
        found = self.traced("latents_of").structured_outputs
        return {name: _latent(latent.shape[-1], name) for name, latent in found.items()}

    def _predicted(self):
        found = self.traced("predict").structured_outputs
        predicted = {
            name: tf.TensorSpec(found[name].shape, found[name].dtype, name=name)
            for name in ("scale", "loc")
        }
        return {"latent": self._latents()[LATENT], **predicted}

    # Made of others, which are then saved once, and loaded in less time.
    def compress(self, image, **at):
        padded = tf.cast(self.model.padded(image[tf.newaxis])[0], image.dtype)
        latents = self.traced("latents_of")(**self.traced("analysis")(image=padded))
        found = self.traced("encode")(**latents, **at)
        return {name: found[name] for name in ("strings", "fingerprints")}

    def decompress(self, strings, fingerprints, size, **at):
        y_hat = self.traced("decode")(strings=strings, fingerprints=fingerprints, size=size, **at)
        return {"image": self.traced("synthesis")(**y_hat)["image"][: size[0], : size[1]]}

    def analysis(self, image):
        y = self.model.transform(tf.cast(image[tf.newaxis], tf.float32))
        return {"y": tf.cast(y[0], tf.float32)}

    def latents_of(self, y):
        latents = self.model.latents_of(tf.cast(y[tf.newaxis], self.model.compute_dtype))
        return {name: tf.cast(latent[0], tf.float32) for name, latent in latents.items()}

    def encode(self, **given):
        at, latents = split(given)
        strings, quantized = self.model.encode(batched(latents, self.model), **at)
        return {
            "strings": tf.concat([strings[name] for name in self._names], axis=0),
            "fingerprints": tf.stack([fingerprint(quantized[name]) for name in self._names]),
            "y_hat": tf.cast(quantized[LATENT][0], tf.float32),
        }

    def predict(self, hyper_latent):
        z = tf.cast(hyper_latent[tf.newaxis], self.model.compute_dtype)
        strings, z_hat, scale, loc = self.model.predict_exactly(z)
        found = {"strings": strings, "fingerprints": fingerprint(z_hat)[tf.newaxis]}
        return {**found, "scale": scale[0], "loc": loc[0]}

    def predictions(self, hyper_latent):
        z_hat = tf.cast(hyper_latent[tf.newaxis], self.model.compute_dtype)
        scale, loc = self.model.predictions_of(z_hat)
        return {"scale": scale[0], "loc": loc[0]}

    def bits_along(self, latent, scale, loc, qualities):
        both = (scale[tf.newaxis], loc[tf.newaxis])
        return {"bits": self.model.bits_along(latent[tf.newaxis], *both, qualities)}

    def encode_predicted(self, latent, scale, loc, quality):
        y = tf.cast(latent[tf.newaxis], self.model.compute_dtype)
        both = (scale[tf.newaxis], loc[tf.newaxis])
        strings, y_hat = self.model.encode_predicted(y, *both, quality[tf.newaxis])
        found = {"strings": strings, "fingerprints": fingerprint(y_hat)[tf.newaxis]}
        return {**found, "y_hat": tf.cast(y_hat[0], tf.float32)}

    def decode(self, strings, fingerprints, size, **at):
        expected = dict(zip(self._names, tf.unstack(fingerprints)))

        def check(name, quantized):
            same = tf.reduce_all(fingerprint(quantized) == expected[name])
            message = f"The decoded {name} has another fingerprint than the file says:"
            with tf.control_dependencies(refuse_unless(same, message, expected[name])):
                return tf.identity(quantized)

        found = self.model.decode(
            {name: strings[i : i + 1] for i, name in enumerate(self._names)},
            padded_size(size, self.model.size_multiple),
            check,
            **split(at)[0],
        )
        return {"y_hat": tf.cast(found[LATENT][0], tf.float32)}

    def synthesis(self, y_hat):
        return {"image": _to_uint8(self.model.synthesize(y_hat[tf.newaxis])[0])}
