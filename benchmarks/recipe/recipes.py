"""The recipes that `run.py` compares: what decides how fast a network learns."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfsq.architectures import MeanScaleHyperprior
from tfsq.architectures.shortcut import dct_kernel, quantization_step
from tfsq.entropy_models import FactorizedEntropyModel
from tfsq.layers import AdditiveUniformNoise, StraightThroughRounding
from tfsq.training import Muon

SCHEDULES = tf.keras.optimizers.schedules
REFERENCE = "reference"
BEFORE = "before: no shortcut, pixels 0 to 1, Adam, 1e-3"
ADAM = "Adam, 2e-3"
TWICE = "learning rate 4e-3"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is compared; the defaults are the reference."""

    name: str
    shortcut: str | None = "dct"
    centered: bool = True
    batch_size: int = 4
    crop_size: int = 128
    optimizer: str = "muon"
    rms_rate: float = 0.1
    excluded: tuple[str, ...] = ("shortcut",)
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    clipnorm: float | None = 1.0
    epsilon: float = 1e-5
    average: float | None = None
    policy: str = "float32"
    beginning: str = "as shipped"


RECIPES = (
    Recipe(REFERENCE),
    Recipe(BEFORE, None, False, optimizer="adam", learning_rate=1e-3, epsilon=1e-7),
    Recipe("no shortcut", None),
    Recipe(ADAM, optimizer="adam"),
    Recipe("Adam, 2e-3, epsilon 1e-7", optimizer="adam", epsilon=1e-7),
    Recipe("Adam, 4e-3", optimizer="adam", learning_rate=4e-3),
    Recipe("kernels of the shortcut orthogonal, too", excluded=()),
    Recipe("updates of kernels twice as large", rms_rate=0.2),
    Recipe("learning rate 1e-3", learning_rate=1e-3),
    Recipe(TWICE, learning_rate=4e-3),
    Recipe("learning rate 8e-3", learning_rate=8e-3),
    Recipe("warm-up", schedule="warm-up"),
    Recipe("no clipping", clipnorm=None),
    Recipe("moving average of weights", average=0.99),
    Recipe("batch 8", batch_size=8),
    Recipe("batch 8 of 64x64", batch_size=8, crop_size=64),
    Recipe("transforms beside at full weight", beginning="full weight"),
    Recipe("kernels of equal magnitude", beginning="equal magnitude"),
    Recipe("hyper transforms at random", beginning="random"),
    Recipe("narrow prior of the hyper-latent", beginning="narrow prior"),
    Recipe("GDN nearer to identity", beginning="weak GDN"),
    Recipe("DCT at each stage", beginning="stages"),
    Recipe("bfloat16", policy="mixed_bfloat16"),
)


def network(recipe: Recipe, lmbda: float) -> MeanScaleHyperprior:
    """A new network as the recipe has it."""
    model = SUBCLASSES.get(recipe.beginning, MeanScaleHyperprior)(
        32,
        48,
        rate_quantizer=AdditiveUniformNoise(),
        reconstruction_quantizer=StraightThroughRounding(),
        shortcut=recipe.shortcut,
        initial_lmbda=lmbda,
        centered=recipe.centered,
        dtype=recipe.policy,
    )
    begin = {
        "full weight": _at_full_weight,
        "weak GDN": _with_weak_gdn,
    }.get(recipe.beginning)
    if begin:
        begin(model)
    return model


def compiled(recipe: Recipe, lmbda: float, steps: int, seed: int) -> MeanScaleHyperprior:
    """The network with the optimizer of the recipe."""
    tf.keras.utils.set_random_seed(seed)
    model = network(recipe, lmbda)
    model.compile(optimizer(recipe, steps), lmbda=lmbda)
    return model


def optimizer(recipe: Recipe, steps: int) -> tf.keras.optimizers.Optimizer:
    """The optimizer of a recipe."""
    arguments = {
        "learning_rate": learning_rate(recipe, steps),
        "epsilon": recipe.epsilon,
        "global_clipnorm": recipe.clipnorm,
        "use_ema": recipe.average is not None,
        "ema_momentum": recipe.average or 0.99,
    }
    if recipe.optimizer == "adam":
        return tf.keras.optimizers.Adam(**arguments)
    return Muon(rms_rate=recipe.rms_rate, excluded=recipe.excluded, **arguments)


def learning_rate(recipe: Recipe, steps: int):
    """The schedule of a recipe over its steps."""
    rate = recipe.learning_rate
    if recipe.schedule == "warm-up":
        warm_up = steps // 20
        return SCHEDULES.CosineDecay(0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up)
    return SCHEDULES.CosineDecay(rate, steps)


