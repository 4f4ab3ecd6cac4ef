import dataclasses
import pathlib
import subprocess

import pytest

from tests.photographs import photograph
from tfsq import codec, evaluation
from tfsq.codec import file_coding


@pytest.fixture
def image_file(tmp_path):
    codec.write_image(photograph()[:70, :90], tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.mark.slow
def test_verified_files_are_written(loaded, image_file):
    target = image_file.with_suffix(".tfsq")
    written = codec.compress_file(image_file, target, loaded, verify=True)
    assert target.stat().st_size == written.file_bytes
    decoded = codec.decompress_file(target, model=loaded)
    figures = evaluation.figures_of(codec.read_image(image_file), target.read_bytes(), decoded)
    assert (written.height, written.width) == decoded.shape[:2] == (70, 90)
    assert written.bpp == figures.bpp
    assert written.psnr == pytest.approx(figures.psnr, abs=1e-4)


@pytest.mark.slow
def test_other_pixels_in_the_second_process_leave_no_file(loaded, image_file, monkeypatch):
    # A process takes seconds to begin; that above is one.
    def second_process(command, **_):
        file, decoded, folder = command[-3:]
        assert folder == str(loaded.folder)
        codec.write_image(codec.decompress(pathlib.Path(file).read_bytes(), loaded), decoded)
        return subprocess.CompletedProcess(command, 0)

    def synthesis(y_hat):
        return {"image": 255 - loaded.synthesis(y_hat=y_hat)["image"]}

    other = dataclasses.replace(loaded, synthesis=synthesis)
    target = image_file.with_suffix(".tfsq")
    target.write_bytes(b"before")
    monkeypatch.setattr(subprocess, "run", second_process)
    with pytest.raises(codec.VerificationError, match="decodes other pixels"):
        codec.compress_file(image_file, target, other, verify=True)
    assert target.read_bytes() == b"before"
    assert len(list(image_file.parent.iterdir())) == 2


@pytest.mark.slow  # A process.
def test_what_the_second_process_says_is_passed_on(loaded, image_file, tmp_path):
    nowhere = dataclasses.replace(loaded, folder=tmp_path)
    with pytest.raises(codec.VerificationError, match="cannot decode it: .*Error: Not a codec"):
        codec.compress_file(image_file, tmp_path / "a.tfsq", nowhere, verify=True)


def test_what_cannot_be_verified_is_refused_before_it_is_refined(loaded, image_file, monkeypatch):
    monkeypatch.setattr(file_coding, "encode_image", None)
    in_memory = dataclasses.replace(loaded, folder=None)
    with pytest.raises(ValueError, match="`verify` needs a codec that was loaded from a folder"):
        codec.compress_file(image_file, image_file.with_suffix(".tfsq"), in_memory, verify=True)
