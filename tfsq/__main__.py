"""Makes `python -m tfsq` the command line."""

from tfsq.cli import app

app()
