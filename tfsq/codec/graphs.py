"""The functions of a codec, traced from a network."""

from __future__ import annotations

import tensorflow as tf

from tfsq import layers
from tfsq.architectures import CompressionModel
from tfsq.architectures.base import cropped
from tfsq.entropy_models import FactorizedEntropyModel
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
        strings = tf.TensorSpec([len(self._names)], tf.string, name="strings")
        size = tf.TensorSpec([2], tf.int32, name="size")
        scalars = {"lmbda": tf.float32, "temperature": tf.float32, "seed": tf.int64}
        settings = {name: tf.TensorSpec([], dtype, name=name) for name, dtype in scalars.items()}
        analyze = self._traced(self.analyze, image=_IMAGE)
        latents = {
            name: tf.TensorSpec([None, None, channels.shape[-1]], tf.float32, name=name)
            for name, channels in analyze.structured_outputs.items()
        }
        return {
            "compress": self._traced(self.compress, image=_IMAGE),
            "decompress": self._traced(self.decompress, strings=strings, size=size),
            "reconstruct": self._traced(self.reconstruct, image=_IMAGE),
            "analyze": analyze,
            "compress_latents": self._traced(self.compress_latents, **latents),
            "gradients": self._traced(self.gradients, image=_IMAGE, **settings, **latents),
        }

    def compress(self, image):
        """See `Codec.compress`."""
        return self._joined(self.model.compress(image[tf.newaxis]))

    def decompress(self, strings, size):
        """See `Codec.decompress`."""
        parts = {name: strings[i : i + 1] for i, name in enumerate(self._names)}
        return {"image": _to_uint8(self.model.decompress(parts, size)[0])}

    def reconstruct(self, image):
        """See `Codec.reconstruct`."""
        reconstruction, bits = self.model(image[tf.newaxis], training=False)
        bits = tf.concat([bits[name] for name in self._names], axis=0)
        return {"image": _to_uint8(reconstruction[0]), "bits": bits}

    def analyze(self, image):
        """See `Codec.analyze`."""
        latents = self.model.analyze(self.model.padded(image[tf.newaxis]))
        return {name: tf.cast(latent[0], tf.float32) for name, latent in latents.items()}

    def compress_latents(self, **latents):
        """See `Codec.compress_latents`."""
        return self._joined(self.model.compress_latents(self._batched(latents)))

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

    def _joined(self, strings):
        return {"strings": tf.concat([strings[name] for name in self._names], axis=0)}

    def _batched(self, latents):
        dtype = self.model.compute_dtype
        return {name: tf.cast(latent[tf.newaxis], dtype) for name, latent in latents.items()}
