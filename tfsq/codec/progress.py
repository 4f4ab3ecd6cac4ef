"""What coding, and what else takes a while, tells of its progress."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a stage of coding, or of calibration, has come.

    Attributes:
      stage: "analysis" or "synthesis", in tiles, "refinement", in steps, or "calibration", in
        directions of the search.
      done: Tiles, steps or directions that are done.
      total: All of them.
      loss: The surrogate's, of a step of refinement; the mean over qualities, of calibration.
    """

    stage: str
    done: int
    total: int
    loss: float | None = None


ProgressCallback = Callable[[Progress], None]


def ignored(progress: Progress) -> None:
    """Tells nobody."""
    del progress
