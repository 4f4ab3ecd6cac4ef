"""(d) Compression and decompression of an image of 768x512, whole and split."""

from __future__ import annotations

import tempfile

import tensorflow as tf

from benchmarks.speed.networks_of_tfc import Codec
from benchmarks.speed.timing import in_turns, rows_of, timed
from benchmarks.speed.training import NETWORKS, ours_of, theirs_of
from tfsq import codec

SIZE = (512, 768)


def image_of(size):
    """Random pixels, smooth enough for a codec to have something to do."""
    height, width = size
    noise = tf.random.stateless_uniform([1, height // 16, width // 16, 3], [0, 1], 0.0, 255.0)
    return tf.cast(tf.image.resize(noise, size, "bicubic")[0], tf.uint8).numpy()


def ours_in_parts(network, image) -> dict:
    """What tfsq does, by part; exact predictions are in `encode` and `decode`."""
    with tempfile.TemporaryDirectory() as folder:
        codec.export(ours_of(network), folder)
        loaded = codec.load(folder)

    def analysis():
        y = loaded.analysis(image=tf.constant(image))["y"]
        return loaded.latents_of(y=y)

    latents = analysis()
    encoded = loaded.encode(**latents)
    coded = {key: encoded[key] for key in ("strings", "fingerprints")}
    decoded = {**coded, "size": tf.constant(SIZE)}
    data = codec.compress(image, loaded)
    return {
        "compress": lambda: codec.compress(image, loaded),
        "decompress": lambda: codec.decompress(data, loaded),
        "analysis": lambda: analysis()["latent"].numpy(),
        "encode": lambda: loaded.encode(**latents)["strings"].numpy(),
        "decode": lambda: loaded.decode(**decoded)["y_hat"].numpy(),
        "synthesis": lambda: loaded.synthesis(y_hat=encoded["y_hat"])["image"].numpy(),
    }


def theirs_in_parts(network, image) -> dict:
    """What TFC's script does, by part."""
    model = theirs_of(network)
    model(tf.constant(image)[tf.newaxis], training=False)
    theirs = Codec(model)
    image = tf.constant(image)
    y, z = theirs.transform(image)
    strings = theirs.compress(image)
    shape = tf.shape(z)[1:-1]
    y_hat = theirs.decode(strings, shape)
    return {
        "compress": lambda: theirs.compress(image)[0].numpy(),
        "decompress": lambda: theirs.decompress(strings, shape).numpy(),
        "analysis": lambda: theirs.transform(image)[0].numpy(),
        "encode": lambda: theirs.encode(y, z)[0].numpy(),
        "decode": lambda: theirs.decode(strings, shape).numpy(),
        "synthesis": lambda: theirs.synthesis(y_hat).numpy(),
    }


def measure(compressai) -> list[dict]:
    """Rows for both networks and all parts."""
    image = image_of(SIZE)
    rows = []
    for network in NETWORKS:
        ours, theirs = ours_in_parts(network, image), theirs_in_parts(network, image)
        for part in ours:
            ways = {"tfsq": timed(ours[part]), "tfc": timed(theirs[part])}
            if part in ("compress", "decompress"):
                ways.update(compressai.ways("coding", network, part))
            rows += rows_of(in_turns(ways), "tfsq", network=network, part=part)
    return rows
