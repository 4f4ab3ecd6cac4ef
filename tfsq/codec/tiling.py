"""Analysis and synthesis of images of any size in bounded memory, tile by tile.

Every tile sees as much of its neighbors as the convolutions reach, so that what it gives is what
the whole image would give there.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsq.architectures.images import padded_size
from tfsq.architectures.strips import Span
from tfsq.codec.codec import Codec
from tfsq.codec.progress import Progress, ProgressCallback, ignored

# Height and width of a tile without what it sees of its neighbors, in pixels.
TILE = 1024


def _spans(size: int, tile: int, halo: int) -> list[Span]:
    return [
        Span(start, end, max(0, start - halo), min(size, end + halo))
        for start in range(0, size, tile)
        for end in (min(size, start + tile),)
    ]


def _tiles(sizes: list[int], codec: Codec) -> list[tuple[Span, Span]]:
    """Rows and columns of each tile; a single one if the network names no `latent_stride`."""
    tile = TILE if codec.metadata["latent_stride"] else max(sizes)
    rows, columns = (_spans(size, tile, codec.metadata["halo"]) for size in sizes)
    return [(row, column) for row in rows for column in columns]


def analyze(image: np.ndarray, codec: Codec, progress: ProgressCallback = ignored) -> dict:
    """Returns the latents of an image.

    Args:
      image: uint8 array [height, width, 3].
      codec: The codec.
      progress: Called after every tile.

    Returns:
      Dict from the name of each part to its latent, a float32 tensor.
    """
    multiple, stride = codec.metadata["size_multiple"], codec.metadata["latent_stride"]
    rest = [(0, padded_size(size, multiple) - size) for size in image.shape[:2]]
    if any(after for _, after in rest):
        image = np.pad(image, [*rest, (0, 0)], mode="edge")
    tiles = _tiles(list(image.shape[:2]), codec)
    if len(tiles) == 1:
        return codec.latents_of(y=codec.analysis(image=tf.constant(image))["y"])
    channels = codec.metadata["config"]["num_latents"]
    y = np.empty([*(size // stride for size in image.shape[:2]), channels], np.float32)
    for done, (rows, columns) in enumerate(tiles):
        seen = tf.constant(image[rows.seen(1), columns.seen(1)])
        found = codec.analysis(image=seen)["y"].numpy()
        y[rows.own(stride), columns.own(stride)] = found[rows.inner(stride), columns.inner(stride)]
        progress(Progress("analysis", done + 1, len(tiles)))
    return codec.latents_of(y=tf.constant(y))


def synthesize(y_hat, size, codec: Codec, progress: ProgressCallback = ignored) -> np.ndarray:
    """Returns the image that a quantized latent decodes to.

    Args:
      y_hat: float32 tensor [rows, columns, channels].
      size: Height and width of the image.
      codec: The codec.
      progress: Called after every tile.

    Returns:
      uint8 array [height, width, 3].
    """
    multiple, stride = codec.metadata["size_multiple"], codec.metadata["latent_stride"]
    padded = [padded_size(length, multiple) for length in size]
    tiles = _tiles(padded, codec)
    if len(tiles) == 1:
        return codec.synthesis(y_hat=y_hat)["image"].numpy()[: size[0], : size[1]]
    image = np.empty([*padded, 3], np.uint8)
    for done, (rows, columns) in enumerate(tiles):
        seen = y_hat[rows.seen(stride), columns.seen(stride)]
        found = codec.synthesis(y_hat=seen)["image"].numpy()
        image[rows.own(1), columns.own(1)] = found[rows.inner(1), columns.inner(1)]
        progress(Progress("synthesis", done + 1, len(tiles)))
    return image[: size[0], : size[1]]
