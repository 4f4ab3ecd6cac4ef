"""Tables from probabilities: the counts lose the least code length."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.range_coder.sources import coder, from_strings, to_strings
from tfsq.range_coder import make_table, quantized_cdf, with_tfc
from tfsq.range_coder.rows import rows_of


def code_length(pmf, counts):
    """Expected bits, less what no count changes."""
    return -math.fsum(p * math.log2(count) for p, count in zip(pmf, counts) if p)


@given(
    pmf=st.lists(st.floats(0, 1), min_size=1, max_size=4).filter(any),
    precision=st.integers(2, 4),
)
def test_counts_are_the_best_of_all(pmf, precision):
    total = 2**precision
    counts = np.diff(quantized_cdf(pmf, precision))
    assert counts.sum() == total
    assert counts.min() >= 1
    others = itertools.product(range(1, total + 1), repeat=len(pmf) - 1)
    best = min(
        code_length(pmf, (*other, total - sum(other))) for other in others if sum(other) < total
    )
    assert code_length(pmf, counts) <= best + 1e-12 * sum(pmf)


@pytest.mark.parametrize("scale", [0.05, 0.11, 1.0, 10.0, 200.0])
@pytest.mark.parametrize("precision", [10, 12, 16])
def test_counts_are_no_worse_than_those_of_tfc(scale, precision):
    if with_tfc.ops() is None:
        pytest.skip("TFC's ops are not installed")
    places = np.arange(-min(int(4 * scale) + 1, 400), min(int(4 * scale) + 1, 400) + 1)
    pmf = np.exp(-0.5 * (places / scale) ** 2) + 1e-9
    pmf = np.append(pmf / pmf.sum(), 2**-12).astype(np.float32)
    ours = np.diff(quantized_cdf(pmf, precision))
    theirs = np.diff(with_tfc.ops().pmf_to_quantized_cdf(pmf, precision=precision).numpy())
    assert code_length(pmf, ours) <= code_length(pmf, theirs) + 1e-12
    assert np.max(np.abs(ours - theirs)) <= 1


def test_counts_do_not_depend_on_the_sum():
    pmf = [0.5, 0.3, 0.15, 0.05]
    expected = quantized_cdf(pmf, 8)
    for factor in (2.0**-1060, 2.0**-100, 4.0, 2.0**1020):
        assert np.array_equal(quantized_cdf(np.multiply(pmf, factor), 8), expected)


def test_every_symbol_has_a_count():
    assert quantized_cdf([1.0] + [0.0] * 255, 8).tolist() == list(range(257))
    assert quantized_cdf([0.0, 1e-300, 1.0], 2).tolist() == [0, 1, 2, 4]
    assert quantized_cdf([3.0], 16).tolist() == [0, 65536]
    cdf = quantized_cdf(np.ones(65536), 16)
    assert cdf.dtype == np.int32
    assert np.array_equal(cdf, np.arange(65537))


@pytest.mark.parametrize(
    "pmf, precision, message",
    [
        ([], 8, "`pmf` must be a vector of 1 to 256 entries. Received: shape=(0,)"),
        ([[0.5, 0.5]], 8, "`pmf` must be a vector"),
        ([0.2] * 5, 2, "`pmf` must be a vector of 1 to 4 entries. Received: shape=(5,)"),
        ([0.5, np.nan], 8, "`pmf` must have finite entries"),
        ([0.5, np.inf], 8, "`pmf` must have finite entries"),
        ([0.5, -0.1], 8, "`pmf` must have finite entries of at least 0"),
        ([0.0, 0.0], 8, "`pmf` must have finite entries of at least 0, not all zero"),
        ([1.0], 0, "`precision` must be an integer in [1, 16]. Received: 0"),
        ([1.0], 17, "`precision` must be an integer in [1, 16]. Received: 17"),
        ([1.0], 8.5, "`precision` must be an integer in [1, 16]. Received: 8.5"),
    ],
)
def test_wrong_probabilities_are_refused(pmf, precision, message):
    with pytest.raises(ValueError) as error:
        quantized_cdf(pmf, precision)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("escape", [True, False])
def test_tables_have_a_row_for_each_pmf(escape):
    pmfs = [[0.7, 0.3], [0.1, 0.2, 0.3, 0.4], [1.0, 1.0] if escape else [1.0]]
    made = make_table(pmfs, 12, escape)
    assert made.dtype == np.int32
    _, starts, sizes, shifts, escapes = rows_of(made).lists
    assert sizes == [len(pmf) - escape for pmf in pmfs]
    assert shifts == [12] * 3
    assert escapes == [escape] * 3
    for start, pmf in zip(starts, pmfs):
        assert np.array_equal(made[start : start + len(pmf) + 1], quantized_cdf(pmf, 12))
    values = [0, 3 - escape, -9 if escape else 0]
    with coder("plain"):
        string = to_strings(made, [0, 1, 2], values)
        decoded, ok = from_strings(made, string, [0, 1, 2])
    assert decoded.tolist() == values
    assert ok
    with pytest.raises(ValueError, match="`pmfs` must have at least one entry"):
        make_table([], 12, escape)


def test_a_row_of_an_escape_alone_is_refused():
    # TFC would decode it for ever.
    with pytest.raises(ValueError, match="must have two entries each"):
        make_table([[1.0]], 12)
