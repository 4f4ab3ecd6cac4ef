"""Draws the figures of `tfsq analyze` again, from the CSV files alone.

    python -m benchmarks.analysis.report

Reads `results/analysis/*.csv`; writes the figures beside them.
"""

from __future__ import annotations

import pathlib
import re

from benchmarks import rows as tables
from tfsq import analysis
from tfsq.analysis import recommendation, report

RESULTS = pathlib.Path("results/analysis")
KINDS = {
    "mismatch": analysis.Mismatch,
    "gradient_risk": analysis.GradientRisk,
    "rate_mismatch": analysis.RateMismatch,
}


def _value(text: str):
    try:
        return float(text) if text else None
    except ValueError:
        return text


def read(kind, name: str) -> tuple:
    """The results of one file; none where there is no file."""
    found = tables.read(RESULTS / f"{name}.csv")
    return tuple(kind(**{key: _value(value) for key, value in row.items()}) for row in found)


def recommendations() -> list[analysis.Recommendation]:
    """The recommendations, with the curves that led to them."""
    found = []
    for row in tables.read(RESULTS / "recommendation.csv"):
        stem = "recommendation_" + re.sub(r"\W+", "_", row["surrogate"])
        curves = {
            "temperature_curve": read(recommendation.TemperaturePoint, f"{stem}_temperature"),
            "bound_curve": read(recommendation.BoundPoint, f"{stem}_bound"),
        }
        values = {key: _value(value) for key, value in row.items()}
        found.append(analysis.Recommendation(**values, **curves))
    return found


def main() -> None:
    """Draws them."""
    results = {name: read(kind, name) for name, kind in KINDS.items()}
    report.write_figures({**results, "recommendation": recommendations()}, RESULTS)


if __name__ == "__main__":
    main()
