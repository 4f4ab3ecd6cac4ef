"""What the command line reads, and what it does not write to."""

import csv
import errno
import io
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from tests import tiny
from tests.command_line import refused, run, save
from tfsq import __version__, codec, evaluation
from tfsq.cli import coding
from tfsq.cli.paths import files_of

pytestmark = pytest.mark.usefixtures("loaded_once")

# A network that trains in seconds.
TINY = ("--architecture", tiny.NAME, "--num-latents", 3)


@pytest.fixture
def image(tmp_path):
    return save(tmp_path / "image.png")


def test_photographs_are_not_overwritten(image, folder, tmp_path):
    other = save(tmp_path / "other.png", (21, 31))
    before = {path: path.read_bytes() for path in (image, other)}
    model = ("--model", folder)
    refused(run("compress", image, other, *model), "must end in .tfsq")
    refused(run("compress", image, other, *model, "--force"), "must end in .tfsq")
    refused(run("compress", image, image, *model, "--force"), "is the file to read")
    # A photograph with the wrong ending, and links to it.
    disguised = tmp_path / "photograph.tfsq"
    shutil.copy(image, disguised)
    (tmp_path / "link.tfsq").symlink_to(disguised)
    for target in (disguised, tmp_path / "link.tfsq", tmp_path / "." / "photograph.tfsq"):
        refused(run("compress", disguised, target, *model, "--force"), "is the file to read")
    coded = tmp_path / "image.tfsq"
    assert run("compress", image, coded, *model).exit_code == 0
    first = coded.read_bytes()
    refused(run("compress", other, coded, *model), "is there already; --force replaces it")
    assert coded.read_bytes() == first
    assert run("compress", other, coded, *model, "--force").exit_code == 0
    assert coded.read_bytes() != first
    refused(run("decompress", coded, other, *model), "is there already")
    refused(run("decompress", coded, coded, *model, "--force"), "is the file to read")
    assert {path: path.read_bytes() for path in before} == before


def test_tables_and_figures_do_not_replace_photographs(image, folder, tmp_path):
    arguments = ("evaluate", image, "--model", folder)
    for option in ("--csv", "--figure"):
        refused(run(*arguments, option, image, "--force"), "is the file to read")
    table = tmp_path / "table.csv"
    table.write_text("of the user")
    refused(run(*arguments, "--csv", table), "is there already")
    assert table.read_text() == "of the user"
    figure = tmp_path / "x.png"
    refused(run(*arguments, "--csv", figure, "--figure", figure), "must be different files")
    refused(
        run(*arguments, "--html", tmp_path / "y", "--csv", tmp_path / "y"),
        "must be different files",
    )
    assert run(*arguments, "--csv", table, "--force").exit_code == 0
    assert table.read_text().startswith("file,codec")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("of the user")
    refused(run("analyze", "--output", tmp_path / "full"), "is not empty; --force replaces")
    refused(run("analyze", "--output", table), "A file, not a folder")


def test_what_is_read_is_not_in_what_is_written(image, folder, tmp_path):
    photograph_in = save(tmp_path / "an" / "staircase.png")
    before = photograph_in.read_bytes()
    arguments = ("analyze", "--output", tmp_path / "an", "--force")
    refused(run(*arguments, "--image", photograph_in), "one is read, the other written")
    refused(
        run(*arguments, "--image", image, "--model", tmp_path / "an" / "x" / ".."),
        "one is read, the other written",
    )
    assert photograph_in.read_bytes() == before
    model = shutil.copytree(folder, tmp_path / "model")
    for option, name in (("--csv", "tfsq.json"), ("--figure", "variables/new.png")):
        result = run("evaluate", image, "--model", model, option, model / name, "--force")
        refused(result, f"{model / name} lies in {model}: one is read, the other written")
    codec.load(model)


