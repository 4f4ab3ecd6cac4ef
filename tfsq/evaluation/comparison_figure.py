"""The figure of a comparison: rate against distortion."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Sequence

from tfsq import drawing
from tfsq.evaluation.comparison import Curve

# What a figure shows beyond the models: times their largest rate, and dB.
_CROP_RATE, _CROP_PSNR = 1.3, 3.0


def check_figure_file(path: str | os.PathLike) -> None:
    """Checks that what `draw_comparison` returns could be saved under a name.

    Args:
      path: The file to write.

    Raises:
      ImportError: if matplotlib is not installed.
      ValueError: if the ending of `path` names no format that matplotlib writes.
    """
    known = drawing.new_figure()[0].canvas.get_supported_filetypes()
    if pathlib.Path(path).suffix.lower().lstrip(".") not in known:
        raise ValueError(
            f"The ending of {path} names no format that matplotlib writes: {sorted(known)}"
        )


@drawing.styled
def draw_comparison(curves: Sequence[Curve]):
    """Draws mean PSNR against mean bits per pixel, a line for each curve, where the models are.

    Args:
      curves: What `Comparison.curves` returned.

    Returns:
      A matplotlib figure, as wide as a paper's column.

    Raises:
      ImportError: if matplotlib is not installed.
    """
    # Two lines of text for each.
    figure, ((axes,),) = drawing.new_figure(height=max(2.6, 0.32 * len(curves) + 0.6))
    for curve, style in zip(curves, drawing.line_styles(curve.name for curve in curves).values()):
        wide = {"lw": 2.4, "ms": 5, "zorder": 3} if curve.of_models else {"lw": 1.0, "ms": 3}
        axes.plot(*zip(*curve.points()), **style, **wide, label=_in_two_lines(curve.label()))
    _crop(axes, [point for c in curves if c.of_models for point in c.points()])
    files = len(curves[0].files())
    over = "One image" if files == 1 else f"Mean over {files} images"
    axes.set_title(f"{over}; up and left is better", loc="left")
    axes.set_xlabel("bits per pixel, whole files")
    axes.set_ylabel("PSNR of the decoded pixels (dB)")
    drawing.label_ends(axes)
    return figure


def _in_two_lines(label: str) -> str:
    """The name, which may be any folder's, over its qualities."""
    name, _, qualities = label.rpartition(", ")
    # Matplotlib reads formulas between dollars, and leaves out what begins with an underscore.
    shown = name.replace("$", r"\$")
    return f"{' ' * shown.startswith('_')}{shown}\n{qualities}"


def _crop(axes, points: Sequence[tuple[float, float]]) -> None:
    """Shows where models are; references go on to many times their rates."""
    finite = [psnr for _, psnr in points if math.isfinite(psnr)]
    axes.set_xlim(0.0, _CROP_RATE * max(bpp for bpp, _ in points))
    if finite:
        axes.set_ylim(min(finite) - _CROP_PSNR, max(finite) + _CROP_PSNR)
