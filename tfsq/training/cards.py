"""What the card of a run's codec says: what the run knows, and what its owner has said."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from tfsq.codec import CardFacts
from tfsq.files import writing_whole
from tfsq.training import run_folder
from tfsq.training.settings import TrainingSettings

_FIGURES, _MODEL_HASH = "figures", "model_hash"


def card_facts(
    settings: TrainingSettings,
    step: int,
    folder: pathlib.Path,
    model_hash: str,
    facts: CardFacts | None = None,
) -> CardFacts:
    """Returns what the card says, and keeps in the run what its owner said of it.

    Args:
      settings: Of the run.
      step: Optimizer step that it has reached.
      folder: Of the run.
      model_hash: Of the codec. Figures of other weights are left out.
      facts: What its owner says now, in place of what was said earlier.

    Raises:
      ValueError: if what was said earlier is damaged.
    """
    said = _said(folder)
    new = {name: value for name, value in vars(facts or CardFacts()).items() if value}
    if new:
        said |= new
        if _FIGURES in new:
            said[_MODEL_HASH] = model_hash
        with writing_whole(folder / run_folder.CARD) as file:
            file.write_text(json.dumps(said, indent=2) + "\n")
    if said.pop(_MODEL_HASH, None) != model_hash:
        said.pop(_FIGURES, None)
    return CardFacts(**{**_known(settings, step, folder, said.pop("data", None)), **said})


def _said(folder: pathlib.Path) -> dict:
    """What was said earlier, with the hash of the weights that figures are of."""
    file = folder / run_folder.CARD
    if not file.exists():
        return {}
    try:
        said = json.loads(file.read_text())
        CardFacts(**{name: value for name, value in said.items() if name != _MODEL_HASH})
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    return said


def _known(settings: TrainingSettings, step: int, folder: pathlib.Path, data: str | None) -> dict:
    """What a run knows; whose the images are and their terms, its owner says."""
    size = settings.crop_size
    written = run_folder.written_settings(folder) or {}
    images, start = written.get("images"), written.get(run_folder.START_CODEC)
    origin = f" It began with the weights of codec {start}, whose card says more." if start else ""
    said = data or "Which files, whose they are and their terms are not recorded."
    separator = "\n\n" if data else " "
    return {
        "training": f"{step} of {settings.steps} steps, each on {settings.batch_size} crops of "
        f"{size}x{size}.{origin}",
        "settings": dataclasses.asdict(settings),
        "data": f"Random crops of {images}.{separator}{said}" if images else data,
    }
