"""What `tfsq analyze` does: measures every surrogate, and leaves tables and figures in a folder."""

from __future__ import annotations

import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfsq import analysis, layers, training
from tfsq.analysis import figures
from tfsq.architectures import MeanScaleHyperprior
from tfsq.codec import load, shipped_folder
from tfsq.files import name_for_tensorflow, writing_folder
from tfsq.training.run_folder import CODEC

# Weight of the squared error on pixels, as the shipped model was trained.
_LMBDA = 0.01
# Enough for figures; the functions' own default is finer.
_LOG2_POINTS = 12
# Of height and width of the images of a batch.
_MULTIPLE = 64

TEMPERATURES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.03)
BOUNDS = (0.01, 0.02, 0.04, 0.07, 0.11, 0.16, 0.25, 0.4, 0.6, 1.0)
LMBDAS = (1.0, 3.0, 15.0, 60.0)
SOURCES = (analysis.Gaussian(0.3, 0.2), analysis.Gaussian(0.3, 0.5), analysis.Laplace(0.3, 0.5))
# True law of the residual, and its predicted scale: right, too small, and nearly constant.
RESIDUALS = (
    (analysis.Gaussian(scale=0.3), 0.3),
    (analysis.Gaussian(scale=0.3), 0.1),
    (analysis.Gaussian(scale=0.03), 0.03),
)


def _decoder(v):
    return 2.0 * tf.tanh(0.7 * v) + 0.3 * v


LOSS = analysis.SquaredError(_decoder, target=0.9)


def surrogates() -> list[layers.Quantizer]:
    """Returns a layer of every surrogate, with the forms and gradients of SUA."""
    plain = [cls() for name, cls in layers.names().items() if name != "sua"]
    forms = itertools.product(
        ("dithered", "additive", "rounding"), ("straight_through", "expected")
    )
    sua = [layers.StochasticUniformAnnealing(form=f, gradient=g) for f, g in forms]
    return sua + plain


def recommended() -> list[layers.Quantizer]:
    """Returns what the batch is asked about, each surrogate for both paths."""
    expected = layers.StochasticUniformAnnealing(gradient="expected")
    return [layers.get("sua"), expected, *map(layers.get, ("unsr", "sga", "aun", "ste"))]


def _at_temperatures(function: Callable, sources) -> Iterator:
    for source, layer in itertools.product(sources, surrogates()):
        annealed = isinstance(layer, layers.AnnealedQuantizer)
        for temperature in TEMPERATURES if annealed else (None,):
            yield function(layer, temperature, source, LOSS, log2_points=_LOG2_POINTS)


def measure_mismatch() -> Iterator[analysis.Mismatch]:
    """Yields the mismatch of every surrogate, temperature and source."""
    yield from _at_temperatures(analysis.mismatch, SOURCES)


def measure_risk() -> Iterator[analysis.GradientRisk]:
    """Yields the gradient risk in the location, of every surrogate, temperature and source."""
    yield from _at_temperatures(analysis.gradient_risk, SOURCES[:2])


def measure_loc_risk() -> Iterator[analysis.GradientRisk]:
    """Yields the gradient risk in the predicted mean, with and without partial stop-gradient.

    The loss is rate + distortion: with partial stop-gradient the mean learns from the rate alone.
    """
    for source in SOURCES[:2]:
        rate = analysis.Rate(analysis.Gaussian(scale=source.scale))
        loss = analysis.RateDistortion(rate, LOSS, lmbda=1.0)
        for stop_gradient in ("partial", "none"):
            for layer in surrogates():
                annealed = isinstance(layer, layers.AnnealedQuantizer)
                for t in (1.0, 0.5, 0.1) if annealed else (None,):
                    yield analysis.gradient_risk(
                        layer,
                        t,
                        source,
                        loss,
                        "loc",
                        stop_gradient,
                        loc=0.2,
                        log2_points=_LOG2_POINTS,
                    )


def measure_rate_mismatch() -> Iterator[analysis.RateMismatch]:
    """Yields the rate mismatch against the bound, of some surrogates for the rate."""
    for source, scale in RESIDUALS:
        for name, temperature in (("aun", None), ("ste", None), ("sua", 0.5), ("unsr", 0.25)):
            for bound in BOUNDS:
                yield analysis.rate_mismatch(
                    name, temperature, source, scale, bound, log2_points=_LOG2_POINTS
                )


def measure_limits() -> Iterator[analysis.Limit]:
    """Yields, for unit sources, the best scalar quantizers and Shannon's bounds."""
    sources = (analysis.Gaussian(), analysis.Laplace(), analysis.Logistic())
    for limit in (analysis.scalar_quantizer_limit, analysis.rate_distortion_bound):
        yield from (limit(source, lmbda) for source, lmbda in itertools.product(sources, LMBDAS))


def analyzed_folder() -> pathlib.Path:
    """Returns the folder of the shipped model and photographs for the batch.

    Raises:
      FileNotFoundError: if this installation has none.
    """
    return shipped_folder() / "analysis"


