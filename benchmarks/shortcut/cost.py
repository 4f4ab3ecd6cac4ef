"""What the shortcut costs: a training step, and decoding a photograph, with it and without.

    python -m benchmarks.shortcut.cost --measure

In turns in one process, medians over the rounds of the ratio within a round. Writes
`results/shortcut/cost.csv`, and `cost.md` from it alone.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.speed.timing import seconds_of
from tfsq import codec
from tfsq.analysis import markdown
from tfsq.architectures import MeanScaleHyperprior

RESULTS, CSV = pathlib.Path("results/shortcut"), "cost.csv"
COLUMNS = ("filters", "latents", "what", "round", "without_ms", "with_ms")
SIZES = ((32, 48), (128, 192))
ROUNDS = 15
# Steps of a round; decodings take one.
STEPS = {(32, 48): 8, (128, 192): 2}
SHORTCUTS = (None, "dct")


def model_of(size, shortcut):
    """A network that has not been trained."""
    tf.keras.utils.set_random_seed(1)
    model = MeanScaleHyperprior(*size, shortcut=shortcut)
    model.compile(tf.keras.optimizers.Adam(1e-4, global_clipnorm=1.0), lmbda=0.01)
    return model


def stepper(model, crop: int = 128, batch: int = 4):
    """A function that makes one training step."""
    crops = tf.random.uniform([batch, crop, crop, 3], 0, 256, tf.int32)
    data = iter(tf.data.Dataset.from_tensors(tf.cast(crops, tf.uint8)).repeat())
    step = model.make_train_function()
    return lambda: step(data)


def decoders(models):
    """Functions that decode a photograph of 768x512 pixels, from the same strings.

    Without the shortcut, an untrained network has hardly a symbol to decode: so both have the
    strings of the one with it, and predict alike.
    """
    without, beside = models
    for name in ("hyper_analysis", "hyper_synthesis", "latent_model", "hyper_latent_model"):
        getattr(without, name).set_weights(getattr(beside, name).get_weights())
    rows, columns = np.mgrid[:512, :768]
    waves = 127 + 60 * np.sin(rows / 17) + 60 * np.sin(columns / 11 + rows / 29)
    image = np.repeat(waves[..., np.newaxis], 3, axis=2).astype(np.uint8)
    codecs = [codec.as_codec(model) for model in models]
    found = codecs[1].compress(image=tf.constant(image))
    size = tf.constant([512, 768])
    return [
        lambda made=made: made.decompress(**found, size=size)["image"].numpy() for made in codecs
    ]


def steppers(models):
    """Functions that make one training step."""
    return [stepper(model) for model in models]


def in_turns(key: tuple, functions: list, count: int) -> list[dict]:
    """A row for each round, of two functions that are called `count` times in it."""
    for function in functions:
        seconds_of(function, 2)
    rows = []
    for turn in range(ROUNDS):
        # Whichever goes first has the colder caches.
        order = functions if turn % 2 else functions[::-1]
        times = {function: 1e3 * seconds_of(function, count) for function in order}
        row = (*key, turn, *(f"{times[function]:.3f}" for function in functions))
        rows.append(dict(zip(COLUMNS, row)))
    return rows


def measure() -> list[dict]:
    """A row for each size, kind of work and round."""
    rows = []
    for size in SIZES:
        work = {
            "training step, 4 crops of 128x128": (steppers, STEPS[size]),
            "decoding 768x512": (decoders, 1),
        }
        for what, (make, count) in work.items():
            functions = make([model_of(size, shortcut) for shortcut in SHORTCUTS])
            rows += in_turns((*size, what), functions, count)
    return rows


def lines_of(rows: list[dict]) -> list[list]:
    """A line for each size and kind of work."""
    lines = []
    for key in dict.fromkeys((row["filters"], row["latents"], row["what"]) for row in rows):
        found = [row for row in rows if (row["filters"], row["latents"], row["what"]) == key]
        times = [(float(row["without_ms"]), float(row["with_ms"])) for row in found]
        ratios = sorted(after / before for before, after in times)
        quartiles = statistics.quantiles(ratios, n=4)
        lines.append(
            [
                f"{key[0]}/{key[1]}",
                key[2],
                *(f"{statistics.median(column):.1f}" for column in zip(*times)),
                f"{statistics.median(ratios):.3f} ({quartiles[0]:.3f} to {quartiles[2]:.3f})",
            ]
        )
    return lines


def main() -> None:
    """Measures, if asked to, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="Without, only the table is made.")
    if parser.parse_args().measure:
        rows = measure()
        tables.write(rows, RESULTS / CSV)
    lines = lines_of(tables.read(RESULTS / CSV))
    columns = ["channels", "", "without, ms", "with, ms", "median ratio (quartiles)"]
    (RESULTS / "cost.md").write_text(markdown(columns, lines))


if __name__ == "__main__":
    main()
