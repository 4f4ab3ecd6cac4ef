"""Models and references on the same image files, and their means."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import os
import pathlib
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tfsq.codec import Codec, compress, decompress, load, read_image
from tfsq.evaluation.figures import Figures, figures_of, measure
from tfsq.evaluation.references import REFERENCES, reference
from tfsq.files import resolved, writing_whole

# The name of the curve of models, where there is one.
_MODELS = "tfsq"
_LMBDA, _QUALITY = "lambda", "quality"
_MEAN = "mean"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A codec at one quality on one file, or on average over files.

    Attributes:
      file: The image file, or "mean".
      codec: Name of the model, or of the reference.
      quality: The lambda that the model was trained with, the quality of a model of many rates, or
        the reference's setting.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Decoding:
    """What a model makes of a file.

    Attributes:
      measurement: Its figures.
      file_bytes: Length of the `.tfsq` file.
      image: What it decodes to, uint8 [height, width, 3].
    """

    measurement: Measurement
    file_bytes: int
    image: np.ndarray


# Is called with an image, what models make of it, and measurements of references.
OnMeasured = Callable[[np.ndarray, Sequence[Decoding], Sequence[Measurement]], None]
_COLUMNS = tuple(field.name for field in dataclasses.fields(Measurement))
_COUNT = "files"
# Names of files may be any bytes.
_ENCODING: Mapping[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


@dataclasses.dataclass(frozen=True)
class Curve:
    """Rate against distortion, as models of one rate, one of many or a reference makes it.

    Attributes:
      name: Of a reference its name. Of models "tfsq" if all share one curve; otherwise "tfsq" for
        those of one rate, and the model's name for each of many.
      measurements: One for each file and quality.
      without: Files that means leave out, such as those of infinite PSNR.
      unit: Of models what their quality is: "lambda", or "quality" of one of many rates.
    """

    name: str
    measurements: tuple[Measurement, ...]
    without: frozenset[str] = frozenset()
    unit: str = _LMBDA

    @property
    def of_models(self) -> bool:
        """Whether it is a curve of models, and not of a reference."""
        return self.name not in REFERENCES

    def files(self) -> list[str]:
        """Returns the files that means are over."""
        files = dict.fromkeys(measurement.file for measurement in self.measurements)
        return [file for file in files if file not in self.without]

    def groups(self) -> list[list[Measurement]]:
        """Returns the measurements of each model or setting, in the order they were asked for."""
        found: dict[tuple[str, float], list[Measurement]] = {}
        for measurement in self.measurements:
            found.setdefault((measurement.codec, measurement.quality), []).append(measurement)
        return list(found.values())

    def means(self) -> list[Measurement]:
        """Returns the mean over the files for each model or setting."""
        return [_mean([m for m in g if m.file not in self.without]) for g in self.groups()]

    def points(self) -> list[tuple[float, float]]:
        """Returns mean bits per pixel and mean PSNR in dB, by ascending rate."""
        return sorted((mean.bpp, mean.psnr) for mean in self.means())

    def label(self) -> str:
        """Returns what figures call it, with its qualities."""
        low, high = (f(m.quality for m in self.measurements) for f in (min, max))
        span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        if self.of_models:
            return f"{self.name}, {self.unit} {span}"
        return f"{REFERENCES[self.name].label}, {REFERENCES[self.name].unit} {span}"


def _curves(everything: Sequence[Measurement], of_many_rates: Collection[str]) -> list[Curve]:
    """Curves whose means are over the same files: those of finite PSNR, or all if there is none."""
    models = {m.codec for m in everything} - set(REFERENCES)
    names = {name: name if name in of_many_rates else _MODELS for name in models}
    if len(set(names.values())) == 1:
        names = dict.fromkeys(models, _MODELS)
    qualities = {names[name] for name in models if name in of_many_rates}
    measured: dict[str, list[Measurement]] = {}
    for m in sorted(everything, key=lambda m: m.codec in REFERENCES):
        measured.setdefault(names.get(m.codec, m.codec), []).append(m)
    exact = {m.file for m in everything if math.isinf(m.psnr)}
    others = {m.file for m in everything} - exact
    without = frozenset(exact) if others else frozenset()
    return [
        Curve(name, tuple(found), without, _QUALITY if name in qualities else _LMBDA)
        for name, found in measured.items()
    ]


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
    """The folders' names, with as many parents as tell them apart, and from the references."""
    paths = [resolved(model) for model in models]
    if len(set(paths)) < len(paths):
        raise ValueError(
            f"`models` must be different folders. Received: {[str(path) for path in paths]}"
        )
    for depth in itertools.count(1):
        names = [pathlib.Path(*path.parts[-depth:]).as_posix() for path in paths]
        if len(set(names)) == len(names) and not set(names) & {_MODELS, *REFERENCES}:
            break
    return names


def _measurement(file, codec: str, quality: float, figures: Figures) -> Measurement:
    return Measurement(str(file), codec, quality, figures.bpp, figures.psnr, figures.ms_ssim)


def _qualities_of(name: str, codec: Codec, qualities: Sequence[float] | None) -> list[float | None]:
    """Where a codec is measured."""
    if codec.ladder is None:
        return [None]
    rungs = range(1, len(codec.ladder) + 1)
    try:
        return [codec.checked_quality(q) for q in (rungs if qualities is None else qualities)]
    except ValueError as error:
        raise ValueError(
            f"`qualities` must be numbers from 1 to {len(rungs)} for the model {name!r}. Received: "
            f"{qualities}"
        ) from error


