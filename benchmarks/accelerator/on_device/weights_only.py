"""Makes results that are final small: float16, and without the optimizer's moments.

    python weights_only.py RESULT OUTPUT RUN...

RESULT is what `run.py` wrote; OUTPUT gets the runs that are named, which `tfsq collect` takes.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys

import numpy as np
import state_files


def main() -> None:
    """Writes runs anew."""
    result, output = map(pathlib.Path, sys.argv[1:3])
    for folder in (result / name for name in sys.argv[3:]):
        found = json.loads((folder / "result.json").read_text())
        arrays = state_files.read(folder, found["state"])
        kept = {
            name: a.astype(np.float16) if a.dtype == np.float32 else a
            for name, a in arrays.items()
            if not name.startswith("optimizer/")
        }
        written = output / folder.name
        written.mkdir(parents=True)
        found["state"] = state_files.write(written, f"state_{found['step']}", kept)
        (written / "result.json").write_text(json.dumps(found))
        shutil.copy(folder / "history.csv", written)


if __name__ == "__main__":
    main()
