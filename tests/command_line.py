"""Commands, run in this process."""

from typer.testing import CliRunner

from tfsq.cli import app


def run(*arguments, **given):
    """The result of a command; arguments are words or paths."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **given)
