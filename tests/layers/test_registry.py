"""`tfsq.layers.get` and `register`."""

import keras
import pytest
import tensorflow as tf

import tfsq
from tests.surrogate_table import ROWS
from tfsq import layers

# Those of the documentation.
SHORT_NAMES = ["aun", "ste", "uq", "sr", "sra", "soft", "dsq", "unsr", "sga", "c3", "sua"]


def test_short_names_are_those_of_the_documentation():
    assert set(layers.names()) == set(SHORT_NAMES)


def test_every_registered_layer_is_tested():
    tested = {type(row.make_layer()) for row in ROWS}
    assert tested == set(layers.names().values())


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_get_resolves_names_classes_configs_and_layers(name):
    layer = layers.get(name)
    cls = type(layer)
    assert type(layers.get(cls.__name__)) is cls
    assert type(layers.get(cls, name="mine")) is cls
    assert layers.get(layer) is layer
    for config in (
        keras.saving.serialize_keras_object(layer),
        {"class_name": cls.__name__, "config": layer.get_config()},
        {"class_name": name, "config": layer.get_config()},
    ):
        again = layers.get(config)
        assert type(again) is cls
        assert again.get_config() == layer.get_config()


def test_get_passes_arguments():
    assert float(layers.get("sua", temperature=0.25).temperature) == 0.25
    with pytest.raises(ValueError, match="finished layer takes no arguments.*temperature"):
        layers.get(layers.get("sua"), temperature=0.25)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"sua \(StochasticUniformAnnealing\).*Received.*'sau'"):
        layers.get("sau")


@pytest.mark.parametrize(
    "identifier",
    [None, 3, tf.keras.layers.Dense, tf.keras.layers.ReLU()],
    ids=["none", "number", "class", "layer"],
)
def test_what_is_no_quantizer_is_refused(identifier):
    with pytest.raises(TypeError, match="`identifier` must be a name, a config, a class"):
        layers.get(identifier)


def test_serialized_layer_of_another_kind_is_refused():
    config = keras.saving.serialize_keras_object(tf.keras.layers.ReLU())
    with pytest.raises(TypeError, match="`identifier` must be"):
        layers.get(config)


def test_config_is_checked():
    with pytest.raises(ValueError, match="must be one of: .*Received: identifier='nope'"):
        layers.get({"class_name": "nope", "config": {}})
    with pytest.raises(ValueError, match="must have a dict for its config"):
        layers.get({"class_name": "sua", "config": None})


def test_only_quantizers_can_be_registered():
    with pytest.raises(TypeError, match="`register` must decorate a `Quantizer`"):
        layers.register("relu")(tf.keras.layers.ReLU)


def test_taken_name_is_refused():
    with pytest.raises(ValueError, match="'sua' is taken by StochasticUniformAnnealing"):

        @tfsq.layers.register("sua")
        class Other(layers.Quantizer):
            pass


def test_class_names_are_taken_too_and_a_class_may_be_defined_again(monkeypatch):
    monkeypatch.setattr(layers.registry, "_QUANTIZERS", layers.names())
    for _ in range(2):
        layers.register("mine", "tests")(type("Mine", (layers.Quantizer,), {}))
    with pytest.raises(ValueError, match="is taken by StraightThroughRounding"):
        layers.register("other", "tests")(type("StraightThroughRounding", (layers.Quantizer,), {}))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.get("aun", hard=1), ValueError, "`hard` must be True or False"),
        (lambda: layers.get("aun").seed_noise(1), ValueError, "has no generator"),
        (
            lambda: layers.ZeroCenterQuantization(layers.get("aun"), rate_quantizer="aun"),
            TypeError,
            "`rate_quantizer` must be a tfsq quantizer layer. Received: 'aun'",
        ),
    ],
)
def test_what_no_layer_can_be_made_of_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
