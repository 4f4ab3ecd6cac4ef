"""What determines a training run, and what follows from it at each step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfsq import layers
from tfsq.architectures import NETWORKS, CompressionModel, HyperpriorModel
from tfsq.architectures.distortions import distortion_of
from tfsq.architectures.shortcut import check_shortcut
from tfsq.callbacks import SoftThenHard, TemperatureCallback
from tfsq.entropy_models.scale_table import check_scale_bounds
from tfsq.layers.base import AnnealedQuantizer
from tfsq.layers.checks import check_integer, check_positive, check_temperature
from tfsq.layers.ladder import Ladder
from tfsq.layers.zero_center_quantization import check_stop_gradient
from tfsq.training.muon import Muon

# What CompressAI weighs 1 - MS-SSIM with, over what it weighs the squared error with for the same
# rate: 1220 to 1330, from one quality to the next.
_MS_SSIM_LMBDA = 1270.0
# What TensorFlow counts with in places.
_LARGEST_COUNT = 2**31 - 1
_LARGEST_SEED = 2**32 - 1
_COUNTS = ("steps", "steps_per_epoch", "batch_size", "crop_size", "num_filters", "num_latents")
_LMBDA = 0.01
_POLICIES = ("float32", "mixed_bfloat16")
_OF_HYPERPRIORS = ("scale_lower_bound", "hyper_width")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What determines a training run, beside the images and the run that it starts from.

    Attributes:
      lmbda: Weight of the distortion against bits per pixel; None is the middle of `lmbdas`, 0.01
        without.
      lmbdas: Lambdas of a network of many rates, see `tfsq.architectures.CompressionModel`; None is
        a network of one.
      distortion: "mse" or "ms-ssim".
      architecture: Name of a network of `tfsq.architectures`.
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      hyper_width: See `tfsq.architectures.HyperpriorModel`; None for a network without hyperprior.
      shortcut: "dct" or None, see `tfsq.architectures.CompressionModel`.
      reconstruction_quantizer: What `tfsq.layers.get` accepts: a name or a config.
      rate_quantizer: Likewise; None is the layer of the reconstruction, with one noise sample for
        both.
      initial_temperature: Of annealed quantizers, at step 0. A run that starts from another begins
        where the schedule is at its step.
      final_temperature: Where their temperature has fallen to, exponentially, when the hard part
        begins.
      annealing_start: Part of the steps before the hard part in which the temperature stays where
        it is at step 0, in [0, 1).
      hard_fraction: Part of the steps, at the end, in which latents are rounded and the encoder
        stands still, in [0, 1).
      scale_lower_bound: Lower bound of the predicted scale; None is the network's default, and
        needed for a network that predicts none.
      stop_gradient: "partial" or "none", see `tfsq.layers.ZeroCenterQuantization`.
      steps: Optimizer steps.
      steps_per_epoch: Steps between two checkpoints; the last epoch may have fewer.
      batch_size: Crops per step.
      crop_size: Height and width of the crops, a multiple of the network's `size_multiple`, 64 for
        most; at least 192 for "ms-ssim".
      least_detail: Crops of less detail, see `detail_of`, are drawn again, up to three times: it
        thins out skies and walls, of which photographs have more than they need bits for. 0 takes
        every crop.
      learning_rate: Of `Muon` at the start; it falls to zero along a cosine. 4e-3 is a little
        better for a few thousand steps, and far worse for tens of thousands.
      seed: Seeds weights, crops and noise; from 0 to 2^32 - 1.
      policy: Keras dtype policy of the network, "float32" or "mixed_bfloat16".

    Raises:
      ValueError: if a value is out of its range.
    """

    lmbda: float | None = None
    lmbdas: Sequence[float] | None = None
    distortion: str = "mse"
    architecture: str = "MeanScaleHyperprior"
    num_filters: int = 32
    num_latents: int = 48
    hyper_width: int | None = None
    shortcut: str | None = "dct"
    reconstruction_quantizer: str | dict = "sua"
    rate_quantizer: str | dict | None = "aun"
    initial_temperature: float = 1.0
    final_temperature: float = 0.05
    annealing_start: float = 0.75
    hard_fraction: float = 0.0
    scale_lower_bound: float | None = None
    stop_gradient: str = "partial"
    steps: int = 10_000
    steps_per_epoch: int = 500
    batch_size: int = 4
    crop_size: int = 128
    least_detail: float = 0.0
    learning_rate: float = 2e-3
    seed: int = 0
    policy: str = "float32"

    def __post_init__(self):
        self._settle_lmbdas()
        self._check_integers()
        network = NETWORKS.get(self.architecture)
        if network is None:
            raise ValueError(
                f"`architecture` must be one of {list(NETWORKS)}. "
                f"Received: architecture={self.architecture!r}"
            )
        for name in _OF_HYPERPRIORS:
            value = getattr(self, name)
            if value is not None and not issubclass(network, HyperpriorModel):
                raise ValueError(
                    f"`{name}` must be None for {self.architecture}, which has no hyperprior. "
                    f"Received: {name}={value}"
                )
        if self.scale_lower_bound is not None:
            check_scale_bounds(self.scale_lower_bound)
        check_stop_gradient(self.stop_gradient)
        check_shortcut(self.shortcut)
        if self.crop_size % network.size_multiple:
            raise ValueError(
                f"`crop_size` must be a multiple of {network.size_multiple}. "
                f"Received: crop_size={self.crop_size}"
            )
        distortion_of(self.distortion).check_size("crop_size", self.crop_size, self.crop_size)
        for name in ("annealing_start", "hard_fraction"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(
                    f"`{name}` must be in [0, 1). Received: {name}={getattr(self, name)}"
                )
        _check_quantizer("reconstruction_quantizer", self.reconstruction_quantizer)
        if self.rate_quantizer is not None:
            _check_quantizer("rate_quantizer", self.rate_quantizer)
        for name in ("initial_temperature", "final_temperature"):
            check_temperature(getattr(self, name), name)
        if not self.final_temperature <= self.initial_temperature:
            raise ValueError(
                "`final_temperature` must be at most `initial_temperature`. Received: "
                f"{self.final_temperature} and {self.initial_temperature}"
            )
        if self.policy not in _POLICIES:
            raise ValueError(f"`policy` must be one of {_POLICIES}. Received: {self.policy!r}")
        if not 0.0 <= self.least_detail < math.inf:
            raise ValueError(
                "`least_detail` must be finite and not negative. "
                f"Received: least_detail={self.least_detail}"
            )
        check_positive("learning_rate", self.learning_rate)

    def _check_integers(self):
        """Writes them as Python's, as JSON has them."""
        counts = _COUNTS if self.hyper_width is None else (*_COUNTS, "hyper_width")
        for name in counts:
            value = check_integer(name, getattr(self, name), 1, _LARGEST_COUNT)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "seed", check_integer("seed", self.seed, 0, _LARGEST_SEED))

    def _settle_lmbdas(self):
        """Writes what None stands for, and a list in the place of another sequence, as JSON has."""
        expected = _LMBDA
        if self.lmbdas is not None:
            ladder = Ladder(self.lmbdas)
            expected = ladder.middle_lmbda
            object.__setattr__(self, "lmbdas", list(ladder.lmbdas))
        if self.lmbda is None:
            object.__setattr__(self, "lmbda", expected)
        lmbda = check_positive("lmbda", self.lmbda)
        if self.lmbdas is not None and not math.isclose(lmbda, expected, rel_tol=1e-6):
            raise ValueError(
                f"`lmbda` must be None, or the middle of `lmbdas`, {expected:g}. "
                f"Received: lmbda={self.lmbda}, lmbdas={self.lmbdas}"
            )


