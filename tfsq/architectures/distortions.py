"""What a network weighs against its rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import tensorflow as tf

from tfsq.architectures import ms_ssim


def mean_squared_error(x, x_hat) -> tf.Tensor:
    """Mean squared error per image.

    Args:
      x: float32 tensor [batch, height, width, 3] in 0-255.
      x_hat: Tensor of the same shape and dtype.

    Returns:
      float32 tensor [batch].
    """
    return tf.reduce_mean(tf.math.squared_difference(x, x_hat), axis=(1, 2, 3))


def _dissimilarity(x, x_hat):
    return 1.0 - ms_ssim.ms_ssim(x, x_hat)


@dataclasses.dataclass(frozen=True)
class Distortion:
    """A distortion by which a network is trained.

    Attributes:
      name: What `compile` calls it.
      function: Function (x, x_hat) -> float32 tensor [batch], of images in 0-255.
      smallest_size: Height and width that an image must have at least.
    """

    name: str
    function: Callable
    smallest_size: int = 1

    def __call__(self, x, x_hat) -> tf.Tensor:
        """Measures images.

        Args:
          x: float32 tensor [batch, height, width, 3] in 0-255.
          x_hat: Tensor of the same shape and dtype.

        Returns:
          float32 tensor [batch].

        Raises:
          ValueError: if the images are known to be too small.
        """
        size = x.shape[1:3]
        if size.is_fully_defined():
            self.check_size("image", *size)
        return self.function(x, x_hat)

    def check_size(self, argument: str, height: int, width: int) -> None:
        """Checks that images of a size can be measured.

        Args:
          argument: What an error calls the images.
          height: In pixels.
          width: In pixels.

        Raises:
          ValueError: if they cannot.
        """
        if min(height, width) < self.smallest_size:
            raise ValueError(
                f"`{argument}` must have at least {self.smallest_size} pixels a side for the "
                f"distortion {self.name!r}. Received: {width}x{height}"
            )


DISTORTIONS: Mapping[str, Distortion] = MappingProxyType(
    {
        distortion.name: distortion
        for distortion in (
            Distortion("mse", mean_squared_error),
            Distortion("ms-ssim", _dissimilarity, ms_ssim.SMALLEST_SIZE),
        )
    }
)


def distortion_of(name: str) -> Distortion:
    """Returns the distortion of that name.

    Args:
      name: A key of `DISTORTIONS`.

    Raises:
      ValueError: if there is none.
    """
    if name not in DISTORTIONS:
        raise ValueError(
            f"`distortion` must be one of {sorted(DISTORTIONS)}. Received: distortion={name!r}"
        )
    return DISTORTIONS[name]
