"""CompressAI's part, in a process and an environment of its own: `tfsq` is not imported here.

Reads lines of JSON, does what they say, and answers with the seconds of a call.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
import time

import torch
from compressai.models import MeanScaleHyperprior, ScaleHyperprior

NETWORKS = {"ScaleHyperprior": ScaleHyperprior, "MeanScaleHyperprior": MeanScaleHyperprior}


def training_step(network: str, size: int):
    """A step of Adam on a batch of 8, with CompressAI's own loss and auxiliary loss left out."""
    model = NETWORKS[network](128, 192).train()
    optimizer = torch.optim.Adam(
        [p for name, p in model.named_parameters() if not name.endswith(".quantiles")], lr=1e-4
    )
    image = torch.rand(8, 3, size, size)

    def step():
        optimizer.zero_grad()
        out = model(image)
        bits = sum(-torch.log2(p).sum() for p in out["likelihoods"].values())
        mse = torch.nn.functional.mse_loss(out["x_hat"], image)
        loss = bits / (8 * size * size) + 0.01 * 255**2 * mse
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def coding(network: str, direction: str):
    """Compression or decompression of one image of 512x768."""
    model = NETWORKS[network](128, 192).eval()
    model.update(force=True)
    coarse = torch.rand(1, 3, 32, 48)
    image = torch.nn.functional.interpolate(coarse, scale_factor=16, mode="bicubic").clamp(0, 1)
    with torch.no_grad():
        coded = model.compress(image)

    def code():
        with torch.no_grad():
            if direction == "compress":
                model.compress(image)
            else:
                model.decompress(coded["strings"], coded["shape"])

    return code


MAKERS = {"training": training_step, "coding": coding}


def main() -> None:
    """Answers until there is no more input."""
    torch.set_num_threads(int(sys.argv[1]))
    works: dict[str, object] = {}
    for line in sys.stdin:
        maker, *arguments = json.loads(line)
        if maker == "peak":
            # Not what `getrusage` says, which counts the parent's memory, too.
            status = pathlib.Path("/proc/self/status").read_text()
            print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024, flush=True)
            continue
        if line not in works:
            works[line] = MAKERS[maker](*arguments)
            works[line]()
        began = time.perf_counter()
        works[line]()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
