"""How fast networks learn whose transforms begin as a DCT, against those of before.

    python -m benchmarks.recipe.learning --data ../shared/data/bsds500

The recipe, at twice the learning rate, too, and that of before: 4000 steps, three seeds at one
lambda and one at two others; a fifth of the steps; one long run of each, at half the learning
rate, too; and what `run.py` has first, for 4000 steps. Rate + lambda * squared error of rounded
latents on held-out photographs. Resumable, and what it does is that of `run.py`: writes
`results/recipe/learning.csv`, and `learning.md` from it alone.
"""

from __future__ import annotations

import argparse
import os
import pathlib

import numpy as np

from benchmarks.recipe import run
from benchmarks.recipe.recipes import BEFORE, REFERENCE, TWICE
from tfsq.analysis import markdown

RESULTS, CSV = pathlib.Path("results/recipe"), "learning.csv"
LMBDA, OTHER_LMBDAS = 0.003, (0.01, 0.001)
SEEDS = (0, 1, 2)
STEPS, FIFTH, LONG = 4000, 800, 30_000
OTHER_RATES = (TWICE, "learning rate 1e-3")
FIRST, HIGH_LMBDA = "kernels of equal magnitude", 0.03


def jobs(seeds) -> list[dict]:
    """What is to be trained."""
    kinds = [(REFERENCE, STEPS), (REFERENCE, FIFTH), (BEFORE, STEPS)]
    kinds += [(TWICE, STEPS), (TWICE, FIFTH)]
    places = [(LMBDA, seed) for seed in seeds] + [(lmbda, seeds[0]) for lmbda in OTHER_LMBDAS]
    axes = [(name, lmbda, seed, steps) for lmbda, seed in places for name, steps in kinds]
    axes += [(name, LMBDA, seeds[0], LONG) for name in (REFERENCE, BEFORE, *OTHER_RATES)]
    # What gains most at equal time, where it gains most.
    axes += [(name, HIGH_LMBDA, seeds[0], STEPS) for name in (REFERENCE, FIRST)]
    columns = ("name", "lmbda", "seed", "steps")
    # The times of steps are `run.py`'s.
    return [dict(zip(columns, values)) | {"step_ms": 0.0} for values in axes]


def table(rows: list[run.Row]) -> str:
    """Mean loss over seeds and its range, and against the recipe of before after 4000 steps."""
    of_before = [row for row in rows if (row.recipe, row.steps) == (BEFORE, STEPS)]
    before = {(row.lmbda, row.seed): row.loss for row in of_before}
    lines = []
    for lmbda, steps in dict.fromkeys((row.lmbda, row.steps) for row in sorted(rows, key=_order)):
        for name in dict.fromkeys(row.recipe for row in rows):
            found = [r for r in rows if (r.recipe, r.lmbda, r.steps) == (name, lmbda, steps)]
            if not found:
                continue
            losses = [row.loss for row in found]
            mean = float(np.mean(losses))
            spread = 100.0 * (max(losses) - min(losses)) / mean
            at = [row.start for row in found]
            # Of the same seeds.
            others = [before[key] for r in found if (key := (r.lmbda, r.seed)) in before]
            lines.append(
                [
                    f"{lmbda:g}",
                    steps,
                    name,
                    len(found),
                    f"{np.mean(at):.2f}",
                    f"{mean:.4f}",
                    f"{spread:.1f}" if len(found) > 1 else "",
                    f"{100 * (mean / np.mean(others) - 1):+.1f}"
                    if len(others) == len(found)
                    else "",
                ]
            )
    columns = ["lambda", "steps", "recipe", "seeds", "loss at step 0", "loss", "spread (%)"]
    columns.append(f"against before at {STEPS} steps (%)")
    return markdown(columns, lines)


def _order(row):
    return row.lmbda, row.steps


def main() -> None:
    """Trains what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has train/ and validation/.")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="Runs at a time.")
    arguments = parser.parse_args()
    if arguments.data:
        run.perform_missing(jobs(arguments.seeds), RESULTS / CSV, arguments.data, arguments.workers)
    (RESULTS / "learning.md").write_text(table(run.read(RESULTS / CSV)))


if __name__ == "__main__":
    main()
