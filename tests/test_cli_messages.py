"""Messages of the command line: they speak of options, name files, and say what would serve."""

import re

import numpy as np
import pytest

from tests import tiny
from tests.command_line import run
from tests.photographs import photograph
from tfsq import codec, evaluation
from tfsq.architectures import NETWORKS
from tfsq.cli import measuring, training_options
from tfsq.layers import registry
from tfsq.training import TrainingSettings

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    codec.write_image(photograph()[:20, :30], path)
    return path


def refused(message, *arguments, exit_code=1):
    result = run(*arguments)
    assert result.exit_code == exit_code, result.output
    assert result.output.count(message) == 1, result.output
    # That sentence alone; wrong usage is told with how a command is used.
    lines = result.output.splitlines()
    assert exit_code == 2 or (len(lines) == 1 and lines[0].startswith("error: ")), result.output


def test_rates_are_refused_once_and_before_any_file(image, folder, tmp_path):
    codec.write_image(photograph()[:20, :30], tmp_path / "second.png")
    needs = "needs a --model of many rates, trained with --lmbdas"
    many = (tmp_path, "--output-dir", tmp_path / "coded", "--model", folder)
    for option, value in (("--quality", 2), ("--size", "60kB"), ("--bpp", 1), ("--psnr", 30)):
        message = f"{option} {needs}; {folder} codes at one rate, so leave {option} out.\n"
        refused(f"error: {message}", "compress", *many, option, value)
        refused(f"error: {message}", "compress", image, "--model", folder, option, value)
    assert not (tmp_path / "coded").exists()
    refused("'--refine'", "compress", *many, "--refine", -3, exit_code=2)


def test_qualities_need_a_model_that_has_them(image, folder):
    arguments = ("evaluate", image, "--model", folder, "--qualities", "1:3:1")
    refused("--qualities needs a model of many rates", *arguments)


def test_files_of_a_codec_of_ones_own_need_a_model(image, folder, shipping, tmp_path):
    # Another than the one that came with tfsq.
    coded = tmp_path / "image.tfsq"
    container = codec.unpack(codec.compress(codec.read_image(image), folder))
    vars(container)["model_id"] = bytes(16)
    coded.write_bytes(codec.pack(container))
    refused("give its folder as --model.\n", "decompress", coded, tmp_path / "decoded.png")


def test_files_that_are_none_of_tfsq_are_named(image, tmp_path):
    expected = f"error: {image}: Not a .tfsq file: it does not begin with 'TFSQ'. Its name is"
    refused(expected, "info", image)
    refused(expected, "decompress", image, tmp_path / "decoded.png")
    other = tmp_path / "other.tfsq"
    other.write_bytes(b"something else")
    refused(f"error: {other}: Not a .tfsq file: it does not begin with 'TFSQ'.\n", "info", other)


def test_folders_that_are_no_codec(image, tmp_path):
    (tmp_path / "run" / "codec").mkdir(parents=True)
    (tmp_path / "run" / "codec" / "tfsq.json").write_text("{}")
    found = f"(the folder of a run; its codec is {tmp_path / 'run' / 'codec'})"
    refused(found, "compress", image, "--model", tmp_path / "run")
    refused(
        f"{tmp_path / 'none'} (no such folder)", "compress", image, "--model", tmp_path / "none"
    )


def test_several_files_need_a_folder_to_write_to(image, tmp_path):
    coded = tmp_path / "other.png"
    refused("must end in .tfsq; several files need --output-dir", "compress", image, coded)
    for command in ("compress", "decompress"):
        pattern = tmp_path / "*.png"
        refused(f"No such file: {pattern}; a pattern needs --output-dir", command, pattern)


def test_no_bar_is_drawn_where_nobody_watches(image, folder, tmp_path):
    for arguments in (("compress", image, tmp_path / "a.tfsq"), ("evaluate", image)):
        result = run(*arguments, "--model", folder)
        assert result.exit_code == 0
        assert result.output and "" not in result.output.splitlines()


def test_what_is_no_argument_stays_as_it_is(image, tmp_path):
    missing = tmp_path / "`steps` steps=4.png"
    refused(f"No such file or directory: {missing}\n", "compress", missing)
    for name in ("`size`.png", "a`bpp`.png"):
        file = tmp_path / name
        file.write_bytes(b"no image")
        refused(f"Not an image file: {file}\n", "compress", file)
    train = ("train", image, "--output", tmp_path / "run")
    refused("--rate-quantizer is no quantizer: `identifier`", *train, "--rate-quantizer", "none")
    refused(
        "--steps must be an integer from 1 to 2147483647. Received: --steps 0\n",
        *train,
        "--steps",
        0,
    )
    refused("Received: --seed -1\n", *train, "--seed", -1)
    both = ("--lmbda", 0.1, "--lmbdas", "0.1,0.2")
    refused("Received: --lmbda 0.1, --lmbdas [0.1, 0.2]\n", *train, *both)


def test_targets_show_what_is_asked_of_them():
    for given in ({"size": 60000}, {"bpp": 0.5}, {"psnr": 60.0}):
        target = codec.Target(**given)
        ((name, value),) = given.items()
        assert repr(target) == f"Target({name}={value})"


def test_what_breaks_the_order_of_a_curve_is_said_in_words():
    class Curve:
        def __init__(self, name, points):
            self.name, self.points = name, lambda: points

    rates = np.arange(1.0, 7.0)
    rising = Curve("tfsq", list(zip(rates, 30 + rates)))
    falling = Curve("jpeg", [*zip(rates, 30 + rates), (7.0, 35.123456)])
    line = measuring._bd_rate_line(rising, falling)
    assert line.startswith("BD-rate of tfsq against jpeg: n/a: jpeg must rise in PSNR")
    assert line.endswith("Received: (rate, PSNR) of (6.0, 36.0) and then (7.0, 35.1235)")
    assert ": n/a: jpeg must rise" in measuring._bd_rate_line(falling, rising)
    with pytest.raises(ValueError, match=r"Received: \(7\.0, inf\)$"):
        evaluation.bd_rate([*rising.points(), (7.0, np.inf)], rising.points())


def test_the_help_has_whole_sentences_of_all_commands(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = run("--help")
    commands = result.output.split("Commands:")[1]
    assert "..." not in commands
    assert len(re.findall(r"^  [a-z]+ +[A-Z].*\.$", commands, re.M)) == 10
    assert "is given as ./-name" in run("compress", "--help").output


def test_the_help_names_all_networks_and_quantizers():
    def listed(text):
        return sorted(re.split(r", | or ", text))

    assert listed(training_options._ARCHITECTURES) == sorted(set(NETWORKS) - {tiny.NAME})
    own = [name for name, layer in registry.names().items() if layer.__module__.startswith("tfsq.")]
    assert listed(training_options._QUANTIZERS) == sorted(own)
    assert TrainingSettings().architecture in training_options._ARCHITECTURES
