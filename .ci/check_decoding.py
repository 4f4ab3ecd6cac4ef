"""Holds the serial network to its limit: an image of 768x512 decodes in less than 3 seconds."""

import json
import os
import pathlib
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import skimage.data
import tensorflow as tf

from tfsq import codec, evaluation
from tfsq.architectures import JointAutoregressiveHyperprior

LIMIT_SECONDS, REPETITIONS = 3.0, 5

astronaut = skimage.data.astronaut()
image = np.concatenate([astronaut, astronaut[:, :256]], axis=1)
tf.keras.utils.set_random_seed(0)
model = JointAutoregressiveHyperprior(num_filters=32, num_latents=48)
model.compile("adam", lmbda=0.01)
# Latents of many symbols, as trained ones have.
for transform, factor in ((model.analysis, 100.0), (model.hyper_analysis, 5.0)):
    kernel = transform.layers[-1].kernel
    kernel.assign(factor * kernel)
serial = codec.as_codec(model)
data = codec.compress(image, serial)
codec.decompress(data, serial)
times = []
for _ in range(REPETITIONS):
    start = time.perf_counter()
    decoded = codec.decompress(data, serial)
    times.append(time.perf_counter() - start)
exact = evaluation.measure(image, serial, data, decoded).decoder_matches_encoder
report = {
    "network": "JointAutoregressiveHyperprior, 32/48 channels, scaled initial weights",
    "bpp": round(8 * len(data) / (512 * 768), 3),
    "pixels": "768x512",
    "decode_seconds_median": round(statistics.median(times), 3),
    "repetitions": REPETITIONS,
    "decoder_matches_encoder": exact,
}
print(json.dumps(report, indent=2))
file = pathlib.Path("results/decoding/serial.json")
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text(json.dumps(report, indent=2) + "\n")
assert exact
assert report["decode_seconds_median"] < LIMIT_SECONDS
