"""The photographs of scikit-image that tests use."""

import functools

import numpy as np
import skimage.data


@functools.cache
def photograph(name="chelsea"):
    """A uint8 array [height, width, 3]."""
    return getattr(skimage.data, name)()


def crops(count=4, size=64, name="coffee"):
    """Seeded crops, uint8 [count, size, size, 3]."""
    image = photograph(name)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, image.shape[0] - size, count)
    columns = rng.integers(0, image.shape[1] - size, count)
    return np.stack([image[r : r + size, c : c + size] for r, c in zip(rows, columns)])
