import dataclasses
import json
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfsq
from tests.photographs import photograph
from tests.tiny import Tiny
from tfsq import codec, evaluation, range_coder
from tfsq.architectures import MeanScaleHyperprior
from tfsq.codec import tiling


@pytest.fixture(scope="module")
def tiny():
    """A model that is exported and loaded in a second, for what does not depend on the network."""
    model = Tiny(4, 6)
    model.compile("adam", lmbda=0.02)
    return model


@pytest.fixture(scope="module")
def tiny_folder(tiny, tmp_path_factory):
    """The folder of its codec."""
    folder = tmp_path_factory.mktemp("tiny") / "exported"
    codec.export(tiny, folder)
    return folder


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (64, 64), (65, 127), (300, 451)])
def test_decoded_pixels_are_the_reconstruction_of_the_encoder(loaded, size):
    image = photograph()[: size[0], : size[1]]
    figures = evaluation.measure(image, loaded)
    assert figures.decoder_matches_encoder
    assert abs(8 * figures.payload_bytes - figures.estimated_bits) <= (
        0.01 * figures.estimated_bits + 2 * 32
    )
    assert figures.file_bytes <= figures.payload_bytes + 64 + 2 * 4
    assert figures.bpp == 8 * figures.file_bytes / (size[0] * size[1])
    assert (figures.ms_ssim is None) == (min(size) < 161)


def test_reconstruction_is_that_of_the_keras_model(model, loaded):
    image = photograph()[:100, :90]
    decoded = codec.decompress(codec.compress(image, loaded), loaded)
    expected, _ = model(image[None], training=False)
    expected = tf.saturate_cast(tf.round(expected[0]), tf.uint8)
    # Two graphs may differ in the last bit before rounding.
    assert np.max(np.abs(decoded.astype(int) - expected.numpy())) <= 1
    assert decoded.dtype == np.uint8


def test_psnr_is_that_of_the_decoded_pixels(loaded):
    image = photograph()[:100, :90]
    figures = evaluation.measure(image, loaded)
    decoded = codec.decompress(codec.compress(image, loaded), loaded)
    mse = np.mean((image.astype(float) - decoded) ** 2)
    assert figures.psnr == pytest.approx(10 * np.log10(255**2 / mse))


def test_another_process_decodes_the_same_pixels(loaded, folder, tmp_path):
    image = photograph()[:70, :90]
    data = codec.compress(image, loaded)
    (tmp_path / "image.tfsq").write_bytes(data)
    command = ["decompress", "image.tfsq", "image.png", "--model", str(folder)]
    subprocess.run([sys.executable, "-m", "tfsq", *command], cwd=tmp_path, check=True)
    decoded = codec.decompress(data, loaded)
    assert np.array_equal(codec.read_image(tmp_path / "image.png"), decoded)


def test_files(tiny_folder, tmp_path):
    folder = tiny_folder
    image, names = photograph()[:40, :50], ("in.png", "file.tfsq", "out.png")
    source, compressed, target = (tmp_path / name for name in names)
    codec.write_image(image, source)
    written = codec.compress_file(source, compressed, folder)
    assert written == codec.CompressedFile(40, 50, compressed.stat().st_size, None, None)
    assert compressed.read_bytes() == codec.compress(image, folder)
    codec.decompress_file(compressed, target, folder)
    decoded = codec.decompress(compressed.read_bytes(), folder)
    assert np.array_equal(codec.read_image(target), decoded)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_metadata(model, folder, loaded):
    metadata = json.loads((folder / "tfsq.json").read_text())
    assert metadata == loaded.metadata
    assert metadata["architecture"] == "MeanScaleHyperprior"
    assert metadata["lmbda"] == 0.02
    assert metadata["parts"] == ["hyper_latent", "latent"]
    assert metadata["coder"] == range_coder.backend()
    assert re.fullmatch("[0-9a-f]{64}", metadata["model_hash"])
    again = MeanScaleHyperprior.from_config(metadata["config"])
    assert again.num_filters == model.num_filters


@pytest.mark.slow
def test_hash_is_of_weights_and_tables(tiny, tiny_folder, tmp_path):
    model, metadata = tiny, json.loads((tiny_folder / "tfsq.json").read_text())
    assert codec.export(model, tmp_path / "same")["model_hash"] == metadata["model_hash"]
    weight = model.synthesis.trainable_weights[0]
    weight.assign_add(tf.ones_like(weight) * 1e-6)
    try:
        other = codec.export(model, tmp_path / "other")["model_hash"]
    finally:
        weight.assign_sub(tf.ones_like(weight) * 1e-6)
    assert other != metadata["model_hash"]
    # Weights that are not those of the metadata are noticed.
    shutil.copy(tiny_folder / "tfsq.json", tmp_path / "other" / "tfsq.json")
    with pytest.raises(codec.ModelError, match="are not those that"):
        codec.load(tmp_path / "other")


