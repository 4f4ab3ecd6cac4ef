"""The version of tfsq, read by pyproject.toml too."""

__version__ = "0.1.0"
