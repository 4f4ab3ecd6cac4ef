"""Makes tables and the figure of the shipped codecs from their CSV file alone.

    python benchmarks/shipped/report.py

Reads `results/shipped/kodak.csv`; writes `qualities.md`, `bd_rates.md` and `rate_distortion.png`
beside it. The interval of a BD-rate is that of the mean over single images, by Student's t.
"""

from __future__ import annotations

import pathlib
import statistics

from scipy import stats

from tfsq import codec
from tfsq.analysis import markdown

RESULTS = pathlib.Path("results/shipped")
LEVEL = 0.95


def qualities(curve: codec.Curve) -> list[list[str]]:
    """A row for each codec."""
    return [
        [m.codec, f"{m.quality:g}", f"{m.bpp:.4f}", f"{m.psnr:.2f}", f"{m.ms_ssim:.4f}"]
        for m in curve.means()
    ]


def bd_rates(models: codec.Curve, references: list[codec.Curve]) -> list[list[str]]:
    """A row for each reference: the BD-rate of the means, and of single images."""
    rows = []
    for reference in references:
        low, high = codec.shared_psnr(reference.points(), models.points())
        images = dict.fromkeys(m.file for m in models.measurements)
        single = [codec.bd_rate(of(reference, image), of(models, image)) for image in images]
        half = stats.t.ppf(0.5 + LEVEL / 2, len(single) - 1) * stats.sem(single)
        rows.append(
            [
                reference.name,
                f"{codec.bd_rate(reference.points(), models.points()):.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{statistics.fmean(single):.1f} +- {half:.1f}",
                f"{min(single):.1f} to {max(single):.1f}",
            ]
        )
    return rows


def of(curve: codec.Curve, image: str) -> list[tuple[float, float]]:
    """The points of one image."""
    return codec.Curve(curve.name, tuple(m for m in curve.measurements if m.file == image)).points()


def main() -> None:
    """Writes the tables and the figure."""
    curves = codec.read_comparison(RESULTS / "kodak.csv")
    columns = ["codec", "lambda", "bits per pixel", "PSNR (dB)", "MS-SSIM"]
    (RESULTS / "qualities.md").write_text(markdown(columns, qualities(curves[0])))
    columns = ["reference", "BD-rate (%)", "over (dB)", "mean over images (%)", "single images (%)"]
    (RESULTS / "bd_rates.md").write_text(markdown(columns, bd_rates(curves[0], curves[1:])))
    codec.draw_comparison(curves).savefig(RESULTS / "rate_distortion.png", dpi=110)


if __name__ == "__main__":
    main()
