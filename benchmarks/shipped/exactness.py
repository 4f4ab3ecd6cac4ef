"""Measures what exact predictions cost, and how near strings come to the ideal code length.

    python -m benchmarks.shipped.exactness --data ../shared/data

For every quality and image of Kodak: the bits of the strings, the ideal code length with
exact and with float predictions, and the bytes of the container. Writes
`results/shipped/exactness.csv`, which `report.py` makes a table of.
"""

from __future__ import annotations

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.refinement.run import name_of
from tfsq import codec
from tfsq.architectures.base import LATENT
from tfsq.architectures.coders import Estimator
from tfsq.architectures.hyperprior import HYPER_LATENT
from tfsq.codec import tiling

RESULTS = pathlib.Path("results/shipped")
COLUMNS = (
    "model",
    "quality",
    "image",
    "string_bits",
    "exact_bits",
    "float_bits",
    "container_bytes",
)


class FloatEstimator(Estimator):
    """Predicts in floats, as training does."""

    def predictor(self, transform):
        """The transform itself."""
        return transform


def float_bits(model, latents, quality: float) -> float:
    """The ideal code length with float predictions."""
    latents = {name: latent[tf.newaxis] for name, latent in latents.items()}
    z_hat, z_bits = model.hyper_latent_model(latents[HYPER_LATENT], training=False)
    gains = model.gains_at(tf.constant([quality]))
    coder = FloatEstimator(model.latent_model, latents[LATENT], training=False, gains=gains)
    y_bits, _ = coder.finish(*model.walk(coder, z_hat))
    return float(y_bits[0] + z_bits[0])


def measure(data: pathlib.Path) -> list[dict]:
    """A row for every quality and image."""
    rows, found = [], codec.shipped_codec()
    for path in sorted((data / "kodak").glob("*.png")):
        image = codec.read_image(path)
        latents = tiling.analyze(image, found)
        for quality in range(1, len(found.ladder) + 1):
            coded = codec.compress(image, found, quality=quality)
            payload = codec.unpack(coded).payload_bytes
            exact = float(tf.reduce_sum(found.estimate(**latents, **found.at(quality))["bits"]))
            values = (name_of(found), quality, path.stem, 8 * payload, exact)
            values += (float_bits(found.network, latents, quality), len(coded) - payload)
            rows.append(dict(zip(COLUMNS, values)))
    return rows


def main() -> None:
    """Measures all qualities on all images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="kodak/.")
    tables.write(measure(parser.parse_args().data), RESULTS / "exactness.csv")


if __name__ == "__main__":
    main()
