"""One trial of `tests.kills`."""

from tests.kills import kill


def test_a_killed_run_goes_on_where_its_checkpoint_is(tmp_path):
    (row,) = kill(range(1), tmp_path, steps=120)
    assert row["result"] == "ok", row
