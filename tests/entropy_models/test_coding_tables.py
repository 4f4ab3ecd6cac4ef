import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.entropy_models.test_deep_factorized import CHANNELS, weights
from tfsq.entropy_models.coding_tables import density_tables, gaussian_tables
from tfsq.entropy_models.deep_factorized import DeepFactorized

SCALES = (1e-6, 0.11, 0.9, 7.3, 256.0)
TAIL_MASS = 2**-12


def rows_of(table, precision):
    """Counts of each row, without its head."""
    heads = [i for i, entry in enumerate(table) if entry == -precision]
    rows = [table[i + 1 : j] for i, j in zip(heads, [*heads[1:], len(table)])]
    for row in rows:
        assert row[0] == 0 and row[-1] == 2**precision
        assert np.all(np.diff(row) > 0)
    return rows


def test_gaussian_tables_have_the_probabilities_of_rounded_gaussians():
    table, offsets = gaussian_tables(SCALES, TAIL_MASS, 16)
    for scale, row, first in zip(SCALES, rows_of(table, 16), offsets):
        last = first + len(row) - 3
        assert first == -last
        assert last == np.ceil(stats.norm.isf(TAIL_MASS / 2, scale=scale))
        values = np.arange(first, last + 1)
        law = stats.norm(scale=scale)
        expected = law.cdf(values + 0.5) - law.cdf(values - 0.5)
        found = np.diff(row)[:-1] / 2**16
        # Symbols that hardly occur have a count of one all the same, as has the escape.
        taken = (1 + np.sum(expected < 2**-16)) * 2**-16
        np.testing.assert_allclose(found, expected, atol=2**-16 + taken)


def test_density_tables_have_the_probabilities_of_the_density():
    found = list(weights(spread=0.3))
    density = DeepFactorized.of(found, tf.float64)
    table, offsets = density_tables(found, TAIL_MASS, 16)
    for channel, (row, first) in enumerate(zip(rows_of(table, 16), offsets)):
        values = np.zeros([len(row) - 2, CHANNELS])
        values += np.arange(first, first + len(row) - 2)[:, np.newaxis]
        expected = 2.0 ** -density.bits(tf.constant(values)).numpy()[:, channel]
        np.testing.assert_allclose(np.diff(row)[:-1] / 2**16, expected, atol=3e-4)
        # What is left to the escape is the tail that was asked for.
        assert 0.0 < 1.0 - expected.sum() < TAIL_MASS
        assert expected[1:-1].sum() < 1.0 - TAIL_MASS / 4


@pytest.mark.parametrize("precision", [1, 2, 5, 12])
def test_wide_densities_leave_more_to_the_escape_than_asked(precision):
    for table, offsets in (
        gaussian_tables((1e5,), TAIL_MASS, precision),
        density_tables(list(weights(init_scale=1e6, spread=0.0)), TAIL_MASS, precision),
    ):
        for row, first in zip(rows_of(table, precision), offsets):
            assert len(row) - 1 <= 2**precision
            assert first <= 0 <= first + len(row) - 3


def test_are_the_tables_of_tfc_but_for_single_counts():
    tfc = pytest.importorskip("tensorflow_compression")
    scales = np.array([0.11, 0.5, 2.0, 9.0, 60.0])
    theirs = tfc.LocationScaleIndexedEntropyModel(
        tfc.NoisyNormal,
        len(scales),
        lambda i: tf.gather(tf.constant(scales, tf.float32), tf.cast(i, tf.int32)),
        coding_rank=1,
        compression=True,
        tail_mass=TAIL_MASS,
        range_coder_precision=16,
    )
    table, offsets = gaussian_tables(tuple(scales), TAIL_MASS, 16)
    np.testing.assert_array_equal(offsets, theirs.cdf_offset)
    assert table.shape == theirs.cdf.shape
    assert np.abs(table - theirs.cdf.numpy()).max() <= 1
