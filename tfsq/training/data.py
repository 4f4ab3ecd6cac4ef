"""Images to train on, and the crops of a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsq.codec import read_image

_DRAWS_OF_A_CROP = 4


def training_images(
    paths: Sequence, crop_size: int, skipped: list[str] | None = None
) -> list[np.ndarray]:
    """Decodes images that crops can be taken from.

    Args:
      paths: Image files, see `tfsq.codec.read_image`.
      crop_size: Smallest height and width that they may have.
      skipped: If a list, files that do not serve are left out, and why is appended to it.

    Returns:
      uint8 arrays [height, width, 3].

    Raises:
      ValueError: if no file serves; unless `skipped`, if one is not an image or smaller than a
        crop.
      OSError: unless `skipped`, if a file cannot be read.
    """
    images = []
    for path in paths:
        try:
            images.append(_training_image(path, crop_size))
        except (OSError, ValueError) as error:
            if skipped is None:
                raise
            skipped.append(str(error))
    if not images:
        raise ValueError(f"No images to train on, of {len(paths)} files.")
    return images


def _training_image(path, crop_size: int) -> np.ndarray:
    image = read_image(path)
    height, width, _ = image.shape
    if min(height, width) < crop_size:
        raise ValueError(f"{path} is {width}x{height}, smaller than a crop of {crop_size}.")
    return image


def detail_of(pixels: np.ndarray) -> float:
    """Mean absolute difference between neighbors.

    Args:
      pixels: uint8 array [height, width, channels], at least 2 pixels high and wide.

    Returns:
      The mean over rows, columns and channels, on 0-255.
    """
    signed = pixels.astype(np.int16)
    return float(np.mean([np.abs(np.diff(signed, axis=axis)).mean() for axis in (0, 1)]))


def crops_dataset(
    images: Sequence[np.ndarray],
    crop_size: int,
    batch_size: int,
    seed: int,
    first_batch: int = 0,
    least_detail: float = 0.0,
) -> tf.data.Dataset:
    """Random crops, flipped left-right at random, forever.

    Args:
      images: uint8 arrays [height, width, 3] of at least the size of a crop.
      crop_size: Height and width of the crops.
      batch_size: Crops per element.
      seed: Seed of images, places and flips.
      first_batch: Number of batches that are left out at the beginning.
      least_detail: Crops of less detail, see `detail_of`, are drawn again, up to three times.

    Returns:
      Dataset of uint8 tensors [batch_size, crop_size, crop_size, 3].
    """

    def draw(rng):
        image = images[rng.integers(len(images))]
        row, column = (rng.integers(size - crop_size + 1) for size in image.shape[:2])
        return image[row : row + crop_size, column : column + crop_size]

    def crop(number):
        # A generator of its own for each crop makes them the same however many threads there are.
        rng = np.random.default_rng((seed, number))
        window = draw(rng)
        for _ in range(_DRAWS_OF_A_CROP - 1):
            if not least_detail or detail_of(window) >= least_detail:
                break
            window = draw(rng)
        return window[:, ::-1] if rng.integers(2) else window

    def crop_tensor(number):
        window = tf.numpy_function(crop, [number], tf.uint8)
        return tf.ensure_shape(window, [crop_size, crop_size, 3])

    numbers = tf.data.Dataset.counter(first_batch * batch_size)
    crops = numbers.map(crop_tensor, num_parallel_calls=tf.data.AUTOTUNE)
    # Several workers share each batch; there are no files to share instead.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batches = crops.batch(batch_size, drop_remainder=True).with_options(options)
    return batches.prefetch(tf.data.AUTOTUNE)