def _scale(kernel, factor):
    kernel.assign(factor * kernel)


def _beside(model):
    """The analysis and the synthesis that the shortcuts are beside of."""
    analysis = model.analysis.get_layer("nonlinear_analysis")
    return analysis, model.synthesis.get_layer("nonlinear_synthesis")


def _at_full_weight(model):
    analysis, synthesis = _beside(model)
    for layer in (analysis.layers[-1], synthesis.layers[0], synthesis.layers[-1]):
        _scale(layer.kernel, 10.0)


def _with_weak_gdn(model):
    for transform in _beside(model):
        for layer in transform.layers:
            if "gdn" in layer.name:
                _scale(layer.reparam_gamma, 0.3)


class _EqualMagnitude(MeanScaleHyperprior):
    """Both kernels of the same magnitude, and so of the same relative learning rate."""

    # The step that the shortcut's own kernels hold.
    _UNIT = quantization_step(0.009) / 255.0

    def build_transforms(self):
        super().build_transforms()
        _scale(self.analysis.get_layer("analysis_shortcut").kernel, self._UNIT)
        _scale(self.synthesis.get_layer("synthesis_shortcut").kernel, 1.0 / self._UNIT)

    def transform(self, image):
        x = image / 255.0 - 0.5
        layer = self.analysis.get_layer
        return layer("nonlinear_analysis")(x) + layer("analysis_shortcut")(x / self._UNIT)

    def synthesize(self, y_hat):
        layer = self.synthesis.get_layer
        x = layer("nonlinear_synthesis")(y_hat)
        x = x + layer("synthesis_shortcut")(self._UNIT * y_hat)
        return (x + 0.5) * 255.0


class _RandomHyperTransforms(MeanScaleHyperprior):
    """Hyper transforms keep the random weights that Keras gives them."""

    def begin_hyper_transforms(self, *paths, signed=True):
        del paths, signed


class _NarrowPrior(MeanScaleHyperprior):
    """The density of the hyper-latent begins as wide as hyper-latents are then."""

    def build_parts(self, entropy_model_arguments, **architecture):
        super().build_parts(entropy_model_arguments, **architecture)
        self.hyper_latent_model = FactorizedEntropyModel(
            name="hyper_latent_model", init_scale=2.0, **entropy_model_arguments
        )
        self.hyper_latent_model.build((None, None, None, self.num_filters))


class _Stages(MeanScaleHyperprior):
    """Beside each halving of the analysis a DCT of blocks of 2, 4 and 8 pixels.

    And the inverse before each doubling of the synthesis.
    """

    _SIZES = (2, 4, 8)

    def build_transforms(self):
        super().build_transforms()
        self.stages, self.stages_back = self._kernels("stage", 1.0), self._kernels("back", 0.1)

    def _kernels(self, name, factor):
        values = {size: factor * dct_kernel(self.num_filters, size) for size in self._SIZES}
        return [
            self.add_weight(
                name=f"{name}_{size}",
                shape=value.shape,
                initializer=tf.constant_initializer(value),
            )
            for size, value in values.items()
        ]

    def transform(self, image):
        x = image / 255.0 - 0.5
        y, stages = x, iter(zip(self._SIZES, self.stages))
        for layer in self.analysis.get_layer("nonlinear_analysis").layers:
            y = layer(y)
            if layer.name in ("down_0", "down_1", "down_2"):
                size, kernel = next(stages)
                y = y + tf.nn.conv2d(x, kernel, size, "VALID")
        return y + self.analysis.get_layer("analysis_shortcut")(x)

    def synthesize(self, y_hat):
        x = self.synthesis.get_layer("synthesis_shortcut")(y_hat)
        stages = iter(zip(self._SIZES[::-1], self.stages_back[::-1]))
        y = y_hat
        for layer in self.synthesis.get_layer("nonlinear_synthesis").layers:
            y = layer(y)
            if layer.name.startswith("igdn"):
                size, kernel = next(stages)
                x = x + tf.nn.conv2d_transpose(y, kernel, tf.shape(x), size, "VALID")
        return (x + y + 0.5) * 255.0


# Where a recipe computes or begins as something else.
SUBCLASSES = {
    "random": _RandomHyperTransforms,
    "stages": _Stages,
    "equal magnitude": _EqualMagnitude,
    "narrow prior": _NarrowPrior,
}
