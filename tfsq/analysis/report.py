"""What `tfsq analyze` does: measures every surrogate, and leaves tables and figures in a folder."""

from __future__ import annotations

import itertools
import pathlib
import re
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfsq import drawing, layers
from tfsq.analysis import figures
from tfsq.analysis.batch_measurement import LatentBatch
from tfsq.analysis.gradient_risk import GradientRisk, gradient_risk
from tfsq.analysis.limits import Limit, rate_distortion_bound, scalar_quantizer_limit
from tfsq.analysis.losses import Rate, RateDistortion, SquaredError
from tfsq.analysis.mismatch import Mismatch, RateMismatch, mismatch, rate_mismatch
from tfsq.analysis.recommendation import Recommendation, recommend
from tfsq.analysis.results import markdown, to_csv
from tfsq.analysis.sources import Gaussian, Laplace, Logistic
from tfsq.files import writing_folder

# Enough for figures; the functions' own default is finer.
_LOG2_POINTS = 12

TEMPERATURES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.03)
BOUNDS = (0.01, 0.02, 0.04, 0.07, 0.11, 0.16, 0.25, 0.4, 0.6, 1.0)
LMBDAS = (1.0, 3.0, 15.0, 60.0)
SOURCES = (Gaussian(0.3, 0.2), Gaussian(0.3, 0.5), Laplace(0.3, 0.5))
# True law of the residual, and its predicted scale: right, too small, and nearly constant.
RESIDUALS = (
    (Gaussian(scale=0.3), 0.3),
    (Gaussian(scale=0.3), 0.1),
    (Gaussian(scale=0.03), 0.03),
)


def _decoder(v):
    return 2.0 * tf.tanh(0.7 * v) + 0.3 * v


LOSS = SquaredError(_decoder, target=0.9)


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


def measure_mismatch() -> Iterator[Mismatch]:
    """Yields the mismatch of every surrogate, temperature and source."""
    yield from _at_temperatures(mismatch, SOURCES)


def measure_risk() -> Iterator[GradientRisk]:
    """Yields the gradient risk in the location, of every surrogate, temperature and source."""
    yield from _at_temperatures(gradient_risk, SOURCES[:2])


def measure_loc_risk() -> Iterator[GradientRisk]:
    """Yields the gradient risk in the predicted mean, with and without partial stop-gradient.

    The loss is rate + distortion: with partial stop-gradient the mean learns from the rate alone.
    """
    for source in SOURCES[:2]:
        rate = Rate(Gaussian(scale=source.scale))
        loss = RateDistortion(rate, LOSS, lmbda=1.0)
        for stop_gradient in ("partial", "none"):
            for layer in surrogates():
                annealed = isinstance(layer, layers.AnnealedQuantizer)
                for t in (1.0, 0.5, 0.1) if annealed else (None,):
                    yield gradient_risk(
                        layer,
                        t,
                        source,
                        loss,
                        "loc",
                        stop_gradient,
                        loc=0.2,
                        log2_points=_LOG2_POINTS,
                    )


def measure_rate_mismatch() -> Iterator[RateMismatch]:
    """Yields the rate mismatch against the bound, of some surrogates for the rate."""
    for source, scale in RESIDUALS:
        for name, temperature in (("aun", None), ("ste", None), ("sua", 0.5), ("unsr", 0.25)):
            for bound in BOUNDS:
                yield rate_mismatch(
                    name, temperature, source, scale, bound, log2_points=_LOG2_POINTS
                )


def measure_limits() -> Iterator[Limit]:
    """Yields, for unit sources, the best scalar quantizers and Shannon's bounds."""
    sources = (Gaussian(), Laplace(), Logistic())
    for limit in (scalar_quantizer_limit, rate_distortion_bound):
        yield from (limit(source, lmbda) for source, lmbda in itertools.product(sources, LMBDAS))


def measure_recommendations(batch: LatentBatch) -> Iterator[Recommendation]:
    """Yields what the batch says of some surrogates, each for both paths.

    Args:
      batch: See `tfsq.evaluation.latent_batch`.
    """
    for surrogate in recommended():
        yield recommend(surrogate, batch)


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
        figure.savefig(output / f"{name}.png")


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
    return markdown(columns, rows)


def _recommendation_table(results):
    columns = ["surrogate of both paths", "temperature", "lower bound", "note"]
    rows = [[r.surrogate, r.temperature, r.scale_lower_bound, r.note] for r in results]
    return markdown(columns, rows)


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


def analyze(output, batch: LatentBatch, progress: Callable = lambda items, name: items):
    """Measures everything and writes a CSV file for each kind of result, and the figures.

    Args:
      output: Folder to write to, when everything is measured; files that are there are replaced by
        those of the same name.
      batch: Latents for the recommendations, see `tfsq.evaluation.latent_batch`.
      progress: Callable (iterator, name) -> iterator, which may show what passes through it.

    Returns:
      Dict of lists of results by name.

    Raises:
      ImportError: if matplotlib is not installed.
    """
    # Before the minutes of measuring, and not after.
    drawing.check_matplotlib()
    results = {name: list(progress(measure(), name)) for name, measure in MEASUREMENTS.items()}
    results["recommendation"] = list(progress(measure_recommendations(batch), "recommendation"))
    with writing_folder(output) as unfinished:
        _write(results, unfinished)
    return results


def _write(results: dict, output: pathlib.Path) -> None:
    """Writes tables and figures into an existing folder."""
    for name, rows in results.items():
        to_csv(rows, output / f"{name}.csv")
    for result in results["recommendation"]:
        stem = "recommendation_" + re.sub(r"\W+", "_", result.surrogate)
        to_csv(result.bound_curve, output / f"{stem}_bound.csv")
        if result.temperature_curve:
            to_csv(result.temperature_curve, output / f"{stem}_temperature.csv")
    write_figures(results, output)
    write_markdown(results, output)
