"""Figures of the results, readable on their own; needs matplotlib."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tfsq._extras import import_extra
from tfsq.analysis.gradient_risk import GradientRisk
from tfsq.analysis.mismatch import Mismatch, RateMismatch
from tfsq.analysis.recommendation import Recommendation

_LINES = ("-", "--", ":", "-.")


def _pyplot():
    return import_extra("matplotlib.pyplot", "Figures")


def check_matplotlib() -> None:
    """Raises ImportError unless matplotlib, which the figures need, is installed."""
    _pyplot()


def _new(title, columns, width=5.5, rows=1):
    pyplot = _pyplot()
    # Not through pyplot's state, so that nothing stays open.
    figure = pyplot.Figure(figsize=(width * columns, 4.4 * rows + 0.4), layout="constrained")
    figure.suptitle(title)
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def _styles(names):
    """One color and line for each name."""
    colors = _pyplot().get_cmap("tab10").colors
    pairs = zip(itertools.cycle(colors), np.repeat(_LINES, len(colors)))
    return {name: {"color": c, "linestyle": line} for name, (c, line) in zip(names, pairs)}


def _against_temperature(axes, results, value, styles, error=None):
    names = dict.fromkeys(result.surrogate for result in results)
    for name in names:
        mine = [result for result in results if result.surrogate == name]
        values = [value(result) for result in mine]
        if mine[0].temperature is None:
            axes.axhline(values[0], lw=1, **styles[name], label=name)
        else:
            temperatures = [result.temperature for result in mine]
            axes.plot(temperatures, values, marker="o", ms=3, **styles[name], label=name)
        for result, v in zip(mine, values):
            if error is not None and error(result) > 0.25 * v:
                at = 1.0 if result.temperature is None else result.temperature
                axes.plot(at, v, "x", ms=9, color=styles[name]["color"])
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel("temperature t (annealing goes to the right)")
    axes.grid(alpha=0.3)


def staircase(temperatures: Sequence[float] = (1.0, 0.5, 0.2, 0.05)):
    """The conditional mean h_t of stochastic uniform annealing.

    Args:
      temperatures: One curve for each.

    Returns:
      A matplotlib figure.
    """
    figure, (axes,) = _new("What stochastic uniform annealing returns on average", 1, 7)
    y = np.linspace(-1.5, 1.5, 1201)
    for t in temperatures:
        h = np.floor(y) + np.clip((y - np.floor(y) - 0.5) / t + 0.5, 0, 1)
        axes.plot(y, h, label=f"t = {t:g}" + (" (the identity)" if t == 1 else ""))
    axes.set_xlabel("latent y")
    axes.set_ylabel("E[y~ | y] = h_t(y)")
    axes.grid(alpha=0.3)
    axes.legend(title="risers of width t around the ties")
    return figure


def mismatch_against_temperature(results: Sequence[Mismatch]):
    """How far each surrogate is from rounding and from the latent, a column of axes a source.

    Args:
      results: For surrogates with a temperature, several temperatures.

    Returns:
      A matplotlib figure.
    """
    sources = list(dict.fromkeys(result.source for result in results))
    figure, axes = _new("Train-test mismatch: distance from rounding", len(sources))
    styles = _styles(dict.fromkeys(result.surrogate for result in results))
    for ax, source in zip(axes, sources):
        mine = [result for result in results if result.source == source]
        _against_temperature(ax, mine, lambda result: result.to_rounding, styles)
        ax.set_title(f"latent ~ {source}")
        ax.set_ylabel("E[(y~ - round y)²]")
    _legend(figure, axes[0])
    return figure


def risk_against_temperature(results: Sequence[GradientRisk]):
    """Bias and standard deviation of each surrogate's gradient; a row of axes for each source.

    Args:
      results: For surrogates with a temperature, several temperatures.

    Returns:
      A matplotlib figure.
    """
    sources = list(dict.fromkeys(result.source for result in results))
    figure, axes = _new(
        "Risk of the gradient, against the exact gradient of the loss after rounding\n"
        "(crosses: not resolved, the standard error is above a quarter of the value)",
        2,
        rows=len(sources),
    )
    styles = _styles(dict.fromkeys(result.surrogate for result in results))
    values = (
        ("|bias|", lambda r: abs(r.bias), lambda r: r.bias_error),
        (
            "standard deviation of one sample",
            lambda r: r.variance**0.5,
            lambda r: r.variance_error / (2 * r.variance**0.5),
        ),
    )
    for ax, (source, (label, value, error)) in zip(axes, itertools.product(sources, values)):
        mine = [result for result in results if result.source == source]
        _against_temperature(ax, mine, value, styles, error)
        ax.set_yscale("log")
        ax.set_ylabel(label)
        ax.set_title(f"latent ~ {source}", fontsize=10)
    _legend(figure, axes[0])
    return figure


def rate_mismatch_against_bound(results: Sequence[RateMismatch]):
    """Training rate minus hard rate against the lower bound of the scale.

    Args:
      results: Several bounds for each surrogate and source.

    Returns:
      A matplotlib figure.
    """
    sources = list(dict.fromkeys((result.source, result.scale) for result in results))
    figure, axes = _new("Rate mismatch: what training charges and coding does not", len(sources))
    styles = _styles(dict.fromkeys(_named(result) for result in results))
    for ax, (source, scale) in zip(axes, sources):
        mine = [r for r in results if (r.source, r.scale) == (source, scale)]
        for name in dict.fromkeys(map(_named, mine)):
            points = [(r.bound, r.gap) for r in mine if _named(r) == name]
            ax.plot(*zip(*points), marker="o", ms=3, **styles[name], label=name)
        hard = [(r.bound, r.hard_rate) for r in mine if _named(r) == _named(mine[0])]
        ax.plot(*zip(*hard), color="black", lw=2, alpha=0.5, label="hard rate")
        ax.axvline(0.11, color="gray", lw=0.8)
        ax.set_xscale("log")
        ax.set_yscale("symlog", linthresh=0.01)
        ax.set_xlabel("lower bound of the scale (gray: 0.11)")
        ax.set_ylabel("bits per element")
        ax.set_title(f"residual ~ {source}, predicted scale {scale:g}", fontsize=10)
        ax.grid(alpha=0.3)
    _legend(figure, axes[0])
    return figure


def recommendations(results: Sequence[Recommendation], title: str):
    """The curves that led to recommended temperatures and bounds.

    Args:
      results: What `recommend` returned for several surrogates.
      title: What was measured.

    Returns:
      A matplotlib figure.
    """
    figure, (left, right) = _new(title, 2, 6)
    styles = _styles([result.surrogate for result in results])
    for result in results:
        style = styles[result.surrogate]
        if result.temperature_curve:
            curve = [(p.temperature, p.criterion) for p in result.temperature_curve]
            name = f"{result.surrogate}: t = {result.temperature:g}"
            left.plot(*zip(*curve), marker="o", ms=3, **style, label=name)
            best = min(p.criterion for p in result.temperature_curve)
            left.plot(result.temperature, best, "*", ms=14, color=style["color"])
        curve = [(p.bound, p.criterion) for p in result.bound_curve]
        name = f"{result.rate_surrogate}: bound = {result.scale_lower_bound:g}"
        right.plot(*zip(*curve), marker="o", ms=3, **style, label=name)
        chosen = next(p for p in result.bound_curve if p.bound == result.scale_lower_bound)
        right.plot(chosen.bound, chosen.criterion, "*", ms=14, color=style["color"])
    left.set_ylim(0, 3)
    if left.lines:
        left.invert_xaxis()
    left.set_xlabel("temperature t")
    left.set_ylabel("D(t) / D(1) + risk(t) / risk(1)")
    left.set_title("reconstruction: mismatch against risk")
    right.set_xlabel("lower bound of the scale")
    right.set_ylabel("|rate gap| + cost of the bound, bits per element")
    right.set_title("rate")
    for ax in (left, right):
        ax.grid(alpha=0.3)
        if ax.lines:
            ax.set_xscale("log")
            ax.legend(fontsize=8, title="star: recommended")
    return figure


def _named(result):
    at = "" if result.temperature is None else f", t = {result.temperature:g}"
    return result.surrogate + at


def _legend(figure, axes):
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8)
