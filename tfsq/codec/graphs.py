"""The functions of a codec, traced from a network."""

from __future__ import annotations

import tensorflow as tf

from tfsq.architectures import CompressionModel
from tfsq.architectures.base import LATENT
from tfsq.architectures.hyperprior import HYPER_LATENT, AtOnce
from tfsq.architectures.images import padded_size
from tfsq.architectures.rate_curve import bits_along
from tfsq.codec.container import FINGERPRINT_BYTES
from tfsq.entropy_models import FactorizedEntropyModel
from tfsq.entropy_models.base import refuse_unless
from tfsq.layers import find

_IMAGE = tf.TensorSpec([None, None, 3], tf.uint8, name="image")


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
        # Here, since a graph that had built them could not be saved under a strategy.
        for part in find(model, FactorizedEntropyModel):
            part.update_tables()

    def functions(self) -> dict:
        """Returns the traced functions by name."""
        parts = len(self._names)
        at = {"quality": tf.TensorSpec([], tf.float32, "quality")} if self.model.ladder else {}
        coded = {
            "strings": tf.TensorSpec([parts], tf.string, name="strings"),
            "fingerprints": tf.TensorSpec([parts, FINGERPRINT_BYTES], tf.uint8, "fingerprints"),
            "size": tf.TensorSpec([2], tf.int32, name="size"),
        }
        y = tf.TensorSpec([None, None, self.model.num_latents], tf.float32, name="y")
        y_hat = tf.TensorSpec(y.shape, tf.float32, name="y_hat")
        latents_of = self._traced(self.latents_of, y=y)
        latents = {
            name: tf.TensorSpec([None, None, found.shape[-1]], tf.float32, name=name)
            for name, found in latents_of.structured_outputs.items()
        }
        analysis = self._traced(self.analysis, image=_IMAGE)
        searching = self._for_searches(latents) if at else {}
        encode = self._traced(self.encode, **latents, **at)
        decode = self._traced(self.decode, **coded, **at)
        synthesis = self._traced(self.synthesis, y_hat=y_hat)

        # Made of the others, which are then saved once, and loaded in less time.
        def compress(image, **at):
            padded = tf.cast(self.model.padded(image[tf.newaxis])[0], image.dtype)
            found = encode(**latents_of(**analysis(image=padded)), **at)
            return {name: found[name] for name in ("strings", "fingerprints")}

        def decompress(strings, fingerprints, size, **at):
            y_hat = decode(strings=strings, fingerprints=fingerprints, size=size, **at)
            return {"image": synthesis(**y_hat)["image"][: size[0], : size[1]]}

        return {
            "compress": self._traced(compress, image=_IMAGE, **at),
            "decompress": self._traced(decompress, **coded, **at),
            "analysis": analysis,
            "latents_of": latents_of,
            "encode": encode,
            "decode": decode,
            "synthesis": synthesis,
            **searching,
        }

    def _for_searches(self, latents) -> dict:
        """What finds a quality in less time than coding takes, where predictions do not need it."""
        if not isinstance(self.model, AtOnce):
            return {}
        predict = self._traced(self.predict, hyper_latent=latents[HYPER_LATENT])
        predicted = {
            name: tf.TensorSpec(found.shape, found.dtype, name=name)
            for name, found in predict.structured_outputs.items()
            if name in ("scale", "loc")
        }
        qualities = tf.TensorSpec([None], tf.float32, name="qualities")
        given = {"latent": latents[LATENT], **predicted}
        return {
            "predict": predict,
            "bits_along": self._traced(self.bits_along, **given, qualities=qualities),
            "encode_predicted": self._traced(
                self.encode_predicted, **given, quality=tf.TensorSpec([], tf.float32, "quality")
            ),
        }

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

    def bits_along(self, latent, scale, loc, qualities):
        gains = self.model.gain.gains(qualities)[0]
        return {"bits": bits_along(self.model.latent_model, latent, scale, loc, gains)}

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

    def _traced(self, method, **specs):
        return tf.function(method, autograph=False).get_concrete_function(**specs)
