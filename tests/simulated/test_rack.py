"""Lasers, carrier and bias: on in a plan, watched, dark when something is wrong; asked at their own wires by a stranger."""

from __future__ import annotations

import json
import signal
import socket
from typing import Any

import pytest
from _bench import run_in_hand
from _faultruns import BackgroundRun, await_condition, dark, require_heralds_once

NODES = {"alice": "1", "bob": "2"}


def asked(host: str, port: int, line: str, end: bytes, greeting: bytes = b"") -> str:
    """One line to an instrument and its answer, over a plain socket."""
    with socket.create_connection((host, port), timeout=60) as connection:
        received = b""
        if greeting:
            while not received.endswith(greeting):
                received += connection.recv(4096)
        connection.sendall(line.encode() + b"\n")
        received = b""
        while not received.endswith(end):
            received += connection.recv(4096)
    return received.removesuffix(end).decode().strip()


def emission(lab: Any, node: str, head: str) -> bool:
    """Whether a head of a node's DLC pro says that it emits."""
    answer = asked(f"{lab.block}{NODES[node]}5", 1998, f"(param-ref '{head}:emission)", b"\n> ", b"\n> ")
    assert answer in ("#t", "#f")
    return answer == "#t"


def microwave(lab: Any, node: str) -> dict[str, str]:
    """Output, modulation, frequency and power of a node's SGS100A."""
    host = f"{lab.block}{NODES[node]}4"
    return {question: asked(host, 5025, question, b"\n") for question in (":OUTP?", ":IQ:STAT?", ":FREQ?", ":POW?")}


def biased(lab: Any) -> bool:
    """Whether the bias of the midpoint's detectors is on."""
    received = b""
    with socket.create_connection((f"{lab.block}35", 12000), timeout=60) as connection:
        connection.sendall(b'{"request": "labelProps", "value": "None"}')
        while True:
            received += connection.recv(65536)
            *whole, received = received.split(b"\x17")
            for message in map(json.loads, whole):
                if message["label"] == "DetectorEnable":
                    value = message["value"]["value"]
                    return all(value) if isinstance(value, list) else bool(value)


def everything_on(lab: Any) -> bool:
    return (
        biased(lab)
        and all(emission(lab, node, head) for node in NODES for head in ("laser1", "laser2"))
        and all((m := microwave(lab, node))[":OUTP?"] == m[":IQ:STAT?"] == "1" for node in NODES)
    )


def everything_off(lab: Any) -> bool:
    return (
        not biased(lab)
        and not any(emission(lab, node, head) for node in NODES for head in ("laser1", "laser2"))
        and all(microwave(lab, node)[":OUTP?"] == "0" for node in NODES)
    )


def alarms(lab: Any) -> list[tuple[str, str]]:
    """Of instruments; a disk has its own."""
    return [(e["instrument"], e["what"]) for e in lab.log() if e["event"] == "alarm" and "instrument" in e]


def fault(lab: Any, instrument: str, what: str) -> None:
    """As `qnode fault` does it, without the time of a new process."""
    assert lab.ask_simulators({"op": "fault", "instrument": instrument, "fault": what})["ok"]


def ended_by(lab: Any, change: Any) -> dict[str, Any]:
    """A run into whose middle a change falls; it must end early by itself."""
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        assert everything_on(lab)
        change()
        result = run.result()
    assert result["exit"] == 1
    assert dark(lab.ask_simulators({"op": "photons"}))
    assert everything_off(lab)
    accounts = result["accounting"]
    assert accounts["alice"] == accounts["bob"] == accounts["midpoint"]
    return result


