"""The other end of `compressai_side.py`."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

_SIDE = str(pathlib.Path(__file__).with_name("compressai_side.py"))


class CompressAI:
    """A process of another Python, which has CompressAI; none if there is no such Python.

    Args:
      python: That Python, or None.
    """

    def __init__(self, python: str | None):
        self._python = python
        self._process = None
        if python is not None:
            self._process = subprocess.Popen(
                [python, _SIDE, str(os.cpu_count())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

    def peak(self, network: str, crop: int, work: str) -> dict:
        """MB at the peak of a new process that does the work; none without CompressAI."""
        if self._python is None:
            return {}
        requests = {
            "import": [],
            "training step": [["training", network, crop]],
            "compress": [["coding", network, work]],
            "decompress": [["coding", network, work]],
        }[work]
        lines = "".join(json.dumps(request) + "\n" for request in [*requests, ["peak"]])
        done = subprocess.run(
            [self._python, _SIDE, str(os.cpu_count())],
            input=lines,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return {"compressai": float(done.stdout.split()[-1])}

    def ways(self, *request) -> dict:
        """The way to do what is asked, for `in_turns`; none without CompressAI."""
        if self._process is None:
            return {}

        def seconds():
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError(
                    f"{self._python} {_SIDE} ended with {self._process.wait()} at {request}."
                )
            return float(line)

        return {"compressai": seconds}
