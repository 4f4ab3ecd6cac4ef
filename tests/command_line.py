"""Commands, run in this process."""

from PIL import Image
from typer.testing import CliRunner

from tests.photographs import photograph
from tfsq.cli import app


def run(*arguments, **given):
    """The result of a command; arguments are words or paths."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **given)


def refused(result, message):
    """Checks that a command ended with a sentence."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert message in result.output


def save(path, size=(20, 30)):
    """Writes a part of a photograph, as PNG whatever the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.fromarray(photograph()[: size[0], : size[1]]).save(file, "PNG")
    return path
