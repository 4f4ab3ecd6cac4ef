"""Holds the Beam example to finding, refusing, keeping and completing what it should.

Run by `benchmarks/beam/in_environment`.
"""

import json
import pathlib
import sys

import skimage.data

from tfsq import codec
from tfsq.codec.encoding import psnr

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))
import compress_corpus_beam  # noqa: E402

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def run(work: pathlib.Path) -> dict:
    """Runs the pipeline, and returns the lines of the manifest by the name of the image."""
    images, output = work / "images", work / "compressed"
    compress_corpus_beam.main(["--images", f"{images}/**", "--output", str(output)])
    lines = map(json.loads, (output / "manifest.jsonl").read_text().splitlines())
    return {str(pathlib.Path(line["image"]).relative_to(images)): line for line in lines}


def main(work: pathlib.Path) -> None:
    """Runs it three times, the second after an interruption and the third after a change."""
    output = work / "compressed"
    (work / "images" / "more").mkdir(parents=True)
    for index, name in enumerate(PHOTOGRAPHS):
        folder = work / "images" / ("more" if index % 2 else "")
        codec.write_image(getattr(skimage.data, name)()[:256, :256], folder / f"{name}.png")
    (work / "images" / "bad.png").write_bytes(b"no image")
    expected = {"astronaut.png", "more/chelsea.png", "coffee.png", "more/rocket.png", "bad.png"}

    first = run(work)
    assert set(first) == expected, first
    assert first["bad.png"]["status"] == "refused" and "bad.png" in first["bad.png"]["reason"]
    for name, line in first.items():
        if name != "bad.png":
            assert line["status"] == "compressed", line
            file = output / f"{name}.tfsq"
            assert line["bytes"] == file.stat().st_size and line["file"] == str(file), line
            original = codec.read_image(work / "images" / name)
            found = psnr(original, codec.decompress_file(file))
            assert found > 25.12, (name, found)
            print(f"{name}: {line['bpp']:.3f} bpp, {found:.2f} dB")

    (output / "coffee.png.tfsq").unlink()
    whole = (output / "astronaut.png.tfsq").read_bytes()
    (output / "astronaut.png.tfsq").write_bytes(whole[:-1])
    kept = output / "more" / "chelsea.png.tfsq"
    before = kept.stat().st_mtime_ns
    second = run(work)
    statuses = {name: line["status"] for name, line in second.items()}
    assert statuses == {
        "astronaut.png": "compressed",
        "coffee.png": "compressed",
        "more/chelsea.png": "kept",
        "more/rocket.png": "kept",
        "bad.png": "refused",
    }, statuses
    assert kept.stat().st_mtime_ns == before
    assert (output / "astronaut.png.tfsq").read_bytes() == whole
    assert {line.get("bytes") for line in second.values()} == {
        line.get("bytes") for line in first.values()
    }

    codec.write_image(skimage.data.chelsea()[:128, :128], work / "images" / "more" / "chelsea.png")
    third = {name: line["status"] for name, line in run(work).items()}
    changed = {name for name, status in third.items() if status == "compressed"}
    assert changed == {"more/chelsea.png"}, third
    left = [path for path in output.rglob("*") if path.name.endswith(".unfinished")]
    assert not left, left
    print("complete after an interruption; kept what was whole; compressed anew what had changed")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
