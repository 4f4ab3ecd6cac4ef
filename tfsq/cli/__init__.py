"""The command line: a thin shell over the packages of tfsq."""

from tfsq.cli import coding, measuring, training
from tfsq.cli.shell import app

__all__ = ["app", "coding", "measuring", "training"]
