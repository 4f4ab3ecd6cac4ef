"""The examples run, on small input; the demo is run by `.ci/slow`."""

import importlib.util
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Keras 2.14 writes this of every subclassed model without a `get_config`.
@pytest.mark.filterwarnings("ignore:Model's `__init__:UserWarning")
def test_quickstart(capsys):
    assert load("quickstart").main(steps=10) > 100
    assert "bits per pixel" in capsys.readouterr().out


def test_drop_in_trains_like_the_model_of_tfc():
    example = load("drop_in_tfc")
    theirs = example.main(example.tfc_entropy_model, steps=300)
    ours = example.main(example.tfsq_entropy_model, steps=300)
    # Straight-through rounding reaches the synthesis here, noise there.
    assert ours == pytest.approx(theirs, rel=0.15)
