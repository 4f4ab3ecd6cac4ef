"""Holds the serial network to its limit: an image of 768x512 decodes in less than 3 seconds.

    python -m benchmarks.decoding.run

Writes `results/decoding/serial.json`. Nothing else should run on the machine.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import skimage.data
import tensorflow as tf

from benchmarks.corpus import enlarge_kernels
from benchmarks.speed.timing import seconds_of
from tfsq import codec, evaluation
from tfsq.architectures import JointAutoregressiveHyperprior

RESULTS = pathlib.Path("results/decoding")
LIMIT_SECONDS, REPETITIONS = 3.0, 5


def serial_codec() -> codec.Codec:
    """A network with latents of many symbols, as trained ones have."""
    tf.keras.utils.set_random_seed(0)
    model = JointAutoregressiveHyperprior(num_filters=32, num_latents=48)
    model.compile("adam", lmbda=0.01)
    enlarge_kernels(model)
    return codec.as_codec(model)


def measure() -> dict:
    """Decodes one image several times."""
    astronaut = skimage.data.astronaut()
    image = np.concatenate([astronaut, astronaut[:, :256]], axis=1)
    serial = serial_codec()
    data = codec.compress(image, serial)
    decoded = codec.decompress(data, serial)
    times = [seconds_of(lambda: codec.decompress(data, serial)) for _ in range(REPETITIONS)]
    figures = evaluation.measure(image, serial, data, decoded)
    return {
        "network": "JointAutoregressiveHyperprior, 32/48 channels, scaled initial weights",
        "bpp": round(figures.bpp, 3),
        "pixels": "768x512",
        "decode_seconds_median": round(statistics.median(times), 3),
        "repetitions": REPETITIONS,
        "decoder_matches_encoder": figures.decoder_matches_encoder,
    }


def main() -> None:
    """Measures, and fails over the limit."""
    report = measure()
    text = json.dumps(report, indent=2) + "\n"
    print(text, end="")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "serial.json").write_text(text)
    assert report["decoder_matches_encoder"]
    assert report["decode_seconds_median"] < LIMIT_SECONDS


if __name__ == "__main__":
    main()