def test_file_of_another_model_is_refused(loaded):
    data = codec.compress(photograph()[:20, :20], loaded)
    metadata = {**loaded.metadata, "model_hash": "ab" * 32}
    other = dataclasses.replace(loaded, metadata=metadata)
    with pytest.raises(codec.BitstreamError, match=f"made with model .*this is {'ab' * 16}"):
        codec.decompress(data, other)


def test_strings_that_do_not_decode_are_refused(loaded):
    container = codec.unpack(codec.compress(photograph()[:200, :200], loaded))
    longer = tuple(string + b"more" for string in container.strings)
    with pytest.raises(codec.BitstreamError, match="do not decode"):
        codec.decompress(codec.pack(dataclasses.replace(container, strings=longer)), loaded)
    fewer = dataclasses.replace(
        container, strings=container.strings[:1], fingerprints=container.fingerprints[:1]
    )
    with pytest.raises(codec.BitstreamError, match="has 1 strings, the model codes 2"):
        codec.decompress(codec.pack(fewer), loaded)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros([4, 4], np.uint8),
        np.zeros([4, 4, 4], np.uint8),
        np.zeros([0, 4, 3], np.uint8),
        np.zeros([4, 4, 3], np.float32),
        np.zeros([1, 4, 4, 3], np.uint8),
    ],
)
def test_arrays_that_are_no_images_are_refused(loaded, image):
    with pytest.raises(ValueError, match=r"`image` must .*Received: "):
        codec.compress(image, loaded)


def test_folders_that_are_no_codecs_are_refused(folder, tmp_path):
    with pytest.raises(codec.ModelError, match="Not a codec exported by tfsq"):
        codec.load(tmp_path)
    (tmp_path / "tfsq.json").write_text("{")
    with pytest.raises(codec.ModelError, match="Not a codec exported by tfsq"):
        codec.load(tmp_path)
    shutil.copy(folder / "tfsq.json", tmp_path)
    with pytest.raises(codec.ModelError, match="Not a codec exported by tfsq"):
        codec.load(tmp_path)


