"""Packages that only some of tfsq needs, which pip installs as an extra."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_extra(module: str, user: str, extra: str = "figures") -> ModuleType:
    """Imports a module of an extra.

    Args:
      module: Full name of the module.
      user: Who needs it, in the plural; begins the sentence of the error.
      extra: Name of the extra.

    Returns:
      The module.

    Raises:
      ImportError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{user} need {package}: pip install 'tfsq[{extra}]', or {package} itself."
        ) from error