def _check_quantizer(name: str, identifier) -> None:
    if not isinstance(identifier, (str, dict)):
        raise ValueError(f"`{name}` must be a name or a config. Received: {name}={identifier!r}")
    try:
        layers.get(identifier)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` is no quantizer: {error}") from error


def _lmbda_of_squared_error(settings) -> float:
    if settings.distortion == "mse":
        return settings.lmbda
    return settings.lmbda / _MS_SSIM_LMBDA


def build_model(settings: TrainingSettings) -> CompressionModel:
    """Builds and compiles the network that `settings` describe, with seeded weights.

    Args:
      settings: What to train.
    """
    tf.keras.utils.set_random_seed(settings.seed)
    reconstruction = layers.get(settings.reconstruction_quantizer)
    rate = settings.rate_quantizer
    of_hyperprior: dict[str, Any] = {
        name: value for name in _OF_HYPERPRIORS if (value := getattr(settings, name)) is not None
    }
    model = NETWORKS[settings.architecture](
        settings.num_filters,
        settings.num_latents,
        rate_quantizer=reconstruction if rate is None else layers.get(rate),
        reconstruction_quantizer=reconstruction,
        stop_gradient=settings.stop_gradient,
        shortcut=settings.shortcut,
        initial_lmbda=_lmbda_of_squared_error(settings),
        lmbdas=settings.lmbdas,
        dtype=settings.policy,
        **of_hyperprior,
    )
    learning_rate = tf.keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.steps
    )
    compile_for(model, settings, learning_rate)
    return model


def compile_for(model: CompressionModel, settings, learning_rate) -> None:
    """Compiles a network with the optimizer, lambda and distortion of a run.

    Args:
      model: The network.
      settings: Of the run.
      learning_rate: A number or a schedule.
    """
    model.compile(
        make_optimizer(learning_rate),
        # A ladder has its own.
        lmbda=None if model.ladder else settings.lmbda,
        distortion=settings.distortion,
    )


def make_optimizer(learning_rate) -> Muon:
    """The optimizer of a run.

    Args:
      learning_rate: A number or a schedule.
    """
    return Muon(
        learning_rate,
        # What predicts latents that are always zero has gradients of next to nothing. Divided by
        # themselves, they would make it walk at random, and predict far off one day.
        epsilon=1e-5,
        # With the loss in pixel units, a step on a steep crop would undo many others.
        global_clipnorm=1.0,
    )


def soft_steps(settings) -> int:
    """Steps before the hard part.

    Args:
      settings: Of the run.
    """
    return max(1, round((1.0 - settings.hard_fraction) * settings.steps))


def annealing(settings) -> TemperatureCallback:
    """What sets the temperature of a run.

    Args:
      settings: Of the run.
    """
    # One step is left to fall in, however late that is.
    first = min(round(settings.annealing_start * soft_steps(settings)), soft_steps(settings) - 1)
    fall = tf.keras.optimizers.schedules.ExponentialDecay(
        settings.initial_temperature,
        soft_steps(settings) - first,
        settings.final_temperature / settings.initial_temperature,
    )
    return TemperatureCallback(
        lambda step: fall(max(0, step - first)), minimum=settings.final_temperature
    )


def quantization_callbacks(model, settings) -> list[TemperatureCallback | SoftThenHard]:
    """What anneals a run, and makes it hard at last.

    Args:
      model: Of `build_model`.
      settings: Of the run.
    """
    callbacks: list[TemperatureCallback | SoftThenHard] = []
    if layers.find(model, AnnealedQuantizer):
        callbacks.append(annealing(settings))
    if settings.hard_fraction:
        callbacks.append(SoftThenHard(soft_steps(settings), freeze=model.encoder))
    return callbacks


def apply_step(model, settings, step: int) -> None:
    """Makes the model what it is at a step, also where no batch of this call has.

    Args:
      model: Of `build_model`.
      settings: Of the run.
      step: Optimizer step.
    """
    for callback in quantization_callbacks(model, settings):
        callback.apply(model, step)
