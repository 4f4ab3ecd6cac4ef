"""Two settings of `tests.matrix`, on the codecs that a clone has."""

from tests.corpus import export_networks
from tests.matrix import SETTINGS, failures, measure


def test_two_settings_decode_the_same_symbols(tmp_path):
    export_networks(tmp_path / "networks")
    settings = [next(iter(SETTINGS)), list(SETTINGS)[-1]]
    rows = measure(tmp_path, settings)
    assert {(row["writer"], row["reader"]) for row in rows} == {
        (writer, reader) for writer in settings for reader in settings
    }
    assert failures(rows) == []
