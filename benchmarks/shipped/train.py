"""Begins the network of many rates that ships from a network of one rate: wider, with gains.

    python -m benchmarks.shipped.train --start CODEC --data ../shared/data --runs ../runs/shipped

Latents that CODEC has keep all their weights. Of those that it has not, the shortcut has the DCT,
everything else ignores them, and their prediction is learned by itself first. Gains are in
proportion to the root of lambda, and one at the lambda of CODEC. Training goes on from there, for
as many steps as `SETTINGS` has; run again, it is resumed.
"""

from __future__ import annotations

import argparse
import os
import pathlib
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfsq import codec, training
from tfsq.architectures import CompressionModel, DCTShortcut
from tfsq.architectures.shortcut import frequencies
from tfsq.layers import find
from tfsq.training import run_folder
from tfsq.training.data import crops_dataset, training_images
from tfsq.training.settings import build_model

# Those of curves that others have published, so that rungs can be compared one by one.
LMBDAS = (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483, 0.0932)
# What CODEC was trained with. A hyper synthesis as wide as latents are many would be most of the
# network. At a learning rate of 4e-3, so many latents were not stable.
START = training.TrainingSettings(
    lmbda=0.01,
    num_filters=64,
    num_latents=160,
    hyper_width=64,
    batch_size=8,
    crop_size=256,
    steps=26_000,
    steps_per_epoch=1000,
    least_detail=4.0,
    learning_rate=1.5e-3,
    annealing_start=0.0,
)
# CODEC was annealed along all of its steps.
SETTINGS = training.TrainingSettings(
    lmbdas=LMBDAS,
    num_filters=64,
    num_latents=256,
    hyper_width=64,
    initial_temperature=0.05,
    final_temperature=0.05,
    annealing_start=0.0,
    steps=12_000,
    steps_per_epoch=500,
    batch_size=4,
    crop_size=192,
    least_detail=4.0,
    # Low, so that what CODEC knows stays.
    learning_rate=4e-4,
)
# Of learning to predict new latents.
FIRST_STEPS, FIRST_RATE = 400, 3e-3


def photographs(data: pathlib.Path, part: str) -> list[pathlib.Path]:
    """Photographs whose terms allow any use of what is trained on them."""
    return sorted((data / "free" / part).glob("*.jpg"))


def places_of(few: int, many: int) -> np.ndarray:
    """Where the latents of the narrow network are among those of the wide one."""
    wide = {frequency: i for i, frequency in enumerate(frequencies(many))}
    return np.array([wide[frequency] for frequency in frequencies(few)])


def widened(narrow: np.ndarray, wide: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Writes a weight of the narrow network into one of the wide network.

    Args:
      narrow: Of the narrow network.
      wide: Of as many axes, which has what belongs to new latents.
      places: See `places_of`. An axis of twice as many is of means, then of scales.
    """
    value, index = wide.copy(), []
    for size, found in zip(narrow.shape, wide.shape):
        if size == found:
            index.append(np.arange(size))
        elif size == len(places):
            index.append(places)
        else:
            index.append(np.concatenate([places, found // 2 + places]))
    value[np.ix_(*index)] = narrow
    return value


def pairs_of(narrow: Sequence, wide: Sequence) -> list[tuple]:
    """What is copied from one network to the other, part by part."""
    # `zip` checks it itself from Python 3.10 on.
    if len(narrow) != len(wide):
        raise ValueError(f"The networks differ in their parts: {len(narrow)} and {len(wide)}.")
    return list(zip(narrow, wide))


def widen(narrow: CompressionModel, wide: CompressionModel, crops: tf.data.Dataset) -> None:
    """Makes a mean-scale hyperprior with more latents, and a ladder, begin as a narrower one.

    Args:
      narrow: Network of one rate.
      wide: Network of many.
      crops: Batches of photographs to learn from what new latents are like.
    """
    places = places_of(narrow.num_latents, wide.num_latents)
    for layer in ("analysis", "synthesis", "hyper_analysis", "hyper_synthesis"):
        old, new = (getattr(model, layer).trainable_variables for model in (narrow, wide))
        for before, after in pairs_of(old, new):
            # The kernels of a shortcut are the only ones with 16 rows.
            others = after.numpy() if after.shape[0] == 16 else np.zeros(after.shape, np.float32)
            after.assign(widened(before.numpy(), others, places))
    for before, after in pairs_of(find(narrow, DCTShortcut), find(wide, DCTShortcut)):
        after.scale.assign(before.scale)
    priors = (model.hyper_latent_model.trainable_variables for model in (narrow, wide))
    for before, after in pairs_of(*priors):
        after.assign(before)
    logs = 0.5 * np.log2(np.array(wide.ladder.lmbdas) / narrow.lmbda)
    logs = np.tile(logs[:, np.newaxis], (1, wide.num_latents))
    wide.gain.logs.assign(logs)
    wide.gain.inverse_logs.assign(-logs)
    new = np.setdiff1d(np.arange(wide.num_latents), places)
    _learn_to_predict(wide, np.concatenate([new, wide.num_latents + new]), crops)


def _learn_to_predict(wide: CompressionModel, outputs: np.ndarray, crops: tf.data.Dataset) -> None:
    """Lowers the bits of new latents by the weights of their prediction alone."""
    last = wide.hyper_synthesis.layers[-1]
    is_new = tf.constant(np.isin(np.arange(2 * wide.num_latents), outputs), tf.float32)
    optimizer = tf.keras.optimizers.Adam(FIRST_RATE)

    @tf.function
    def step(images):
        latents = wide.analyze(tf.cast(images, tf.float32))
        quality = wide.gain.draw(tf.shape(images)[0])
        with tf.GradientTape() as tape:
            _, bits = wide.estimate(latents, training=True, quality=quality)
            loss = tf.add_n([tf.reduce_mean(part) for part in bits.values()])
        gradients = tape.gradient(loss, [last.kernel, last.bias])
        # Their outputs are the last axis of both.
        optimizer.apply_gradients(
            [(g * is_new, v) for g, v in zip(gradients, (last.kernel, last.bias))]
        )

    for images in crops.take(FIRST_STEPS):
        step(images)


def begin(folder: pathlib.Path, images: list[pathlib.Path], output: pathlib.Path) -> None:
    """Writes a run of no steps, whose checkpoint is the widened network."""
    found = training_images(images, SETTINGS.crop_size)
    crops = crops_dataset(found, SETTINGS.crop_size, SETTINGS.batch_size, SETTINGS.seed)
    model = build_model(SETTINGS)
    widen(codec.load(folder).network, model, crops)
    with run_folder.locked(output):
        run_folder.write_settings(run_folder.identity(SETTINGS, found.paths, 0, None), output)
        run_folder.Checkpoints(model, output / run_folder.CHECKPOINTS, saves=True).save()


def main() -> None:
    """Begins, or goes on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", type=pathlib.Path, required=True, help="Codec of one rate.")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="free/.")
    parser.add_argument("--runs", type=pathlib.Path, required=True, help="Where runs are kept.")
    arguments = parser.parse_args()
    images, kept_apart = (photographs(arguments.data, part) for part in ("train", "validation"))
    start = arguments.runs / "start"
    if not start.exists():
        begin(arguments.start, images, start)
    training.train(images, arguments.runs / "ladder", SETTINGS, start=start, validation=kept_apart)


if __name__ == "__main__":
    main()
