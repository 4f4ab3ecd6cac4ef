"""What `tfsq analyze` writes, kept: it has to be done in three minutes.

    python -m benchmarks.analysis.run

Writes `results/analysis`.
"""

from __future__ import annotations

import subprocess
import sys

RESULTS, LIMIT_SECONDS = "results/analysis", 180


def main() -> None:
    """Analyzes the model and the photographs that come with tfsq."""
    command = [sys.executable, "-m", "tfsq", "analyze", "--output", RESULTS, "--force"]
    subprocess.run(command, check=True, timeout=LIMIT_SECONDS)


if __name__ == "__main__":
    main()
