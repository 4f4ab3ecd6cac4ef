"""Networks of many rates as they might have been."""

from __future__ import annotations

import tensorflow as tf

from tfsq import layers
from tfsq.architectures import MeanScaleHyperprior
from tfsq.architectures.hyperprior import HYPER_LATENT, LATENT
from tfsq.layers import Gain

SIZE = {"num_filters": 16, "num_latents": 96, "hyper_width": 32, "shortcut": "dct"}


class _Design(MeanScaleHyperprior):
    """Predicts in floats: a design has to train, not to code."""

    def estimate(self, latents, training=False, quality=None):
        z, hyper_gain = latents[HYPER_LATENT], self.hyper_gain
        z = z if hyper_gain is None else hyper_gain(z, quality)
        z_hat, z_bits = self.hyper_latent_model(z, training=training)
        z = z_hat if hyper_gain is None else hyper_gain.inverse(z_hat, quality)
        scale, loc = self.scale_and_loc(self.hyper_synthesis(z))
        y = latents[LATENT]
        y_hat, y_bits = self.quantized(y, scale, loc, training, quality)
        return {LATENT: y_hat, HYPER_LATENT: z_hat}, {LATENT: y_bits, HYPER_LATENT: z_bits}

    hyper_gain: Gain | None = None

    def quantized(self, y, scale, loc, training, quality):
        """Latents and predictions in steps, and back."""
        gain = self.gain
        given = (gain(x, quality) for x in (y, scale, loc))
        y_hat, bits = self.latent_model(*given, training=training)
        return gain.inverse(y_hat, quality), bits


class PredictedWithGain(_Design):
    """As published: what analyses and predictions see and give has its gain."""

    def estimate(self, latents, training=False, quality=None):
        y = self.gain(latents[LATENT], quality)
        gained = {LATENT: y, HYPER_LATENT: self.analyze_latent(y)}
        return super().estimate(gained, training, quality)

    def quantized(self, y, scale, loc, training, quality):
        y_hat, bits = self.latent_model(y, scale, loc, training=training)
        return self.gain.inverse(y_hat, quality), bits


class _WithHyperGain:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.hyper_gain = Gain(self.ladder.lmbdas, name="hyper_gain")
        self.hyper_gain.build((None, None, None, self.num_filters))


class HyperGain(_WithHyperGain, _Design):
    """Steps of the hyper-latent are learned, too."""


class PredictedWithGainAndHyperGain(_WithHyperGain, PredictedWithGain):
    """Both."""


class Tied(_Design):
    """Inverse gains are one over gains."""

    def quantized(self, y, scale, loc, training, quality):
        gains = self.gain.gains(quality)[0][:, tf.newaxis, tf.newaxis]
        given = (x * gains for x in (y, scale, loc))
        y_hat, bits = self.latent_model(*given, training=training)
        return y_hat / gains, bits


class ResidualAlone(_Design):
    """The inverse gain multiplies the residual alone, and not the mean."""

    def quantized(self, y, scale, loc, training, quality):
        given = [self.gain(x, quality) for x in (y, scale, loc)]
        y_hat, bits = self.latent_model(*given, training=training)
        loc_in_steps, loc = tf.stop_gradient(given[2]), tf.stop_gradient(loc)
        return self.gain.inverse(y_hat - loc_in_steps, quality) + loc, bits


def _balanced(power: float):
    return type("Balanced", (MeanScaleHyperprior,), {"balance": power})


TFSQ, ONE_RATE = "tfsq", "one rate each"
DESIGNS = {
    TFSQ: MeanScaleHyperprior,
    "inverse gain of the residual alone": ResidualAlone,
    "inverse gain is one over the gain": Tied,
    "hyper-latent has gains, too": HyperGain,
    "prediction with gain": PredictedWithGain,
    "prediction with gain, hyper-latent, too": PredictedWithGainAndHyperGain,
    "losses as they are": _balanced(0.0),
    "losses over the root of lambda": _balanced(0.5),
    "losses over lambda": _balanced(1.0),
}


def made(name: str, lmbdas, seed: int, size=SIZE):
    """A network of a design, or of one rate where there is one lambda.

    Args:
      name: A key of `DESIGNS`, or `ONE_RATE`.
      lmbdas: Of the ladder, or one.
      seed: Of the weights.
      size: Arguments of the network.
    """
    tf.keras.utils.set_random_seed(seed)
    surrogates = {
        "rate_quantizer": layers.get("aun"),
        "reconstruction_quantizer": layers.get("ste"),
    }
    if name == ONE_RATE:
        return MeanScaleHyperprior(**size, **surrogates, initial_lmbda=lmbdas[0])
    return DESIGNS[name](**size, **surrogates, lmbdas=lmbdas)
