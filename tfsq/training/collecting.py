"""Runs of `tfsq train`, of what programs brought back."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
from collections.abc import Sequence

from tfsq.files import checked_empty, name_for_tensorflow, writing_folder
from tfsq.training import run_folder, state_files
from tfsq.training.program import PROGRAM, RESULT, names_of, read_json
from tfsq.training.runs import write_model
from tfsq.training.settings import TrainingSettings, build_model

# Settings that a run may have of its own.
_CHANGED = ("lmbda", "steps", "initial_temperature", "final_temperature", "annealing_start")


def collect(folder, result, output, run: str | None = None) -> dict:
    """Makes a run folder, as `train` leaves it, of what a program brought back.

    Args:
      folder: Folder of the program.
      result: What `run.py` wrote with `--output`.
      output: Folder of the run to write; must not exist, or be empty.
      run: Name of the run; may be None if there is one.

    Returns:
      Dict with "step", which the run has reached, and "steps", which it was to have.

    Raises:
      ValueError: if `output` is not empty, there is no such run, or it is one of another program.
    """
    folder, output = pathlib.Path(folder), checked_empty(output, "output")
    program = read_json(folder / PROGRAM)
    found_in = _run_in(pathlib.Path(result), run)
    found = read_json(found_in / RESULT)
    if found.get("program") != hashlib.sha256((folder / PROGRAM).read_bytes()).hexdigest():
        raise ValueError(f"`result` must be of the program in {folder}. Received: {found_in}")
    changed = {name: found[name] for name in _CHANGED if name in found}
    _check_fields(folder / PROGRAM, program, ("settings", "identity"))
    _check_fields(found_in / RESULT, found, ("lmbda", "steps", "step", "state"))
    changed |= _scaled(program["settings"], changed)
    settings = TrainingSettings(**{**program["settings"], **changed})
    with writing_folder(output) as unfinished, name_for_tensorflow(unfinished) as named:
        # First: the card of the codec quotes them.
        run_folder.write_settings({**program["identity"], **changed}, unfinished)
        _write_run(named, settings, found, found_in)
        shutil.copy(found_in / run_folder.HISTORY, unfinished / run_folder.HISTORY)
    return {"step": found["step"], "steps": found["steps"]}


def _scaled(settings: dict, changed: dict) -> dict:
    """The ladder of a run of another lambda, which is that of its middle."""
    lmbdas = settings.get("lmbdas")
    if not lmbdas:
        return {}
    ratio = changed.get("lmbda", settings["lmbda"]) / settings["lmbda"]
    return {"lmbdas": [lmbda * ratio for lmbda in lmbdas]}


def _write_run(folder: pathlib.Path, settings, found: dict, found_in: pathlib.Path) -> None:
    """Writes a checkpoint, `model.keras` and the codec of what was brought back."""
    model = build_model(settings)
    checkpoints = run_folder.Checkpoints(model, folder / run_folder.CHECKPOINTS, saves=True)
    arrays = state_files.read(found_in, found["state"])
    for name, variable in names_of(model).values():
        if name in arrays:
            variable.assign(arrays[name])
    # The optimizer may have begun anew in the middle; what follows from the step does not.
    model.optimizer.iterations.assign(found["step"])
    checkpoints.save()
    write_model(model, settings, found["step"], folder)


def _run_in(result: pathlib.Path, run: str | None) -> pathlib.Path:
    """The folder of a run in what `run.py` wrote."""
    found = (
        [result]
        if (result / RESULT).exists()
        else sorted(file.parent for file in result.glob(f"*/{RESULT}"))
    )
    named = [folder for folder in found if run in (None, folder.name)]
    if len(named) != 1:
        raise ValueError(
            f"`run` must name one of the runs in {result}: {[folder.name for folder in found]}. "
            f"Received: run={run!r}"
        )
    return named[0]


def _check_fields(path: pathlib.Path, written: dict, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in written]
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {missing}.")
