"""`tfsq train` with images kept apart and a limit of time, in process."""

import csv
import json

import pytest

from tests import tiny
from tests.command_line import run
from tests.photographs import photograph
from tfsq import codec, evaluation, training
from tfsq.codec import saved_model

OPTIONS = ("--steps", 4, "--steps-per-epoch", 2, "--batch-size", 2, "--crop-size", 64)
OPTIONS += ("--num-filters", 3, "--num-latents", 4, "--architecture", tiny.NAME)
# Of `tfsq evaluate`, without MS-SSIM.
TABLE = b"file,codec,quality,bpp,psnr,ms_ssim\na.png,other,0.5,1,30,\n"


@pytest.fixture
def folders(tmp_path):
    """A folder of two images to train on, and one of two to validate with."""
    for folder, first in (("train", 0), ("apart", 200)):
        (tmp_path / folder).mkdir()
        for name in ("coffee", "rocket"):
            pixels = photograph(name)[first : first + 70, first : first + 80]
            codec.write_image(pixels, tmp_path / folder / f"{name}.png")
    return tmp_path / "train", tmp_path / "apart"


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert "with number of --lmbdas 2, here 0\n" in result.output


@pytest.mark.parametrize("command", ["train", "program"])
def test_a_start_says_which_loss(command, tmp_path, monkeypatch):
    """Of what is not said alone; a lambda of one distortion says nothing of another."""
    start = {"lmbda": None, "lmbdas": [5.0, 20.0], "distortion": "ms-ssim"}
    found = []

    def refuse_to_train(paths, output, settings, *_, **__):
        found.append((settings.lmbdas or settings.lmbda, settings.distortion))
        raise ValueError("seen")

    monkeypatch.setattr(training, "network_of", lambda folder: start)
    monkeypatch.setattr(training, "train", refuse_to_train)
    monkeypatch.setattr(training, "export_program", refuse_to_train)
    codec.write_image(photograph()[:64, :64], tmp_path / "image.png")
    arguments = (tmp_path / "image.png", "--output", tmp_path / "run", "--start", tmp_path)
    arguments += ("--crop-size", 192)

    def loss_of(*options):
        result = run(command, *arguments, *options)
        assert result.output.strip() == "error: seen", result.output
        return found.pop()

    assert loss_of() == ([5.0, 20.0], "ms-ssim")
    assert loss_of("--distortion", "ms-ssim") == ([5.0, 20.0], "ms-ssim")
    assert loss_of("--lmbdas", "3,9") == ([3.0, 9.0], "ms-ssim")
    assert loss_of("--lmbda", 7) == (7.0, "ms-ssim")
    assert loss_of("--lmbda", 0.01, "--distortion", "mse") == (0.01, "mse")
    result = run(command, *arguments, "--distortion", "mse")
    assert result.exit_code == 1
    assert "--distortion mse needs --lmbda or --lmbdas: those of " in result.output
    if command == "program":
        # What one brings back does not say its network.
        (tmp_path / "result.json").write_text("{}")
        assert loss_of() == (0.01, "mse")


@pytest.mark.slow
def test_export_puts_on_the_card_what_its_options_say(folders, tiny_network, eagerly, tmp_path):
    trained_on, apart = folders
    output, table, authors = tmp_path / "run", tmp_path / "apart.csv", tmp_path / "authors.md"
    card = output / "codec" / codec.CARD_FILE
    train = ("train", trained_on, "--output", output, *OPTIONS, "--steps", 2)
    assert run(*train).exit_code == 0
    assert run("evaluate", apart, "--model", output / "codec", "--csv", table).exit_code == 0
    authors.write_text("- Coffee, by Rachel Michetti\n")
    card.write_text("A card of mine.")
    options = ("--license", "cc0-1.0", "--title", "Cups", "--data", authors, "--figures", table)
    result = run("export", output, *options)
    assert result.exit_code == 0, result.output
    assert f"the card was edited, and stays as it is: {card}; remove it for a new" in result.output
    assert card.read_text() == "A card of mine."
    card.unlink()
    # What was said need not be said again.
    result = run("export", output)
    assert (result.exit_code, result.output) == (0, f"codec written to {output / 'codec'}\n")
    text = card.read_text()
    for expected in ('license: "cc0-1.0"\n', "# Cups\n", "by Rachel Michetti\n", "2 of 2 steps"):
        assert expected in text
    (curve,) = evaluation.read_comparison(table)
    assert f"- lambda 0.01, {evaluation.summary(curve.measurements)}\n" in text


def test_facts_that_do_not_serve_are_refused_before_anything_is_written(tmp_path):
    output, file = tmp_path / "run", tmp_path / "file"
    (output / "codec").mkdir(parents=True)
    told = dict.fromkeys(saved_model._METADATA) | {"parts": [], "config": {}, "lmbda": 0.5}
    (output / "codec" / "tfsq.json").write_text(json.dumps(told))
    none = f"Received: {tmp_path / 'none'} (No such file or directory)"
    for option, value, written, message in (
        ("--title", "", "", "--title must not be empty. Received: ''"),
        ("--license", "MIT License", "", "--license must be an identifier of Hugging Face's"),
        ("--data", tmp_path / "none", "", f"--data must be a text file in UTF-8. {none}"),
        ("--data", tmp_path, "", f"in UTF-8. Received: {tmp_path} (Is a directory)"),
        ("--data", file, b"\xff\xfe", f"in UTF-8. Received: {file} ('utf-8' codec can't"),
        ("--data", file, b"\n", "--data must not be empty. Received: ''"),
        ("--figures", tmp_path / "none", "", "--figures must be a CSV file of `tfsq ev"),
        ("--figures", tmp_path / "none", "", none),
        ("--figures", file, b"a,b\n", "--figures must be a CSV file of `tfsq evaluate`. Received"),
        ("--figures", file, TABLE, "--figures must have rows of "),
        ("--figures", file, TABLE, f"at lambda 0.5. Received: {file}, with other at 0.5"),
    ):
        file.write_bytes(written or b"")
        result = run("export", output, option, value)
        assert result.exit_code == 1, result.output
        assert result.output.startswith("error: ") and message in result.output
        assert isinstance(result.exception, SystemExit)
        assert not (output / "card.json").exists()
