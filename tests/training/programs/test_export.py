"""Training steps as programs: what is exported, and how it is described."""

import gzip
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.programs.small import description, settings_of
from tfsq import codec, training
from tfsq.architectures import NETWORKS
from tfsq.layers import StochasticQuantizer, get, names
from tfsq.training import hlo as hlo_module
from tfsq.training import program as program_module


def test_program_has_all_variables_of_the_network_and_its_optimizer(exported):
    written = description(exported)
    names_found = {entry["name"] for entry in written["variables"]}
    model = training.build_model(settings_of())
    trained = len(model.trainable_variables)
    assert {f"trained/{i}" for i in range(trained)} <= names_found
    # The step's counter, a moment of each, and the second of those that are Adam's.
    adams = [v for v in model.trainable_variables if not model.optimizer.is_orthogonal(v)]
    found = [name for name in names_found if name.startswith("optimizer/")]
    assert len(found) == 1 + trained + len(adams)
    assert {"generator/0", "generator/1", "scale/0", "scale/1"} <= names_found
    for part in ("soft", "hard"):
        given = [p["given"] for p in written["programs"][part]["parameters"]]
        assert {"image", "lmbda", "learning_rate"} <= set(given)
        assert ("temperature" in given) == (part == "soft")
    moved = {
        part: {p["name"] for p in step["parameters"] if p["result"] is not None}
        for part, step in written["programs"].items()
    }
    assert {f"trained/{i}" for i in range(trained)} <= moved["soft"]
    # The encoder stands still in the hard part, and noise is not drawn.
    assert moved["hard"] < moved["soft"]
    assert not any(name.startswith("generator/") for name in moved["hard"])


def test_order_of_parameters_is_checked_against_the_program(exported):
    written = description(exported)["programs"]["soft"]
    parameters = [dict(p) for p in written["parameters"]]
    header = "HloModule a, input_output_alias={ " + ", ".join(
        f"{{{p['result']}}}: ({i}, {{}}, may-alias)"
        for i, p in enumerate(parameters)
        if p["result"] is not None
    )
    short = {name: hlo for hlo, name in hlo_module._DTYPES.items()}
    entry = ", ".join(
        f"arg{i}.{i}: {short[p['dtype']]}[{','.join(map(str, p['shape']))}]"
        for i, p in enumerate(parameters)
    )
    text = f"{header}\nENTRY main ({entry}) -> tuple"
    assert hlo_module._aliases(text) == {
        p["result"]: i for i, p in enumerate(parameters) if p["result"] is not None
    }
    hlo_module._check_parameters(text, parameters)
    with pytest.raises(RuntimeError, match="orders the parameters of a program in another way"):
        hlo_module._check_parameters(text, parameters[::-1])


@pytest.mark.slow
def test_rungs_of_many_rates_are_drawn_in_the_program(tiny_network, files, tmp_path):
    settings = settings_of(lmbdas=(0.002, 0.006, 0.018), hard_fraction=0.0)
    assert settings.lmbda == pytest.approx(0.006)
    training.export_program(files, tmp_path / "program", settings)
    written = description(tmp_path / "program")
    drawn = {v["name"] for v in written["variables"] if v["name"].startswith("generator/")}
    # Of rate and reconstruction, and of rungs.
    assert drawn == {"generator/0", "generator/1", "generator/2"}
    given = {p["given"] for p in written["programs"]["soft"]["parameters"]}
    assert {"image", "lmbda", "learning_rate", "temperature"} <= given
    moved = [p["shape"] for p in written["programs"]["soft"]["parameters"] if p["result"]]
    assert moved.count([3, settings.num_latents]) >= 2


@pytest.mark.slow  # The tiny network is exported above.
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_exported(name, files, tmp_path):
    more = {} if name != "ChannelwiseAutoregressive" else {"num_latents": 10}
    settings = settings_of(name, **more, hard_fraction=0.0)
    training.export_program(files, tmp_path / "program", settings)
    hlo = gzip.decompress((tmp_path / "program" / "soft.hlo.gz").read_bytes())
    assert b"custom-call" not in hlo


