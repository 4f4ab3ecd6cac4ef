"""One trial of `benchmarks.kills`, killed at a step."""

import pytest

from benchmarks.kills.run import STEPS_PER_EPOCH, kill

STEPS = 120


@pytest.mark.slow  # A minute: three processes that train.
def test_a_killed_run_goes_on_where_its_checkpoint_is(tmp_path):
    (row,) = kill(range(1, 2), tmp_path, STEPS)
    assert row["result"] == "ok", row
    assert 0 < row["resumed_at"] < STEPS
    assert row["lost_steps"] <= STEPS_PER_EPOCH
