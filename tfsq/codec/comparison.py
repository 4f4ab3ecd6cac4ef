"""Models and references on the same image files, and their means."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import pathlib
import statistics
from collections.abc import Iterable, Sequence

from tfsq._extras import import_extra
from tfsq.codec.api import compress, decompress
from tfsq.codec.evaluation import RateDistortion, rate_distortion
from tfsq.codec.image_files import read_image, writing_whole
from tfsq.codec.references import REFERENCES, evaluate_reference, reference
from tfsq.codec.saved_model import load

# The name of the curve of all models, beside those of the references.
_MODELS = "tfsq"
_MEAN = "mean"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A codec at one quality on one file, or on average over files.

    Attributes:
      file: The image file, or "mean".
      codec: Name of the model, or of the reference.
      quality: The lambda that the model was trained with, or the reference's setting.
      bpp: Bits per pixel.
      psnr: In dB. The mean is that of the images' PSNR.
      ms_ssim: Multi-scale structural similarity; None for images below 161 pixels a side, which
        the mean leaves out.
    """

    file: str
    codec: str
    quality: float
    bpp: float
    psnr: float
    ms_ssim: float | None


_COLUMNS = tuple(field.name for field in dataclasses.fields(Measurement))


@dataclasses.dataclass(frozen=True)
class Curve:
    """Rate against distortion, as several models or the settings of a reference make it.

    Attributes:
      name: "tfsq" for models, or that of the reference.
      measurements: One for each file and quality.
    """

    name: str
    measurements: tuple[Measurement, ...]

    def groups(self) -> list[list[Measurement]]:
        """Returns the measurements of each model or setting, in the order they were asked for."""
        found: dict[tuple[str, float], list[Measurement]] = {}
        for measurement in self.measurements:
            found.setdefault((measurement.codec, measurement.quality), []).append(measurement)
        return list(found.values())

    def means(self) -> list[Measurement]:
        """Returns the mean over the files for each model or setting."""
        return [_mean(group) for group in self.groups()]

    def points(self) -> list[tuple[float, float]]:
        """Returns mean bits per pixel and mean PSNR in dB, by ascending rate."""
        return sorted((mean.bpp, mean.psnr) for mean in self.means())

    def label(self) -> str:
        """Returns what figures call it, with its qualities."""
        low, high = (f(m.quality for m in self.measurements) for f in (min, max))
        span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        if self.name == _MODELS:
            return f"tfsq, lambda {span}"
        return f"{REFERENCES[self.name].label}, quality {span}"


def _mean(group: Sequence[Measurement]) -> Measurement:
    known = [m.ms_ssim for m in group if m.ms_ssim is not None]
    return dataclasses.replace(
        group[0],
        file=_MEAN,
        bpp=statistics.fmean(m.bpp for m in group),
        psnr=statistics.fmean(m.psnr for m in group),
        ms_ssim=statistics.fmean(known) if known else None,
    )


