"""What only one of Keras 2 and Keras 3 has."""

import pytest

from tfsq._keras import IS_KERAS_3

has_format = pytest.mark.skipif(IS_KERAS_3, reason="a file format that Keras 3 does not have")
has_legacy_optimizers = pytest.mark.skipif(IS_KERAS_3, reason="Keras 3 has no legacy optimizers")


def of_keras_2(*values):
    """Parameters of a test that are file formats of Keras 2 alone."""
    return [pytest.param(value, marks=has_format) for value in values]
