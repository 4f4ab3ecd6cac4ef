"""A short run of `tests.fuzzing`, on the codecs of all networks but the shipped ones."""

import numpy as np

from tests.corpus import export_networks, images
from tests.fuzzing import failures, fuzz, mutated
from tfsq import codec


def test_mutated_files_are_refused_or_decode_as_before(tmp_path):
    export_networks(tmp_path / "networks")
    codecs = {path.name: codec.load(path) for path in (tmp_path / "networks").iterdir()}
    rows = fuzz(400, codecs, tmp_path)
    assert sum(row["count"] for row in rows) == 400
    assert failures(rows) == []
    assert {row["network"] for row in rows} == set(codecs)


def test_a_wrong_picture_would_be_seen(tmp_path):
    export_networks(tmp_path / "networks")
    found = codec.load(tmp_path / "networks" / "FactorizedPrior")
    first, second = (codec.compress(image, found) for image in images())
    chosen, _, _, data = mutated(1, [first, second])
    assert data not in (first, second) and chosen in (0, 1)

    class Careless:
        """Decodes to something else than it should."""

        metadata, model_id, decode = found.metadata, found.model_id, found.decode

        def synthesis(self, y_hat):
            return {"image": 255 - found.synthesis(y_hat=y_hat)["image"]}

    careless = {"careless": Careless()}
    expected = codec.decompress(first, found)
    assert not np.array_equal(codec.decompress(first, careless["careless"]), expected)
