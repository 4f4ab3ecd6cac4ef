"""What errors of the Python API say, in the words of the command line."""

from __future__ import annotations

import re
from typing import Any, Dict

# Messages name an argument in backticks; what goes on behind these is the name of a file.
_NAMED = re.compile(r"(?<![\w/.-])`(\w+)`(?!\.?[\w/])")
# What they received follows as `name=value`, more than one at times.
_VALUES_BEGIN = re.compile(r"Received: |other settings: ")
_TARGET = re.compile(r"Target\((\w+=[^\s)]*)\)")
_GIVEN = re.compile(r"(?<![\w.])(\w+)=(?=\S)")
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
    begin = _VALUES_BEGIN.search(text)
    if begin is None:
        return text
    said, values = text[: begin.end()], _TARGET.sub(r"\1", text[begin.end() :])
    return said + _GIVEN.sub(_as_option, values)


def _as_option(found: re.Match[str]) -> str:
    option = _options.get(found[1])
    return f"{option} " if option else found[0]
