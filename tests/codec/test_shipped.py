import dataclasses

import pytest

from tests.photographs import photograph
from tfsq import codec
from tfsq.codec import shipped

IMAGE = photograph()[:40, :50]


def test_file_finds_its_model_by_the_hash(shipping, tmp_path):
    assert list(codec.shipped_qualities()) == [2]
    data = codec.compress(IMAGE, codec.shipped_codec(2))
    assert data == codec.compress(IMAGE, shipping)
    (tmp_path / "a.tfsq").write_bytes(data)
    decoded = codec.decompress_file(tmp_path / "a.tfsq")
    assert (decoded == codec.decompress(data, shipping)).all()
    assert not list(tmp_path.glob("*.png"))


def test_file_of_a_model_that_does_not_come_along_is_refused_by_name(shipping, loaded):
    container = codec.unpack(codec.compress(IMAGE, loaded))
    data = codec.pack(dataclasses.replace(container, model_id=b"\x01" * 16))
    with pytest.raises(codec.ModelError, match="made with model 0101.*does not come with tfsq"):
        codec.decompress(data)


@pytest.mark.parametrize("damage", ["change", "add", "remove"])
def test_files_that_were_not_shipped_are_refused_by_name(shipping, damage):
    graph = shipping / "saved_model.pb"
    if damage == "change":
        graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    elif damage == "add":
        (shipping / "assets" / "more.txt").parent.mkdir(exist_ok=True)
        (shipping / "assets" / "more.txt").write_text("more")
    else:
        (shipping / "fingerprint.pb").unlink()
    name = {"change": "saved_model.pb", "add": "assets/more.txt", "remove": "fingerprint.pb"}
    with pytest.raises(codec.ModelError, match=f"came with tfsq.*: quality_2/{name[damage]}$"):
        codec.shipped_codec(2)


def test_unknown_quality_is_refused(shipping):
    with pytest.raises(ValueError, match=r"`quality` must be one of \[2\]. Received: quality=7"):
        codec.shipped_codec(7)


def test_installation_without_models_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "_PLACES", (tmp_path,))
    with pytest.raises(FileNotFoundError, match="No saved_models in any of"):
        codec.shipped_folder()
