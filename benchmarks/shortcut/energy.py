"""How much energy of photographs the shortcut's choice of coefficients leaves out.

    python -m benchmarks.shortcut.energy --data ../shared/data

For each number of latents, the mean squared error that all other coefficients leave: with the rule
of `tfsq.architectures.shortcut.frequencies`; with the best choice for each set of photographs; and
with low frequencies along diagonals, two thirds of them luma. Writes `results/shortcut/energy.csv`,
and `energy.md` from it alone.
"""

from __future__ import annotations

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import rows as tables
from tfsq import codec
from tfsq.analysis import markdown
from tfsq.architectures.shortcut import BLOCK, DCTShortcut, frequencies, quantization_step

RESULTS, CSV = pathlib.Path("results/shortcut"), "energy.csv"
COLUMNS = ("photographs", "latents", "luma", "chroma", "rule_mse", "best_mse", "diagonals_mse")
SETS = {"BSDS500": "bsds500/train/*.jpg", "free": "free/train/*.jpg", "Kodak": "kodak/*.png"}
LATENTS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 320)
EVERY = 3 * BLOCK * BLOCK


def energies(paths) -> dict[tuple[int, int, int], float]:
    """Mean square of each coefficient, on 0-255."""
    shortcut = DCTShortcut(EVERY)
    sums = np.zeros(EVERY)
    for path in paths:
        image = codec.read_image(path)
        rows, columns = (size // BLOCK * BLOCK for size in image.shape[:2])
        y = shortcut(tf.constant(image[np.newaxis, :rows, :columns] / 255.0 - 0.5, tf.float32))
        sums += tf.reduce_mean(y**2, axis=(0, 1, 2)).numpy()
    step = quantization_step(shortcut.lmbda)
    return dict(zip(frequencies(EVERY), step**2 * sums / len(paths)))


def diagonals(latents: int) -> set[tuple[int, int, int]]:
    """Two thirds of luma and a sixth of each chroma, along diagonals."""
    order = sorted(np.ndindex(BLOCK, BLOCK), key=lambda place: (sum(place), place[0]))
    chroma = latents // 6
    counts = (latents - 2 * chroma, chroma, chroma)
    return {(color, *place) for color, count in enumerate(counts) for place in order[:count]}


def rows_of(name: str, energy: dict) -> list[dict]:
    """A row for each number of latents."""
    ordered = sorted(energy.values())
    rows = []
    for latents in LATENTS:
        chosen = frequencies(latents)
        luma = sum(color == 0 for color, _, _ in chosen)

        def left(places):
            return sum(value for place, value in energy.items() if place not in places) / EVERY

        best = sum(ordered[: EVERY - latents]) / EVERY
        figures = (left(set(chosen)), best, left(diagonals(latents)))
        rows.append(dict(zip(COLUMNS, (name, latents, luma, latents - luma, *figures))))
    return rows


def main() -> None:
    """Measures, if there is data, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has bsds500/, free/ and kodak/.")
    data = parser.parse_args().data
    if data:
        rows = []
        for name, pattern in SETS.items():
            rows += rows_of(name, energies(sorted(data.glob(pattern))))
        tables.write(rows, RESULTS / CSV)
    lines = [
        [*(row[name] for name in COLUMNS[:4]), *(f"{float(row[n]):.1f}" for n in COLUMNS[4:])]
        for row in tables.read(RESULTS / CSV)
    ]
    columns = ["photographs", "latents", "luma", "chroma", "rule", "best choice", "diagonals"]
    (RESULTS / "energy.md").write_text(markdown(columns, lines))


if __name__ == "__main__":
    main()
