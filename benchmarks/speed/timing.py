"""Times several ways to do the same work, in turns, so that a change of the machine hits all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 7


def seconds_of(work: Callable[[], object], calls: int = 1) -> float:
    """The seconds that a call takes, by `calls` of them."""
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls


def in_turns(
    ways: Mapping[str, Callable[[], float]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Asks every way for its seconds, `rounds` times, one after the other in each round.

    Args:
      ways: Name -> callable that does the work and returns the seconds of a call.
      rounds: How often; once more before, which is not counted.
    """
    for seconds in ways.values():
        seconds()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, seconds in ways.items():
            found[name].append(seconds())
    return found


def timed(work: Callable[[], object], least: float = 0.1) -> Callable[[], float]:
    """Makes of work a way for `in_turns`, with as many calls a round as take `least` seconds."""
    work()
    calls = max(1, round(least / max(seconds_of(work), 1e-9)))
    return lambda: seconds_of(work, calls)


def rows_of(found: Mapping[str, list[float]], ours: str, **keys) -> list[dict]:
    """A row for each way, with its median and what `ours` takes of it.

    The ratio is the median over the rounds, in each of which both were timed one after the other.
    """
    rows = []
    for name, seconds in found.items():
        ratios = sorted(mine / theirs for mine, theirs in zip(found[ours], seconds))
        quarter = len(ratios) // 4
        rows.append(
            {
                **keys,
                "way": name,
                "ms": 1e3 * statistics.median(seconds),
                "ms_lowest": 1e3 * min(seconds),
                "ms_highest": 1e3 * max(seconds),
                "ratio": statistics.median(ratios),
                "ratio_low": ratios[quarter],
                "ratio_high": ratios[-1 - quarter],
            }
        )
    return rows
