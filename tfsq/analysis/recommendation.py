"""Settings that come out of the measurements: the scale's lower bound and the temperature."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfsq.analysis import losses
from tfsq.analysis.batch_measurement import BatchMeasurement, LatentBatch
from tfsq.analysis.gradient_risk import gradient_risk
from tfsq.analysis.measurement import name_of, prepared
from tfsq.analysis.mismatch import mismatch, rate_mismatch
from tfsq.analysis.results import Result
from tfsq.analysis.sources import Source
from tfsq.layers import AnnealedQuantizer, get

TEMPERATURES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03)
BOUNDS = tuple(float(f"{bound:.3g}") for bound in np.geomspace(0.01, 1.0, 17))
# What J may exceed its minimum by, and still be called flat; in bits, or relative for temperatures.
_FLAT = 1e-3
# The default of `LowerBoundedGaussianConditional`, and what TFC's examples have.
USUAL_BOUND = 0.11
# Networks gained no more from annealing that ended lower, `docs/results.md`, "Other networks".
LOWEST_END = 0.05


@dataclasses.dataclass(frozen=True)
class TemperaturePoint(Result):
    """A point of the curve that led to a temperature.

    Attributes:
      temperature: The temperature t.
      mismatch: D(t) = E[(y~ - round y)^2].
      risk: Risk of the gradient, bias^2 + variance; infinite where the samples do not resolve it.
      criterion: D(t) / D(1) + weight * risk(t) / risk(1).
    """

    temperature: float
    mismatch: float
    risk: float
    criterion: float


@dataclasses.dataclass(frozen=True)
class BoundPoint(Result):
    """A point of the curve that led to a lower bound.

    Attributes:
      bound: The lower bound b of the scale.
      training_rate: Bits per element that training sees.
      hard_rate: Ideal code length in bits per element.
      criterion: J(b) = |training_rate - hard_rate| + hard_rate - min hard_rate.
    """

    bound: float
    training_rate: float
    hard_rate: float
    criterion: float


@dataclasses.dataclass(frozen=True)
class Recommendation(Result):
    """What `recommend` returns; prints as one row.

    Attributes:
      surrogate: Name of the surrogate of the reconstruction.
      rate_surrogate: Name of the surrogate of the rate.
      temperature: The recommended temperature, None if the surrogate has none.
      scale_lower_bound: The recommended bound of the predicted scale.
      note: What to know about the two numbers.
      temperature_curve: The `TemperaturePoint`s, empty without a temperature.
      bound_curve: The `BoundPoint`s.
    """

    surrogate: str
    rate_surrogate: str
    temperature: float | None
    scale_lower_bound: float
    note: str
    temperature_curve: tuple[TemperaturePoint, ...] = dataclasses.field(repr=False)
    bound_curve: tuple[BoundPoint, ...] = dataclasses.field(repr=False)


def recommend(
    surrogate,
    source: Source | LatentBatch,
    *,
    scale: float | None = None,
    loss: losses.Loss | None = None,
    rate_surrogate=None,
    weight: float = 1.0,
    temperatures: Sequence[float] = TEMPERATURES,
    bounds: Sequence[float] = BOUNDS,
    seed: int = 0,
) -> Recommendation:
    """Recommends a temperature and a lower bound of the scale, from what it measures.

    The temperature minimizes D(t) / D(1) + weight * risk(t) / risk(1), the mismatch against the
    risk of the gradient. risk(1) is that of the highest temperature at which the samples resolve
    it, and an unresolved risk is infinite. Where the risk does not rise as t falls, as it may not
    for the straight-through gradient, the minimum is at the smallest of `temperatures`, and the
    note says so. The bound minimizes J(b) = |rate gap(b)| + hard rate(b) - min hard rate, the gap
    between training and coding against what the bound itself costs, which keeps it from running
    away; where J is flat it is the smallest, and the note says so.

    For a source the risk is that of `gradient_risk` in the location. For a batch of real latents it
    is the risk of the gradient in a common shift of a channel, summed over the channels, against
    the central difference of the hard loss under shifts of 0.1 to either side.

    Args:
      surrogate: Quantizer layer of the reconstruction, or what `tfsq.layers.get` takes.
      source: Law of the residual, or a `LatentBatch`.
      scale: Predicted scale for a source, its standard deviation if None.
      loss: Loss for a source, the squared error to the latent if None.
      rate_surrogate: Quantizer of the rate; None takes `surrogate`, at the temperature found.
      weight: Weight of the risk against the mismatch, at least 0.
      temperatures: What to choose from, with 1 among them.
      bounds: What to choose from, positive.
      seed: Seed of the noise.

    Returns:
      A `Recommendation`.

    Raises:
      TypeError: if `source` is neither a source nor a batch.
      ValueError: if an argument is out of its range, or `scale` or `loss` is given for a batch.
    """
    _check_choices(source, weight, temperatures, bounds)
    layer = get(surrogate)
    rate_layer = layer if rate_surrogate is None else get(rate_surrogate)
    measurement = _measurement_of(source, scale, loss, seed)
    temperature, curve, notes = _temperature_of(layer, measurement, temperatures, weight)
    if isinstance(rate_layer, AnnealedQuantizer):
        rate_layer = prepared(rate_layer, temperature if rate_surrogate is None else None)
    bound_curve = _bound_curve(bounds, [measurement.rates(rate_layer, b) for b in bounds])
    bound, flat_note = _smallest_of_the_flat(bound_curve)
    return Recommendation(
        name_of(layer),
        name_of(rate_layer),
        temperature,
        bound,
        "; ".join([*notes, *flat_note]),
        curve,
        bound_curve,
    )


def advice(found: Recommendation) -> str:
    """Returns what follows from a recommendation for training, in plain sentences, and the command.

    The temperature is the best at the point of training that the latents are from. Annealing may
    end there, but no lower than 0.05, below which networks that we trained to their end gained no
    more. Of bounds, the usual one stays unless the nearest one that was tried costs more than a
    thousandth of a bit. The command names the surrogates without options of theirs.

    Args:
      found: What `recommend` returned.
    """
    reconstruction, rate = (name.split()[0] for name in (found.surrogate, found.rate_surrogate))
    command = f"tfsq train IMAGES --output RUN --reconstruction-quantizer {reconstruction}"
    command += f" --rate-quantizer {rate if rate != reconstruction else 'same'}"
    if found.temperature is None:
        first = f"{found.surrogate} has no temperature."
    else:
        end = max(found.temperature, LOWEST_END)
        first = (
            f"With {found.surrogate}, these latents ask for a temperature of "
            f"{found.temperature:g}; let annealing end at {end:g}."
        )
        command += f" --final-temperature {end:g}"
    usual = min(found.bound_curve, key=lambda point: abs(math.log(point.bound / USUAL_BOUND)))
    cost = usual.criterion - min(point.criterion for point in found.bound_curve)
    if cost <= _FLAT:
        second = f"Keep the lower bound of {USUAL_BOUND:g}: here it costs nothing."
    else:
        second = (
            f"A lower bound of {found.scale_lower_bound:g} is better than the default of "
            f"{USUAL_BOUND:g}, by {cost:.3f} bits a latent."
        )
        command += f" --scale-lower-bound {found.scale_lower_bound:g}"
    return f"{first} {second}\n\n    {command}"


def _check_choices(source, weight, temperatures, bounds) -> None:
    if not isinstance(source, (Source, LatentBatch)):
        raise TypeError(f"`source` must be a Source or a LatentBatch. Received: {source!r}")
    if not 0.0 <= weight < math.inf:
        raise ValueError(f"`weight` must be at least 0 and finite. Received: weight={weight}")
    if 1.0 not in temperatures:
        raise ValueError(f"`temperatures` must contain 1. Received: {tuple(temperatures)}")
    if not len(bounds) or not all(0 < bound < math.inf for bound in bounds):
        raise ValueError(f"`bounds` must be positive and finite. Received: {tuple(bounds)}")


def _measurement_of(source, scale, loss, seed) -> _SourceMeasurement | BatchMeasurement:
    if isinstance(source, LatentBatch):
        for name, value in (("scale", scale), ("loss", loss)):
            if value is not None:
                raise ValueError(f"`{name}` is for a source; a batch has its own.")
        return BatchMeasurement(source, seed)
    scale = math.sqrt(source.variance) if scale is None else scale
    loss = losses.SquaredError() if loss is None else loss
    return _SourceMeasurement(source, scale, loss, seed)


def _temperature_of(layer, measurement, temperatures, weight) -> tuple:
    """The best temperature, the curve that it is the lowest point of, and what to say of it."""
    if not isinstance(layer, AnnealedQuantizer):
        return None, (), []
    descending = sorted(temperatures, reverse=True)
    measured = {t: measurement.mismatch_and_risk(prepared(layer, t)) for t in descending}
    curve = _temperature_curve(measured, weight)
    temperature = min(curve, key=lambda point: point.criterion).temperature
    notes = []
    if temperature in (min(temperatures), max(temperatures)):
        notes.append("no minimum inside: the temperature is at an end of its range")
    unresolved = [point.temperature for point in curve if math.isinf(point.risk)]
    if unresolved:
        at = ", ".join(f"{t:g}" for t in unresolved)
        notes.append(f"the risk is not resolved at t = {at}")
    return temperature, curve, notes


def _ratio(value, reference):
    # A surrogate that is rounding in its forward pass has no mismatch at any temperature.
    if reference > 0 and math.isfinite(value):
        return value / reference
    return math.inf if value > 0 else 0.0


def _temperature_curve(measured, weight):
    mismatch_at_one = measured[1.0][0]
    # From the highest temperature down: that of t = 1, if it is resolved.
    risk_at_one = next((r for _, r in measured.values() if math.isfinite(r)), math.inf)
    return tuple(
        TemperaturePoint(
            t, d, risk, _ratio(d, mismatch_at_one) + weight * _ratio(risk, risk_at_one)
        )
        for t, (d, risk) in measured.items()
    )


def _bound_curve(bounds, rates):
    least = min(hard for _, hard in rates)
    return tuple(
        BoundPoint(bound, training, hard, abs(training - hard) + hard - least)
        for bound, (training, hard) in sorted(zip(bounds, rates))
    )


def _smallest_of_the_flat(curve):
    best = min(point.criterion for point in curve)
    flat = [point.bound for point in curve if point.criterion <= best + _FLAT]
    if flat[0] == curve[0].bound:
        return flat[0], [f"J is flat up to a bound of {flat[-1]}: the smallest is taken"]
    return flat[0], []


class _SourceMeasurement:
    """What `recommend` needs of a source."""

    def __init__(self, source, scale, loss, seed):
        self.source, self.scale, self.loss, self.seed = source, scale, loss, seed

    def mismatch_and_risk(self, layer):
        """Mismatch, and the risk of the gradient in the location."""
        arguments = (layer, None, self.source, self.loss)
        measured = gradient_risk(*arguments, seed=self.seed)
        risk = measured.risk if math.isfinite(measured.variance_error) else math.inf
        return mismatch(*arguments, seed=self.seed).to_rounding, risk

    def rates(self, layer, bound):
        """Bits per latent in training and after rounding, with a scale of at least `bound`."""
        result = rate_mismatch(layer, None, self.source, self.scale, bound, seed=self.seed)
        return result.training_rate, result.hard_rate
