"""Programs run by JAX, where there is one."""

import csv
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.training.programs.small import settings_of
from tfsq import training
from tfsq.architectures import NETWORKS
from tfsq.layers import names

# Made by .ci/jax_environment.
JAX = pathlib.Path(__file__).parents[3] / ".jax" / "bin" / "python"
needs_jax = pytest.mark.skipif(not JAX.exists(), reason=".ci/jax_environment makes what this needs")


def run_program(folder, output, *arguments, **environment):
    command = [str(JAX), str(folder / "run.py"), "--output", str(output), *arguments]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def losses_of_tensorflow(folder, steps):
    """In a process of its own, where XLA compiles without optimizing: in a fraction of the time."""
    program = (
        "import json, sys; from tfsq.training import program;"
        " print(json.dumps(program.first_losses(sys.argv[1], int(sys.argv[2]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(steps)],
        env={**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def history_of(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# The two sum in another order. At the default learning rate, orthogonal updates and the slopes of
# SGA make of such a last digit a step of its own within 20 steps.
SMALL_STEPS = {"learning_rate": 4e-4}
CASES = [
    *({"architecture": name} for name in NETWORKS),
    *(
        {"reconstruction_quantizer": name, "rate_quantizer": None, "final_temperature": 0.5}
        | (SMALL_STEPS if name == "sga" else {})
        for name in names()
    ),
    {"distortion": "ms-ssim", "crop_size": 192, "lmbda": 10.0},
    {"least_detail": 8.0, "annealing_start": 0.5},
    {"lmbda": None, "lmbdas": (0.002, 0.006, 0.018)},
]


@needs_jax
@pytest.mark.slow  # Two compilations here, and two there.
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_losses_of_jax_are_those_of_tensorflow(case, files, tmp_path):
    if case.get("architecture") == "ChannelwiseAutoregressive":
        case = {**case, "num_latents": 10}
    settings = dataclasses.replace(settings_of("MeanScaleHyperprior"), **case)
    training.export_program(files, tmp_path / "program", settings)
    done = run_program(tmp_path / "program", tmp_path / "result")
    assert done.returncode == 0, done.stdout + done.stderr
    found = [float(row["loss"]) for row in history_of(tmp_path / "result" / "run")]
    expected = losses_of_tensorflow(tmp_path / "program", settings.steps)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@needs_jax
@pytest.mark.slow
def test_killed_runs_resume_and_lose_a_minute_at_most(files, tmp_path):
    # More steps than there is time for.
    settings = settings_of("MeanScaleHyperprior", steps=1_000_000, steps_per_epoch=50)
    program, result = tmp_path / "program", tmp_path / "result"
    training.export_program(files, program, settings)
    arguments = ["--run", "a:0.01", "--run", "b:0.02", "--seconds", "50"]
    assert run_program(program, result, *arguments).returncode == 0
    first = step_of(result / "a")
    command = [str(JAX), str(program / "run.py"), "--output", str(result), *arguments[:4]]
    with begun(command) as process:
        seen = steps_seen(process, seconds=60)
        process.kill()
        killed = time.monotonic()
    second = step_of(result / "a")
    assert second > first > 0
    # When a step that was not lost was done.
    assert killed - max(when for when, step in seen if step <= second) < 60
    with begun(command) as process:
        seen = steps_seen(process, seconds=10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert second < seen[0][1]
    assert step_of(result / "b") >= seen[-1][1]
    rows = history_of(result / "a")
    assert [int(row["step"]) for row in rows] == [50 * (i + 1) for i in range(len(rows))]
    found = training.collect(program, result, tmp_path / "run", "a")
    assert found["step"] < found["steps"] == 1_000_000


def step_of(run):
    return json.loads((run / "result.json").read_text())["step"]


def begun(command):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def steps_seen(process, seconds):
    """When the runner says that run a is at which step, for so long after it has said so first."""
    seen = []
    for line in process.stdout:
        found = re.match(r"a step (\d+) of", line)
        if found:
            seen.append((time.monotonic(), int(found[1])))
        if seen and time.monotonic() - seen[0][0] > seconds:
            break
    return seen


@needs_jax
@pytest.mark.slow
def test_runs_that_diverge_stop_and_keep_what_was_good(files, tmp_path):
    settings = settings_of(
        "MeanScaleHyperprior", steps=400, steps_per_epoch=100, learning_rate=1e30, hard_fraction=0.0
    )
    training.export_program(files, tmp_path / "program", settings)
    done = run_program(tmp_path / "program", tmp_path / "result")
    assert done.returncode == 1
    assert "run: the loss was not finite; the last good weights stay." in done.stdout
    assert not list((tmp_path / "result").glob("**/state_*"))


@needs_jax
@pytest.mark.slow
def test_other_versions_of_jax_and_damaged_files_are_refused(exported, tmp_path):
    for file, damage, message in (
        ("requirements.txt", lambda text: text.replace("jax==0", "jax==9"), "needs jax 9"),
        ("program.json", lambda text: text[:-5], "program.json is damaged"),
    ):
        folder = tmp_path / file
        shutil.copytree(exported, folder)
        (folder / file).write_text(damage((folder / file).read_text()))
        done = run_program(folder, tmp_path / "result")
        assert done.returncode == 1 and message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    folder = tmp_path / "images"
    shutil.copytree(exported, folder)
    (image,) = sorted((folder / "images").iterdir())[:1]
    image.write_bytes(image.read_bytes()[:-1])
    done = run_program(folder, tmp_path / "result")
    assert done.returncode == 1 and "is damaged: its digest" in done.stderr


@needs_jax
@pytest.mark.slow
def test_runner_refuses_in_a_sentence(exported, tmp_path):
    for arguments, message in (
        (["--run", "a:-1"], "needs a name and a positive lambda"),
        (["--run", "a"], "must be NAME:LMBDA"),
        (["--run", "a:1", "--run", "a:2"], "a name of its own"),
        (["--run", f"a:1:{tmp_path}"], "result.json cannot be read"),
    ):
        done = run_program(exported, tmp_path / "result", *arguments)
        assert done.returncode == 1 and message in done.stderr
        assert len(done.stderr.splitlines()) == 1
