"""Draws what the bundled codec makes of photographs, beside JPEG and WebP of as many bytes.

    python -m benchmarks.shipped.pictures

The photographs are scikit-image's, which the codec was not trained on. Writes `pictures.csv` and
`pictures.png` to `results/shipped`.
"""

from __future__ import annotations

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import skimage.data

from benchmarks import rows
from tfsq import codec, drawing, evaluation

RESULTS = pathlib.Path("results/shipped")
QUALITY = 2
# Of each photograph, where there is much to see.
DETAILS = {
    "astronaut": (slice(10, 210), slice(120, 320)),
    "coffee": (slice(150, 350), slice(170, 370)),
}
REFERENCES = ("jpeg", "webp")
LABELS = {"tfsq": "tfsq", **{name: evaluation.REFERENCES[name].label for name in REFERENCES}}


def decoded(name: str) -> dict:
    """Compresses a photograph, to as many bytes or a few more with the references.

    Args:
      name: Of the photograph.

    Returns:
      Of each codec its row of the table, and the pixels as "pixels".
    """
    image = getattr(skimage.data, name)()
    used = codec.shipped_codec()
    data = codec.compress(image, used, quality=QUALITY)
    found = {"tfsq": row_of(name, "tfsq", image, data, codec.decompress(data, used))}
    for reference in REFERENCES:
        at, file = evaluation.REFERENCES[reference].of_size(image, len(data))
        found[reference] = row_of(name, reference, image, file, at.decompress(file))
    return found


def row_of(name: str, used: str, image, data: bytes, pixels) -> dict:
    """A row of the table, with pixels."""
    figures = evaluation.figures_of(image, data, pixels)
    row = {"image": name, "codec": used, "bytes": len(data)}
    return {**row, "bpp": figures.bpp, "psnr": figures.psnr, "pixels": pixels}


@drawing.styled
def draw(found: dict[str, dict], path: pathlib.Path) -> None:
    """Draws a row of details for each photograph.

    Args:
      found: Of each photograph what `decoded` returns.
      path: The file to write.
    """
    figure, axes = drawing.new_figure(2 + len(REFERENCES), len(found), width=2, height=2.05)
    for axis in axes.flat:
        axis.axis("off")
    for panels, (name, by_codec) in zip(axes, found.items()):
        detail = DETAILS[name]
        panels[0].imshow(getattr(skimage.data, name)()[detail], interpolation="nearest")
        panels[0].set_title(f"{name},\n24 bits per pixel")
        for axis, used in zip(panels[1:], (*REFERENCES, "tfsq")):
            row = by_codec[used]
            axis.imshow(row["pixels"][detail], interpolation="nearest")
            axis.set_title(f"{LABELS[used]}\n{row['bytes']} bytes, {row['psnr']:.2f} dB")
    figure.savefig(path)


def main() -> None:
    """Compresses, then draws."""
    found = {name: decoded(name) for name in DETAILS}
    RESULTS.mkdir(parents=True, exist_ok=True)
    table = [
        {key: value for key, value in row.items() if key != "pixels"}
        for by_codec in found.values()
        for row in by_codec.values()
    ]
    rows.write(table, RESULTS / "pictures.csv")
    draw(found, RESULTS / "pictures.png")


if __name__ == "__main__":
    main()
