"""`tfsq train` with images kept apart and a limit of time, in process."""

import csv
import json

import pytest

from tests import tiny
from tests.command_line import run
from tests.photographs import photograph
from tfsq import codec

OPTIONS = ("--steps", 4, "--steps-per-epoch", 2, "--batch-size", 2, "--crop-size", 64)
OPTIONS += ("--num-filters", 3, "--num-latents", 4, "--architecture", tiny.NAME)


@pytest.fixture
def folders(tmp_path):
    """A folder of two images to train on, and one of two to validate with."""
    for folder, first in (("train", 0), ("apart", 200)):
        (tmp_path / folder).mkdir()
        for name in ("coffee", "rocket"):
            pixels = photograph(name)[first : first + 70, first : first + 80]
            codec.write_image(pixels, tmp_path / folder / f"{name}.png")
    return tmp_path / "train", tmp_path / "apart"


def test_a_run_of_several_sessions_is_validated_on_folders_and_globs(
    folders, tiny_network, eagerly, tmp_path
):
    trained_on, apart = folders
    arguments = ("train", trained_on, "--output", tmp_path / "run", *OPTIONS)
    validation = ("--validation", apart / "c*.png", "--validation", apart / "rocket.png")
    result = run(*arguments, "--validation", apart, "--time-limit", 1e-6)
    assert result.exit_code == 0, result.output
    assert "stopped at step 2 of 4 by --time-limit; the same command continues" in result.output
    assert not (tmp_path / "run" / "codec").exists()
    result = run(*arguments, *validation, "--time-limit", 60)
    assert result.exit_code == 0, result.output
    assert "stopped" not in result.output
    assert (tmp_path / "run" / "codec").is_dir()
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(float(row["val_psnr"]) > 0 for row in rows)


def test_validation_and_limits_that_do_not_serve_are_refused(folders, tiny_network, tmp_path):
    trained_on, apart = folders
    arguments = ("train", trained_on, "--output", tmp_path / "run", *OPTIONS)
    for wrong, message in (
        (("--validation", trained_on), "must not be among those to train on. Received: "),
        (("--validation", tmp_path / "no*"), "nothing that matches"),
        (("--validation", apart, "--time-limit", -1), "--time-limit must be"),
    ):
        result = run(*arguments, *wrong)
        assert result.exit_code == 1
        assert message in result.output
        assert not (tmp_path / "run").exists()


def test_a_run_that_has_ended_is_where_another_starts(folders, tiny_network, eagerly, tmp_path):
    trained_on, _ = folders
    first, second = tmp_path / "run", tmp_path / "longer"
    arguments = ("train", trained_on, *OPTIONS)
    assert run(*arguments, "--output", first).exit_code == 0
    longer = (*arguments, "--steps", 6)
    result = run(*longer, "--output", first)
    assert result.exit_code == 1
    assert "with other settings: --steps 4, now 6. To go on from it" in result.output
    assert "with another --output, and with it as --start." in result.output
    result = run(*longer, "--output", second, "--start", first)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((second / "history.csv").read_text().splitlines()))
    # The first two epochs are the first run's.
    assert [row["epoch"] for row in rows] == ["2"]
    result = run(*longer, "--output", tmp_path / "none", "--start", trained_on)
    assert result.exit_code == 1
    expected = f"--start must be the folder of a run, or of a codec. Received: {trained_on}"
    assert expected in result.output


def test_a_start_says_which_network(folders, tiny_network, eagerly, tmp_path, monkeypatch):
    trained_on, _ = folders
    arguments = ("train", trained_on, "--steps", 1, "--batch-size", 1, "--crop-size", 64)
    shortly = (*arguments, "--steps", 2, "--steps-per-epoch", 1, "--time-limit", 1e-6)
    network = ("--architecture", tiny.NAME, "--num-filters", 3, "--num-latents", 5)
    ladder = ("--shortcut", "dct", "--lmbdas", "0.002,0.006")
    result = run(*arguments, *network, *ladder, "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "run" / "codec"
    monkeypatch.setattr(codec, "shipped_model", lambda: folder)

    def lmbdas_of(name, *options):
        result = run(*shortly, "--output", tmp_path / name, *options)
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / name / "settings.json").read_text())["lmbdas"]

    assert lmbdas_of("of_codec", "--start", folder) == [0.002, 0.006]
    assert lmbdas_of("of_bundled", "--start", "bundled") == [0.002, 0.006]
    assert lmbdas_of("other", "--start", folder, "--lmbdas", "0.001,0.009") == [0.001, 0.009]
    result = run(*arguments, "--output", tmp_path / "none", "--start", folder, "--num-latents", 6)
    assert result.exit_code == 1
    assert "with --num-latents 5, here 6\n" in result.output
    result = run(*arguments, "--output", tmp_path / "none", "--start", folder, "--lmbda", 0.01)
    assert "with lambdas of the ladder=2, here 0\n" in result.output
