"""tfsq: surrogates for quantization in learned image compression, for Keras and TFC."""

from __future__ import annotations

import importlib

from tfsq._version import __version__

_SUBMODULES = (
    "architectures",
    "callbacks",
    "codec",
    "entropy_models",
    "layers",
    "surrogates",
    "training",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str):
    # TensorFlow takes seconds to import, which `tfsq --help` and the like need not wait for.
    if name in _SUBMODULES:
        return importlib.import_module(f"tfsq.{name}")
    raise AttributeError(f"module 'tfsq' has no attribute {name!r}")


def __dir__():
    return __all__
