"""A `qnode run` in the background to which something happens, and what must hold whatever it was."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from qnode.heralds import Herald, Message, Plan, decode_message
from qnode.runs import Journal

NODES = ("alice", "bob")
PARTIES = (*NODES, "midpoint")
ATTEMPTS = 250
"""Slots of a round in the lab file."""
LOOK_S = 0.01
PATIENCE_S = 180.0
"""Wall time for what comes by itself sooner or later, however busy the computer is."""


def await_condition(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The first true value of ``condition()``."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(LOOK_S)
    return value


class BackgroundRun:
    """``qnode run heralding``, or another command that plays, on a lab copy, to be disturbed."""

    def __init__(self, lab: Any, *options: str, play: Sequence[str] = ("run", "heralding")) -> None:
        self.lab = lab
        self._plans_before = len(self._heralding_plans())
        command = [sys.executable, "-m", "qnode", *play, str(lab.path), "--data", str(lab.data)]
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--json", *options],
            cwd=lab.folder,
            env=lab.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> BackgroundRun:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever a test did: nothing of it stays."""
        family = self.family()
        for one in family:
            if one.is_running():
                one.kill()
        psutil.wait_procs(family, PATIENCE_S)
        self.process.communicate(timeout=PATIENCE_S)

    def family(self) -> list[psutil.Process]:
        """The run and all its children, now."""
        try:
            run = psutil.Process(self.process.pid)
            return [run, *run.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def child(self, name: str) -> psutil.Process:
        """The process of the simulators or of a site."""
        for one in psutil.Process(self.process.pid).children():
            words = one.cmdline()
            if ("simulate" in words) if name == "simulators" else (name in words):
                return one
        raise AssertionError(f"no child {name}: {[p.cmdline() for p in self.family()]}")

    def _heralding_plans(self) -> list[dict[str, Any]]:
        events = self.lab.log() if (self.lab.data / "log").is_dir() else []
        return [e for e in events if e["event"] == "plan accepted" and e["plan_kind"] == "heralding"]

    def await_plan(self, timeout_s: float = PATIENCE_S) -> str:
        """Until a node has accepted this run's first heralding plan; gives its id."""

        def accepted() -> str | None:
            assert self.process.poll() is None, self.process.communicate()
            plans = self._heralding_plans()[self._plans_before :]
            return str(plans[0]["plan"]) if plans else None

        return str(await_condition(accepted, "a heralding plan is accepted", timeout_s))

    def await_journal(self, growth_bytes: int, timeout_s: float = PATIENCE_S) -> None:
        """Until the midpoint has written so much: a moment in the middle of the rounds, whatever the computer."""
        journal = self.lab.data / "streams" / "midpoint.journal"
        before = journal.stat().st_size

        def grown() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return journal.stat().st_size >= before + growth_bytes

        await_condition(grown, f"the midpoint journals {growth_bytes} bytes", timeout_s)

    def await_middle(self, growth_bytes: int = 20_000) -> str:
        """`await_plan`, then `await_journal`."""
        plan = self.await_plan()
        self.await_journal(growth_bytes)
        return plan

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the run itself."""
        self.process.send_signal(number)

    def result(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Its end: exit code, stderr, and the JSON document if there is one."""
        stdout, stderr = self.process.communicate(timeout=timeout_s)
        document = json.loads(stdout) if stdout else {}
        return {"exit": self.process.returncode, "stderr": stderr, **document}


def require_equal_sums(result: dict[str, Any]) -> dict[str, int]:
    """Three accounts that are the same and add up; gives one of them."""
    accounts = result["accounting"]
    assert accounts["alice"] == accounts["bob"] == accounts["midpoint"], accounts
    sums: dict[str, int] = accounts["midpoint"]
    assert sums["slots"] == sum(slots for name, slots in sums.items() if name != "slots")
    assert sums["slots"] == result["rounds"] * ATTEMPTS
    assert sums["heralded"] == result["heralds"]
    return sums


def own_records(lab: Any, site: str) -> Iterator[Message]:
    """What a site wrote of its own, from its disk."""
    with Journal(lab.data / "streams" / f"{site}.journal", readonly=True) as journal:
        for record in journal:
            yield decode_message(record.payload)


def received_records(lab: Any, node: str) -> Iterator[tuple[bytes, Message]]:
    """What a node wrote of what it heard: (identity, message)."""
    with Journal(lab.data / "streams" / f"{node}.received.journal", readonly=True) as journal:
        for record in journal:
            yield record.payload[:24], decode_message(record.payload[24:])


def require_heralds_once(lab: Any, run: str, sums: dict[str, int]) -> None:
    """In the journals of all three: no identity twice, no herald twice, each herald settled or taken back."""
    records = list(own_records(lab, "midpoint"))
    plans = {m.plan_id for m in records if isinstance(m, Plan) and m.run_id == run}
    sent = [(m.plan_id, m.round, m.attempt) for m in records if isinstance(m, Herald) and m.plan_id in plans]
    require_once(sent)
    assert len(sent) == sums.get("heralded", 0) + sums.get("expired", 0)
    for node in NODES:
        received = list(received_records(lab, node))
        require_once([identity for identity, _ in received])
        heralds = [m for _, m in received if isinstance(m, Herald) and m.plan_id in plans]
        assert sorted((m.plan_id, m.round, m.attempt) for m in heralds) == sorted(sent), node


def require_once(items: list[Any]) -> None:
    twice = [item for item, times in collections.Counter(items).items() if times > 1]
    assert not twice, twice


def processes_of(folder: Path) -> list[psutil.Process]:
    """All processes that name something in a folder on their command line, but this one."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        words = one.info["cmdline"] or []
        if one.pid != os.getpid() and "qnode" in words and any(str(folder) in word for word in words):
            found.append(one)
    return found


def dark(photons: dict[str, Any]) -> bool:
    """Whether no node gives off any light or microwave, as the world sees it."""
    return bool(photons["ok"]) and all(
        node["zero_phonon_line_per_s"] == node["sideband_per_s"] == node["microwave_v2"] == 0 and not node["light"]
        for node in photons["nodes"].values()
    )


def standing(lab: Any, *, at_least_s: float, timeout_s: float = PATIENCE_S) -> None:
    """Return when the world has played no round for so long."""
    last, since = -1, time.monotonic()

    def still() -> bool:
        nonlocal last, since
        if (now := lab.ask_simulators({"op": "status"})["rounds"]) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since >= at_least_s

    await_condition(still, f"lab time stands still for {at_least_s:g} s", timeout_s)
