"""Makes tables and figures of the rate-distortion study from its CSV files alone.

    python -m benchmarks.rate_distortion.report surrogates

Reads `results/rate_distortion/<experiment>.csv` and `<experiment>_runs.csv`; writes
`<experiment>_losses.md` and `.png`, and with four lambdas `<experiment>_bd_rates.md` and `.png`.

Losses are bits per pixel + lambda * squared error of real files, relative to the arm AUN with the
same network, lambda, seed and image; BD-rates are against AUN and against mixed AUN/STE, over the
seeds with which every arm was trained at every lambda. Both are of means over seeds and images, and
have two intervals, over seeds and over images, by the jackknife and Student's t; the wider of the
two decides whether there is a difference. Each interval is one of many: of twenty without a
difference, one is expected to say that there is.
"""

from __future__ import annotations

import argparse
import itertools
import math
import pathlib
from collections import defaultdict

import numpy as np
from scipy import stats

from benchmarks import rows as tables
from tfsq import drawing, evaluation
from tfsq.analysis import markdown

RESULTS = pathlib.Path("results/rate_distortion")
LEVEL = 0.95
ANCHORS = ("AUN", "mixed AUN/STE")
# Columns that are left out where they hold one value.
COMMON = ("network", "seeds", "images")
_AXES = ("lmbda", "seed", "image")


def read(path: pathlib.Path) -> list[dict]:
    """Rows of a CSV file, numbers as floats."""
    return [{key: _number(value) for key, value in row.items()} for row in tables.read(path)]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def loss_of(row: dict) -> float:
    """Bits per pixel + lambda * mean squared error of one image."""
    return row["bpp"] + row["lmbda"] * 255.0**2 / 10.0 ** (row["psnr"] / 10.0)


def interval_of(statistic, values: np.ndarray, axis: int) -> float:
    """Half the width of the interval of `statistic(values)` over an axis; infinite for one entry.

    The jackknife leaves out one entry after the other, and so measures the spread of the statistic
    itself, which need not be a mean over entries (Tukey, 1958).
    """
    count = values.shape[axis]
    if count < 2:
        return math.inf
    left_out = [statistic(np.delete(values, i, axis)) for i in range(count)]
    pseudo = count * statistic(values) - (count - 1) * np.array(left_out)
    return float(stats.t.ppf(0.5 + LEVEL / 2, count - 1) * stats.sem(pseudo))


def verdict(mean: float, half: float) -> str:
    """What a difference in percent says."""
    if math.isnan(half):
        return "no interval"
    if math.isinf(half):
        return "one seed"
    if abs(mean) <= half:
        return "no difference"
    return "better" if mean < 0 else "worse"


def losses(images: list[dict], runs: list[dict]) -> list[dict]:
    """One row for each network, lambda and arm."""
    pictures = {row["image"] for row in images}
    found = defaultdict(lambda: defaultdict(dict))
    for row in images:
        found[row["architecture"], row["lmbda"]][row["arm"]][row["seed"], row["image"]] = row
    gap_of = {}
    for row in runs:
        gap = row["hard_loss"] / row["surrogate_loss"] - 1.0
        gap_of[row["architecture"], row["lmbda"], row["arm"], row["seed"]] = 100.0 * gap
    rows = []
    for (architecture, lmbda), arms in sorted(found.items()):
        if ANCHORS[0] not in arms:
            raise ValueError(f"Runs are missing: no {ANCHORS[0]} of {architecture} at {lmbda}.")
        for arm in in_order(arms):
            measured, anchor = arms[arm], arms[ANCHORS[0]]
            seeds = sorted({seed for seed, _ in measured} & {seed for seed, _ in anchor})
            pairs = _paired_losses(measured, anchor, seeds, sorted(pictures))
            halves = [interval_of(_relative, pairs, axis) for axis in (0, 1)]
            mean = _relative(pairs)
            unknown = [seed for seed in seeds if (architecture, lmbda, arm, seed) not in gap_of]
            if unknown:
                raise ValueError(f"Runs are missing: {arm} at {lmbda} lacks seeds {unknown}.")
            kept = [row for (seed, _), row in measured.items() if seed in seeds]
            gaps = [gap_of[architecture, lmbda, arm, seed] for seed in seeds]
            rows.append(
                {
                    "network": architecture,
                    "lambda": lmbda,
                    "arm": arm,
                    "seeds": len(seeds),
                    "loss against AUN (%)": mean,
                    "verdict": "" if arm == ANCHORS[0] else verdict(mean, max(halves)),
                    "interval over seeds": halves[0],
                    "interval over images": halves[1],
                    "bpp": _mean(lambda row: row["bpp"], kept),
                    "PSNR (dB)": _mean(lambda row: row["psnr"], kept),
                    "train-test gap (%)": float(np.mean(gaps)),
                }
            )
    return rows


