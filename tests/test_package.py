import subprocess
import sys

import pytest
import tensorflow as tf

import tfsq
from tfsq._keras import IS_KERAS_3

LOAD = """
import sys
import tensorflow as tf
import tfsq
for path in sys.argv[1:]:
    loaded = tf.keras.models.load_model(path)
    layer = loaded.layers[-1]
    assert type(layer).__name__ == "StochasticUniformAnnealing", (path, type(layer))
    assert isinstance(layer, tfsq.layers.AnnealedQuantizer), path
    assert float(layer.temperature) == 0.25
"""


@pytest.mark.slow
def test_importing_tfsq_is_enough_to_load_what_was_saved(tmp_path):
    layer = tfsq.layers.StochasticUniformAnnealing()
    model = tf.keras.Sequential([tf.keras.Input([3]), layer])
    layer.temperature = 0.25
    paths = [str(tmp_path / name) for name in ("model.keras", "model_tf")[: 1 if IS_KERAS_3 else 2]]
    for path in paths:
        model.save(path)
    result = subprocess.run(
        [sys.executable, "-c", LOAD, *paths], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_command_line_does_not_wait_for_tensorflow():
    for arguments in (["--help"], ["train", "--help"]):
        result = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "tfsq", *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Usage" in result.stdout
        assert "tensorflow" not in result.stderr


@pytest.mark.parametrize(
    ("argv", "original", "is_command_line"),
    [
        (["/usr/bin/tfsq", "info"], ["python", "/usr/bin/tfsq", "info"], True),
        (["-m", "info"], ["python", "-m", "tfsq", "info"], True),
        (["-m", "a"], ["python", "-Im", "tfsq.codec", "a"], True),
        (["-m", "a"], ["python", "-mtfsq", "a"], True),
        (["-m", "a"], ["python", "-Imtfsq.codec", "a"], True),
        (["-m"], ["python", "-mmine", "tfsq"], False),
        (["-m"], ["python", "-Wimtfsq", "-m", "mine"], False),
        (["-m"], ["python", "-X", "dev", "-m", "mine.train", "tfsq"], False),
        (["-m"], ["python", "-m", "mine", "-m", "tfsq"], False),
        (["train.py"], ["python", "train.py"], False),
        ([""], ["python"], False),
    ],
)
def test_what_is_the_command_line(argv, original, is_command_line, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original, raising=False)
    assert tfsq._is_command_line() == is_command_line


def test_version():
    assert tfsq.__version__.count(".") == 2
