"""Makes tables and the figure of the shipped codec from its CSV files alone.

    python -m benchmarks.shipped.report

Reads `kodak.csv`, `published.csv`, `equal_bytes.csv`, `exactness.csv`, `calibration.csv` and
`refined.csv` in `results/shipped`; writes `qualities.md`, `bd_rates.md`, `published.md`,
`equal_bytes.md`, `exactness.md`, `calibration.md`, `refined.md` and `rate_distortion.png` beside
them. The interval of a BD-rate is that of the mean over single images, by Student's t.
"""

from __future__ import annotations

import pathlib
import statistics

from scipy import stats

from benchmarks import rows as tables
from benchmarks.refinement import run as refinement
from benchmarks.shipped import train
from tfsq import evaluation
from tfsq.analysis import markdown

RESULTS = pathlib.Path("results/shipped")
LEVEL = 0.95
SLACK_BITS, STRINGS = 16, 2


def qualities(curve: evaluation.Curve) -> list[list[str]]:
    """A row for each quality."""
    lmbdas = train.LMBDAS
    return [
        [
            f"{m.quality:g}",
            f"{lmbdas[round(m.quality) - 1]:g}",
            f"{m.bpp:.4f}",
            f"{m.psnr:.2f}",
            f"{m.ms_ssim:.4f}",
        ]
        for m in curve.means()
    ]


def bd_rates(models: evaluation.Curve, references: list[evaluation.Curve]) -> list[list[str]]:
    """A row for each reference: the BD-rate of the means, and of single images."""
    rows = []
    for reference in references:
        low, high = evaluation.shared_psnr(reference.points(), models.points())
        images = dict.fromkeys(m.file for m in models.measurements)
        single = [evaluation.bd_rate(of(reference, image), of(models, image)) for image in images]
        half = stats.t.ppf(0.5 + LEVEL / 2, len(single) - 1) * stats.sem(single)
        rows.append(
            [
                reference.name,
                f"{evaluation.bd_rate(reference.points(), models.points()):.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{statistics.fmean(single):.1f} +- {half:.1f}",
                f"{min(single):.1f} to {max(single):.1f}",
            ]
        )
    return rows


def published(models: evaluation.Curve, rows: list[dict]) -> list[list[str]]:
    """A row for each codec whose mean curve others have published."""
    lines = []
    for name in dict.fromkeys(row["codec"] for row in rows):
        curve = [(float(r["bpp"]), float(r["psnr_rgb"])) for r in rows if r["codec"] == name]
        low, high = evaluation.shared_psnr(curve, models.points())
        rate = evaluation.bd_rate(curve, models.points())
        lines.append([name, f"{rate:.1f}", f"{low:.1f} to {high:.1f}"])
    return lines


def of(curve: evaluation.Curve, image: str) -> list[tuple[float, float]]:
    """The points of one image."""
    return evaluation.Curve(
        curve.name, tuple(m for m in curve.measurements if m.file == image)
    ).points()


def equal_bytes(rows: list[dict]) -> list[list[str]]:
    """A row for every quality and reference: by how much PSNR is above the reference's.

    References have settings in steps, and so get as many bytes or more.
    """
    lines = []
    for name in dict.fromkeys(row["quality"] for row in rows):
        for reference in (r for r in evaluation.REFERENCES if f"{r}_psnr" in rows[0]):
            found = [row for row in rows if row["quality"] == name]
            gains = [float(row["psnr"]) - float(row[f"{reference}_psnr"]) for row in found]
            more = [100 * (int(r[f"{reference}_bytes"]) / int(r["bytes"]) - 1) for r in found]
            above = sum(gain > 0 for gain in gains)
            figures = (statistics.fmean(gains), min(gains), max(gains))
            shown = [f"{statistics.fmean(more):.1f}", *(f"{g:+.2f}" for g in figures)]
            lines.append([name, reference, *shown, f"{above} of {len(gains)}"])
    return lines