def in_order(arms) -> list[str]:
    """Arms as every table and panel lists them, whichever run was done first."""
    places = {name: place for place, name in enumerate(ANCHORS)}
    return sorted(set(arms), key=lambda arm: (places.get(arm, len(places)), arm.lower()))


def _paired_losses(measured, anchor, seeds, images) -> np.ndarray:
    """Losses of an arm and of the anchor, an array [seed, image, 2]."""
    for name, rows in (("the arm", measured), ("the anchor", anchor)):
        missing = [(seed, image) for seed in seeds for image in images if (seed, image) not in rows]
        if missing or not seeds:
            raise ValueError(f"Runs are missing: {name} lacks (seed, image) {missing}.")
    return np.array(
        [[[loss_of(rows[s, i]) for rows in (measured, anchor)] for i in images] for s in seeds]
    )


def _relative(pairs) -> float:
    arm, anchor = pairs.mean((0, 1))
    return float(100.0 * (arm / anchor - 1.0))


def _mean(function, rows) -> float:
    return float(np.mean([function(row) for row in rows]))


def bd_rates(images: list[dict]) -> list[dict]:
    """BD-rate of each arm against each anchor, with its intervals."""
    rows = []
    for architecture in dict.fromkeys(row["architecture"] for row in images):
        found = complete([row for row in images if row["architecture"] == architecture])
        arms = in_order(row["arm"] for row in found)
        axes = [sorted({row[name] for row in found}) for name in _AXES]
        cubes = {arm: _cube([row for row in found if row["arm"] == arm], axes) for arm in arms}
        if ANCHORS[0] not in cubes:
            raise ValueError(f"Runs are missing: no {ANCHORS[0]} of {architecture}.")
        for anchor, arm in itertools.product(ANCHORS, arms):
            if arm == anchor or anchor not in cubes or arm == ANCHORS[0]:
                continue
            pair = np.stack([cubes[anchor], cubes[arm]])
            rate = _bd_rate(pair)
            halves = [_bd_interval(pair, axis) for axis in (2, 3)]
            rows.append(
                {
                    "network": architecture,
                    "arm": arm,
                    "against": anchor,
                    "seeds": len(axes[1]),
                    "BD-rate (%)": rate,
                    "verdict": verdict(rate, float(np.max(halves))),
                    "interval over seeds": halves[0],
                    "interval over images": halves[1],
                    "images": len(axes[2]),
                }
            )
    return rows


def complete(images: list[dict]) -> list[dict]:
    """The rows of the seeds with which every arm was trained at every lambda."""
    trained = {tuple(row[key] for key in ("arm", "lmbda", "seed")) for row in images}
    arms, lmbdas, seeds = (set(values) for values in zip(*trained))
    whole = {s for s in seeds if all((a, x, s) in trained for a in arms for x in lmbdas)}
    if not whole:
        raise ValueError("Runs are missing: no seed has every arm at every lambda.")
    return [row for row in images if row["seed"] in whole]


def _cube(rows, axes) -> np.ndarray:
    """Rate and PSNR as an array [lambda, seed, image, 2]."""
    cube = np.full([*map(len, axes), 2], np.nan)
    for row in rows:
        place = tuple(axis.index(row[n]) for axis, n in zip(axes, _AXES))
        cube[place] = row["bpp"], row["psnr"]
    if np.isnan(cube).any():
        raise ValueError("Runs are missing: every arm needs every lambda with all images.")
    return cube


def _points(cube) -> list[tuple[float, float]]:
    return [tuple(point) for point in cube.mean(axis=(1, 2))]


