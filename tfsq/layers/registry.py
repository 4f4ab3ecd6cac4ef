"""The names of the quantizer layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from tfsq._keras import saving
from tfsq.layers.base import Quantizer

_QUANTIZERS: dict[str, type[Quantizer]] = {}


def register(name: str, package: str = "tfsq") -> Callable[[type[Quantizer]], type[Quantizer]]:
    """Decorates a quantizer layer: Keras can save and load it, and `get` knows its short name.

    Args:
      name: Short name, of which there can be one.
      package: Keras' name for where the class comes from; choose your own.

    Returns:
      The decorator.

    Raises:
      TypeError: if the class is not a `Quantizer`.
      ValueError: if its name or short name is taken by another class.
    """

    def decorate(cls):
        if not (inspect.isclass(cls) and issubclass(cls, Quantizer)):
            raise TypeError(f"`register` must decorate a `Quantizer`. Received: {cls!r}")
        for key in (name, cls.__name__):
            taken = _by_any_name().get(key)
            # A module that is loaded again defines its class again.
            if taken is not None and _origin(taken) != _origin(cls):
                raise ValueError(f"`name` {key!r} is taken by {taken.__name__}.")
        _QUANTIZERS[name] = cls
        return saving.register_keras_serializable(package=package)(cls)

    return decorate


def names() -> dict[str, type[Quantizer]]:
    """Returns the quantizer layers by their short names."""
    return dict(_QUANTIZERS)


def get(identifier, **kwargs) -> Quantizer:
    """Returns a quantizer layer.

    Example:

    >>> get("sua", temperature=0.5).form
    'dithered'

    Args:
      identifier: Short name ("sua"), class name ("StochasticUniformAnnealing"), what
        `keras.saving.serialize_keras_object` made of a layer, a class, or a layer, which is
        returned as it is.
      **kwargs: Arguments of the constructor, with a name or a class.

    Raises:
      ValueError: if there is no such name, or if there are `kwargs` for a finished layer.
      TypeError: if `identifier` is none of the above.
    """
    if isinstance(identifier, str):
        return _class_of(identifier)(**kwargs)
    if inspect.isclass(identifier) and issubclass(identifier, Quantizer):
        return identifier(**kwargs)
    if kwargs:
        raise ValueError(f"A finished layer takes no arguments. Received: {sorted(kwargs)}")
    if isinstance(identifier, dict):
        identifier = _deserialized(identifier)
    if not isinstance(identifier, Quantizer):
        raise TypeError(
            "`identifier` must be a name, a config, a class or a layer of a quantizer. "
            f"Received: {identifier!r}"
        )
    return identifier


def _deserialized(config):
    # Keras' own `get` takes {"class_name", "config"} too.
    if set(config) == {"class_name", "config"} and ">" not in str(config["class_name"]):
        if not isinstance(config["config"], dict):
            raise ValueError(f"`identifier` must have a dict for its config. Received: {config}")
        return _class_of(config["class_name"]).from_config(config["config"])
    return saving.deserialize_keras_object(config)


def _class_of(name):
    found = _by_any_name().get(name)
    if found is None:
        known = ", ".join(f"{name} ({cls.__name__})" for name, cls in _QUANTIZERS.items())
        raise ValueError(f"`identifier` must be one of: {known}. Received: identifier={name!r}")
    return found


def _by_any_name():
    return {**{cls.__name__: cls for cls in _QUANTIZERS.values()}, **_QUANTIZERS}


def _origin(cls):
    return cls.__module__, cls.__qualname__
