"""Compiles the loop of a program for an H100, without one: what it could not compile shows here.

    python -m venv gpu && gpu/bin/pip install "jax[cuda13]==0.11.2" numpy pillow
    JAX_SKIP_CUDA_CONSTRAINTS_CHECK=1 JAX_PLATFORMS=cpu,cuda gpu/bin/python \
        benchmarks/accelerator/compile_for_h100.py PROGRAM [DEFAULT|HIGH|HIGHEST]

Prints the time, the memory that it needs there, and the libraries that it calls.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import sys
import time

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

HERE = pathlib.Path(__file__).parent
PIXELS = 100 << 20


def main() -> None:
    """Compiles each part of the program."""
    folder = pathlib.Path(sys.argv[1])
    precision = sys.argv[2] if len(sys.argv) > 2 else None
    sys.path.insert(0, str(folder if (folder / "run.py").exists() else folder.parents[1]))
    import run
    import step

    topology = topologies.get_topology_desc(
        platform="cuda",
        topology_name="h100",
        topology="1x1x1",
        target_config=(HERE / "h100.txtpb").read_text(),
    )
    device = topology.devices[0]
    sharding = SingleDeviceSharding(device)
    original = jax.export.export
    jax.export.export = lambda function: original(function, platforms=["cuda"])

    def spec(shape, dtype):
        return jax.ShapeDtypeStruct(tuple(shape), dtype, sharding=sharding)

    program = json.loads((folder / "program.json").read_text())
    settings = program["settings"]
    state = {v["name"]: spec(v["shape"], v["dtype"]) for v in program["variables"]}
    rows = run.LONGEST_CHUNK
    inputs = {
        "places": spec((rows, settings["batch_size"], 3), "int64"),
        "temperature": spec((rows,), "float32"),
        "learning_rate": spec((rows,), "float32"),
    }
    given = (state, spec((PIXELS,), "uint8"), spec((), "float32"), spec((), "int32"), inputs)
    for part, described in program["programs"].items():
        one = step.Step(folder, described, len(program["metrics"]), precision)
        function = run.chunk_function(one, settings["crop_size"])
        begun = time.monotonic()
        traced = jax.jit(function, donate_argnums=0).trace(*given)
        compiled = traced.lower(lowering_platforms=("cuda",)).compile()
        calls = re.findall(r'custom_call_target="([^"]*)"', compiled.as_text())
        print(f"{part} compiled for {device.device_kind} in {time.monotonic() - begun:.0f} s")
        print(compiled.memory_analysis(), dict(collections.Counter(calls)))


if __name__ == "__main__":
    main()
