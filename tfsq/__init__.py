"""tfsq: surrogates for quantization in learned image compression, for Keras and TFC."""

from __future__ import annotations

import importlib
import pathlib
import sys

from tfsq._version import __version__

# Keras finds the classes of a saved model only once their modules are imported.
_SUBMODULES = (
    "analysis",
    "architectures",
    "callbacks",
    "codec",
    "entropy_models",
    "evaluation",
    "layers",
    "range_coder",
    "surrogates",
    "training",
)

__all__ = ["__version__", *_SUBMODULES]


def _is_command_line() -> bool:
    """Whether this process is `tfsq` or `python -m tfsq`."""
    started_as = (getattr(sys, "argv", None) or [""])[0]
    return started_as == "-m" or pathlib.PurePath(started_as).stem == "tfsq"


if not _is_command_line():
    for _name in _SUBMODULES:
        importlib.import_module(f"tfsq.{_name}")


def __getattr__(name: str):
    # On the command line, `tfsq --help` and the like need not wait seconds for TensorFlow.
    if name in _SUBMODULES:
        return importlib.import_module(f"tfsq.{name}")
    raise AttributeError(f"module 'tfsq' has no attribute {name!r}")


def __dir__():
    return __all__
