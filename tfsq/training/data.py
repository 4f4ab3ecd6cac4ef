"""Images to train on, and the crops of a step."""

from __future__ import annotations

import collections.abc
import hashlib
import pathlib
import threading
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfsq import codec
from tfsq.architectures.images import padded_size
from tfsq.codec.image_files import stored_size
from tfsq.files import leaving_out

# Of decoded images, in bytes.
CACHE_SIZE = 2 * 2**30
_DRAWS_OF_A_CROP = 4
_VALIDATED = 256  # Pixels a side of an image to validate with, at most.


def training_images(
    paths: Sequence,
    crop_size: int,
    on_skipped: Callable[[str], None] | None = None,
    cache_size: int = CACHE_SIZE,
) -> TrainingImages:
    """Returns image files that crops can be taken from, by their headers.

    Args:
      paths: Image files, see `tfsq.codec.read_image`.
      crop_size: Smallest height and width that they may have.
      on_skipped: Called with why a file is left out, now or when its pixels turn out to be damaged;
        None raises instead.
      cache_size: Bytes of decoded images that are kept in memory.

    Raises:
      ValueError: if no file serves; without `on_skipped`, if one is not an image or smaller than a
        crop.
      OSError: without `on_skipped`, if a file cannot be read.
    """
    if cache_size < 0:
        raise ValueError(f"`cache_size` must be at least 0. Received: cache_size={cache_size}")
    found = []
    for path in paths:
        with leaving_out(on_skipped):
            _check_size(path, stored_size(path), crop_size)
            found.append(path)
    if not found:
        raise ValueError(f"No images to train on, of {len(paths)} files.")
    return TrainingImages(found, crop_size, on_skipped, cache_size)


class TrainingImages(collections.abc.Sequence):
    """Images that are decoded when they are needed, and kept as long as there is a place for them.

    May be used by several threads. An image whose pixels turn out not to serve is None; without
    `on_skipped` it raises what `training_images` does.

    Attributes:
      paths: The files.
      error: Why training cannot go on, None if it can. TensorFlow would wrap it in one of its own.
    """

    def __init__(self, paths, crop_size, on_skipped, cache_size):
        self.paths = list(paths)
        self.error: Exception | None = None
        self._crop_size, self._on_skipped = crop_size, on_skipped
        self._lock, self._place_left = threading.Lock(), cache_size
        # No two threads decode the same image at once.
        self._decoding = [threading.Lock() for _ in self.paths]
        self._decoded: dict[int, np.ndarray] = {}
        self._damaged: set[int] = set()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):
        if self.error is not None:
            raise self.error
        index = range(len(self.paths))[index]
        image = self._decoded.get(index)
        if image is not None:
            return image
        with self._decoding[index]:
            return self._decode(index)

    def _decode(self, index: int):
        image = self._decoded.get(index)
        if image is not None or index in self._damaged:
            return image
        try:
            image = codec.read_image(self.paths[index])
            _check_size(self.paths[index], (image.shape[0], image.shape[1]), self._crop_size)
        except (OSError, ValueError) as error:
            self._leave_out(index, error)
            return None
        with self._lock:
            if index not in self._decoded and image.nbytes <= self._place_left:
                self._decoded[index] = image
                self._place_left -= image.nbytes
        return image

    def _leave_out(self, index: int, error: Exception) -> None:
        with self._lock:
            is_new = index not in self._damaged
            self._damaged.add(index)
        if self._on_skipped is None:
            self.error = error
            raise error
        if is_new:
            self._on_skipped(str(error))
        if len(self._damaged) == len(self.paths):
            self.error = ValueError(f"No images to train on, of {len(self.paths)} files.")
            raise self.error


def validation_images(
    paths: Sequence,
    multiple: int,
    smallest: int,
    apart_from: Sequence = (),
    on_skipped: Callable[[str], None] | None = None,
) -> list[np.ndarray]:
    """Reads the middle of images to validate with, of at most about 256 pixels a side.

    Args:
      paths: Image files, see `tfsq.codec.read_image`.
      multiple: What height and width are cropped to multiples of.
      smallest: Pixels that they must have at least.
      apart_from: Files that none of them may be, nor a copy of one.
      on_skipped: Called with why a file is left out; None raises instead.

    Returns:
      uint8 arrays [height, width, 3].

    Raises:
      ValueError: if one of them is in `apart_from`, or no file serves; without `on_skipped`, if one
        is not an image or too small.
      OSError: without `on_skipped`, if a file cannot be read.
    """
    least = padded_size(max(smallest, multiple), multiple)
    found: dict = {}
    for path in paths:
        with leaving_out(on_skipped):
            _check_size(path, stored_size(path), least)
            image = codec.read_image(path)
            _check_size(path, (image.shape[0], image.shape[1]), least)
            found[path] = _middle_of(image, multiple, least)
    if not found:
        raise ValueError(f"None of the {len(paths)} files is an image that serves.")
    _check_apart(list(found), apart_from)
    return list(found.values())


def _middle_of(image: np.ndarray, multiple: int, least: int) -> np.ndarray:
    for axis in (0, 1):
        length = max(least, min(image.shape[axis], _VALIDATED) // multiple * multiple)
        first = (image.shape[axis] - length) // 2
        image = np.take(image, range(first, first + length), axis)
    return image


def _check_apart(paths: Sequence, others: Sequence) -> None:
    """Raises ValueError if one of the files has the bytes of one of the others."""
    sizes = {pathlib.Path(path).stat().st_size for path in paths}
    known = {
        digest_of([other]): other for other in others if pathlib.Path(other).stat().st_size in sizes
    }
    for path in paths:
        other = known.get(digest_of([path])) if known else None
        if other is not None:
            raise ValueError(
                "Images to validate with must not be among those to train on. "
                f"Received: {path}, which is also {other}"
            )


def digest_of(paths: Sequence) -> str:
    """Returns what tells files from others, by their bytes and order.

    Args:
      paths: The files.
    """
    found = hashlib.sha256()
    for path in paths:
        found.update(hashlib.sha256(pathlib.Path(path).read_bytes()).digest())
    return found.hexdigest()


def _check_size(path, size: tuple[int, int], crop_size: int) -> None:
    height, width = size
    if min(height, width) < crop_size:
        raise ValueError(f"{path} is {width}x{height}, smaller than a crop of {crop_size}.")


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
    images: Sequence,
    crop_size: int,
    batch_size: int,
    seed: int,
    first_batch: int = 0,
    least_detail: float = 0.0,
) -> tf.data.Dataset:
    """Random crops, flipped left-right at random, forever.

    Args:
      images: uint8 arrays [height, width, 3] of at least the size of a crop, or `TrainingImages`;
        an image that is None is drawn again.
      crop_size: Height and width of the crops.
      batch_size: Crops per element.
      seed: Seed of images, places and flips.
      first_batch: Number of batches that are left out at the beginning.
      least_detail: Crops of less detail, see `detail_of`, are drawn again, up to three times.

    Returns:
      Dataset of uint8 tensors [batch_size, crop_size, crop_size, 3].
    """

    def draw(rng):
        image = None
        while image is None:
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
