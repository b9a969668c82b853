"""A lab that is up and idle: memory and processor time of each process, and what its start has cost.

Goals: all simulators in one process of at most 300 MiB that takes at most 15 % of a core; at most 1 s of one core for the
start of a daemon. Run it with ``python benchmarks/idle.py [LAB] [--seconds N]``; needs psutil (extra ``test``).

Resident memory counts shared pages in full in every process, proportional memory (PSS) divides them: a guard shares most of
its own with its daemon.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
MIB = 1 << 20


def qnode(*arguments: str) -> str:
    """A command to its end; its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "qnode", *arguments], stdout=subprocess.PIPE, text=True, check=True, timeout=180
    )
    return done.stdout


def cpu_s(process: psutil.Process) -> float:
    """Processor time so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", nargs="?", default=str(ROOT / "config" / "two_nodes.yaml"))
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to watch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        began = time.perf_counter()
        qnode("up", options.lab, "-d", "--data", data)
        up_s = time.perf_counter() - began
        try:
            status = json.loads(qnode("status", options.lab, "--data", data, "--json"))
            pids = {"supervisor": status["supervisor"]["pid"], "simulators": status["simulators"]["pid"]}
            for name, site in status["sites"].items():
                pids |= {name: site["pid"], f"{name}'s guard": site["guard_pid"]}
            processes = {name: psutil.Process(pid) for name, pid in pids.items()}
            started = {name: cpu_s(process) for name, process in processes.items()}
            began = time.perf_counter()
            time.sleep(options.seconds)
            watched_s = time.perf_counter() - began
            print(f"up after {up_s:.1f} s; idle for {watched_s:.0f} s")
            print(
                f"{'process':<18} {'start [s of a core]':>20} {'idle [% of a core]':>19} {'RSS [MiB]':>10} {'PSS [MiB]':>10}"
            )
            for name, process in processes.items():
                memory = process.memory_full_info()
                idle = (cpu_s(process) - started[name]) / watched_s
                print(
                    f"{name:<18} {started[name]:>20.2f} {idle:>19.1%} {memory.rss / MIB:>10.0f} {memory.pss / MIB:>10.0f}"
                )
        finally:
            qnode("stop", options.lab, "--data", data)


if __name__ == "__main__":
    main()
