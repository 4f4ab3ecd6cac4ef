import csv

import pytest

from tfsq.analysis import Gaussian, SquaredError, mismatch, scalar_quantizer_limit, table, to_csv

LIMITS = [scalar_quantizer_limit(Gaussian(), lmbda) for lmbda in (0.5, 1.0)]


def test_prints_as_a_table():
    lines = table(LIMITS).splitlines()
    assert lines[0].split() == ["kind", "source", "lmbda", "lagrangian", "rate", "distortion"]
    assert len([line for line in lines if "Gaussian(0, 1)" in line]) == 2
    assert str(LIMITS[0]).splitlines()[-1] == table(LIMITS[:1]).splitlines()[-1]


def test_exports_every_digit_to_csv(tmp_path):
    to_csv(LIMITS, tmp_path / "limits.csv")
    with (tmp_path / "limits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lagrangian"]) for row in rows] == [limit.lagrangian for limit in LIMITS]
    LIMITS[0].to_csv(tmp_path / "one.csv")
    assert len((tmp_path / "one.csv").read_text().splitlines()) == 2


def test_results_are_frozen():
    with pytest.raises(AttributeError):
        LIMITS[0].rate = 0.0


def test_nothing_and_mixtures_are_refused():
    with pytest.raises(ValueError, match="`results` must not be empty"):
        table([])
    other = mismatch("aun", None, Gaussian(), SquaredError(), log2_points=4)
    with pytest.raises(ValueError, match="`results` must be of one kind"):
        table([*LIMITS, other])
