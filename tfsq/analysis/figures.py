"""Figures of the results, readable on their own; needs matplotlib."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Sequence

import numpy as np

from tfsq import drawing
from tfsq.analysis.gradient_risk import GradientRisk
from tfsq.analysis.mismatch import Mismatch, RateMismatch
from tfsq.analysis.recommendation import Recommendation

_SUA = "StochasticUniformAnnealing"
# What stands for it beside lines; other names become words.
_SHORT = {
    _SUA: "SUA",
    "AdditiveUniformNoise": "additive noise",
    "KumaraswamySoftRounding": "Kumaraswamy soft rounding",
    "StochasticGumbelAnnealing": "stochastic Gumbel annealing",
    "StraightThroughRounding": "straight-through rounding",
}
_FAMILIES = ("SUA", "other annealed", "without temperature")
# Characters of a line of a label.
_LABEL_WIDTH = 19


@drawing.styled
def staircase(temperatures: Sequence[float] = (1.0, 0.5, 0.2, 0.05)):
    """The conditional mean h_t of stochastic uniform annealing.

    Args:
      temperatures: One curve for each.

    Returns:
      A matplotlib figure.
    """
    title = "Mean of stochastic uniform annealing:\nrisers of width t around the ties"
    figure, ((axes,),) = drawing.new_figure(title=title)
    y = np.linspace(-1.5, 1.5, 1201)
    for t, style in drawing.line_styles(temperatures).items():
        h = np.floor(y) + np.clip((y - np.floor(y) - 0.5) / t + 0.5, 0, 1)
        name = f"t = {t:g}" + ("\n(the identity)" if t == 1 else "")
        axes.plot(y, h, **{**style, "marker": ""}, label=name)
    axes.set_xlabel("latent y")
    axes.set_ylabel("E[y~ | y] = h_t(y)")
    drawing.label_ends(axes)
    return figure


@drawing.styled
def mismatch_against_temperature(results: Sequence[Mismatch]):
    """How far each surrogate is from rounding: a column of axes a source, a row a family.

    Args:
      results: For surrogates with a temperature, several temperatures.

    Returns:
      A matplotlib figure.
    """
    sources = list(dict.fromkeys(result.source for result in results))
    families = _families(results)
    figure, axes = drawing.new_figure(
        len(sources),
        len(families),
        width=2,
        height=1.8,
        title="Train-test mismatch: distance from rounding (gray: the other surrogates)",
        sharex=True,
        sharey=True,
    )
    for (family, members), row in zip(families.items(), axes):
        for ax, source in zip(row, sources):
            mine = [result for result in results if result.source == source]
            _against_temperature(ax, mine, lambda result: result.to_rounding, members)
            ax.set_title(source if len(families) == 1 else f"{family}\n{source}")
        row[0].set_ylabel("E[(y~ - round y)²]")
    _finish_temperatures(axes)
    drawing.label_ends(*axes[:, -1])
    return figure


@drawing.styled
def risk_against_temperature(results: Sequence[GradientRisk]):
    """Bias and deviation of each surrogate's gradient; rows of axes for each source and family.

    Args:
      results: For surrogates with a temperature, several temperatures.

    Returns:
      A matplotlib figure.
    """
    sources = dict.fromkeys(result.source for result in results)
    rows = list(itertools.product(sources, _families(results).items()))
    figure, axes = drawing.new_figure(
        2,
        len(rows),
        width=2,
        height=1.5,
        title="Risk of the gradient, against the exact gradient of the loss after rounding\n"
        "(crosses: not resolved, the standard error is above a quarter of the value;\n"
        "gray: the other surrogates)",
        sharex=True,
    )
    values: tuple[tuple[str, Callable, Callable], ...] = (
        ("|bias|", lambda r: abs(r.bias), lambda r: r.bias_error),
        (
            "sd of a sample",
            lambda r: r.variance**0.5,
            lambda r: r.variance_error / (2 * r.variance**0.5),
        ),
    )
    for (source, (family, members)), row in zip(rows, axes):
        mine = [result for result in results if result.source == source]
        for ax, (label, value, error) in zip(row, values):
            _against_temperature(ax, mine, value, members, error)
            drawing.log_axis(ax.yaxis)
            ax.set_ylabel(label)
        row[0].set_title(f"{family}, latent ~ {source}", loc="left")
    _finish_temperatures(axes)
    drawing.label_ends(*axes[:, -1])
    return figure


@drawing.styled
def rate_mismatch_against_bound(results: Sequence[RateMismatch]):
    """Training rate minus hard rate against the lower bound of the scale.

    Args:
      results: Several bounds for each surrogate and source.

    Returns:
      A matplotlib figure.
    """
    sources = list(dict.fromkeys((result.source, result.scale) for result in results))
    figure, axes = drawing.new_figure(
        len(sources),
        width=2,
        height=2.6,
        title="Rate mismatch: what training charges and coding does not (vertical line: 0.11)",
        sharey=True,
    )
    styles = drawing.line_styles(map(_named, results))
    for ax, (source, scale) in zip(axes[0], sources):
        mine = [r for r in results if (r.source, r.scale) == (source, scale)]
        for name in dict.fromkeys(map(_named, mine)):
            points = [(r.bound, r.gap) for r in mine if _named(r) == name]
            ax.plot(*zip(*points), **styles[name], label=name)
        hard = [(r.bound, r.hard_rate) for r in mine if _named(r) == _named(mine[0])]
        ax.plot(*zip(*hard), color="0.4", lw=2.5, alpha=0.6, label="hard rate")
        ax.axvline(0.11, color="0.4", lw=0.8)
        drawing.log_axis(ax.xaxis)
        ax.set_yscale("symlog", linthresh=0.01)
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_title(f"residual ~ {source},\npredicted scale {scale:g}")
    axes[0, 0].set_ylabel("bits per element")
    figure.supxlabel("lower bound of the scale", fontsize=drawing.FONT_SIZE)
    drawing.label_ends(axes[0, -1])
    return figure


@drawing.styled
def recommendations(results: Sequence[Recommendation], title: str):
    """The curves that led to recommended temperatures and bounds.

    Args:
      results: What `recommend` returned for several surrogates.
      title: What was measured.

    Returns:
      A matplotlib figure.
    """
    figure, ((left, right),) = drawing.new_figure(
        2, width=2, height=3.0, title=f"{title} (star: recommended)"
    )
    for result, style in zip(results, drawing.line_styles(range(len(results))).values()):
        if result.temperature_curve:
            curve = [(p.temperature, p.criterion) for p in result.temperature_curve]
            best = min(p.criterion for p in result.temperature_curve)
            name = f"{_short(result.surrogate)}\nt = {result.temperature:g}"
            _curve_and_star(left, curve, (result.temperature, best), style, name)
        curve = [(p.bound, p.criterion) for p in result.bound_curve]
        chosen = next(p for p in result.bound_curve if p.bound == result.scale_lower_bound)
        name = f"{_short(result.rate_surrogate)}\nbound {chosen.bound:g}"
        _curve_and_star(right, curve, (chosen.bound, chosen.criterion), style, name)
    left.set_ylim(0, 3)
    left.set_xlabel("temperature t")
    left.set_ylabel("D(t) / D(1) + risk(t) / risk(1)")
    left.set_title("reconstruction: mismatch against risk", loc="left")
    right.set_xlabel("lower bound of the scale")
    right.set_ylabel("|rate gap| + cost of the bound,\nbits per element")
    right.set_title("rate", loc="left")
    for ax in (left, right):
        if ax.lines:
            drawing.log_axis(ax.xaxis)
    if left.lines:
        left.invert_xaxis()
    drawing.label_ends(left, right)
    return figure


def _curve_and_star(axes, curve, best, style, name):
    """A labelled line, and a star where it recommends; the style's marker would hide it."""
    axes.plot(*zip(*curve), **style, label=name)
    axes.plot(*best, "*", ms=10, color=style["color"], mec="white", mew=0.5, zorder=3)