def test_damaged_variables_are_refused(folder, tmp_path):
    for damage in ("truncate", "flip", "remove"):
        copy = tmp_path / damage
        shutil.copytree(folder, copy)
        file = copy / "variables" / "variables.data-00000-of-00001"
        data = bytearray(file.read_bytes())
        if damage == "remove":
            file.unlink()
        elif damage == "truncate":
            file.write_bytes(data[: len(data) // 2])
        else:
            data[len(data) // 2] ^= 255
            file.write_bytes(data)
        with pytest.raises(codec.ModelError):
            codec.load(copy)


def test_export_refuses_what_it_cannot_export(tmp_path):
    with pytest.raises(TypeError, match="`model` must be a tfsq CompressionModel"):
        codec.export(tf.keras.Sequential(), tmp_path)
    model = MeanScaleHyperprior(num_filters=2, num_latents=2)
    with pytest.raises(RuntimeError, match="must be compiled before export"):
        codec.export(model, tmp_path)
    model.compile("adam", lmbda=0.01)
    weight = model.synthesis.trainable_weights[0]
    weight.assign(tf.fill(weight.shape, np.nan))
    with pytest.raises(ValueError, match="not finite: "):
        codec.export(model, tmp_path)


def test_damaged_geometry_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "codec")
    file = tmp_path / "codec" / "tfsq.json"
    metadata = json.loads(file.read_text())
    for content, message in (
        ({**metadata, "halo": 0}, "halo must be 64 for MeanScaleHyperprior. Received: 0"),
        ({key: value for key, value in metadata.items() if key != "lmbda"}, "lacks .*lmbda"),
        ({**metadata, "class": ["x"]}, "Not a codec exported by tfsq"),
        ([], "lacks"),
    ):
        file.write_text(json.dumps(content))
        with pytest.raises(codec.ModelError, match=message):
            codec.load(tmp_path / "codec")


def test_latents_of_another_image_are_refused(loaded):
    latents = tiling.analyze(photograph()[:70, :90], loaded)
    data = codec.compress_latents(latents, (70, 90), loaded)
    assert codec.decompress(data, loaded).shape == (70, 90, 3)
    for size in ((0, 0), (-1, 5), (70.5, 90)):
        with pytest.raises(ValueError, match="`size` must be height and width"):
            codec.compress_latents(latents, size, loaded)
    # (256, 256) is as much higher as wider: twice the pixels for each position of a latent.
    for height, width in ((500, 70), (256, 256)):
        with pytest.raises(ValueError, match=f"rows and columns of an image of {width}x{height}"):
            codec.compress_latents(latents, (height, width), loaded)
    del latents["latent"]
    with pytest.raises(ValueError, match=r"the parts \['hyper_latent', 'latent'\]. Received"):
        codec.compress_latents(latents, (70, 90), loaded)


def test_any_kind_of_bytes_is_decompressed(loaded):
    data = codec.compress(photograph()[:32, :32], loaded)
    for kind in (bytearray, memoryview):
        assert np.array_equal(codec.decompress(kind(data), loaded), codec.decompress(data, loaded))


def test_network_of_a_loaded_codec_is_built_from_its_configuration(model, loaded):
    assert loaded.network is loaded.network
    for ours, theirs in zip(loaded.network.weights, model.weights):
        assert np.array_equal(ours, theirs)
    assert codec.as_codec(model).network is model


@pytest.mark.slow
def test_network_of_a_class_that_keras_does_not_know_is_refused(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "codec")
    metadata = json.loads((copy / "tfsq.json").read_text())
    (copy / "tfsq.json").write_text(json.dumps({**metadata, "architecture": "Own", "class": "Own"}))
    if range_coder.backend() == "tfc":
        # The SavedModel codes by itself.
        own = codec.load(copy)
        image = tmp_path / "image.png"
        codec.write_image(photograph("coffee")[:64, :64], image)
        assert codec.decompress(codec.compress(codec.read_image(image), own), own).any()
        comparison = evaluation.Comparison([copy])
        comparison.measure(image)
        assert comparison.curves()[0].measurements[0].bpp > 0
    with pytest.raises(
        codec.ModelError, match="Own, is of a class that Keras does not know.*must be registered"
    ):
        _ = codec.load(copy).network
    other = {**metadata, "config": {**metadata["config"], "num_latents": 5}}
    (copy / "tfsq.json").write_text(json.dumps(other))
    with pytest.raises(codec.ModelError, match="cannot be built from its configuration"):
        _ = codec.load(copy).network
    (copy / "tfsq.json").write_text(json.dumps({**metadata, "lmbda": -1.0}))
    with pytest.raises(codec.ModelError, match="`lmbda` must be positive"):
        _ = codec.load(copy).network
    (copy / "tfsq.json").write_text(json.dumps(metadata))
    if range_coder.backend() == "tfc":
        found = codec.load(copy)
        found.metadata["model_hash"] = 64 * "0"
        with pytest.raises(codec.ModelError, match="has other weights than its tfsq.json names"):
            _ = found.network


@keras.saving.register_keras_serializable("tests")
class FactorizedPrior(tfsq.architectures.FactorizedPrior):
    """Has the name of another network."""


@pytest.mark.slow
def test_network_of_a_class_with_the_name_of_another_is_that_class(tmp_path):
    model = FactorizedPrior(num_filters=2, num_latents=3)
    model.compile("sgd", lmbda=0.01)
    codec.export(model, tmp_path / "codec")
    assert type(codec.load(tmp_path / "codec").network) is FactorizedPrior


@pytest.mark.slow
def test_export_replaces_codecs_alone_and_leaves_what_lies_beside(tiny, tiny_folder, tmp_path):
    model, folder = tiny, tiny_folder
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "a.png").write_text("of the user")
    with pytest.raises(FileExistsError, match="Neither empty nor a codec.*photographs"):
        codec.export(model, tmp_path / "photographs")
    (tmp_path / "file").write_text("of the user")
    with pytest.raises(NotADirectoryError, match="A file, not a folder to write"):
        codec.export(model, tmp_path / "file")
    mine = shutil.copytree(folder, tmp_path / "mine")
    (mine / "README.md").write_text("a card")
    before = (mine / "tfsq.json").read_text()

    def full_disk(*arguments, **others):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(json, "dumps", full_disk)
        codec.export(model, mine)
    assert (mine / "tfsq.json").read_text() == before
    assert codec.load(mine).model_id == codec.load(folder).model_id
    codec.export(model, mine)
    assert (mine / "README.md").read_text() == "a card"
    assert codec.load(mine).model_id == codec.load(folder).model_id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine", "photographs"]
