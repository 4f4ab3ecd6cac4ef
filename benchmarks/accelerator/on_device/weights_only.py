"""Makes results that are final small: without the optimizer's moments.

    python weights_only.py RESULT OUTPUT

RESULT is what `run.py` wrote; OUTPUT gets the same runs, which `tfsq collect` takes.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys

import state_files


def main() -> None:
    """Writes all runs anew."""
    result, output = map(pathlib.Path, sys.argv[1:])
    for folder in sorted(path.parent for path in result.glob("*/result.json")):
        found = json.loads((folder / "result.json").read_text())
        arrays = state_files.read(folder, found["state"])
        kept = {name: a for name, a in arrays.items() if not name.startswith("optimizer/")}
        written = output / folder.name
        written.mkdir(parents=True)
        found["state"] = state_files.write(written, f"state_{found['step']}", kept)
        (written / "result.json").write_text(json.dumps(found))
        shutil.copy(folder / "history.csv", written)


if __name__ == "__main__":
    main()
