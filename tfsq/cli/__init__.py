"""The command line: a thin shell over `tfsq.codec`, `tfsq.training` and `tfsq.report`."""

from tfsq.cli import coding, measuring, training
from tfsq.cli.shell import app

__all__ = ["app", "coding", "measuring", "training"]