def test_on_in_a_plan_and_between_plans_off_after_stop(lab):
    lab.start_all()
    assert everything_off(lab)
    with run_in_hand(lab, 300) as run:
        # Lab time is held in the middle of the rounds: the plan can't end meanwhile.
        run.run_to_round(1_000)
        assert everything_on(lab)
        # The set-points of the lab file, as a stranger reads them.
        assert float(microwave(lab, "bob")[":FREQ?"]) == 2.83e9
        assert float(microwave(lab, "bob")[":POW?"]) == 15
        # Detectors that latch are brought back, and the run goes on.
        fault(lab, "midpoint.snspd", "latch")
        again = {("midpoint.snspd", f"detector {detector} counts again") for detector in (1, 2)}
        await_condition(lambda: again <= set(alarms(lab)), "both detectors count again")
        result = run.finish()
    assert result["exit"] == 0, result["stderr"]
    # Which one is looked at first, and how often, is chance; that it is told when it stops and when it is back is not.
    assert set(alarms(lab)) == again | {("midpoint.snspd", f"detector {detector} is latched") for detector in (1, 2)}
    for detector in (1, 2):
        told = [what for _, what in alarms(lab) if what.startswith(f"detector {detector} ")]
        assert told == [f"detector {detector} is latched", f"detector {detector} counts again"] * (len(told) // 2)
    assert result["ended"] == "done"
    require_heralds_once(lab, result["run"], result["accounting"]["midpoint"])
    assert everything_on(lab)

    for name in ("alice", "bob", "midpoint"):
        process = lab.processes[name]
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0
    assert everything_off(lab)


def test_an_open_interlock_and_a_strangers_hand_end_the_run(lab):
    lab.start_all()
    result = ended_by(lab, lambda: fault(lab, "alice.lasers", "open-interlock"))
    reason = "alice.lasers: the interlock is open - close the interlock loop, then run again"
    assert result["ended"] == reason
    assert ("alice.lasers", reason) in alarms(lab)

    # Nothing comes on while it is open; the first plan says so.
    refused = lab.run("--heralds", "30")
    assert refused["exit"] == 1
    assert "alice.lasers" in refused["ended"]
    assert "interlock is open" in refused["ended"]
    assert everything_off(lab)
    fault(lab, "alice.lasers", "close-interlock")

    def switch_off() -> None:
        with socket.create_connection((f"{lab.block}24", 5025), timeout=60) as connection:
            connection.sendall(b":OUTP 0\n")
            connection.sendall(b":OUTP?\n")
            assert connection.makefile("rb").readline() == b"0\n"

    result = ended_by(lab, switch_off)
    assert result["ended"].startswith("bob.microwave: its output is off - ")

    def tune() -> None:
        tuned = asked(f"{lab.block}25", 1998, "(param-set! 'laser2:dl:cc:current-set 96.5)", b"\n> ", b"\n> ")
        assert tuned == "0"

    result = ended_by(lab, tune)
    drift = "bob.lasers, laser2: its current is 96.5 mA, and was 100 mA when it was switched on - "
    assert result["ended"].startswith(drift)

    # Off and on again: its set-points are gone, and come back with the next plan.
    fault(lab, "bob.microwave", "unplug")
    fault(lab, "bob.microwave", "plug")
    assert float(microwave(lab, "bob")[":POW?"]) != 15
    again = lab.run("--heralds", "30")
    assert again["exit"] == 0, again["stderr"]
    assert float(microwave(lab, "bob")[":FREQ?"]) == 2.83e9
    assert float(microwave(lab, "bob")[":POW?"]) == 15
    assert asked(f"{lab.block}25", 1998, "(param-ref 'laser2:dl:cc:current-set)", b"\n> ", b"\n> ") == "100.0"
    assert everything_on(lab)


@pytest.mark.parametrize(
    "name", ["lasers", *(pytest.param(name, marks=pytest.mark.long) for name in ("repump", "microwave"))]
)
def test_what_is_unplugged_at_the_start_is_named_in_one_line(lab, name):
    lab.start("simulators", "simulate", str(lab.path), "--speed", "max")
    fault(lab, f"alice.{name}", "unplug")
    done = lab.qnode("node", str(lab.path), "alice", "--data", str(lab.data))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"qnode: alice.{name} (")
    assert " - is it switched on, and its address right in the lab file?" in line


def test_a_source_that_is_real_beside_simulated_ones(lab):
    """The stranger's simulator listens at another address; qnode takes it for a real one."""

    def change(tree: Any) -> None:
        alice = tree["nodes"]["alice"]
        alice["rack"]["microwave"]["simulated"] = False
        alice["instruments"]["microwave"]["address"] = f"TCPIP0::{lab.block}114::5025::SOCKET"

    lab.edit(change)
    lab.start("stranger", "simulate", str(lab.path), "--only", "alice.microwave")
    result = lab.run("--heralds", "2000", "--seed", "5", "--speed", "max")
    assert result["exit"] == 0, result["stderr"]
    assert "alice.microwave" not in result["simulated"]
    assert {"alice.lasers", "alice.repump", "bob.microwave"} <= set(result["simulated"])
    # What is real is at its nominal values to the world: the same bits.
    assert (result["heralds"], result["heralds_sha256"][:16]) == (2164, "3a3a8fbbf5695682")
    held = {question: asked(f"{lab.block}114", 5025, question, b"\n") for question in (":OUTP?", ":POW?")}
    assert (held[":OUTP?"], float(held[":POW?"])) == ("0", 15)
    assert alarms(lab) == []


def test_one_instrument_alone_has_no_world(lab):
    for words, text in (
        (["--only", "alice.awg"], "alice.awg: what plays awg needs the whole simulated lab"),
        (["--only", "alice.maser"], "alice.maser: there is no such instrument"),
        (["--only", "alice.microwave", "--seed", "3"], "--seed and --speed are of a world, and --only has none"),
        (["--address", "127.0.0.1"], "--address is for one instrument"),
    ):
        done = lab.qnode("simulate", str(lab.path), *words, "--data", str(lab.data))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"qnode: {text} - ")
        assert done.stderr.count("\n") == 1