def exactness(rows: list[dict]) -> list[list[str]]:
    """A row for every quality."""
    lines = []
    for name in dict.fromkeys(row["quality"] for row in rows):
        found = [
            {key: float(value) for key, value in row.items() if key.endswith(("_bits", "_bytes"))}
            for row in rows
            if row["quality"] == name
        ]
        excess = [r["string_bits"] - SLACK_BITS * STRINGS - r["exact_bits"] for r in found]
        cost = [100 * (r["exact_bits"] / r["float_bits"] - 1) for r in found]
        worst = max(100 * e / r["exact_bits"] for e, r in zip(excess, found))
        lines.append(
            [
                name,
                f"{sum(cost) / len(cost):.4f}",
                f"{max(cost):.4f}",
                f"{worst:.4f}",
                f"{max(r['container_bytes'] for r in found):g}",
            ]
        )
    return lines


def refined(rows: list[dict]) -> list[list[str]]:
    """What refining gains, over the images that are measured whole."""
    by_image = {row["image"]: [r for r in rows if r["image"] == row["image"]] for row in rows}
    whole = max(map(len, by_image.values()), default=0)
    found = [
        refinement.Row(
            row["model"],
            train.LMBDAS[int(row["quality"]) - 1],
            "refined",
            int(row["steps"]),
            row["image"],
            *(float(row[name]) for name in ("seconds", "bpp", "psnr")),
        )
        for of_image in by_image.values()
        for row in of_image
        if len(of_image) == whole
    ]
    return [
        [str(steps), f"{seconds:.0f}", *(f"{rate:.1f}" for rate in rates), str(images)]
        for _, steps, seconds, *rates, images in refinement.bd_rates(found)
    ]


def calibration(rows: list[dict]) -> list[list[str]]:
    """A row for each quality: the loss of rounded latents before and after, of both sets."""
    lines = []
    for quality in dict.fromkeys(row["quality"] for row in rows):
        line = [quality]
        for row in (r for r in rows if r["quality"] == quality):
            before, after = (float(row[name]) for name in ("before", "after"))
            line += [f"{before:.4f}", f"{after:.4f}", f"{100 * (after / before - 1):+.2f}"]
        lines.append(line)
    return lines


def main() -> None:
    """Writes the tables and the figure."""
    curves = evaluation.read_comparison(RESULTS / "kodak.csv")
    columns = ["quality", "lambda", "bits per pixel", "PSNR (dB)", "MS-SSIM"]
    (RESULTS / "qualities.md").write_text(markdown(columns, qualities(curves[0])))
    columns = ["reference", "BD-rate (%)", "over (dB)", "mean over images (%)", "single images (%)"]
    (RESULTS / "bd_rates.md").write_text(markdown(columns, bd_rates(curves[0], curves[1:])))
    columns = ["published curve", "BD-rate (%)", "over (dB)"]
    table = published(curves[0], tables.read(RESULTS / "published.csv"))
    (RESULTS / "published.md").write_text(markdown(columns, table))
    columns = ["quality", "reference", "its bytes more (%)", "mean (dB)", "least", "most"]
    columns.append("images above the reference")
    rows = tables.read(RESULTS / "equal_bytes.csv")
    (RESULTS / "equal_bytes.md").write_text(markdown(columns, equal_bytes(rows)))
    rows = tables.read(RESULTS / "exactness.csv")
    columns = [
        "quality",
        "cost of exactness (%)",
        "of the worst image (%)",
        "strings over the ideal, less 16 bits each, worst image (%)",
        "container (bytes)",
    ]
    (RESULTS / "exactness.md").write_text(markdown(columns, exactness(rows)))
    columns = ["quality", "loss before", "after", "%", "loss before, apart", "after", "%"]
    rows = tables.read(RESULTS / "calibration.csv")
    (RESULTS / "calibration.md").write_text(markdown(columns, calibration(rows)))
    columns = ["steps", "seconds", "BD-rate (%)", "best", "worst", "images"]
    rows = tables.read(RESULTS / "refined.csv")
    (RESULTS / "refined.md").write_text(markdown(columns, refined(rows)))

    evaluation.draw_comparison(curves).savefig(RESULTS / "rate_distortion.png")


if __name__ == "__main__":
    main()
