"""Batches of images: their shape, and what pads and crops them."""

from __future__ import annotations

import tensorflow as tf

# Of uint8, from which networks are given pixels within 1.
PIXEL_RANGE = 255.0
# Of images with other channels: what to do.
_HINTS = {
    1: " Gray images are `tf.image.grayscale_to_rgb(image)`.",
    4: " Without its alpha channel, an image is `image[..., :3]`.",
}


def checked_images(image) -> tf.Tensor:
    """Returns images as a tensor, or refuses what are none.

    Args:
      image: Tensor [batch, height, width, 3] of any real dtype.

    Raises:
      ValueError: if the shape is another one, with what to do if the channels are those of gray
        images or of images with an alpha channel.
    """
    image = tf.convert_to_tensor(image)
    if image.shape.rank is None or (image.shape.rank == 4 and image.shape[-1] is None):
        return tf.ensure_shape(image, [None, None, None, 3])
    if image.shape.rank != 4 or image.shape[-1] != 3:
        hint = _HINTS.get(image.shape[-1], "") if image.shape.rank == 4 else ""
        raise ValueError(
            f"`image` must have shape [batch, height, width, 3].{hint} "
            f"Received: shape={image.shape}"
        )
    return image


def of_same_shape(target, image) -> tf.Tensor:
    """Returns `target`, unless it has another shape than `image`, to which it would be broadcast.

    Args:
      target: Tensor.
      image: Tensor, of the shape that `target` must have.

    Raises:
      ValueError: if it has not, where shapes are known; else the graph fails when it is executed.
    """
    if not target.shape.is_compatible_with(image.shape):
        raise ValueError(
            f"`target` must have the shape of `image`, {image.shape}. "
            f"Received: shape={target.shape}"
        )
    if target.shape.is_fully_defined() and image.shape.is_fully_defined():
        return target
    same = tf.debugging.assert_equal(
        tf.shape(target), tf.shape(image), "`target` must have the shape of `image`."
    )
    # XLA knows no assertions, but refuses this.
    with tf.control_dependencies([same]):
        return tf.reshape(target, tf.shape(image))


def padded_size(size, multiple: int):
    """Returns the least multiple of `multiple` that is not below `size`.

    Args:
      size: Integer, or an integer tensor or array of any shape.
      multiple: Positive integer.
    """
    return -(-size // multiple) * multiple


def pad_to_multiple(image, multiple: int) -> tf.Tensor:
    """Repeats the last row and column until both sizes are multiples of `multiple`.

    Args:
      image: Tensor [batch, height, width, channels] with at least one pixel.
      multiple: Positive integer.

    Returns:
      Tensor [batch, ceil(height), ceil(width), channels] of the same dtype.
    """
    for axis in (1, 2):
        size = image.shape[axis]
        if size is not None and size % multiple == 0:
            continue
        size = tf.shape(image)[axis]
        rows = tf.range(padded_size(size, multiple))
        image = tf.gather(image, tf.minimum(rows, size - 1), axis=axis)
    return image


def cropped(reconstruction, image) -> tf.Tensor:
    """Crops a reconstruction of a padded image to the size of the image.

    Args:
      reconstruction: Tensor [batch, height, width, channels].
      image: Tensor of at most that height and width.
    """
    shape = tf.shape(image)
    reconstruction = reconstruction[:, : shape[1], : shape[2], :]
    reconstruction.set_shape(image.shape)
    return reconstruction