def _model_names(models: Sequence) -> list[str]:
    """The folders' names, with as many of their parents as tell them apart."""
    paths = [pathlib.Path(model).resolve() for model in models]
    if len(set(paths)) < len(paths):
        raise ValueError(
            f"`models` must be different folders. Received: {[str(path) for path in paths]}"
        )
    for depth in itertools.count(1):
        names = [pathlib.Path(*path.parts[-depth:]).as_posix() for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _measurement(file, codec: str, quality: float, figures: RateDistortion) -> Measurement:
    return Measurement(str(file), codec, quality, figures.bpp, figures.psnr, figures.ms_ssim)


def compare(files: Iterable, models: Sequence, references: Sequence[str] = ()) -> list[Curve]:
    """Compresses, decompresses and measures image files with models and references.

    Args:
      files: Image files, see `read_image`.
      models: Folders of exported codecs, one quality each.
      references: Keys of `REFERENCES`; each is measured at its ladder of qualities.

    Returns:
      The curve of the models, and one for each reference.

    Raises:
      OSError: if a file cannot be read.
      ValueError: if a file is not an image that tfsq codes, if there is none, or no model, if a
        model is given twice, or if there is no such reference.
      ModelError: if a folder is not an exported codec.
    """
    if not models:
        raise ValueError("`models` must not be empty.")
    ladders = {name: reference(name).qualities for name in references}
    codecs = {name: load(model) for name, model in zip(_model_names(models), models)}
    measured: dict[str, list[Measurement]] = {name: [] for name in (_MODELS, *ladders)}
    for file in files:
        image = read_image(file)
        for name, codec in codecs.items():
            data = compress(image, codec)
            figures = rate_distortion(image, data, decompress(data, codec))
            measured[_MODELS].append(_measurement(file, name, codec.metadata["lmbda"], figures))
        for name, qualities in ladders.items():
            for quality in qualities:
                reference_figures = evaluate_reference(image, name, quality)
                measured[name].append(_measurement(file, name, quality, reference_figures))
    if not measured[_MODELS]:
        raise ValueError("`files` must not be empty.")
    return [Curve(name, tuple(measurements)) for name, measurements in measured.items()]


def read_comparison(path: str | os.PathLike) -> list[Curve]:
    """Reads what `write_comparison` wrote.

    Args:
      path: The CSV file.

    Returns:
      The curves, as `compare` returned them.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it has other columns.
    """
    curves: dict[str, list[Measurement]] = {}
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise ValueError(
                f"{path} must have the columns {_COLUMNS}. Received: {reader.fieldnames}"
            )
        for row in reader:
            if row["file"] != _MEAN:
                name = row["codec"] if row["codec"] in REFERENCES else _MODELS
                curves.setdefault(name, []).append(_measurement_of_row(row))
    return [Curve(name, tuple(measurements)) for name, measurements in curves.items()]


def _measurement_of_row(row: dict[str, str]) -> Measurement:
    quality, bpp, psnr = (float(row[name]) for name in ("quality", "bpp", "psnr"))
    ms_ssim = float(row["ms_ssim"]) if row["ms_ssim"] else None
    return Measurement(row["file"], row["codec"], quality, bpp, psnr, ms_ssim)


def write_comparison(curves: Sequence[Curve], path: str | os.PathLike) -> None:
    """Writes a CSV file: of each model and setting a row for each file, then their mean.

    Args:
      curves: What `compare` returned.
      path: The file to write.
    """
    groups = [group for curve in curves for group in curve.groups()]
    rows = [dataclasses.astuple(m) for group in groups for m in (*group, _mean(group))]
    with writing_whole(path) as whole, whole.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_COLUMNS, *rows])


def _new_figure():
    pyplot = import_extra("matplotlib.pyplot", "Figures")
    # Not through pyplot's state, so that nothing stays open.
    return pyplot.Figure(figsize=(7.5, 5), layout="constrained")


def check_figure_file(path: str | os.PathLike) -> None:
    """Checks that what `draw_comparison` returns could be saved under a name.

    Args:
      path: The file to write.

    Raises:
      ImportError: if matplotlib is not installed.
      ValueError: if the ending of `path` names no format that matplotlib writes.
    """
    known = _new_figure().canvas.get_supported_filetypes()
    if pathlib.Path(path).suffix.lower().lstrip(".") not in known:
        raise ValueError(
            f"The ending of {path} names no format that matplotlib writes: {sorted(known)}"
        )


def draw_comparison(curves: Sequence[Curve]):
    """Draws mean PSNR against mean bits per pixel, a line for each curve.

    Args:
      curves: What `compare` returned.

    Returns:
      A matplotlib figure.

    Raises:
      ImportError: if matplotlib is not installed.
    """
    figure = _new_figure()
    axes = figure.subplots()
    for curve in curves:
        models = curve.name == _MODELS
        style = {"lw": 2.5, "ms": 7, "zorder": 3} if models else {"lw": 1.2, "ms": 3, "ls": "--"}
        axes.plot(*zip(*curve.points()), marker="o", label=curve.label(), **style)
    files = len({m.file for curve in curves for m in curve.measurements})
    over = "one image" if files == 1 else f"mean over {files} images"
    axes.set_title(f"Rate and distortion, {over}: better is up and to the left")
    axes.set_xlabel("bits per pixel, whole files")
    axes.set_ylabel("PSNR of the decoded pixels (dB)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure
