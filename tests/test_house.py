"""Imports run one way: each room imports from those below it alone."""

import ast
import pathlib

import pytest

from tests.conftest import LONGEST

TFSQ = pathlib.Path(__file__).parents[1] / "tfsq"
# What each room may import from, beside itself; what is not here may import nothing.
BELOW = {
    "layers": {"surrogates", "_keras"},
    "drawing": {"_extras"},
    "analysis": {"drawing", "files", "layers"},
    "callbacks": {"layers", "_keras"},
    "entropy_models": {"layers", "range_coder", "surrogates", "_keras"},
    "architectures": {"entropy_models", "layers", "range_coder", "_keras"},
    "codec": {
        "architectures",
        "entropy_models",
        "files",
        "layers",
        "range_coder",
        "_keras",
        "_version",
    },
    "evaluation": {
        "analysis",
        "architectures",
        "codec",
        "drawing",
        "files",
        "_extras",
        "_version",
    },
    "training": {
        "architectures",
        "callbacks",
        "codec",
        "entropy_models",
        "files",
        "layers",
        "_keras",
        "_version",
    },
    "cli": {"analysis", "codec", "evaluation", "files", "training", "_version"},
    "__main__": {"cli"},
    "__init__": {"_version"},
}
FILES = sorted(TFSQ.rglob("*.py"))


def room_of(file):
    return file.relative_to(TFSQ).with_suffix("").parts[0]


def imported_rooms(file):
    """The rooms that a module imports from, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names = [node.module]
            if node.module == "tfsq":
                names = [f"tfsq.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "imported":
            names = [f"tfsq.{node.args[0].value}"]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("tfsq."))


def test_files_of_tests_that_take_longest_are_there():
    tests = pathlib.Path(__file__).parent
    assert [name for name in LONGEST if not (tests / name).is_file()] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TFSQ)))
def test_modules_import_from_rooms_below(file):
    room = room_of(file)
    assert set(imported_rooms(file)) - {room} <= BELOW.get(room, set())


def test_rooms_are_below_each_other_in_one_order():
    rooms = dict(BELOW)
    while rooms:
        lowest = [room for room, below in rooms.items() if not below & set(rooms)]
        assert lowest, f"a circle among {sorted(rooms)}"
        for room in lowest:
            del rooms[room]
