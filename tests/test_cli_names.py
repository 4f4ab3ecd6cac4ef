"""Commands on files whose names are drawn at random: none may end in a traceback or lose a file."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.photographs import photograph

PIECES = (
    b"[/]", b"[bold]", b"[/x]", b"[1]", b"[", b"]", b"*", b"**", b"?", b"{}", b"%s", b"-", b"--",
    b"~", b"$HOME", b"\\", b"'", b'"', b" ", b"\n", b"\t", b"\x1b[31m", b"\x07", b"\x7f", b"\xe9",
    b"\xff\xfe", b"\xc3", b"\xed\xb2\x80", "é".encode(), "中".encode(), "🎉".encode(),
    "\u202e".encode(), "\u0301".encode(), "\u200b".encode(), b":", b"gs:", b"a", b".", b".png",
    b"=", b"&", b"#", b"!",
)  # fmt: skip


def name_of(seed: int, ending: bytes) -> bytes:
    """A name of any bytes that a file system takes; every fifth is as long as can be."""
    rng = np.random.default_rng(seed)
    if seed % 5 == 4:
        drawn = bytes(rng.integers(1, 256, 255 - len(ending), dtype=np.uint8))
        return drawn.replace(b"/", b"_") + ending
    pieces = [PIECES[i] for i in rng.integers(len(PIECES), size=rng.integers(1, 8))]
    return b"".join(pieces).replace(b"/", b"\xe2\x88\x95") + ending


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_names_of_any_kind(seed, folder, tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    source = photographs / os.fsdecode(name_of(seed, b".png"))
    coded, decoded, run = (
        tmp_path / os.fsdecode(name_of(seed + 100 * i, ending))
        for i, ending in enumerate((b".tfsq", b".png", b"_run"), 1)
    )
    with source.open("wb") as file:
        Image.fromarray(photograph()[:64, :64]).save(file, "PNG")
    before = source.read_bytes()
    model = ("--model", folder)
    small = ("--steps=1", "--crop-size=64", "--num-filters=2", "--num-latents=3", "--batch-size=1")

    def check(*arguments):
        command = [sys.executable, "-m", "tfsq", *map(os.fsencode, arguments)]
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
        done = subprocess.run(command, capture_output=True, env=environment, cwd=photographs)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        assert source.read_bytes() == before
        return done.stdout

    check("compress", source, coded, *model)
    check("decompress", coded, decoded, *model)
    check("info", coded)
    table = tmp_path / "table.csv"
    shown = check("evaluate", "--csv", table, *model, "--", source.name)
    # Control characters are escaped.
    if source.name.isprintable():
        assert os.fsencode(source.name) in shown
    check("evaluate", photographs, *model, "--csv", table, "--force")
    check("train", source, "--output", run, *small)
    check("evaluate", source, "--model", run / "codec")
    left = {photographs, source, coded, decoded, run, table}
    assert {*tmp_path.iterdir(), *photographs.iterdir()} == left