def latent_batch(
    model=None, images: Sequence | None = None, on_skipped: Callable[[str], None] | None = None
) -> analysis.LatentBatch:
    """Returns latents of a model, with the distortion after its synthesis as their loss.

    Args:
      model: A `tfsq.architectures.MeanScaleHyperprior`: a `.keras` file, the folder of an exported
        codec, or that of a run; the shipped one if None.
      images: Image files; each is cropped to the largest multiple of 64 that all have. The shipped
        ones if None.
      on_skipped: Called with why an image is left out that does not serve; None raises.

    Returns:
      The batch.

    Raises:
      ValueError: if there is no image, one that is smaller than 64 pixels, or another model.
      OSError: if a file cannot be read.
    """
    files = sorted(analyzed_folder().glob("*.png")) if images is None else list(images)
    if not files:
        raise ValueError("`images` must not be empty.")
    network = _network_of(pathlib.Path(model or analyzed_folder() / "model.keras"))
    pixels = training.training_images(files, _MULTIPLE, on_skipped)
    found = [image for image in pixels if image is not None]
    sizes = zip(*(image.shape[:2] for image in found))
    height, width = (min(size) // _MULTIPLE * _MULTIPLE for size in sizes)
    batch = tf.constant(np.stack([image[:height, :width] for image in found]), tf.float32)
    lmbda = getattr(network, "lmbda", None) or _LMBDA

    @tf.function
    def loss(y_hat):
        return lmbda * tf.reduce_mean(tf.square(network.synthesize(y_hat) - batch))

    y, loc, scale = network.latents(batch)
    return analysis.LatentBatch(y.numpy(), loc.numpy(), scale.numpy(), loss)


def _network_of(path: pathlib.Path) -> MeanScaleHyperprior:
    """The network in a `.keras` file, the folder of a codec or that of a run."""
    if (path / CODEC).is_dir():
        path = path / CODEC
    try:
        if path.is_dir():
            network = load(path).network
        else:
            with name_for_tensorflow(path.parent) as folder:
                network = tf.keras.models.load_model(folder / path.name)
    except Exception as error:
        # Keras raises errors of any kind at files that are damaged or of others.
        raise ValueError(f"`model` cannot be loaded: {path} ({error})") from error
    if not isinstance(network, MeanScaleHyperprior):
        raise ValueError(
            f"`model` must be a MeanScaleHyperprior. Received: {type(network).__name__} in {path}"
        )
    return network


def measure_recommendations(batch: analysis.LatentBatch) -> Iterator[analysis.Recommendation]:
    """Yields what the batch says of some surrogates, each for both paths.

    Args:
      batch: See `latent_batch`.
    """
    for surrogate in recommended():
        yield analysis.recommend(surrogate, batch)


def write_figures(results: dict, output: pathlib.Path) -> None:
    """Writes the figures as PNG.

    Args:
      results: Lists of results by the names of `MEASUREMENTS`, and "recommendation".
      output: Existing folder.
    """
    drawn = {
        "staircase": figures.staircase(),
        "mismatch": figures.mismatch_against_temperature(results["mismatch"]),
        "gradient_risk": figures.risk_against_temperature(results["gradient_risk"]),
        "rate_mismatch": figures.rate_mismatch_against_bound(results["rate_mismatch"]),
        "recommendation": figures.recommendations(
            results["recommendation"], "What a batch of a real model's latents recommends"
        ),
    }
    for name, figure in drawn.items():
        figure.savefig(output / f"{name}.png", dpi=110)


def _loc_risk_table(results):
    """Partial stop-gradient beside none, for the surrogates whose slope is not 1."""
    cases: dict[tuple, dict] = {}
    for result in results:
        case = (result.source, result.surrogate, result.temperature)
        cases.setdefault(case, {})[result.stop_gradient] = result
    rows = []
    for case, of in cases.items():
        numbers = [(r.bias, r.variance**0.5) for r in (of["partial"], of["none"])]
        if not np.allclose(numbers[0], numbers[1]):
            rows.append([*case, *numbers[0], *numbers[1]])
    columns = ["source", "surrogate", "t", "bias, partial", "sd, partial", "bias, none", "sd, none"]
    return analysis.markdown(columns, rows)


def _recommendation_table(results):
    columns = ["surrogate of both paths", "temperature", "lower bound", "note"]
    rows = [[r.surrogate, r.temperature, r.scale_lower_bound, r.note] for r in results]
    return analysis.markdown(columns, rows)


def write_markdown(results: dict, output: pathlib.Path) -> None:
    """Writes the tables that the documentation quotes.

    Args:
      results: See `write_figures`.
      output: Existing folder.
    """
    (output / "loc_risk.md").write_text(_loc_risk_table(results["loc_risk"]))
    (output / "recommendation.md").write_text(_recommendation_table(results["recommendation"]))


MEASUREMENTS: dict[str, Callable[[], Iterator]] = {
    "limit": measure_limits,
    "mismatch": measure_mismatch,
    "gradient_risk": measure_risk,
    "loc_risk": measure_loc_risk,
    "rate_mismatch": measure_rate_mismatch,
}


def analyze(output, batch: analysis.LatentBatch, progress: Callable = lambda items, name: items):
    """Measures everything and writes a CSV file for each kind of result, and the figures.

    Args:
      output: Folder to write to, when everything is measured; files that are there are replaced by
        those of the same name.
      batch: Latents for the recommendations, see `latent_batch`.
      progress: Callable (iterator, name) -> iterator, which may show what passes through it.

    Returns:
      Dict of lists of results by name.

    Raises:
      ImportError: if matplotlib is not installed.
    """
    # Before the minutes of measuring, and not after.
    figures.check_matplotlib()
    results = {name: list(progress(measure(), name)) for name, measure in MEASUREMENTS.items()}
    results["recommendation"] = list(progress(measure_recommendations(batch), "recommendation"))
    with writing_folder(output) as unfinished:
        _write(results, unfinished)
    return results


def _write(results: dict, output: pathlib.Path) -> None:
    """Writes tables and figures into an existing folder."""
    for name, rows in results.items():
        analysis.to_csv(rows, output / f"{name}.csv")
    for result in results["recommendation"]:
        stem = "recommendation_" + re.sub(r"\W+", "_", result.surrogate)
        analysis.to_csv(result.bound_curve, output / f"{stem}_bound.csv")
        if result.temperature_curve:
            analysis.to_csv(result.temperature_curve, output / f"{stem}_temperature.csv")
    write_figures(results, output)
    write_markdown(results, output)
