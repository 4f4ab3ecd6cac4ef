"""The one way to look for parts of a model."""

from __future__ import annotations

from typing import TypeVar

import tensorflow as tf

from tfsq._keras import parts_of

Part = TypeVar("Part")


def find(model: tf.Module, kind: type[Part]) -> list[Part]:
    """Returns the parts of a model that are of a kind, those of nested models and layers, too.

    Args:
      model: Keras model, layer, or other `tf.Module`.
      kind: A class.
    """
    return [part for part in parts_of(model) if isinstance(part, kind)]
