"""Tables and figures of what was measured, from the CSV files alone.

    python -m benchmarks.speed.report results/speed

A ratio is tfsq's time, or memory, by that of the other; below 1, tfsq needs less. In parentheses
are the quartiles over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import math
import pathlib

import numpy as np

from benchmarks import rows as tables
from tfsq import drawing
from tfsq.analysis import markdown

# What tells the rows of a part apart, beside the way.
KEYS = {
    "layers": ("layer", "elements"),
    "entropy_model": ("shape",),
    "training": ("network", "crop"),
    "coding": ("network", "part"),
    "memory": ("work",),
    "upsampling": ("input", "outputs", "direction"),
}
QUANTIZERS = "quantizers of tfsq"


def read(path: pathlib.Path) -> list[dict]:
    """The rows of a CSV file."""
    return tables.read(path)


def grouped(rows: list[dict], keys) -> dict[tuple, dict[str, dict]]:
    """Values of the keys -> way -> row."""
    groups: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), {})[row["way"]] = row
    return groups


def shown_ratio(row: dict | None) -> str:
    """A ratio with its quartiles, if there are any."""
    if row is None:
        return ""
    quartiles = ""
    if "ratio_low" in row:
        quartiles = f" ({float(row['ratio_low']):.2f} to {float(row['ratio_high']):.2f})"
    return f"{float(row['ratio']):.2f}{quartiles}"


def ratio_table(part: str, rows: list[dict]) -> str:
    """A line for each case, a column for each that tfsq is compared with."""
    groups = grouped(rows, KEYS[part])
    others = [way for way in dict.fromkeys(row["way"] for row in rows) if way != "tfsq"]
    others = [way for way in others if way != QUANTIZERS]
    unit = "peak_mb" if part == "memory" else "ms"
    lines = [
        [*key, f"{float(ways['tfsq'][unit]):.3g}", *(shown_ratio(ways.get(o)) for o in others)]
        for key, ways in groups.items()
    ]
    title = "tfsq, MB" if part == "memory" else "tfsq, ms"
    return markdown([*KEYS[part], title, *(f"against {other}" for other in others)], lines)


def layers_table(rows: list[dict]) -> str:
    """A line for each layer and size, with its nearest operation of TFC and with noise by hand."""
    lines = []
    for (layer, elements), ways in grouped(rows, KEYS["layers"]).items():
        nearest = next((way for way in ways if way not in (layer, "noise by hand")), None)
        lines.append(
            [
                layer,
                elements,
                f"{float(ways[layer]['ms']):.3g}",
                nearest or "",
                shown_ratio(ways.get(nearest or "")),
                shown_ratio(ways["noise by hand"]),
            ]
        )
    columns = ["layer", "elements", "ms", "nearest", "against it", "against noise by hand"]
    return markdown(columns, lines)


def shares_table(rows: list[dict]) -> str:
    """What the quantizers take of a training step."""
    lines = [
        [*key, f"{100.0 / float(ways[QUANTIZERS]['ratio']):.2f}"]
        for key, ways in grouped(rows, KEYS["training"]).items()
    ]
    return markdown([*KEYS["training"], "quantizers, % of a step"], lines)


def startup_table(rows: list[dict]) -> str:
    """Seconds of whole processes."""
    lines = [
        [
            row["way"],
            f"{float(row['ms']) / 1e3:.2f}",
            f"{float(row['ms_lowest']) / 1e3:.2f} to {float(row['ms_highest']) / 1e3:.2f}",
        ]
        for row in rows
    ]
    return markdown(["process", "seconds", "range"], lines)


def exponents(rows: list[dict]) -> list[tuple[str, str, list[dict], float]]:
    """Work, axis, its rows, and the power of the size that the larger of them grow with."""
    found = []
    for (work, axis), group in itertools.groupby(rows, lambda row: (row["work"], row["axis"])):
        series = list(group)
        larger = series[-max(2, len(series) // 2 + 1) :]
        sizes, times = ([np.log(float(row[key])) for row in larger] for key in ("size", "ms"))
        found.append((work, axis, series, float(np.polyfit(sizes, times, 1)[0])))
    return found


def scaling_table(rows: list[dict]) -> str:
    """The exponent of every work."""
    lines = [
        [work, axis, f"{series[0]['size']} to {series[-1]['size']}", f"{exponent:.2f}"]
        for work, axis, series, exponent in exponents(rows)
    ]
    return markdown(["work", "grows with", "sizes", "exponent"], lines)


@drawing.styled
def draw_scaling(rows: list[dict], path: pathlib.Path) -> None:
    """Time against size, a panel for each work, with a line of slope 1."""
    found = exponents(rows)
    figure, axes = drawing.new_figure(2, math.ceil(len(found) / 2), width=2, height=2.0)
    for axis in axes.ravel()[len(found) :]:
        axis.remove()
    for axis, (work, name, series, exponent) in zip(axes.flat, found):
        sizes, times = (np.array([float(row[key]) for row in series]) for key in ("size", "ms"))
        style = {"color": drawing.COLORS[0], "marker": "o"}
        axis.plot(sizes, times, **style, label=f"measured,\nexponent {exponent:.2f}")
        axis.plot(sizes, times[-1] * sizes / sizes[-1], "k--", lw=0.8, label="linear")
        axis.set_title(work)
        drawing.log_axis(axis.xaxis, sizes)
        axis.minorticks_off()
        drawing.log_axis(axis.yaxis)
        axis.set_xlabel(name)
        axis.set_ylabel("ms")
    drawing.label_ends(*axes.ravel()[: len(found)])
    figure.savefig(path)


@drawing.styled
def draw_ratios(parts: dict[str, list[dict]], path: pathlib.Path) -> None:
    """Every ratio against TFC and CompressAI as a point with its quartiles."""
    points = [
        (" ".join((part, *key)), way, row)
        for part in ("entropy_model", "training", "coding")
        for key, ways in grouped(parts[part], KEYS[part]).items()
        for way, row in ways.items()
        if way in ("tfc", "compressai")
    ]
    names = list(dict.fromkeys(name for name, _, _ in points))
    figure, ((axis,),) = drawing.new_figure(width=2, height=0.17 * len(names) + 0.8)
    for way, style in drawing.line_styles(("tfc", "compressai")).items():
        chosen = [(names.index(name), row) for name, other, row in points if other == way]
        if not chosen:
            continue
        middle, low, high = (
            np.array([float(row[key]) for _, row in chosen])
            for key in ("ratio", "ratio_low", "ratio_high")
        )
        bars = np.maximum([middle - low, high - middle], 0.0)
        rows = [index for index, _ in chosen]
        style = {**style, "linestyle": "", "ms": 4}
        axis.errorbar(middle, rows, xerr=bars, **style, label=f"against {way}")
    axis.axvline(1.0, color="k", lw=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel("tfsq's time over the other library's (below 1, tfsq is faster)")
    axis.legend()
    figure.savefig(path)


def write(folder: pathlib.Path) -> None:
    """Writes tables and figures beside the CSV files of the parts that are measured."""
    parts = {file.stem: read(file) for file in sorted(folder.glob("*.csv"))}
    tables = {"layers": layers_table, "startup": startup_table, "scaling": scaling_table}
    for part, rows in parts.items():
        table = tables[part](rows) if part in tables else ratio_table(part, rows)
        (folder / f"{part}.md").write_text(table)
    if "training" in parts:
        (folder / "shares.md").write_text(shares_table(parts["training"]))
    if "scaling" in parts:
        draw_scaling(parts["scaling"], folder / "scaling.png")
    if {"entropy_model", "training", "coding"} <= set(parts):
        draw_ratios(parts, folder / "ratios.png")


def main() -> None:
    """Writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
