"""A report to look at: one HTML file with curves, a table, and pictures side by side."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfsq._extras import import_extra
from tfsq._version import __version__
from tfsq.evaluation.comparison import Curve, Decoding, Measurement
from tfsq.evaluation.figures import figures_of
from tfsq.evaluation.references import REFERENCES
from tfsq.files import writing_whole

_PARTS = pathlib.Path(__file__).parent / "html"
# Pictures that are shown of each image: at the lowest rate, in the middle and at the highest.
_SHOWN_RATES = 3
# Of all pictures in the file: what a page may need to load.
_MOST_BYTES = 32 * 2**20
# A photograph without loss, as base64, takes about so many for a pixel.
_BYTES_PER_PIXEL = 2.1
_SMALLEST_SIDE, _LARGEST_SIDE, _OVERVIEW_SIDE = 160, 512, 240
# Where a picture may begin, so that there are not too many places to look at.
_STRIDE = 8


class HtmlReport:
    """Pictures of a comparison, collected while it is measured.

    Pictures are crops, without loss, from where the model errs most at its lowest rate. They have
    at most 512 pixels a side, and fewer where there are many, so that the file stays below 40 MB;
    past that, images have no pictures.

    Args:
      files: How many images there will be.
      references: Keys of `REFERENCES`, to show at equal bytes.

    Raises:
      ImportError: if plotly is not installed.
    """

    def __init__(self, files: int, references: Sequence[str] = ()):
        self._plotly = import_extra("plotly.offline", "HTML reports")
        self._references = tuple(references)
        pictures = max(1, files) * (1 + _SHOWN_RATES * (1 + len(self._references)))
        side = math.isqrt(int(_MOST_BYTES / (pictures * _BYTES_PER_PIXEL)))
        self._side = min(max(side, _SMALLEST_SIDE), _LARGEST_SIDE)
        self._images: list[dict[str, Any]] = []
        self._bytes = 0

    def add(
        self, image: np.ndarray, decodings: Sequence[Decoding], references: Sequence[Measurement]
    ) -> None:
        """Takes pictures of an image: the argument `on_measured` of `Comparison`.

        Args:
          image: uint8 array [height, width, 3].
          decodings: What the models made of it, at least one.
          references: Measurements of the references, whose files spare some tries.

        Raises:
          OSError: if the encoder of a reference fails.
        """
        by_rate = sorted(decodings, key=lambda decoding: decoding.file_bytes)
        entry: dict[str, Any] = {"file": by_rate[0].measurement.file, "pictures": []}
        if self._bytes < _MOST_BYTES:
            crop = _Crop.with_most_error(image, by_rate[0].image, self._side)
            height, width = image.shape[:2]
            entry |= {"size": [width, height], "crop": dataclasses.asdict(crop)}
            entry["original"] = self._picture(crop.of(image))
            entry["overview"] = self._overview(image)
            for number in sorted({0, len(by_rate) // 2, len(by_rate) - 1}):
                sides = self._sides(image, by_rate[number], references, crop)
                entry["pictures"].append({"label": sides[0]["label"], "sides": sides})
        self._images.append(entry)

    def write(self, curves: Sequence[Curve], path) -> None:
        """Writes the page, whole or not at all.

        Args:
          curves: What `Comparison.curves` returned.
          path: File to write.
        """
        data = {
            "version": __version__,
            "curves": list(map(_curve, curves)),
            "images": self._images,
        }
        parts = {
            "style": (_PARTS / "report.css").read_text(encoding="utf-8"),
            "plotly": self._plotly.get_plotlyjs(),
            "script": (_PARTS / "report.js").read_text(encoding="utf-8"),
            # No name of a file can end the element that it is in.
            "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        }
        pieces = (_PARTS / "report.html").read_text(encoding="utf-8").split("%%")
        page = "".join(parts.get(piece, piece) for piece in pieces)
        with writing_whole(path) as whole:
            whole.write_text(page, encoding="utf-8")

    def _sides(
        self, image, decoding: Decoding, references: Sequence[Measurement], crop: _Crop
    ) -> list[dict[str, Any]]:
        """What a model decodes, and what references do of as many bytes or a little more."""
        m = decoding.measurement
        sides = [self._side_by_side(image, decoding.image, decoding.file_bytes, m, crop)]
        for name in self._references:
            known = {
                int(m.quality): round(m.bpp * image.shape[0] * image.shape[1] / 8)
                for m in references
                if m.codec == name
            }
            at, data = REFERENCES[name].of_size(image, decoding.file_bytes, known)
            shown = dataclasses.replace(m, codec=name, quality=at.quality)
            sides.append(self._side_by_side(image, at.decompress(data), len(data), shown, crop))
        return sides

    def _side_by_side(self, image, decoded, size: int, m: Measurement, crop: _Crop) -> dict:
        figures = figures_of(image, bytes(size), decoded)
        name = _name_of(m)
        return {
            "label": f"{name}, {m.quality:g}",
            "codec": name,
            "bytes": size,
            "bpp": figures.bpp,
            "psnr": _finite(figures.psnr),
            "ms_ssim": figures.ms_ssim,
            "picture": self._picture(crop.of(decoded)),
        }

    def _picture(self, pixels: np.ndarray) -> str:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "WEBP", lossless=True)
        return self._data_url(file, "webp")

    def _overview(self, image: np.ndarray) -> str:
        """Where the picture is in the image: nobody judges a codec by it, so it may be lossy."""
        small, file = Image.fromarray(image), io.BytesIO()
        small.thumbnail((_OVERVIEW_SIDE, _OVERVIEW_SIDE))
        small.save(file, "JPEG", quality=80)
        return self._data_url(file, "jpeg")

    def _data_url(self, file: io.BytesIO, kind: str) -> str:
        text = base64.b64encode(file.getvalue()).decode()
        self._bytes += len(text)
        return f"data:image/{kind};base64,{text}"


@dataclasses.dataclass(frozen=True)
class _Crop:
    """A part of an image."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def with_most_error(cls, image: np.ndarray, decoded: np.ndarray, side: int) -> _Crop:
        """The part of that size with the largest squared error."""
        error = np.square(image.astype(np.float64) - decoded).sum(-1)
        height, width = (min(side, size) for size in error.shape)
        sums = np.pad(error, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        inside = sums[height:, width:] - sums[height:, :-width]
        inside = inside - sums[:-height, width:] + sums[:-height, :-width]
        inside = inside[::_STRIDE, ::_STRIDE]
        top, left = np.unravel_index(int(inside.argmax()), inside.shape)
        return cls(int(top) * _STRIDE, int(left) * _STRIDE, height, width)

    def of(self, image: np.ndarray) -> np.ndarray:
        """The pixels in it."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def _curve(curve: Curve) -> dict[str, Any]:
    """What the page draws of a curve and shows in its table."""
    return {
        "label": curve.label(),
        "is_model": curve.of_models,
        "files": len(curve.files()),
        "means": sorted(map(_row, curve.means()), key=lambda row: row["bpp"]),
        "measurements": list(map(_row, curve.measurements)),
    }


def _row(m: Measurement) -> dict[str, Any]:
    return {**dataclasses.asdict(m), "codec": _name_of(m), "psnr": _finite(m.psnr)}


def _name_of(m: Measurement) -> str:
    return REFERENCES[m.codec].label if m.codec in REFERENCES else m.codec


def _finite(psnr: float) -> float | None:
    """None where pixels are equal: JSON has no infinity."""
    return None if math.isinf(psnr) else psnr
