"""Commands on many files."""

import itertools
import os
import shutil

import numpy as np
import pytest

from tests.command_line import run
from tests.photographs import photograph
from tfsq import codec
from tfsq.cli.paths import files_of, targets_of

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def photographs(tmp_path):
    """Five images in two folders, and what is none."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    for number, ending in enumerate(("png", "jpg", "webp", "bmp")):
        codec.write_image(photograph()[: 40 + number, :50], folder / f"photo {number}.{ending}")
    codec.write_image(photograph()[:30, :20], folder / "more" / "a.b.png")
    (folder / "notes.txt").write_text("none")
    return folder


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_folders_there_and_back(photographs, folder, loaded, tmp_path):
    output, decoded = tmp_path / "coded", tmp_path / "decoded"
    arguments = (photographs, photographs / "more", "--output-dir", output, "--model", folder)
    result = run("compress", *arguments)
    assert result.exit_code == 0, result.output
    assert files_in(output) == ["a.b.tfsq", *(f"photo {number}.tfsq" for number in range(4))]
    total = sum(path.stat().st_size for path in output.iterdir())
    assert f"5 of 5 files written: {total} bytes" in result.stdout
    assert f"'{photographs}/**' takes those of its folders, too" in result.output
    for path in output.iterdir():
        (line,) = [line for line in result.stdout.splitlines() if f"{path}:" in line]
        assert line.startswith(f"{path}: {path.stat().st_size} bytes, ")
        assert line.endswith(" bpp, lambda 0.02")
    source = photographs / "photo 1.jpg"
    expected = codec.compress(codec.read_image(source), loaded)
    assert (output / "photo 1.tfsq").read_bytes() == expected
    arguments = ("--output-dir", decoded, "--format", "bmp", "--model", folder, "--jobs", 3)
    result = run("decompress", output, *arguments)
    assert result.exit_code == 0, result.output
    assert files_in(decoded) == [name.replace("tfsq", "bmp") for name in files_in(output)]
    pixels = codec.decompress(expected, loaded)
    assert np.array_equal(codec.read_image(decoded / "photo 1.bmp"), pixels)


def test_globs_keep_folders_below_their_own(photographs, folder, tmp_path):
    output = tmp_path / "coded"
    result = run(
        "compress", photographs / "**" / "*.png", "--output-dir", output, "--model", folder, "-q"
    )
    assert result.exit_code == 0, result.output
    assert result.output == ""
    assert files_in(output) == ["more/a.b.tfsq", "photo 0.tfsq"]


def test_what_exists_is_refused_left_out_or_replaced(photographs, folder, tmp_path):
    output = tmp_path / "coded"
    arguments = ("compress", photographs, "--output-dir", output, "--model", folder)
    assert run(*arguments).exit_code == 0
    (output / "photo 2.tfsq").unlink()
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    result = run(*arguments)
    # The one that was missing is written.
    assert result.exit_code == 1
    assert result.output.count("is there already; --force replaces it.") == 2 * 3
    assert "1 of 4 files written, 3 skipped: " in result.stdout
    assert (output / "photo 2.tfsq").exists()
    (output / "photo 2.tfsq").unlink()
    result = run(*arguments, "--skip-existing")
    assert result.exit_code == 0, result.output
    assert "1 of 4 files written, 3 there already: " in result.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    result = run(*arguments, "--skip-existing")
    assert result.exit_code == 0
    assert "0 of 4 files written, 4 there already\n" in result.stdout
    assert run(*arguments, "--force").exit_code == 0
    assert all(path.stat().st_mtime_ns > before[path] for path in before)


def test_bad_files_are_named_and_the_others_coded(photographs, folder, tmp_path):
    output = tmp_path / "coded"
    (photographs / "photo 1.jpg").write_bytes(b"no image")
    (photographs / "empty.png").touch()
    (photographs / "phone.HEIC").write_bytes(b"of a phone")
    (photographs / "gone.jpg").symlink_to("nowhere.jpg")
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(photographs / "photo 0.png", again)
    arguments = ("compress", again, photographs, "--output-dir", output, "--model", folder)
    result = run(*arguments)
    assert result.exit_code == 1
    assert "5 files were skipped:" in result.output
    assert "3 of 8 files written, 5 skipped: " in result.stdout
    assert files_in(output) == ["photo 0.tfsq", "photo 2.tfsq", "photo 3.tfsq"]
    first, second = (place / "photo 0.png" for place in (again, photographs))
    target = output / "photo 0.tfsq"
    collision = f"{second} would be written to {target}, as {first} would be."
    assert collision in result.output
    for name in ("photo 1.jpg", "phone.HEIC", "gone.jpg"):
        assert str(photographs / name) in result.output
    assert f"Not an image file: {photographs / 'empty.png'}" in result.output
    # What exists does not hide it.
    result = run(*arguments, "--skip-existing")
    assert result.exit_code == 1
    assert collision in result.output
    (photographs / "gone.jpg").unlink()
    result = run(*arguments, "--strict", "--force")
    assert result.exit_code == 1
    assert "would be written to" in result.output
    assert "files were skipped" not in result.output


@pytest.mark.slow
def test_names_that_differ_in_their_endings_keep_them(photographs, folder, tmp_path):
    output, decoded = tmp_path / "coded", tmp_path / "decoded"
    # One of the two does not serve, and hides the other nowhere.
    (photographs / "photo 1.png").write_bytes(b"no image")
    shutil.copy(photographs / "photo 0.png", photographs / "photo 0.jpeg")
    result = run("compress", photographs, "--output-dir", output, "--model", folder)
    assert result.exit_code == 1
    names = ["photo 0.jpeg", "photo 0.png", "photo 1.jpg", "photo 2", "photo 3"]
    assert files_in(output) == [f"{name}.tfsq" for name in names]
    assert "5 of 6 files written, 1 skipped: " in result.stdout
    result = run("decompress", output, "--output-dir", decoded, "--model", folder)
    assert result.exit_code == 0, result.output
    assert files_in(decoded) == [f"{name}.png" for name in names]


def test_an_interrupted_call_says_how_to_go_on(photographs, folder, tmp_path, monkeypatch):
    def interrupted(*arguments, **others):
        yield from itertools.islice(compress_files(*arguments, **others), 2)
        raise KeyboardInterrupt

    compress_files = codec.compress_files
    monkeypatch.setattr(codec, "compress_files", interrupted)
    arguments = ("compress", photographs, "--output-dir", tmp_path / "out", "--model", folder)
    result = run(*arguments)
    assert result.exit_code == 130
    assert (
        "interrupted after 2 of 4 files, and those that were being coded; --skip-ex"
        in result.output
    )


def test_what_cannot_be_looked_at_is_told_of_as_a_file(photographs):
    skipped = []
    found = files_of(["y" * 300 + ".png", str(photographs)], skipped.append)
    assert len(found) == 4 and len(skipped) == 1


def test_raw_files_leave_photographs_their_names(photographs, tmp_path):
    (photographs / "photo 1.CR2").write_bytes(b"raw")
    targets = [target.name for _, target in targets_of([str(photographs)], tmp_path, ".tfsq").pairs]
    names = ["photo 0", "photo 1.CR2", "photo 1", "photo 2", "photo 3"]
    assert targets == [f"{name}.tfsq" for name in names]


def test_options_also_hold_for_one_file(photographs, folder, tmp_path):
    image, target = photographs / "photo 0.png", tmp_path / "photo.tfsq"
    model = ("--model", folder)
    assert run("compress", image, target, *model).exit_code == 0
    before = target.stat().st_mtime_ns
    result = run("compress", image, target, *model, "--skip-existing")
    assert (result.exit_code, result.output) == (0, f"{target} was there already\n")
    assert target.stat().st_mtime_ns == before
    assert run("decompress", target, *model, "--format", "bmp").exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("photo.*")) == ["photo.bmp", "photo.tfsq"]
    result = run("decompress", target, tmp_path / "a.png", *model, "--format", "bmp")
    assert result.exit_code == 2
    assert "--format" in result.output


@pytest.mark.slow
def test_damaged_files_are_named_also_with_strict(photographs, folder, tmp_path):
    output = tmp_path / "coded"
    arguments = (photographs, "--output-dir", output, "--model", folder)
    assert run("compress", *arguments).exit_code == 0
    (output / "photo 2.tfsq").write_bytes(b"TFSQ")
    (output / ".tfsq-0123456789abcdef.tfsq").write_bytes(b"unfinished")
    for options in ((), ("--strict",)):
        arguments = (output, "--output-dir", tmp_path / f"to{len(options)}", "--model", folder)
        result = run("decompress", *arguments, *options, "-q")
        assert result.exit_code == 1
        (line,) = result.output.splitlines()
        assert f"{output / 'photo 2.tfsq'}: " in line
        assert ("error: " in line) == bool(options)


@pytest.mark.slow
def test_strict_tells_of_files_that_were_being_coded(photographs, folder, tmp_path):
    coded, output = tmp_path / "coded", tmp_path / "decoded"
    model = ("--model", folder)
    assert run("compress", photographs, "--output-dir", coded, *model).exit_code == 0
    # The first in the order of names fails at once, while the second is decoded.
    (coded / "a.tfsq").write_bytes(b"TFSQ")
    result = run("decompress", coded, "--output-dir", output, *model, "--strict", "--jobs", "2")
    assert result.exit_code == 1
    assert f"error: {coded / 'a.tfsq'}: " in result.output
    written = files_in(output)
    assert 0 < len(written) < len(files_in(coded)) - 1
    assert [name for name in written if f"{output / name}" not in result.output] == []
    assert f"{len(written)} of {len(files_in(coded))} files" in result.output


@pytest.mark.parametrize("bug_is", [0, 1])
def test_strict_raises_bugs_and_tells_of_bad_files(
    photographs, folder, tmp_path, monkeypatch, bug_is
):
    bug, bad = RuntimeError("of tfsq itself"), ValueError("a tear")
    errors = [bad, bad]
    errors[bug_is] = bug

    def failing(pairs, *arguments, **others):
        # Both were being coded when the first one failed.
        for pair, error in zip(list(itertools.islice(pairs, 2)), errors):
            yield codec.FileOutcome(*pair, error=error)

    monkeypatch.setattr(codec, "compress_files", failing)
    output = tmp_path / "out"
    result = run("compress", photographs, "--output-dir", output, "--model", folder, "--strict")
    assert result.exception is bug
    names = ["photo 0.png", "photo 1.jpg"]
    assert f"Unexpected, at {photographs / names[bug_is]}:\n" in result.output
    assert f"{photographs / names[1 - bug_is]}: a tear\n" in result.output
    assert "error: " not in result.output
    assert "0 of 4 files written, 2 skipped, 2 not begun\n" in result.output


def test_links_are_files_of_their_own(photographs, folder, tmp_path):
    os.link(photographs / "photo 0.png", photographs / "hard.png")
    (photographs / "soft.png").symlink_to("photo 0.png")
    output = tmp_path / "coded"
    arguments = ("compress", photographs / "*.png", "--output-dir", output, "--model", folder)
    assert run(*arguments).exit_code == 0
    assert files_in(output) == ["hard.tfsq", "photo 0.tfsq", "soft.tfsq"]
    # Unless they lead to one file to write.
    (output / "hard.tfsq").unlink()
    (output / "hard.tfsq").symlink_to("soft.tfsq")
    result = run(*arguments, "--force")
    assert result.exit_code == 1
    assert "soft.png would be written to" in result.output


def test_a_folder_that_is_a_file_leaves_the_others(photographs, folder, tmp_path):
    output = tmp_path / "coded"
    output.mkdir()
    (output / "more").write_text("a file")
    long = photographs / f"{'x' * 251}.png"
    shutil.copy(photographs / "photo 0.png", long)
    items = (photographs / "**" / "*.png",)
    for options in ((), ("--skip-existing",)):
        result = run("compress", *items, "--output-dir", output, "--model", folder, *options)
        assert result.exit_code == 1, result.output
        assert str(photographs / "more" / "a.b.png") in result.output
        assert str(long) in result.output
        assert (output / "photo 0.tfsq").exists()


@pytest.mark.slow
def test_photographs_stay_where_the_folder_is_their_own(photographs, folder):
    before = {path: path.read_bytes() for path in photographs.iterdir() if path.is_file()}
    arguments = (photographs, "--output-dir", photographs, "--model", folder)
    assert run("compress", *arguments).exit_code == 0
    result = run("decompress", *arguments)
    # `photo 0.png` is there, the others are of other endings.
    assert result.exit_code == 1
    assert f"{photographs / 'photo 0.png'} is there already" in result.output
    assert {path: path.read_bytes() for path in before} == before


def test_errors_before_anything_is_coded(photographs, folder, tmp_path):
    output = tmp_path / "coded"
    arguments = ("compress", photographs, "--output-dir", output, "--model", folder)
    result = run(*arguments, "--jobs", 0)
    assert result.exit_code == 1
    assert "--jobs must be at least 1" in result.output
    assert not output.exists()
    result = run("compress", photographs, "--model", folder)
    assert result.exit_code == 2
    # What is shown of usage errors has line breaks.
    assert "--output-dir" in result.output
    result = run("decompress", photographs / "more", "--output-dir", output, "--model", folder)
    assert result.exit_code == 1
    assert f"No .tfsq files in the folder {photographs / 'more'}" in result.output


def test_places_below_folders_and_globs(photographs, tmp_path):
    name = os.path.relpath(photographs / "more" / "a.b.png")
    for items in ([name], [str(photographs / "more")], [f"{photographs}/more/*.png"]):
        pairs, _ = targets_of(items, tmp_path, ".tfsq")
        assert [target for _, target in pairs] == [tmp_path / "a.b.tfsq"]
    ((pair,), _) = targets_of([f"{photographs}/*/a*"], tmp_path, ".tfsq")
    assert pair == (str(photographs / "more" / "a.b.png"), tmp_path / "more" / "a.b.tfsq")
