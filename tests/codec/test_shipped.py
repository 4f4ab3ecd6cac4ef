import concurrent.futures
import dataclasses
import shutil
import time

import pytest

from tests.photographs import photograph
from tfsq import codec
from tfsq.codec import shipped

IMAGE = photograph()[:40, :50]


@pytest.mark.slow
def test_file_finds_its_model_by_the_hash(shipping, tmp_path):
    assert codec.shipped_model() == shipping
    data = codec.compress(IMAGE, codec.shipped_codec())
    assert data == codec.compress(IMAGE, shipping)
    assert codec.is_shipped(codec.unpack(data).model_id)
    (tmp_path / "a.tfsq").write_bytes(data)
    decoded = codec.decompress_file(tmp_path / "a.tfsq")
    assert (decoded == codec.decompress(data, shipping)).all()
    assert not list(tmp_path.glob("*.png"))


def test_file_of_a_model_that_does_not_come_along_is_refused_by_name(shipping, loaded):
    container = codec.unpack(codec.compress(IMAGE, loaded))
    data = codec.pack(dataclasses.replace(container, model_id=b"\x01" * 16))
    with pytest.raises(codec.ModelError, match="made with model 0101.*does not come with tfsq"):
        codec.decompress(data)


def test_file_of_a_codec_that_came_with_an_earlier_tfsq_says_where_that_is(shipping, loaded):
    container = codec.unpack(codec.compress(IMAGE, loaded))
    for name, quality in shipped._EARLIER.items():
        data = codec.pack(dataclasses.replace(container, model_id=bytes.fromhex(name)))
        expected = f"saved_models/{quality}` of tfsq's commit [0-9a-f]{{7}}, and give it as `model`"
        with pytest.raises(codec.ModelError, match=expected):
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
    with pytest.raises(codec.ModelError, match=f"came with tfsq.*: photographs/{name[damage]}$"):
        codec.shipped_codec()


def test_installation_without_the_codec_is_named(shipping):
    shutil.rmtree(shipping)
    with pytest.raises(FileNotFoundError, match="no bundled codec: .*photographs is missing"):
        codec.shipped_codec()


def test_installation_without_models_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "_PLACES", (tmp_path,))
    with pytest.raises(FileNotFoundError, match="No saved_models in any of"):
        codec.shipped_folder()
    assert not codec.is_shipped(bytes(16))


def test_threads_load_the_codec_once(shipping, monkeypatch):
    loads = []

    def load(folder):
        loads.append(folder)
        time.sleep(0.1)
        return object()

    monkeypatch.setattr(shipped, "load", load)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: codec.shipped_codec(), range(4)))
    assert len(loads) == len(set(map(id, found))) == 1
