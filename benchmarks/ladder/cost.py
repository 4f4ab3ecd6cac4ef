"""What many rates cost: a training step of a network with a ladder, and of one without.

    python -m benchmarks.ladder.cost --measure

In turns in one process, medians over the rounds of the ratio within a round, as
`benchmarks.shortcut.cost` does. Writes `results/ladder/cost.csv`, and `cost.md` from it alone.
"""

from __future__ import annotations

import argparse
import pathlib

import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.ladder.run import LMBDAS
from benchmarks.shortcut.cost import SIZES, STEPS, in_turns, lines_of, stepper
from tfsq.analysis import markdown
from tfsq.architectures import MeanScaleHyperprior

RESULTS, CSV = pathlib.Path("results/ladder"), "cost.csv"


def model_of(size, lmbdas):
    """A network that has not been trained."""
    tf.keras.utils.set_random_seed(1)
    model = MeanScaleHyperprior(*size, shortcut="dct", lmbdas=lmbdas)
    optimizer = tf.keras.optimizers.Adam(1e-4, global_clipnorm=1.0)
    model.compile(optimizer, lmbda=None if lmbdas else 0.01)
    return model


def measure() -> list[dict]:
    """A row for each size and round."""
    rows = []
    for size in SIZES:
        functions = [stepper(model_of(size, lmbdas)) for lmbdas in (None, LMBDAS)]
        rows += in_turns((*size, "training step, 4 crops of 128x128"), functions, STEPS[size])
    return rows


def main() -> None:
    """Measures, if asked to, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="Without, only the table is made.")
    if parser.parse_args().measure:
        tables.write(measure(), RESULTS / CSV)
    columns = ["channels", "", "one rate, ms", "many rates, ms", "median ratio (quartiles)"]
    lines = lines_of(tables.read(RESULTS / CSV))
    (RESULTS / "cost.md").write_text(markdown(columns, lines))


if __name__ == "__main__":
    main()