def test_a_table_that_cannot_be_written_is_shown(image, folder, monkeypatch, tmp_path):
    arguments = ("evaluate", image, "--model", folder, "--csv")
    refused(run(*arguments, "/dev/full", "--force"), "Not a regular file")

    def full(curves, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(evaluation, "write_comparison", full)
    result = run(*arguments, tmp_path / "table.csv")
    refused(result, f"No space left on device: {tmp_path / 'table.csv'}")
    assert str(image) in result.stdout


def test_links_that_lead_to_themselves_are_refused_in_a_sentence(image, folder, tmp_path):
    for name in ("loop.tfsq", "loop.png", "loop.csv", "loop"):
        (tmp_path / name).symlink_to(name)
    message = "Too many levels of symbolic links"
    model = ("--model", folder)
    refused(run("compress", image, tmp_path / "loop.tfsq", *model), message)
    refused(run("evaluate", image, *model, "--csv", tmp_path / "loop.csv"), message)
    refused(run("evaluate", image, *model, "--figure", tmp_path / "loop.png"), message)
    refused(run("evaluate", image, "--model", tmp_path / "loop"), message)
    refused(run("analyze", "--output", tmp_path / "loop", "--image", image), message)
    assert all(path.is_symlink() for path in tmp_path.glob("loop*"))


def test_a_file_counts_once_by_whatever_name(image, tmp_path):
    (tmp_path / "link.png").symlink_to(image)
    names = [image, f"{tmp_path}/./image.png", tmp_path / "link.png", tmp_path]
    assert files_of([str(name) for name in names]) == [f"{tmp_path}/./image.png"]


def test_info_of_what_comes_through_a_pipe(image, folder, monkeypatch, tmp_path):
    coded = tmp_path / "image.tfsq"
    assert run("compress", image, coded, "--model", folder).exit_code == 0
    expected = run("info", coded).stdout
    assert f"{coded.stat().st_size} bytes" in expected
    pipe = tmp_path / "pipe.tfsq"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(coded.read_bytes()))
    writer.start()
    found = run("info", pipe).stdout
    # But for the title, which is its name.
    rows, of_file = ([x for x in text.splitlines() if "│" in x] for text in (found, expected))
    assert rows == of_file
    writer.join()
    monkeypatch.setattr(coding, "_STANDARD_INPUT", coded)
    assert [x for x in run("info", "-").stdout.splitlines() if "│" in x] == of_file


