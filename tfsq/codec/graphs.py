"""The functions of a codec, traced from a network."""

from __future__ import annotations

import tensorflow as tf

from tfsq import layers
from tfsq.architectures import CompressionModel
from tfsq.architectures.base import LATENT, cropped
from tfsq.codec.container import FINGERPRINT_BYTES
from tfsq.entropy_models import FactorizedEntropyModel
from tfsq.entropy_models.base import refuse_unless
from tfsq.layers.base import AnnealedQuantizer, StochasticQuantizer
from tfsq.layers.zero_center_quantization import quantizing_with

DEFAULT_REFINEMENT = "sga"

_IMAGE = tf.TensorSpec([None, None, 3], tf.uint8, name="image")


def _refinement_layer(refinement) -> AnnealedQuantizer:
    layer = layers.get(refinement)
    if not isinstance(layer, AnnealedQuantizer):
        raise TypeError(f"`refinement` must be an annealed quantizer. Received: {refinement!r}")
    if isinstance(layer, StochasticQuantizer) and layer.seed is None:
        # A generator of its own, which every step seeds.
        layer = type(layer).from_config({**layer.get_config(), "seed": 0})
    return layer


def fingerprint(quantized):
    """Returns the first bytes of the FarmHash64 of a quantized latent as little-endian float32.

    Args:
      quantized: Floating-point tensor.

    Returns:
      uint8 tensor [FINGERPRINT_BYTES].
    """
    data = tf.reshape(tf.cast(quantized, tf.float32), [1, -1])
    return tf.raw_ops.Fingerprint(data=data, method="farmhash64")[0, :FINGERPRINT_BYTES]


def _to_uint8(image):
    return tf.saturate_cast(tf.round(image), tf.uint8)


class Graphs:
    """Traces a network over a single image of any size; `Codec` says what each function does.

    Args:
      model: A compiled model.
      refinement: What `tfsq.layers.get` accepts, an annealed quantizer.

    Raises:
      TypeError: if `refinement` is not annealed.
    """

    def __init__(self, model: CompressionModel, refinement=DEFAULT_REFINEMENT):
        self.model = model
        self.refinement = _refinement_layer(refinement)
        self._names = sorted(model.parts)
        # Here, since a graph that had built them could not be saved under a strategy.
        for part in model.submodules:
            if isinstance(part, FactorizedEntropyModel):
                part.update_tables()

    @property
    def state(self) -> list:
        """What the functions use beside the weights of the model."""
        generator = getattr(self.refinement, "generator", None)
        return [*self.refinement.variables, *([] if generator is None else [generator])]

    def functions(self) -> dict:
        """Returns the traced functions by name."""
        parts = len(self._names)
        coded = {
            "strings": tf.TensorSpec([parts], tf.string, name="strings"),
            "fingerprints": tf.TensorSpec([parts, FINGERPRINT_BYTES], tf.uint8, "fingerprints"),
            "size": tf.TensorSpec([2], tf.int32, name="size"),
        }
        scalars = {"lmbda": tf.float32, "temperature": tf.float32, "seed": tf.int64}
        settings = {name: tf.TensorSpec([], dtype, name=name) for name, dtype in scalars.items()}
        y = tf.TensorSpec([None, None, self.model.num_latents], tf.float32, name="y")
        y_hat = tf.TensorSpec(y.shape, tf.float32, name="y_hat")
        latents_of = self._traced(self.latents_of, y=y)
        latents = {
            name: tf.TensorSpec([None, None, found.shape[-1]], tf.float32, name=name)
            for name, found in latents_of.structured_outputs.items()
        }
        return {
            "compress": self._traced(self.compress, image=_IMAGE),
            "decompress": self._traced(self.decompress, **coded),
            "analysis": self._traced(self.analysis, image=_IMAGE),
            "latents_of": latents_of,
            "encode": self._traced(self.encode, **latents),
            "estimate": self._traced(self.estimate, **latents),
            "decode": self._traced(self.decode, **coded),
            "synthesis": self._traced(self.synthesis, y_hat=y_hat),
            "gradients": self._traced(self.gradients, image=_IMAGE, **settings, **latents),
        }

    def compress(self, image):
        """See `Codec.compress`."""
        latents = self.model.analyze(self.model.padded(image[tf.newaxis]))
        found = self._encoded(latents)
        return {name: found[name] for name in ("strings", "fingerprints")}

    def decompress(self, strings, fingerprints, size):
        """See `Codec.decompress`."""
        y_hat = self.decode(strings, fingerprints, size)["y_hat"]
        return {"image": self.synthesis(y_hat)["image"][: size[0], : size[1]]}

    def analysis(self, image):
        """See `Codec.analysis`."""
        y = self.model.analysis(tf.cast(image[tf.newaxis], tf.float32) / 255.0)
        return {"y": tf.cast(y[0], tf.float32)}

    def latents_of(self, y):
        """See `Codec.latents_of`."""
        latents = self.model.latents_of(tf.cast(y[tf.newaxis], self.model.compute_dtype))
        return {name: tf.cast(latent[0], tf.float32) for name, latent in latents.items()}

    def encode(self, **latents):
        """See `Codec.encode`."""
        return self._encoded(self._batched(latents))

    def estimate(self, **latents):
        """See `Codec.estimate`."""
        _, bits = self.model.code(self._batched(latents), training=False)
        return {"bits": tf.concat([bits[name] for name in self._names], axis=0)}

    def decode(self, strings, fingerprints, size):
        """See `Codec.decode`."""
        expected = dict(zip(self._names, tf.unstack(fingerprints)))

        def check(name, quantized):
            same = tf.reduce_all(fingerprint(quantized) == expected[name])
            message = f"The decoded {name} has another fingerprint than the file says:"
            with tf.control_dependencies(refuse_unless(same, message, expected[name])):
                return tf.identity(quantized)

        multiple = self.model.size_multiple
        found = self.model.decompress_latents(
            {name: strings[i : i + 1] for i, name in enumerate(self._names)},
            -(-size // multiple) * multiple,
            check,
        )
        return {"y_hat": tf.cast(found[LATENT][0], tf.float32)}

    def synthesis(self, y_hat):
        """See `Codec.synthesis`."""
        return {"image": _to_uint8(self.model.synthesize(y_hat[tf.newaxis])[0])}

    def gradients(self, image, lmbda, temperature, seed, **latents):
        """See `Codec.gradients`."""
        self.refinement.temperature.assign(temperature)
        if isinstance(self.refinement, StochasticQuantizer):
            self.refinement.seed_noise(seed)
        image = image[tf.newaxis]
        with quantizing_with(self.model, self.refinement), tf.GradientTape() as tape:
            tape.watch(latents)
            reconstruction, bits = self.model.reconstruct(self._batched(latents), training=True)
            reconstruction = cropped(reconstruction, image)
            loss = self.model.loss_of(image, reconstruction, bits, lmbda)["loss"][0]
        return {"loss": loss, **tape.gradient(loss, latents)}

    def _traced(self, method, **specs):
        return tf.function(method, autograph=False).get_concrete_function(**specs)

    def _encoded(self, latents):
        strings, quantized = self.model.compress_latents(latents)
        return {
            "strings": tf.concat([strings[name] for name in self._names], axis=0),
            "fingerprints": tf.stack([fingerprint(quantized[name]) for name in self._names]),
            "y_hat": tf.cast(quantized[LATENT][0], tf.float32),
        }

    def _batched(self, latents):
        dtype = self.model.compute_dtype
        return {name: tf.cast(latent[tf.newaxis], dtype) for name, latent in latents.items()}
