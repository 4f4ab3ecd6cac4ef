"""The examples run, on small input; the demo is run by `.ci/slow`."""

import csv
import importlib.util
import json
import pathlib

import numpy as np
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


def test_drop_in_trains():
    pytest.importorskip("tensorflow_compression")
    example = load("drop_in_tfc")
    assert np.isfinite(example.main(example.tfsq_entropy_model, steps=3))


@pytest.mark.slow  # Two trainings.
def test_drop_in_trains_like_the_model_of_tfc():
    pytest.importorskip("tensorflow_compression")
    example = load("drop_in_tfc")
    theirs = example.main(example.tfc_entropy_model, steps=300)
    ours = example.main(example.tfsq_entropy_model, steps=300)
    # Straight-through rounding reaches the synthesis here, noise there.
    assert ours == pytest.approx(theirs, rel=0.15)


@pytest.mark.slow  # Four trainings of 48 codecs.
@pytest.mark.filterwarnings("ignore:Model's `__init__:UserWarning")
def test_scalar_source_never_beats_the_limit_and_resumes(tmp_path):
    pytest.importorskip("tensorflow_compression")  # its prior
    from benchmarks.scalar_source import run as scalar_source

    scalar_source.main(tmp_path, seeds=2, steps=100, only="aun|aun")
    with (tmp_path / "codecs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["arm"] for row in rows} == {"aun|aun", "aun|aun+hard"}
    # Two arms, three sources, four lambdas, two seeds.
    assert len(rows) == 2 * 3 * 4 * 2
    for row in rows:
        lagrangian = float(row["rate"]) + float(row["lmbda"]) * float(row["distortion"])
        assert lagrangian == pytest.approx(float(row["lagrangian"]), rel=1e-6)
        assert float(row["gap_percent"]) > -1e-3
    for name in ("summary.csv", "table.md", "gaps.png"):
        assert (tmp_path / name).stat().st_size > 100
    before = (tmp_path / "codecs.csv").read_bytes()
    scalar_source.main(tmp_path, seeds=2, steps=100, only="aun|aun")
    assert (tmp_path / "codecs.csv").read_bytes() == before
    with pytest.raises(ValueError, match="holds arms of other steps or seeds"):
        scalar_source.main(tmp_path, seeds=2, steps=200, only="aun|aun")


@pytest.mark.slow  # 48 codecs are built and traced.
def test_hard_evaluation_of_a_scalar_codec_is_that_of_samples():
    pytest.importorskip("tensorflow_compression")  # its prior
    from benchmarks.scalar_source import run as scalar_source

    model = scalar_source.ScalarCodecs(scalar_source.ARMS[0], seeds=1)
    rates, distortions = model.evaluate_hard()
    rng = np.random.default_rng(0)
    v = rng.uniform(size=200_000)
    for channel, (source, _, _) in enumerate(model.cases):
        x = np.zeros((len(v), len(model.cases)), np.float32)
        x[:, channel] = source.quantile(v)
        bits, error = (tensor.numpy()[:, channel] for tensor in model(x, training=False))
        for value, sample in ((rates[channel], bits), (distortions[channel], error)):
            assert value == pytest.approx(sample.mean(), abs=5 * sample.std() / len(v) ** 0.5)


TUTORIAL = json.loads((EXAMPLES / "tutorial.ipynb").read_text())
CODE = [cell for cell in TUTORIAL["cells"] if cell["cell_type"] == "code"]


def test_tutorial_was_run_from_its_beginning_to_its_end():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}


@pytest.mark.slow  # Trains two networks.
def test_tutorial_runs(monkeypatch, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    namespace = {}
    for cell in CODE:
        exec("".join(cell["source"]), namespace)
    losses = namespace["history"].history["loss"]
    assert losses[-1] < losses[0]
    assert "tfsq train IMAGES" in capsys.readouterr().out
    assert namespace["written"].stat().st_size > 100
