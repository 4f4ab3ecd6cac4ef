"""What coding tells of its progress."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a stage of coding has come.

    Attributes:
      stage: "analysis" or "synthesis", in tiles, or "refinement", in steps.
      done: Tiles or steps that are done.
      total: All of them.
      loss: The surrogate's, of a step of refinement.
    """

    stage: str
    done: int
    total: int
    loss: float | None = None


ProgressCallback = Callable[[Progress], None]


def ignored(progress: Progress) -> None:
    """Tells nobody."""
    del progress