@pytest.mark.slow  # Tracing, for each surrogate.
@pytest.mark.parametrize("name", names())
def test_every_surrogate_is_exported(name, files, tmp_path):
    for policy, distortion, crop in (("float32", "mse", 64), ("mixed_bfloat16", "ms-ssim", 192)):
        settings = settings_of(
            "MeanScaleHyperprior",
            reconstruction_quantizer=name,
            rate_quantizer=None,
            policy=policy,
            distortion=distortion,
            crop_size=crop,
            hard_fraction=0.0,
        )
        folder = tmp_path / policy
        training.export_program(files, folder, settings)
        drawn = any(v["name"].startswith("generator/") for v in description(folder)["variables"])
        assert drawn == isinstance(get(name), StochasticQuantizer)


@pytest.mark.slow  # XLA compiles the step.
def test_first_losses_are_those_of_training(exported):
    found = program_module.first_losses(exported, 2)
    model = program_module._seeded_model(settings_of())
    image = next(
        iter(
            training.crops_dataset(
                training.training_images(
                    [exported / e["file"] for e in description(exported)["images"]], 64
                ),
                64,
                2,
                0,
            )
        )
    )
    # The same but for the noise, which another compilation draws otherwise.
    expected = float(tf.reduce_mean(model.rate_distortion(image, training=True)["loss"]))
    assert found[0] == pytest.approx(expected, rel=0.1)
    assert found[1] != found[0]


def test_images_travel_without_loss(exported, files):
    written = description(exported)
    for entry, path in zip(written["images"], files):
        with Image.open(exported / entry["file"]) as opened:
            assert np.array_equal(np.asarray(opened.convert("RGB")), codec.read_image(path))
    kinds = [pathlib.Path(entry["file"]).suffix for entry in written["images"]]
    assert kinds == [".webp", ".jpg", ".jpg"]


@pytest.mark.slow  # Three programs.
def test_largest_size_is_kept_and_what_is_left_out_is_named(files, tmp_path):
    settings = settings_of(hard_fraction=0.0)
    whole = training.export_program(files, tmp_path / "whole", settings)
    assert (whole["images"], whole["left_out"]) == (3, [])
    largest = (whole["bytes"] - 1000) / 2**20
    found = training.export_program(files, tmp_path / "less", settings, max_size=largest)
    assert 0 < found["images"] < 3 and found["images"] + len(found["left_out"]) == 3
    assert found["bytes"] <= largest * 2**20
    with pytest.raises(ValueError, match="`max_size` has no place for an image. .*max_size=0.1"):
        training.export_program(files, tmp_path / "none", settings, max_size=0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["less", "whole"]


def test_folder_of_something_else_is_not_replaced(files, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="`folder` must not exist, or be an empty folder"):
        training.export_program(files, tmp_path, settings_of())
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_images_that_do_not_serve_are_refused_or_named(files, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(ValueError, match="bad.png"):
        training.export_program([tmp_path / "bad.png"], tmp_path / "a", settings_of())
    skipped: list[str] = []
    with pytest.raises(ValueError, match="No images to train on, of 1 files"):
        training.export_program(
            [tmp_path / "bad.png"], tmp_path / "a", settings_of(), None, None, False, skipped.append
        )
    assert "bad.png" in skipped[0]


def test_what_cannot_travel_is_refused_or_named(files, tmp_path):
    wide = tmp_path / "wide.png"
    Image.new("RGB", (17000, 64)).save(wide)
    with pytest.raises(ValueError, match=r"wide\.png cannot travel as WebP"):
        training.export_program([*files, wide], tmp_path / "a", settings_of())
    with pytest.raises(ValueError, match="`max_size` must be positive. Received: max_size=nan"):
        training.export_program(files, tmp_path / "a", settings_of(), max_size=math.nan)
