"""Figures of codecs in words, for their cards."""

from __future__ import annotations

import math
import pathlib
import statistics
from collections.abc import Iterator, Sequence

from tfsq.codec.saved_model import read_metadata, told_of_codec
from tfsq.evaluation.comparison import Curve, Measurement, read_comparison
from tfsq.files import resolved


def summary(group: Sequence[Measurement]) -> str:
    """Means and spread over images.

    Args:
      group: Measurements of one codec at one quality, one for each image.

    Returns:
      Part of a sentence.
    """
    (mean,) = Curve("tfsq", tuple(group)).means()
    count = len(group)
    bpp = _spread([m.bpp for m in group], "standard deviation over images {:.4f}")
    psnr = _spread([m.psnr for m in group], "{:.2f}")
    text = (
        f"{count} image{'' if count == 1 else 's'}, real files: {mean.bpp:.4f} bits per pixel"
        f"{bpp}, {mean.psnr:.2f} dB{psnr}"
    )
    if mean.ms_ssim is None:
        return text
    known = sum(m.ms_ssim is not None for m in group)
    of_some = "" if known == count else f" over the {known} that are large enough"
    return f"{text}, MS-SSIM {mean.ms_ssim:.4f}{of_some}"


def _spread(values: list[float], text: str) -> str:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return ""
    return f" ({text.format(statistics.stdev(values))})"


def card_figures(figures, folder) -> str:
    """Returns what was measured of a codec, for `CardFacts`.

    Args:
      figures: CSV file that `tfsq evaluate --csv` or `write_comparison` wrote. It names codecs by
        folder and lambda, and not by weights.
      folder: Folder of the codec.

    Returns:
      Markdown: of each quality, means and spread over the images.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is no such file, or has no rows of the codec.
      ModelError: if the folder is not an exported codec.
    """
    figures, folder = pathlib.Path(figures), pathlib.Path(folder)
    metadata = read_metadata(folder)
    with told_of_codec(folder):
        rungs, lmbda = len(metadata.get("lmbdas") or ()), metadata["lmbda"]
    groups = list(_groups_of(figures))
    fitting = [
        group
        for group in groups
        if _is_name_of(group[0].codec, folder)
        and (1 <= group[0].quality <= rungs if rungs else group[0].quality == lmbda)
    ]
    unit, span = ("quality", f"1 to {rungs}") if rungs else ("lambda", f"{lmbda:g}")
    if not fitting:
        others = ", ".join(f"{group[0].codec} at {group[0].quality:g}" for group in groups)
        raise ValueError(
            f"`figures` must have rows of {folder}, at {unit} {span}. Received: {figures}, with "
            f"{others or 'no rows'}"
        )
    lines = [f"- {unit} {group[0].quality:g}, {summary(group)}" for group in fitting]
    return f"Means that `tfsq evaluate` wrote to `{figures.name}`:\n\n" + "\n".join(lines)


def _groups_of(figures: pathlib.Path) -> Iterator[list[Measurement]]:
    """The measurements of each model and quality that means are over."""
    try:
        curves = read_comparison(figures)
    except ValueError as error:
        raise ValueError(
            f"`figures` must be a CSV file of `tfsq evaluate`. Received: {figures} ({error})"
        ) from error
    for curve in curves:
        if curve.of_models:
            found = ([m for m in g if m.file not in curve.without] for g in curve.groups())
            yield from filter(None, found)


def _is_name_of(name: str, folder: pathlib.Path) -> bool:
    """Whether `Comparison` may have called a folder so."""
    parts = pathlib.Path(name).parts
    return resolved(folder).parts[-len(parts) :] == parts
