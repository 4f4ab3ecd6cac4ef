"""How the codec that ships begins: widened from a narrow one."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.shipped import train
from tests.photographs import photograph
from tfsq import training
from tfsq.training.settings import build_model

FEW, MANY = 5, 8
SMALL = training.TrainingSettings(num_filters=4, num_latents=FEW, hyper_width=4, lmbda=0.01)
IMAGE = tf.cast(photograph()[tf.newaxis, :64, 64:192], tf.float32)


@pytest.fixture(scope="module")
def networks():
    """A network whose weights are nothing special, and what it is widened to."""
    narrow = build_model(SMALL)
    generator = np.random.default_rng(0)
    for weight in narrow.trainable_variables:
        weight.assign(weight + 0.1 * generator.standard_normal(weight.shape).astype(np.float32))
    ladder = dataclasses.replace(SMALL, num_latents=MANY, lmbda=None, lmbdas=(0.0025, 0.01, 0.09))
    wide = build_model(ladder)
    dct = [kernel.numpy() for kernel in kernels_of(wide)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_learn_to_predict", lambda *_: None)
        train.widen(narrow, wide, None)
    return narrow, wide, dct


def kernels_of(model):
    """Those of shortcuts, the only ones with 16 rows."""
    parts = (model.analysis, model.synthesis)
    return [w for part in parts for w in part.trainable_variables if w.shape[0] == 16]


def test_new_latents_have_the_dct(networks):
    _, wide, dct = networks
    places = train.places_of(FEW, MANY)
    assert sorted(places) != list(range(FEW))
    new = np.setdiff1d(np.arange(MANY), places)
    assert len(dct) == 2
    for before, after in zip(dct, kernels_of(wide)):
        axis = before.shape.index(MANY)
        before, after = (np.moveaxis(kernel, axis, 0) for kernel in (before, after.numpy()))
        np.testing.assert_array_equal(after[new], before[new])
        assert not np.allclose(after[places], before[places], atol=0.01)


def test_latents_are_those_of_the_narrow_network(networks):
    places = train.places_of(FEW, MANY)
    expected, found = (model.analysis(IMAGE / 255.0 - 0.5).numpy() for model in networks[:2])
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(found[..., places], expected, rtol=1e-5, atol=1e-5)


def test_pixels_are_those_of_the_narrow_network_where_new_latents_are_zero(networks):
    narrow, wide, _ = networks
    latents = np.random.default_rng(1).normal(size=(1, 4, 8, FEW)).astype(np.float32)
    more = np.zeros((1, 4, 8, MANY), np.float32)
    more[..., train.places_of(FEW, MANY)] = latents
    expected, found = narrow.synthesis(latents), wide.synthesis(more)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_predictions_are_those_of_the_narrow_network(networks):
    hyper = np.random.default_rng(2).normal(size=(1, 1, 2, 4)).astype(np.float32)
    places = train.places_of(FEW, MANY)
    expected, found = (model.hyper_synthesis(hyper).numpy() for model in networks[:2])
    both = np.concatenate([places, MANY + places])
    np.testing.assert_allclose(found[..., both], expected, rtol=1e-5, atol=1e-5)
    new = np.setdiff1d(np.arange(2 * MANY), both)
    # What is new is predicted from nothing at first, everywhere alike.
    assert (np.ptp(found[..., new], axis=(0, 1, 2)) == 0).all()
    assert (np.ptp(expected, axis=(0, 1, 2)) > 0).all()


def test_gains_are_in_proportion_to_the_root_of_lambda(networks):
    gains = np.exp2(networks[1].gain.logs.numpy())
    np.testing.assert_allclose(gains[:, 0], (0.5, 1.0, 3.0), rtol=1e-6)
    assert (gains == gains[:, :1]).all()
    np.testing.assert_allclose(gains * np.exp2(networks[1].gain.inverse_logs.numpy()), 1.0)
