"""Codecs where TFC's range coder is not installed: the host codes, and the network is built."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.photographs import photograph
from tests.tiny import Tiny
from tfsq import codec, range_coder
from tfsq.codec import tiling

IMAGE = photograph()[100:170, 40:90]


@pytest.fixture(scope="module")
def by_host(folder):
    with range_coder.use_backend("host"):
        found = codec.load(folder)
        # All is traced here, and other tests have the coder that is installed.
        codec.decompress(codec.compress(IMAGE, found), found)
        coded = found.compress(image=tf.constant(IMAGE))
        found.decompress(**coded, size=tf.constant(IMAGE.shape[:2]))
    return found


def test_writes_the_bytes_of_the_coder_that_is_installed(loaded, by_host):
    data = codec.compress(IMAGE, loaded)
    assert codec.compress(IMAGE, by_host) == data
    assert by_host.metadata == loaded.metadata


def test_decodes_what_the_other_wrote(loaded, by_host):
    for writer, reader in ((loaded, by_host), (by_host, loaded)):
        decoded = codec.decompress(codec.compress(IMAGE, writer), reader)
        latents = tiling.analyze(IMAGE, writer)
        expected = tiling.synthesize(writer.encode(**latents)["y_hat"], IMAGE.shape[:2], writer)
        assert np.abs(decoded.astype(int) - expected).max() <= 1


def test_whole_images_are_functions_of_it_too(by_host):
    coded = by_host.compress(image=tf.constant(IMAGE))
    decoded = by_host.decompress(**coded, size=tf.constant(IMAGE.shape[:2]))["image"]
    expected = codec.decompress(codec.compress(IMAGE, by_host), by_host)
    assert np.abs(decoded.numpy().astype(int) - expected).max() <= 1


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The folder of a codec that was exported here."""
    folder = tmp_path_factory.mktemp("by_host") / "codec"
    with range_coder.use_backend("host"):
        codec.export(model, folder)
    return folder


@pytest.fixture(scope="module")
def signatures(exported):
    loaded = tf.saved_model.load(str(exported))
    # The functions need it.
    return {"loaded": loaded, **loaded.signatures}


@pytest.mark.slow
def test_signatures_of_an_export_code_nothing_and_it_loads_anywhere(loaded, exported, signatures):
    metadata = json.loads((exported / "tfsq.json").read_text())
    assert metadata["coder"] == "host"
    assert metadata["model_hash"] == loaded.metadata["model_hash"]
    assert sorted(signatures.keys() - {"loaded"}) == [
        "analysis",
        "latents_of",
        "predictions",
        "synthesis",
    ]
    # Whatever is installed here, the network is built.
    assert codec.compress(IMAGE, exported) == codec.compress(IMAGE, loaded)


def test_predictions_are_those_of_strings(model, loaded, signatures):
    predictions = signatures["predictions"]
    z = loaded.latents_of(**loaded.analysis(image=tf.zeros([64, 64, 3], tf.uint8)))["hyper_latent"]
    z_hat = model.hyper_latent_model.quantize(z)
    found = predictions(hyper_latent=z_hat)
    scale, loc = model.predictions_of(z_hat[tf.newaxis])
    np.testing.assert_array_equal(found["scale"], scale[0])
    np.testing.assert_array_equal(found["loc"], loc[0])


@pytest.mark.slow
def test_many_rates_are_coded_by_the_host(tmp_path):
    model = Tiny(4, 6, lmbdas=(0.002, 0.006, 0.018))
    model.compile("sgd")
    codec.export(model, tmp_path / "codec")
    with range_coder.use_backend("host"):
        data = codec.compress(IMAGE, tmp_path / "codec", quality=2.3)
    assert data == codec.compress(IMAGE, codec.as_codec(model), quality=2.3)


def test_class_that_keras_does_not_know_is_refused_by_name(tmp_path):
    class Unknown(Tiny):
        pass

    model = Unknown(4, 6)
    model.compile("sgd", lmbda=0.01)
    with range_coder.use_backend("host"):
        codec.export(model, tmp_path / "codec")
    with pytest.raises(codec.ModelError, match="Unknown, is of a class that Keras does not know"):
        codec.load(tmp_path / "codec")