def test_a_standard_output_that_is_closed_is_an_error(image, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with (
        pytest.raises(OSError, match="Standard output is closed"),
        coding._target("-", image, False, None, ".png"),
    ):
        pass


@pytest.mark.slow  # A process.
def test_results_for_a_standard_output_that_takes_none(image, folder, tmp_path):
    coded = tmp_path / "image.tfsq"
    assert run("compress", image, coded, "--model", folder).exit_code == 0
    command = [sys.executable, "-m", "tfsq", "info", str(coded)]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (found.returncode, found.stderr) == (1, "error: [Errno 28] No space left on device\n")


def test_a_run_does_not_replace_what_is_of_no_run(image, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.csv").write_text("of the user")
    save(tmp_path / "large.png", (64, 64))
    result = run("train", tmp_path / "large.png", "--output", tmp_path / "run", "--crop-size", 64)
    refused(result, "has what one would overwrite: ['history.csv']")
    assert (tmp_path / "run" / "history.csv").read_text() == "of the user"
    assert os.listdir(tmp_path / "run") == ["history.csv"]


def test_folders_are_the_images_in_them(image, folder, tmp_path):
    save(tmp_path / "sub" / "deep" / "b.png")
    save(tmp_path / "sub" / "a.PNG")
    save(tmp_path / "sub" / ".hidden.png")
    (tmp_path / "sub" / "notes.txt").write_text("x")
    (tmp_path / "sub" / "folder.png").mkdir()
    sub = str(tmp_path / "sub")
    # A name that begins with a dot is one like others here; a pattern leaves it out, as in a shell.
    assert files_of([sub]) == [f"{sub}/.hidden.png", f"{sub}/a.PNG"]
    assert files_of([f"{sub}/**"]) == [*files_of([sub]), f"{sub}/deep/b.png"]
    assert files_of([f"{sub}/*"]) == [f"{sub}/a.PNG", f"{sub}/notes.txt"]
    assert files_of([f"{sub}/**/*.png"]) == [f"{sub}/deep/b.png"]
    for item in (str(tmp_path / "sub" / "folder.png"), f"{sub}/folder*", ""):
        with pytest.raises(ValueError, match="No image files in the folder|nothing that matches"):
            files_of([item])
    skipped = []
    assert files_of([sub, "missing"], skipped.append) == files_of([sub])
    assert skipped == ["No such file, and nothing that matches: missing"]
    with pytest.raises(ValueError, match="There are no files"):
        files_of(["missing"], skipped.append)
    result = run("evaluate", sub, "--model", folder)
    assert result.exit_code == 0, result.output
    assert f"{sub}/a.PNG" in result.stdout


ODD_NAMES = [b"caf\xe9 [/y].png", b"a*b?.png", b"x" * 251 + b".png"]
MORE_ODD_NAMES = [
    b"photo[crop].png",
    b"photo[red].png",
    b"[bold]x[/bold].png",
    b"set [1].png",
    b"-leading.png",
    "é中🎉.png".encode(),
    b"two  spaces .png",
    b"semi;quote'\"$(x).png",
    b"\\.png",
]


@pytest.mark.parametrize(
    "name", ODD_NAMES + [pytest.param(name, marks=pytest.mark.slow) for name in MORE_ODD_NAMES]
)
def test_files_of_any_name_are_coded_and_shown_as_they_are(name, folder, tmp_path):
    path = save(tmp_path / os.fsdecode(name))
    coded, decoded = tmp_path / "a.tfsq", tmp_path / "d" / os.fsdecode(name)
    decoded.parent.mkdir(parents=True)
    model = ("--model", folder)
    assert run("compress", path, coded, *model).exit_code == 0
    result = run("decompress", coded, decoded, *model)
    assert result.exit_code == 0, result.output
    assert codec.read_image(decoded).shape == (20, 30, 3)
    result = run("evaluate", path, *model)
    assert result.exit_code == 0, result.output
    assert files_of([str(path)]) == [str(path)]
    missing = tmp_path / os.fsdecode(name[:100] + b"_missing")
    refused(run("compress", missing, tmp_path / "b.tfsq", *model), "No such file")


@pytest.mark.slow  # Two processes.
def test_bytes_of_names_are_what_streams_and_tables_get(folder, tmp_path):
    # Not UTF-8, and markup of rich.
    name = b"caf\xe9[/y].png"
    # As processes: what a strict stream cannot encode is lost in a test's own.
    path, table = save(tmp_path / os.fsdecode(name)), tmp_path / "table.csv"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-m", "tfsq", "evaluate", path, "--model", folder, "--csv", table]
    found = subprocess.run(command, capture_output=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert name in found.stdout
    assert table.read_bytes().count(name) == 1
    assert evaluation.read_comparison(table)[0].measurements[0].file == str(path)
    missing = [*command[:4], os.fsencode(path) + b"_missing", *command[5:7]]
    found = subprocess.run(missing, capture_output=True, env=environment)
    assert found.returncode == 1
    assert name + b"_missing" in found.stderr
    assert b"Traceback" not in found.stderr


def test_globs_in_folders_whose_names_are_patterns(tmp_path):
    path = save(tmp_path / "set [1]" / "a.png")
    save(tmp_path / "set 1" / "b.png")
    assert files_of([f"{tmp_path}/set [1]/*.png"]) == [str(path)]
    assert files_of([f"{tmp_path}/set?1/*.png"]) == [f"{tmp_path}/set 1/b.png"]


def test_control_characters_do_not_reach_the_terminal(folder, tmp_path):
    path = save(tmp_path / "a\x1b[31mb\x07.png")
    result = run("evaluate", path, "--model", folder)
    assert result.exit_code == 0, result.output
    assert "a\\x1b[31mb\\x07.png" in result.stdout
    result = run("compress", path, tmp_path / "x\x1b.png", "--model", folder)
    refused(result, "x\\x1b.png")
    assert "\x1b" not in result.output


def test_lossy_images_are_of_high_quality_and_said_to_be_lossy(folder, tmp_path):
    path, coded = save(tmp_path / "image.png", (170, 180)), tmp_path / "image.tfsq"
    assert run("compress", path, coded, "--model", folder).exit_code == 0
    pixels = codec.decompress(coded.read_bytes(), folder)
    for ending, is_lossy in (
        ("png", 0),
        ("webp", 0),
        ("bmp", 0),
        ("jpg", 1),
        ("gif", 1),
        ("pdf", 1),
    ):
        decoded = tmp_path / f"decoded.{ending}"
        result = run("decompress", coded, decoded, "--model", folder)
        assert result.exit_code == 0, result.output
        assert ("is lossy" in result.output) == bool(is_lossy), ending
        if not is_lossy:
            assert np.array_equal(codec.read_image(decoded), pixels)
    with Image.open(tmp_path / "decoded.jpg") as opened:
        # 4:4:4, and the quantization of quality 95.
        assert opened.layer[0][1:3] == opened.layer[1][1:3] == (1, 1)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
        assert opened.quantization == Image.open(buffer).quantization


@pytest.mark.slow  # Processes; `test_another_process_decodes_the_same_pixels` has some every day.
def test_standard_streams(folder, tmp_path):
    path = save(tmp_path / "image.png")
    process = [sys.executable, "-m", "tfsq"]
    coded = subprocess.run(
        [*process, "compress", "-", "-", "--model", folder],
        input=path.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert coded.stdout == codec.compress(codec.read_image(path), folder)
    assert f"{len(coded.stdout)} bytes".encode() in coded.stderr
    decoded = subprocess.run(
        [*process, "decompress", "-", "/dev/stdout", "--model", folder],
        input=coded.stdout,
        capture_output=True,
        check=True,
    )
    pixels = codec.decode_image(io.BytesIO(decoded.stdout), "stdout")
    assert np.array_equal(pixels, codec.decompress(coded.stdout, folder))


def test_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"tfsq {__version__}\n")


@pytest.mark.slow
def test_bundled_is_a_word_and_a_folder_of_that_name_is_a_path(
    shipping, image, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "bundled")
    for model, word in (("bundled", ", bundled"), ("./bundled", ", lambda ")):
        result = run("compress", image, "a.tfsq", "--model", model, "--force")
        assert result.exit_code == 0 and word in result.output, result.output
        result = run("decompress", "a.tfsq", "a.png", "--model", model, "--force")
        assert result.exit_code == 0, result.output
    refused(run("decompress", "a.tfsq", "b.png", "--model", "bundled"), "made with model")
    refused(run("analyze", "--model", "./bundled", "--output", "."), "lies in")
    refused(run("analyze", "--model", "bundled", "--output", shipping), "lies in")


@pytest.mark.slow
def test_files_that_are_skipped_are_named_at_once_and_in_the_end(image, tiny_network, tmp_path):
    save(tmp_path / "large.png", (64, 64))
    (tmp_path / "bad.png").write_text("x")
    files = [tmp_path / name for name in ("large.png", "bad.png", "image.png")]
    options = ("--crop-size", 64, "--steps", 1, *TINY)
    result = run("train", *files, "--output", tmp_path / "run", *options)
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    first = lines.index(f"skipped: Not an image file: {tmp_path / 'bad.png'}")
    last = lines.index("2 files were skipped:")
    assert first < last
    assert lines[last + 1 :][:2] == [
        f"Not an image file: {tmp_path / 'bad.png'}",
        f"{image} is 30x20, smaller than a crop of 64.",
    ]
    assert (tmp_path / "run" / "codec").is_dir()
    refused(
        run("train", *files, "--output", tmp_path / "strict", *options, "--strict"),
        "error: Not an image file",
    )
    assert not (tmp_path / "strict").exists()


@pytest.mark.slow
def test_runs_are_trained_and_analyzed_in_folders_of_any_name(tiny_network, eagerly, tmp_path):
    save(tmp_path / "large.png", (64, 64))
    options = ("--crop-size", 64, "--batch-size", 1, *TINY)
    output = tmp_path / os.fsdecode(b"caf\xe9 [1]*")
    steps = ("--steps", 3, "--steps-per-epoch", 2)
    result = run("train", tmp_path / "large.png", "--output", output, *options, *steps)
    assert result.exit_code == 0, result.output
    expected = {"settings.json", "history.csv", "model.keras", "codec", "logs", "checkpoints"}
    assert expected <= set(os.listdir(output))
    assert len(list((output / "checkpoints").glob("*.index"))) == 1
    rows = list(csv.DictReader((output / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    result = run("evaluate", tmp_path / "large.png", "--model", output / "codec")
    assert result.exit_code == 0, result.output
    result = run("export", output)
    assert result.exit_code == 0, result.output
    assert "the run ended" not in result.output
