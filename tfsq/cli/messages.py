"""What errors of the Python API say, in the words of the command line."""

from __future__ import annotations

import re
from typing import Any, Dict

# Messages name an argument in backticks, and what they received as `name=value`.
_NAMED = re.compile(r"`(\w+)`")
_RECEIVED = re.compile(r"(?<=Received: )(?:Target\()?(\w+)=([^\s)]*)\)?")
# Those of the command that runs, by the arguments that they stand for.
_options: Dict[str, str] = {}


def speak_of(context: Any):
    """Makes the options of the command that is to run those that messages name from now on.

    Args:
      context: The app's, Typer's or Click's.
    """
    _options.clear()
    for parameter in context.command.commands[context.invoked_subcommand].params:
        for option in parameter.opts:
            if option.startswith("--"):
                _options[option[2:].replace("-", "_")] = option


def in_options(text: str) -> str:
    """A message, with options in the place of the arguments that stand for them."""
    text = _NAMED.sub(lambda found: _options.get(found[1], found[0]), text)
    return _RECEIVED.sub(_received, text)


def _received(found: re.Match[str]) -> str:
    option = _options.get(found[1])
    return f"{option} {found[2]}" if option else found[0]
