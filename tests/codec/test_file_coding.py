import threading

import numpy as np
import pytest

from tests.photographs import photograph
from tfsq import codec
from tfsq.codec.file_coding import code_files


@pytest.fixture
def pairs(tmp_path):
    found = []
    for number, size in enumerate([(70, 90), (30, 20), (64, 64), (90, 70), (1, 1)]):
        codec.write_image(photograph()[: size[0], : size[1]], tmp_path / f"{number}.png")
        found.append((tmp_path / f"{number}.png", tmp_path / f"{number}.tfsq"))
    return found


@pytest.mark.parametrize("jobs", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 7))])
def test_many_files_are_those_of_one_at_a_time(jobs, pairs, folder, loaded, tmp_path):
    outcomes = list(codec.compress_files(pairs, folder, jobs))
    assert sorted((o.source, o.target) for o in outcomes) == pairs
    for outcome in outcomes:
        data = codec.compress(codec.read_image(outcome.source), loaded)
        assert outcome.error is None
        assert outcome.target.read_bytes() == data
        assert outcome.result.file_bytes == len(data)
    back = [(target, tmp_path / f"{target.stem}_decoded.png") for _, target in pairs]
    for outcome in codec.decompress_files(back, folder, jobs):
        pixels = codec.decompress(outcome.source.read_bytes(), loaded)
        assert np.array_equal(outcome.result, pixels)
        assert np.array_equal(codec.read_image(outcome.target), pixels)


def test_files_that_fail_are_outcomes(pairs, loaded):
    pairs[1][0].write_bytes(b"no image")
    pairs[3][0].unlink()
    outcomes = {o.source: o for o in codec.compress_files(pairs, loaded)}
    failed = {source for source, outcome in outcomes.items() if outcome.error}
    assert failed == {pairs[1][0], pairs[3][0]}
    assert "Not an image file" in str(outcomes[pairs[1][0]].error)
    assert isinstance(outcomes[pairs[3][0]].error, FileNotFoundError)
    assert not any(outcomes[source].result or outcomes[source].target.exists() for source in failed)


def test_arguments_are_those_of_single_files(pairs, loaded):
    (outcome,) = codec.compress_files(pairs[:1], loaded, quality=2.0)
    assert "`quality` must be None" in str(outcome.error)
    with pytest.raises(ValueError, match=r"`jobs` must be at least 1. Received: jobs=0"):
        codec.compress_files(pairs, loaded, 0)


def test_as_many_as_there_are_jobs_are_worked_at_and_the_rest_is_left_when_closed(tmp_path):
    begun, together = [], threading.Barrier(3)

    def code(source, target):
        begun.append(source)
        if len(begun) <= 3:
            together.wait(timeout=60)
        return source, target.name

    outcomes = code_files(code, ((i, tmp_path / "x") for i in range(50)), 3)
    assert begun == []
    first = next(outcomes)
    assert first.result == (first.source, "x")
    outcomes.close()
    assert sorted(begun) == list(range(len(begun)))
    assert len(begun) == 3


def test_folders_to_write_to_are_made_or_named(pairs, loaded, tmp_path):
    (tmp_path / "file").touch()
    targets = [tmp_path / "new" / "folder" / "a.tfsq", tmp_path / "file" / "b.tfsq"]
    found = zip((source for source, _ in pairs), targets)
    outcomes = {o.target: o for o in codec.compress_files(found, loaded)}
    assert targets[0].stat().st_size == outcomes[targets[0]].result.file_bytes
    assert isinstance(outcomes[targets[1]].error, OSError)
