"""Makes the codecs that come with tfsq: trains, exports, measures, writes their cards.

    python benchmarks/shipped/make.py --data ../shared/data --runs ../runs/shipped

One network is trained to a medium rate, and one for each quality begins where it stopped, with a
lambda of its own, while the learning rate falls to zero. Resumable: what is trained is not trained
again. Writes `saved_models/quality_<n>/` with a card, and `results/shipped/kodak.csv`, which
`report.py` makes a table and a figure from. Without `--runs`, the weights are those of the codecs
as they are shipped: their functions are exported and measured again.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tfsq import codec, training
from tfsq.codec.shipped import SUMS_FILE, sums_of

COMMAND = "python benchmarks/shipped/make.py --data DATA --runs RUNS"
LMBDAS = {1: 0.0015, 2: 0.005, 3: 0.015, 4: 0.045}
BASE = training.TrainingSettings(
    lmbda=0.01,
    rate_quantizer="aun",
    reconstruction_quantizer="sua",
    final_temperature=0.05,
    batch_size=4,
    steps=36_000,
    steps_per_epoch=1000,
)
BASE_STOP = 24_000
STEPS = 34_000
MODELS, RESULTS = pathlib.Path("saved_models"), pathlib.Path("results/shipped")
LARGEST_BYTES = 8 * 10**6


def settings_of(quality: int) -> training.TrainingSettings:
    """The settings of one quality."""
    return dataclasses.replace(BASE, lmbda=LMBDAS[quality], steps=STEPS)


def train_quality(quality: int, data: pathlib.Path, runs: pathlib.Path) -> None:
    """Trains one quality from the common start to its end."""
    paths = sorted((data / "bsds500" / "train").glob("*.jpg"))
    folder = runs / f"quality_{quality}"
    training.train(paths, folder, settings_of(quality), start=runs / "base")


def train_all(arguments) -> None:
    """Trains the common start, and then the qualities, two at a time with a thread each."""
    paths = sorted((arguments.data / "bsds500" / "train").glob("*.jpg"))
    training.train(paths, arguments.runs / "base", BASE, stop=BASE_STOP)
    one_thread = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

    def run(quality):
        command = [sys.executable, __file__, "--data", str(arguments.data)]
        command += ["--runs", str(arguments.runs), "--single", str(quality)]
        subprocess.run(command, check=True, env={**os.environ, **one_thread})
        print(f"quality {quality} is trained", flush=True)

    missing = [q for q in LMBDAS if not _is_exported(arguments.runs / f"quality_{q}")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(run, missing))


def _is_exported(run: pathlib.Path) -> bool:
    # What `export` writes last.
    return (run / "codec" / "tfsq.json").exists()


def place(quality: int, runs: pathlib.Path | None) -> pathlib.Path:
    """Exports a trained network to where its codec is shipped from."""
    folder = MODELS / f"quality_{quality}"
    if runs is None:
        model = codec.load(folder).network
    else:
        model = tf.keras.models.load_model(runs / f"quality_{quality}" / "model.keras")
    shutil.rmtree(folder, ignore_errors=True)
    codec.export(model, folder)
    if size_of(folder) > LARGEST_BYTES:
        raise ValueError(f"{folder} has {size_of(folder)} bytes, more than {LARGEST_BYTES}.")
    return folder


def size_of(folder: pathlib.Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measure(folders: list[pathlib.Path], images: list[pathlib.Path]) -> codec.Curve:
    """Measures the codecs and the references, and writes the CSV file."""
    curves = codec.compare(images, folders, tuple(codec.REFERENCES))
    named = [
        dataclasses.replace(
            curve,
            measurements=tuple(
                dataclasses.replace(m, file=pathlib.Path(m.file).name) for m in curve.measurements
            ),
        )
        for curve in curves
    ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    codec.write_comparison(named, RESULTS / "kodak.csv")
    return named[0]


def card(quality: int, group: list[codec.Measurement]) -> str:
    """The model card, from what was measured on each image."""
    (mean,) = codec.Curve("tfsq", tuple(group)).means()
    size = size_of(MODELS / f"quality_{quality}")
    spread = {name: statistics.stdev(getattr(m, name) for m in group) for name in ("bpp", "psnr")}
    settings = json.dumps(dataclasses.asdict(settings_of(quality)), indent=2)
    return f"""# Quality {quality}

A mean-scale hyperprior for photographs. {size / 1e6:.1f} MB.

- Data: the 400 training images of BSDS500, random crops, flipped at random. Terms: `../LICENSE`.
- Steps: {BASE_STOP} of a common start at lambda {BASE.lmbda}, then to {STEPS} at lambda \
{LMBDAS[quality]}; squared error on 0-255. One seed.
- Kodak 1-12, real files: {mean.bpp:.4f} bits per pixel (standard deviation over images \
{spread["bpp"]:.4f}), {mean.psnr:.2f} dB ({spread["psnr"]:.2f}), MS-SSIM {mean.ms_ssim:.4f}.
- Every image: `results/shipped/kodak.csv`.
- Made by: `{COMMAND}`

```json
{settings}
```
"""


def main() -> None:
    """Trains what is missing, and ships it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="bsds500/ and kodak/.")
    parser.add_argument("--runs", type=pathlib.Path, help="Where runs are kept.")
    parser.add_argument("--single", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.single:
        train_quality(arguments.single, arguments.data, arguments.runs)
        return
    if arguments.runs is not None:
        train_all(arguments)
    folders = [place(quality, arguments.runs) for quality in LMBDAS]
    sums = [f"{digest}  {name}\n" for f in folders for name, digest in sums_of(f).items()]
    (MODELS / SUMS_FILE).write_text("".join(sums))
    curve = measure(folders, sorted((arguments.data / "kodak").glob("*.png")))
    for quality, folder, group in zip(LMBDAS, folders, curve.groups()):
        (folder / "README.md").write_text(card(quality, group))


if __name__ == "__main__":
    main()