def _bd_rate(pair) -> float:
    """BD-rate of the means of the second of [2, lambda, seed, image, 2] against the first's."""
    return evaluation.bd_rate(*map(_points, pair))


def _bd_interval(pair, axis: int) -> float:
    """The half of its interval, NaN where it is not defined without one entry of the axis."""
    try:
        return interval_of(_bd_rate, pair, axis)
    except ValueError:
        return math.nan


def write_table(rows: list[dict], path: pathlib.Path) -> None:
    """Writes rows as a Markdown table, and below it what all of them have in common."""
    common = [n for n in COMMON if len({row[n] for row in rows if n in row}) == 1]
    columns = [name for name in rows[0] if name not in common]
    shown = [[_shown(name, row[name]) for name in columns] for row in rows]
    below = ", ".join(f"{name} {rows[0][name]}" for name in common)
    path.write_text(markdown(columns, shown) + (f"\nAll rows: {below}.\n" if below else ""))


def _shown(name, value) -> str:
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return ""
    return f"{value:.2f}" if "%" in name or "interval" in name else f"{value:.4g}"


@drawing.styled
def draw_losses(rows: list[dict], path: pathlib.Path) -> None:
    """Draws the relative loss of every arm, a panel for each network and lambda."""
    panels = list(dict.fromkeys((row["network"], row["lambda"]) for row in rows))
    figure, axes = drawing.new_figure(len(panels), width=2, height=2.2, sharey=True)
    for axis, panel in zip(axes[0], panels):
        found = [row for row in rows if (row["network"], row["lambda"]) == panel]
        wider = [max(row["interval over seeds"], row["interval over images"]) for row in found]
        half = [value if math.isfinite(value) else 0.0 for value in wider]
        values = [row["loss against AUN (%)"] for row in found]
        style = {"fmt": "o", "capsize": 2, "color": drawing.COLORS[0]}
        axis.errorbar(values, range(len(found)), xerr=half, **style)
        axis.set_yticks(range(len(found)), [row["arm"] for row in found])
        axis.axvline(0.0, color="black", lw=0.8)
        axis.set_title(f"{panel[0]}\nlambda {panel[1]:g}")
    axes[0][0].invert_yaxis()
    label = "loss on Kodak against AUN (%), left is better"
    figure.supxlabel(label, fontsize=drawing.FONT_SIZE)
    figure.savefig(path)


@drawing.styled
def draw_curves(images: list[dict], path: pathlib.Path) -> None:
    """Draws rate against PSNR, a panel for each network."""
    networks = list(dict.fromkeys(row["architecture"] for row in images))
    width = 1 if len(networks) == 1 else 2
    figure, axes = drawing.new_figure(len(networks), width=width, height=2.6)
    for axis, network in zip(axes[0], networks):
        found = complete([row for row in images if row["architecture"] == network])
        axes_of = [sorted({row[name] for row in found}) for name in _AXES]
        for arm, style in drawing.line_styles(in_order(row["arm"] for row in found)).items():
            points = _points(_cube([row for row in found if row["arm"] == arm], axes_of))
            axis.plot(*zip(*points), **style, label=arm)
        axis.set_title(network)
        count = len({row["image"] for row in found})
        axis.set_xlabel(f"bits per pixel, whole files,\nKodak, {count} images")
        axis.set_ylabel("PSNR (dB)")
    drawing.label_ends(*axes[0])
    figure.savefig(path)


def main() -> None:
    """Writes what the CSV files of one experiment say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", help="Name of the CSV files.")
    name = parser.parse_args().experiment
    images, runs = (read(RESULTS / f"{name}{suffix}.csv") for suffix in ("", "_runs"))
    rows = losses(images, runs)
    write_table(rows, RESULTS / f"{name}_losses.md")
    draw_losses(rows, RESULTS / f"{name}_losses.png")
    if len({row["lmbda"] for row in images}) >= evaluation.MIN_BD_RATE_POINTS:
        write_table(bd_rates(images), RESULTS / f"{name}_bd_rates.md")
        draw_curves(images, RESULTS / f"{name}_bd_rates.png")


if __name__ == "__main__":
    main()
