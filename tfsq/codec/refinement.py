"""Refinement of an image's latents on the encoder's side."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfsq import layers
from tfsq.architectures.distortions import DISTORTIONS
from tfsq.architectures.images import cropped
from tfsq.codec.codec import Codec
from tfsq.codec.graphs import batched
from tfsq.codec.image_files import check_image
from tfsq.codec.progress import Progress, ProgressCallback, ignored
from tfsq.codec.tiling import analyze
from tfsq.layers.base import AnnealedQuantizer, StochasticQuantizer
from tfsq.layers.checks import check_integer, check_temperature
from tfsq.layers.zero_center_quantization import quantizing_with

# Of the annealing, over all steps, as `benchmarks/refinement` measured the default surrogate.
_TEMPERATURES = (0.5, 0.15)


def _default_schedule(steps):
    start, end = _TEMPERATURES
    return tf.keras.optimizers.schedules.ExponentialDecay(start, max(1, steps), end / start)


def annealed_layer(surrogate) -> AnnealedQuantizer:
    """Returns a new layer of a surrogate that can be annealed, its noise seeded if it has any.

    Args:
      surrogate: See `refine_latents`.

    Raises:
      TypeError: if it is not annealed.
    """
    layer = layers.get(surrogate)
    if not isinstance(layer, AnnealedQuantizer) or layer.hard:
        raise TypeError(
            f"`surrogate` must be an annealed quantizer that is not hard. Received: {surrogate!r}"
        )
    # Where its own temperature begins does not matter: every step assigns one.
    config = {**layer.get_config(), "temperature": 1.0}
    del config["name"]
    if isinstance(layer, StochasticQuantizer):
        # A generator of its own, which every step seeds.
        config["seed"] = 0
    return type(layer).from_config(config)


def gradients_of(codec: Codec, surrogate) -> Callable:
    """Returns the function that differentiates the loss of an image's latents.

    Kept with the codec for the next image, since it takes seconds to trace. Several threads may
    call it: one waits for the other, as layer and network are the same for all.

    Args:
      codec: The codec.
      surrogate: The name of an annealed quantizer, or the layer.

    Returns:
      Function (image, lmbda, temperature, seed, latents, at) -> {"loss": that of the surrogate,
      part: its gradient}, with what `Codec.at` returns as the last argument.

    Raises:
      TypeError: if `surrogate` is not annealed.
      ModelError: see `Codec.network`.
    """
    layer = annealed_layer(surrogate)
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    key = ("gradients", type(layer), json.dumps(config, sort_keys=True))
    with codec.lock:
        if key not in codec.traced:
            codec.traced[key] = _gradients_through(layer, codec.network)
    return functools.partial(_one_at_a_time, codec.lock, codec.traced[key])


def _one_at_a_time(lock, function, *args):
    with lock:
        return function(*args)


def _gradients_through(layer, model) -> Callable:
    @tf.function(autograph=False, reduce_retracing=True)
    def gradients(image, lmbda, temperature, seed, latents, at):
        layer.temperature.assign(temperature)
        if isinstance(layer, StochasticQuantizer):
            layer.seed_noise(seed)
        image = image[tf.newaxis]
        with quantizing_with(model, layer), tf.GradientTape() as tape:
            tape.watch(latents)
            given = {name: value[tf.newaxis] for name, value in at.items()}
            reconstruction, bits = model.reconstruct(
                batched(latents, model), training=True, **given
            )
            reconstruction = cropped(reconstruction, image)
            loss = model.loss_of(image, reconstruction, bits, lmbda)["loss"][0]
        return {"loss": loss, **tape.gradient(loss, latents)}

    return gradients


def refine_latents(
    image,
    codec: Codec,
    steps: int = 500,
    lmbda: float | None = None,
    surrogate="unsr",
    schedule: Callable | None = None,
    learning_rate: float = 0.05,
    progress: ProgressCallback = ignored,
    latents: dict | None = None,
    quality: float | None = None,
) -> dict[str, np.ndarray]:
    """Optimizes what the analysis made of one image, for that image.

    Works on the whole image at once, with the memory that a training step on it takes.

    Latents and hyper-latents descend the gradient of bits per pixel + lambda * distortion through
    an annealed surrogate; decoder and file format stay as they are.

    Source: Y. Yang, R. Bamler, S. Mandt, "Improving Inference for Neural Image Compression",
    NeurIPS 2020, https://arxiv.org/abs/2006.04240, there with stochastic Gumbel annealing. Noisy
    soft rounding, the default here, gained more in `benchmarks/refinement`.

    Args:
      image: uint8 array [height, width, 3].
      codec: The codec.
      steps: Number of steps of Adam.
      lmbda: Weight of the distortion; None is that of the codec's training, at the quality.
      surrogate: An annealed quantizer: what `tfsq.layers.get` accepts. A layer is copied; its
        temperature stays what it is.
      schedule: Callable step -> temperature in (0, 1]; None falls exponentially from 0.5 to 0.15.
      learning_rate: Adam's at the first step; it falls to zero along a cosine.
      progress: Called with a `Progress` after every step.
      latents: What to begin with, as this function returns it; None is what the analysis gives.
      quality: Of a network of many rates; None is the middle.

    Returns:
      Dict from the name of each coded part to its latent, float32 [rows, columns, channels]:
      what `compress_latents` takes. The noise is seeded by the step, so that the same call
      returns the same latents.

    Raises:
      ValueError: if `image` is no such array or too small for the MS-SSIM that the codec was
        trained for, `steps` is negative, a temperature out of range, or `quality` none of the
        codec.
      TypeError: if `surrogate` is not annealed.
      ModelError: if the codec's network has classes that Keras does not know.
    """
    steps = check_integer("steps", steps, 0)
    image = check_image(image)
    DISTORTIONS[codec.metadata["distortion"]].check_size("image", *image.shape[:2])
    schedule = schedule or _default_schedule(steps)
    at = codec.at(quality)
    lmbda = codec.lmbda_at(quality) if lmbda is None else lmbda
    if latents is None:
        latents = analyze(image, codec)
    latents = {name: tf.Variable(value) for name, value in latents.items()}
    image, gradients = tf.constant(image), gradients_of(codec, surrogate)
    optimizer = tf.keras.optimizers.Adam(
        tf.keras.optimizers.schedules.CosineDecay(learning_rate, max(1, steps))
    )
    optimizer.build(list(latents.values()))
    for step in range(steps):
        found = gradients(
            image,
            tf.constant(lmbda, tf.float32),
            tf.constant(check_temperature(schedule(step)), tf.float32),
            tf.constant(step, tf.int64),
            {name: tf.convert_to_tensor(latent) for name, latent in latents.items()},
            at,
        )
        optimizer.apply_gradients((found[name], latent) for name, latent in latents.items())
        progress(Progress("refinement", step + 1, steps, float(found["loss"])))
    return {name: latent.numpy() for name, latent in latents.items()}
