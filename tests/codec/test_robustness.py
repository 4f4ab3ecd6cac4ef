"""Short runs of `benchmarks.fuzz` and `benchmarks.matrix`, on two codecs; `.ci/slow` has all."""

import dataclasses

import numpy as np
import pytest

from benchmarks.corpus import export_networks, images, load_codecs
from benchmarks.fuzz import run as fuzzing
from benchmarks.matrix import run as matrix
from tfsq import codec

OF_MANY_RATES = ("MeanScaleHyperprior",)
NETWORKS = ("FactorizedPrior",)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all codecs in `networks`."""
    folder = tmp_path_factory.mktemp("robustness")
    export_networks(folder / "networks", NETWORKS, OF_MANY_RATES)
    return folder


@pytest.fixture(scope="module")
def codecs(place):
    return load_codecs(place / "networks")


def test_mutated_files_are_refused_or_decode_as_before(place, codecs):
    rows = fuzzing.fuzz(400, codecs, place) + fuzzing.forge(len(codecs), codecs)
    assert sum(row["count"] for row in rows) == 400 + 2 * len(codecs) + len(OF_MANY_RATES)
    assert {row["network"] for row in rows} == set(codecs)
    assert fuzzing.failures(rows) == []


def test_wrong_pictures_and_errors_of_another_kind_would_be_seen(codecs):
    found = codecs["FactorizedPrior"]
    data = codec.compress(images()[0], found)
    expected = codec.decompress(data, found)
    assert fuzzing.outcome_of(data, found, expected) == "decoded as before"
    assert fuzzing.outcome_of(data[:-1], found, expected) == "refused"

    def inverted(y_hat):
        return {"image": 255 - found.synthesis(y_hat=y_hat)["image"]}

    def broken(y_hat):
        raise KeyError

    for synthesis, outcome in ((inverted, "wrong picture"), (broken, "error: KeyError")):
        careless = dataclasses.replace(found, synthesis=synthesis)
        assert fuzzing.outcome_of(data, careless, expected) == outcome
        assert fuzzing.failures([{"outcome": outcome}])


def test_every_mutation_changes_files(codecs):
    files = [codec.compress(image, codecs["FactorizedPrior"]) for image in images()]
    found = [fuzzing.mutated(number, files) for number in range(200)]
    assert {mutation for _, mutation, _, _ in found} == {m.__name__ for m in fuzzing.MUTATIONS}
    assert np.mean([data in files for *_, data in found]) < 0.1


@pytest.mark.slow  # A process for each setting; .ci/slow measures all of them, too.
def test_symbols_are_the_same_in_two_settings(place):
    settings = [next(iter(matrix.SETTINGS)), list(matrix.SETTINGS)[-1]]
    rows = matrix.measure(place, settings)
    assert {(row["writer"], row["reader"]) for row in rows} == {
        (writer, reader) for writer in settings for reader in settings
    }
    assert matrix.failures(rows) == []
    assert matrix.failures([{**rows[0], "symbols": "refused: ..."}])
    assert matrix.failures([{**rows[0], "largest_pixel_difference": "2"}])
