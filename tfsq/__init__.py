"""tfsq: surrogates for quantization in learned image compression, for Keras and TFC."""

from __future__ import annotations

import importlib
import pathlib
import re
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
    if started_as != "-m":
        return pathlib.PurePath(started_as).stem == "tfsq"
    # Python looks for a module, of tfsq or of a package that imports it; 3.9 does not say which.
    given = getattr(sys, "orig_argv", ["-m", "tfsq"])
    # `-m tfsq`, or `-mtfsq`, perhaps behind other flags without an argument.
    found = (re.fullmatch("-[bBdEiIOPqsSuvx]*m(.*)", flag) for flag in given)
    modules = (match[1] or after for match, after in zip(found, [*given[1:], ""]) if match)
    return next(modules, "").partition(".")[0] == "tfsq"


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
