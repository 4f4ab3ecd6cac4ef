import importlib.util
import itertools
import pathlib

import pytest

from tests.readable import check_text
from tfsq import drawing
from tfsq.analysis import figures

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report():
    file = ROOT / "benchmarks" / "analysis" / "report.py"
    spec = importlib.util.spec_from_file_location("analysis_report", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.RESULTS = ROOT / "results" / "analysis"
    return module


@pytest.fixture(scope="module")
def mismatch(report):
    return report.read(report.KINDS["mismatch"], "mismatch")


@pytest.fixture(scope="module")
def of_mismatch(mismatch):
    return figures.mismatch_against_temperature(mismatch)


@pytest.fixture(
    scope="module", params=("mismatch", "gradient_risk", "rate_mismatch", "recommendation")
)
def figure(request, report):
    if request.param == "mismatch":
        return request.getfixturevalue("of_mismatch")
    if request.param == "recommendation":
        return figures.recommendations(report.recommendations(), "Of a batch")
    draw = {
        "gradient_risk": figures.risk_against_temperature,
        "rate_mismatch": figures.rate_mismatch_against_bound,
    }[request.param]
    return draw(report.read(report.KINDS[request.param], request.param))


def test_text_is_readable(figure):
    check_text(figure)


def test_panels_have_few_lines(figure):
    for axes in figure.axes:
        named = [line for line in axes.lines if not line.get_label().startswith("_")]
        assert 0 < len(named) <= drawing.MAX_LINES
        looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in named}
        assert len(looks) == len(named)


def test_every_surrogate_has_a_line(mismatch, of_mismatch):
    labels = [text.get_text() for axes in of_mismatch.axes for text in axes.texts]
    assert len(labels) == len(set(labels)) == len({result.surrogate for result in mismatch})


def test_few_surrogates_share_a_panel(mismatch):
    names = list(dict.fromkeys(result.surrogate for result in mismatch))
    few = [r for r in mismatch if r.surrogate in (names[0], names[-1], names[-2])]
    assert len(figures.mismatch_against_temperature(few).axes) == 3
    # A family with more than a panel holds is split.
    many = [
        figures.Mismatch(f"Surrogate{i}", t, "source", *[0.1 * i] * 6)
        for i, t in itertools.product(range(9), (1.0, 0.1))
    ]
    assert len(figures.mismatch_against_temperature(many).axes) == 2


def test_staircase_is_readable():
    check_text(figures.staircase())
