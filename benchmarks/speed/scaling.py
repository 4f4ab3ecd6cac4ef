"""(g) What it costs against its size: latents of a layer, pixels of an image, images of a batch."""

from __future__ import annotations

import tensorflow as tf

from benchmarks.speed.coding import image_of
from benchmarks.speed.layers import layer_of, step_of
from benchmarks.speed.timing import in_turns, timed
from benchmarks.speed.training import ours_of
from benchmarks.speed.training import step_of as training_step_of
from tfsq import codec

LATENTS = (10**4, 10**5, 10**6, 10**7)
IMAGES = ((256, 256), (512, 512), (1024, 1024), (2048, 2048))
BATCHES = (2, 4, 8, 16)


def ways_by_size() -> dict:
    """(work, what it grows with) -> {size: way}."""
    shipped = codec.shipped_codec()

    def coded(size):
        image = image_of(size)
        return image, codec.compress(image, shipped)

    images = {height * width: coded((height, width)) for height, width in IMAGES}
    latents = {size: tf.random.stateless_normal([size], [0, 1]) for size in LATENTS}
    model = ours_of("MeanScaleHyperprior", 32, 48)
    return {
        ("SUA, forward and backward", "latents"): {
            size: timed(step_of(layer_of("sua"), y)) for size, y in latents.items()
        },
        ("compress, shipped codec", "pixels"): {
            size: timed(lambda image=image: codec.compress(image, shipped))
            for size, (image, _) in images.items()
        },
        ("decompress, shipped codec", "pixels"): {
            size: timed(lambda data=data: codec.decompress(data, shipped))
            for size, (_, data) in images.items()
        },
        ("training step, 32/48, 128x128", "batch"): {
            batch: timed(training_step_of(model, 128, batch)) for batch in BATCHES
        },
    }


def measure(_) -> list[dict]:
    """Rows for all works and sizes."""
    rows = []
    for (work, axis), ways in ways_by_size().items():
        for size, seconds in in_turns(ways).items():
            ordered = sorted(seconds)
            middle = ordered[len(ordered) // 2]
            rows.append(
                {
                    "work": work,
                    "axis": axis,
                    "size": size,
                    "ms": 1e3 * middle,
                    "ms_lowest": 1e3 * ordered[0],
                    "ms_highest": 1e3 * ordered[-1],
                }
            )
    return rows
