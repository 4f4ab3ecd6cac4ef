"""Two workers on this machine train one codec, compared with each other and with one worker.

    python -m benchmarks.workers.run

Every worker is a process of its own. Without noise, two have to find what one does at the same
batch; with noise, each has to draw its own, and to go on from the chief's checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import socket
import subprocess
import sys
import tempfile

PYTHON = ".".join(platform.python_version_tuple()[:2])
RESULTS = pathlib.Path(f"results/workers/workers_{PYTHON}.json")
STEPS, STEPS_PER_EPOCH = 8, 4
TOLERANCE = 1e-3
CHIEF_WRITES = {
    ".lock",
    "checkpoints",
    "codec",
    "history.csv",
    "logs",
    "model.keras",
    "settings.json",
}


def train(folder: pathlib.Path, quantizer: str, stop: int | None) -> None:
    """Is one worker: trains, and writes its losses, weights and a draw of noise."""
    import numpy as np
    import tensorflow as tf

    from tests.photographs import photograph
    from tfsq import codec, training

    strategy = training.strategy_of("multi_worker" if "TF_CONFIG" in os.environ else "none")
    worker = strategy.cluster_resolver.task_id if strategy.cluster_resolver else 0
    image = folder / f"image_{worker}.png"
    codec.write_image(photograph(), image)
    settings = training.TrainingSettings(
        num_filters=4,
        num_latents=6,
        steps=STEPS,
        steps_per_epoch=STEPS_PER_EPOCH,
        batch_size=4,
        crop_size=64,
        rate_quantizer=None,
        reconstruction_quantizer=quantizer,
        final_temperature=0.1,
    )
    logs: list[dict] = []
    record = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, values: logs.append(dict(values))
    )
    model = training.train(
        [image], folder / "run", settings, callbacks=[record], stop=stop, strategy=strategy
    )
    noise = model.latent_model.reconstruction_quantizer.draw_noise(tf.zeros([8]))
    np.savez(
        folder / f"worker_{worker}.npz",
        losses=[values["loss"] for values in logs],
        temperatures=[values.get("temperature", 1.0) for values in logs],
        noise=np.zeros(0) if noise is None else noise,
        weights=np.concatenate([np.ravel(w.numpy()) for w in model.trainable_variables]),
    )


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("localhost", 0))
    addresses = [f"localhost:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return addresses


def run(folder: pathlib.Path, workers: int, quantizer: str, stop: int | None = None) -> list:
    """Trains with that many workers, and returns what each has written."""
    import numpy as np

    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.workers.run"]
    command += ["--train", str(folder), quantizer, str(stop)]
    cluster = {"worker": _free_addresses(workers)}
    processes = []
    for index in range(workers):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {"TF_CONFIG": json.dumps(task)} if workers > 1 else {}
        environment = {**os.environ, **environment, "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes.append(subprocess.Popen(command, env=environment))
    try:
        codes = [process.wait(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert not any(codes), codes
    return [dict(np.load(folder / f"worker_{index}.npz")) for index in range(workers)]


def compare(folder: pathlib.Path) -> dict:
    """Trains with one and with two workers, and returns what differs."""
    import numpy as np

    (alone,) = run(folder / "alone", 1, "ste")
    pair = run(folder / "pair", 2, "ste")
    noisy_start = run(folder / "noisy", 2, "sua", STEPS_PER_EPOCH)
    noisy = run(folder / "noisy", 2, "sua")
    return {
        "loss of one worker": alone["losses"].tolist(),
        "loss of two workers": pair[0]["losses"].tolist(),
        "largest difference of a weight, two workers from one": float(
            np.max(np.abs(pair[0]["weights"] - alone["weights"]))
        ),
        "largest difference of a weight between two workers": float(
            np.max(np.abs(pair[0]["weights"] - pair[1]["weights"]))
        ),
        "the same, with noise, resumed": float(
            np.max(np.abs(noisy[0]["weights"] - noisy[1]["weights"]))
        ),
        "noise of two workers": [found["noise"].tolist() for found in noisy],
        "temperatures of two workers": [
            [*before["temperatures"].tolist(), *after["temperatures"].tolist()]
            for before, after in zip(noisy_start, noisy)
        ],
        "files of the run": sorted(path.name for path in (folder / "noisy" / "run").iterdir()),
    }


def check(found: dict) -> None:
    """Fails unless workers agree where they have to, and differ where they have to."""
    one, two = found["loss of one worker"], found["loss of two workers"]
    assert len(one) == STEPS // STEPS_PER_EPOCH, found
    assert all(abs(b / a - 1.0) < TOLERANCE for a, b in zip(one, two)), found
    assert found["largest difference of a weight, two workers from one"] < TOLERANCE, found
    assert found["largest difference of a weight between two workers"] == 0.0, found
    assert found["the same, with noise, resumed"] == 0.0, found
    first, second = found["noise of two workers"]
    assert not set(first) & set(second), found
    first, second = found["temperatures of two workers"]
    assert first == second == sorted(first, reverse=True) and len(first) == len(one), found
    assert set(found["files of the run"]) == CHIEF_WRITES, found


def main() -> None:
    """Compares, and writes `workers_X.Y.json`, by the version of Python."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        folder, quantizer, stop = arguments.train
        train(pathlib.Path(folder), quantizer, None if stop == "None" else int(stop))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = compare(pathlib.Path(folder))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    check(found)
    print("two workers agree with each other and with one")


if __name__ == "__main__":
    main()
