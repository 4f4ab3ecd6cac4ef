"""One style for every figure: a paper's columns, its fonts, and lines that anybody tells apart.

A function that draws is decorated with `styled`, begins with `new_figure` and ends with
`label_ends`. The user's own settings of matplotlib stay as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from tfsq._extras import import_extra

# Inches, of a page of two columns.
WIDTHS = {1: 3.5, 2: 7.16}
FONT_SIZE = 8.0
# What a reader follows in one panel.
MAX_LINES = 7
# Of Okabe and Ito, in an order in which neighbours differ in lightness, too, for gray prints.
# Their yellow is left out: it is all but white.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#000000", "#CC79A7")
# Lines that are there for comparison alone.
GRAY = "0.85"
_LINES = ("-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)), (0, (6, 2)), ":", (0, (2, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_STYLE: dict[str, Any] = {
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), FONT_SIZE),
    **dict.fromkeys(("figure.titlesize", "legend.title_fontsize"), FONT_SIZE),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), FONT_SIZE),
    "axes.grid": True,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "savefig.dpi": 200,
    # Text that can be searched and set in another font; journals refuse fonts of Type 3.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    # The same names inside a file each time it is drawn.
    "svg.hashsalt": "tfsq",
}
# Of labels from the edge of the axes, and from each other.
_LABEL_DISTANCE, _LABEL_GAP = 9.0, 1.5
# How dark the text of a color is: orange and light blue are too pale to read.
_INK = 0.65

_Drawing = TypeVar("_Drawing", bound=Callable)


def _pyplot():
    return import_extra("matplotlib.pyplot", "Figures")


def check_matplotlib() -> None:
    """Raises ImportError unless matplotlib, which figures need, is installed."""
    _pyplot()


def styled(draw: _Drawing) -> _Drawing:
    """Decorates a function, so that what it draws has the style of this module."""

    @functools.wraps(draw)
    def in_style(*args, **kwargs):
        with _pyplot().rc_context(_STYLE):
            return draw(*args, **kwargs)

    return cast(_Drawing, in_style)


@functools.cache
def _figure_class(base: Any) -> Any:
    class StyledFigure(base):
        """A figure that has its style when it is drawn and saved, which is after `styled`."""

        draw = styled(base.draw)
        savefig = styled(base.savefig)

    return StyledFigure


@styled
def new_figure(
    columns: int = 1,
    rows: int = 1,
    *,
    width: int = 1,
    height: float = 2.4,
    title: str = "",
    **subplots,
):
    """Begins a figure.

    Args:
      columns: Of panels.
      rows: Of panels.
      width: In columns of a page: 1 (3.5 inches) or 2 (7.16 inches).
      height: Of a row, in inches.
      title: Of all panels.
      **subplots: For `Figure.subplots`, such as `sharey`.

    Returns:
      A matplotlib figure, and its axes as an array [rows, columns].

    Raises:
      ImportError: if matplotlib is not installed.
      ValueError: if there is no such width.
    """
    if width not in WIDTHS:
        raise ValueError(f"`width` must be one of {list(WIDTHS)}. Received: {width}")
    titles = 0.16 * len(title.splitlines())
    # Not through pyplot's state, so that nothing stays open.
    figure = _figure_class(_pyplot().Figure)(
        figsize=(WIDTHS[width], height * rows + titles), layout="constrained"
    )
    if title:
        figure.suptitle(title)
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


def line_styles(names: Iterable) -> dict[Any, dict[str, Any]]:
    """Returns a color, a line and a marker for each name, as arguments of `Axes.plot`."""
    styles = {}
    for number, name in enumerate(dict.fromkeys(names)):
        # Beyond seven, other pairs of a color with a line and a marker.
        turn, kind = divmod(number, len(COLORS))
        line, marker = ((kind + turn * shift) % len(COLORS) for shift in (1, 2))
        style = {"color": COLORS[kind], "linestyle": _LINES[line], "marker": _MARKERS[marker]}
        styles[name] = style
    return styles


def log_axis(axis, ticks: Sequence[float] | None = None) -> None:
    """Makes an axis logarithmic.

    Its numbers are written out, or in millions: exponents of powers would be too small to read.

    Args:
      axis: `axes.xaxis` or `axes.yaxis`.
      ticks: Where it has numbers; powers of ten, and thrice them, if None.
    """
    ticker = import_extra("matplotlib.ticker", "Figures")
    set_scale = getattr(axis.axes, f"set_{axis.axis_name}scale")
    set_scale("log")
    found = ticker.LogLocator(subs=(1.0, 3.0)) if ticks is None else ticker.FixedLocator(ticks)
    axis.set_major_locator(found)
    axis.set_major_formatter(ticker.FuncFormatter(_written_out))
    axis.set_minor_formatter(ticker.NullFormatter())


def _written_out(value: float, _=None) -> str:
    return f"{value:g}" if value < 1e5 else f"{value / 1e6:.3g}M"


@styled
def label_ends(*panels) -> list:
    """Writes the name of every line of some axes beside their right edge, where the line ends.

    Names that would overlap are moved apart; a thin line leads to each. Lines without a name, or
    with one that begins with an underscore, have none. Call it last: it needs the final limits.

    Args:
      *panels: Axes of one figure.

    Returns:
      The labels.
    """
    found = [(axes, [_label(axes, line) for line in _named_lines(axes)]) for axes in panels]
    if panels:
        # The layout says how high the axes are.
        panels[0].figure.draw_without_rendering()
    for axes, labels in found:
        _spread_labels(axes, labels)
    return [label for _, labels in found for label in labels]


def _named_lines(axes):
    return [line for line in axes.lines if not str(line.get_label()).startswith("_")]


def _label(axes, line):
    """Of one line, where it ends."""
    transforms = import_extra("matplotlib.transforms", "Figures")
    end, name = _visible_end(axes, line), line.get_label()
    leader = {"arrowstyle": "-", "color": line.get_color(), "lw": 0.6, "relpos": (0.0, 0.5)}
    if end is None:
        end, name, leader["lw"] = (1.0, 0.5), f"{name}\n(not in view)", 0.0
    beside = transforms.ScaledTranslation(_LABEL_DISTANCE / 72, 0, axes.figure.dpi_scale_trans)
    red_green_blue = import_extra("matplotlib.colors", "Figures").to_rgb(line.get_color())
    return axes.annotate(
        name,
        end,
        (1.0, end[1]),
        xycoords="axes fraction",
        textcoords=axes.transAxes + beside,
        verticalalignment="center",
        color=tuple(_INK * value for value in red_green_blue),
        arrowprops={**leader, "shrinkA": 1.0, "shrinkB": 1.0},
        annotation_clip=False,
    )


def _visible_end(axes, line) -> tuple[float, float] | None:
    """The rightmost point of a line inside of its axes, as fractions of them."""
    # Reading the limits makes matplotlib settle them.
    axes.get_xlim(), axes.get_ylim()
    path = line.get_transform().transform_path(line.get_path())
    points = axes.transAxes.inverted().transform(path.vertices)
    segments = list(zip(points, points[1:])) or [(point, point) for point in points]
    inside = [end for segment in segments if (end := _end_in_unit_square(*segment)) is not None]
    return max(inside, default=None)


def _end_in_unit_square(start, stop) -> tuple[float, float] | None:
    """The rightmost point in it of a segment, if there is one."""
    if not np.isfinite([start, stop]).all():
        return None
    first, last, slack = 0.0, 1.0, 1e-6
    for at, step in zip(start, stop - start):
        if step == 0.0:
            if not -slack <= at <= 1.0 + slack:
                return None
            continue
        enters, leaves = sorted(((-slack - at) / step, (1.0 + slack - at) / step))
        first, last = max(first, enters), min(last, leaves)
    if first > last:
        return None
    x, y = max(tuple(start + t * (stop - start)) for t in (first, last))
    return float(x), float(y)


def _spread_labels(axes, labels) -> None:
    """Moves labels up and down until none overlaps another."""
    text = import_extra("matplotlib.text", "Figures").Text
    gap = _LABEL_GAP * axes.figure.dpi / 72
    # Without the lines that lead to them.
    heights = [text.get_window_extent(label).height + gap for label in labels]
    fractions = [height / axes.bbox.height for height in heights]
    for label, place in zip(labels, spread([label.xy[1] for label in labels], fractions)):
        label.set_y(place)


def spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Places things that must not overlap as near as can be to where they are wanted.

    Args:
      wanted: Where the middle of each should be.
      heights: Of each; between them, they stay from 0 to 1 where there is room.

    Returns:
      Middles, in the order of the arguments.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    ends = np.cumsum([heights[i] for i in order])
    # Below each as much as its predecessors need: what is left must not fall, no more.
    shifts = [end - heights[i] / 2 for end, i in zip(ends, order)]
    blocks: list[list[float]] = []
    for i, shift in zip(order, shifts):
        blocks.append([wanted[i] - shift])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    room = 1.0 - (ends[-1] if len(ends) else 0.0)
    low, high = (0.0, room) if room >= 0 else (room / 2, room / 2)
    bases = [min(max(float(np.mean(block)), low), high) for block in blocks for _ in block]
    places = {i: base + shift for i, base, shift in zip(order, bases, shifts)}
    return [places[i] for i in range(len(wanted))]
