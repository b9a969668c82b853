"""``qnode --help`` against the help of an empty Typer application: a ratio, goal 1.5 at the most.

Both are timed as a person types them, a fresh interpreter each time, in turns. Run it with ``python benchmarks/help.py``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EMPTY = """
import typer

app = typer.Typer(help="Nothing.", no_args_is_help=True, add_completion=False)


@app.command()
def one() -> None:
    \"\"\"Does nothing.\"\"\"


@app.command()
def two() -> None:
    \"\"\"Does nothing, too.\"\"\"


app()
"""


def seconds(command: list[str]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=15, help="calls of each")
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        ours, theirs = [], []
        for _ in range(calls):
            theirs.append(seconds([sys.executable, str(empty), "--help"]))
            ours.append(seconds([sys.executable, "-m", "qnode", "--help"]))
    mine, empty_s = statistics.median(ours), statistics.median(theirs)
    print(f"qnode --help {mine * 1e3:.0f} ms, empty Typer application {empty_s * 1e3:.0f} ms: {mine / empty_s:.2f} x")


if __name__ == "__main__":
    main()