class Comparison:
    """Models and references, and what was measured of them so far.

    Args:
      models: Folders of exported codecs.
      references: Keys of `REFERENCES`; each is measured at its ladder of qualities.
      qualities: Of models of many rates; all of their rungs if None.
      on_measured: Called with each image when all have measured it, before that counts.

    Raises:
      ValueError: if there is no model, one is given twice, there is no such reference, or
        `qualities` are given that no model or not all models of many rates have.
      ModelError: if a folder is not an exported codec.
    """

    def __init__(
        self,
        models: Sequence,
        references: Sequence[str] = (),
        qualities: Sequence[float] | None = None,
        on_measured: OnMeasured | None = None,
    ):
        self._on_measured = on_measured
        if not models:
            raise ValueError("`models` must not be empty.")
        self._ladders = {name: reference(name).qualities for name in references}
        self._codecs = {name: load(model) for name, model in zip(_model_names(models), models)}
        self._qualities = {
            name: _qualities_of(name, codec, qualities) for name, codec in self._codecs.items()
        }
        if qualities is not None and not any(codec.ladder for codec in self._codecs.values()):
            raise ValueError("`qualities` needs a model of many rates, and none of them is.")
        self._measured: list[Measurement] = []

    def measure(self, *files) -> None:
        """Compresses, decompresses and measures image files with all of them.

        Args:
          *files: Image files, see `read_image`.

        Raises:
          OSError: if a file cannot be read.
          ValueError: if one is not an image that tfsq codes.
        """
        for file in files:
            self._measure(file)

    def _measure(self, file) -> None:
        image = read_image(file)
        decodings = [
            self._decoding(file, image, name, quality)
            for name in self._codecs
            for quality in self._qualities[name]
        ]
        of_references = [
            _measurement(file, name, quality, measure(image, REFERENCES[name].at(quality)))
            for name, qualities in self._ladders.items()
            for quality in qualities
        ]
        if self._on_measured is not None:
            self._on_measured(image, decodings, of_references)
        # All of a file or nothing.
        self._measured += [*(decoding.measurement for decoding in decodings), *of_references]

    def _decoding(self, file, image, name: str, quality: float | None) -> Decoding:
        codec = self._codecs[name]
        data = compress(image, codec, quality=quality)
        decoded = decompress(data, codec)
        setting = codec.metadata["lmbda"] if quality is None else quality
        # Not `measure`, which needs the network itself.
        figures = figures_of(image, data, decoded)
        return Decoding(_measurement(file, name, setting, figures), len(data), decoded)

    def curves(self) -> list[Curve]:
        """Returns the curves of models, then one for each reference; none if nothing was measured.

        Models of one rate are points of one curve; each of many rates has a curve of its own.

        Means are over the same files for all of them: those that no codec reproduces exactly, whose
        PSNR would be infinite, or all if there is no other.
        """
        return _curves(self._measured, [name for name, c in self._codecs.items() if c.ladder])


def read_comparison(path: str | os.PathLike) -> list[Curve]:
    """Reads what `write_comparison` wrote.

    Args:
      path: The CSV file.

    Returns:
      The curves, as `Comparison.curves` returned them.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it has other columns, or a row that is none of a measurement.
    """
    try:
        found = [_measurement_of_row(row) for row in _rows_in(path)]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file of measurements: {error}") from error
    rates = {(m.codec, m.quality) for m in found}
    # What a file does not say of a model of many rates that was measured at one.
    names = [name for name, _ in rates]
    return _curves(found, {name for name in names if names.count(name) > 1})


def _rows_in(path) -> list[dict[str, str]]:
    """The rows of single files."""
    found: list[dict] = []
    with pathlib.Path(path).open(newline="", **_ENCODING) as file:
        reader = csv.DictReader(file)
        if not set(_COLUMNS) <= set(reader.fieldnames or ()):
            raise ValueError(f"it must have the columns {_COLUMNS}. Received: {reader.fieldnames}")
        for _, group in itertools.groupby(reader, lambda r: (r["codec"], r["quality"])):
            rows = list(group)
            # The last one is their mean; a file may be called so, too.
            found += rows[:-1] if rows[-1]["file"] == _MEAN else rows
    return found


def _measurement_of_row(row: dict[str, str]) -> Measurement:
    quality, bpp, psnr = (_number_in(row, name) for name in ("quality", "bpp", "psnr"))
    ms_ssim = None if row["ms_ssim"] == "" else _number_in(row, "ms_ssim")
    return Measurement(row["file"], row["codec"], quality, bpp, psnr, ms_ssim)


def _number_in(row: dict[str, str], name: str) -> float:
    try:
        return float(row[name])
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` of {row['file']!r} must be a number. Received: {name}={row[name]!r}"
        ) from None


def write_comparison(curves: Sequence[Curve], path: str | os.PathLike) -> None:
    """Writes a CSV file: of each model and setting a row for each file, then their mean.

    The column `files` says how many files a row is over. Names of files that are not UTF-8 are
    written as their bytes.

    Args:
      curves: What `Comparison.curves` returned.
      path: The file to write.
    """
    rows: list[tuple] = []
    for curve in curves:
        for group, mean in zip(curve.groups(), curve.means()):
            rows += [(*dataclasses.astuple(m), 1) for m in group]
            rows.append((*dataclasses.astuple(mean), len(curve.files())))
    with writing_whole(path) as whole, whole.open("w", newline="", **_ENCODING) as file:
        csv.writer(file).writerows([(*_COLUMNS, _COUNT), *rows])