def _families(results) -> dict[str, list[str]]:
    """Names of surrogates that are drawn in one panel, few enough for it."""
    families: dict[str, list[str]] = {family: [] for family in _FAMILIES}
    for name, temperature in dict.fromkeys((r.surrogate, r.temperature) for r in results):
        kind = 0 if name.startswith(_SUA) else 2 if temperature is None else 1
        family = _FAMILIES[kind]
        if name not in families[family]:
            families[family].append(name)
    everything = list(itertools.chain(*families.values()))
    if len(everything) <= drawing.MAX_LINES:
        return {"surrogates": everything}
    most = drawing.MAX_LINES
    return {
        name if len(members) <= most else f"{name} {i // most + 1}": members[i : i + most]
        for name, members in families.items()
        for i in range(0, len(members), most)
    }


def _against_temperature(axes, results, value, members, error=None):
    """Lines of a family, and all others in gray; a surrogate without temperature is level."""
    styles = drawing.line_styles(members)
    names = dict.fromkeys(result.surrogate for result in results)
    for name in sorted(names, key=lambda name: name in styles):
        mine = [result for result in results if result.surrogate == name]
        temperatures, values = [r.temperature for r in mine], [value(r) for r in mine]
        others = {"color": drawing.GRAY, "lw": 0.8, "label": "_"}
        style = {**styles[name], "label": _short(name)} if name in styles else others
        if temperatures == [None]:
            axes.axhline(values[0], **{**style, "marker": ""})
        else:
            axes.plot(temperatures, values, **style)
        if name not in styles or error is None:
            continue
        for result, t, v in zip(mine, temperatures, values):
            if error(result) > 0.25 * v:
                at = 1.0 if t is None else t
                axes.plot(at, v, "x", ms=7, color=style["color"])


def _finish_temperatures(axes) -> None:
    """The axis that all panels share."""
    for ax in axes.ravel():
        drawing.log_axis(ax.xaxis)
    # Shared axes are inverted together.
    axes[0, 0].invert_xaxis()
    label = "temperature t (annealing goes to the right)"
    axes[0, 0].figure.supxlabel(label, fontsize=drawing.FONT_SIZE)


def _short(name: str) -> str:
    """A surrogate's name and settings in words, in lines that fit beside axes."""
    surrogate, *settings = name.split()
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", surrogate)
    words = _SHORT.get(surrogate, words.lower() if " " in words else words)
    values = [setting.partition("=")[2] or setting for setting in settings]
    return "\n".join(textwrap.wrap(", ".join([words, *values]), _LABEL_WIDTH))


def _named(result) -> str:
    at = "" if result.temperature is None else f"\nt = {result.temperature:g}"
    return _short(result.surrogate) + at
