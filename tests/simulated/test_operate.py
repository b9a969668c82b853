"""``qnode up``, ``status``, ``stop``, ``logs``: a lab that stays up, as an operator sees it."""

import json
import signal
import socket
import subprocess
import sys

import psutil
import pytest
from _faultruns import BackgroundRun, await_condition, dark, processes_of

PROCESSES = 8
"""Supervisor, simulators, three daemons, and a guard beside each of these."""


class Operator:
    """The commands of a person at a terminal, on one lab."""

    def __init__(self, lab):
        self.lab = lab

    def qnode(self, command, *options):
        return self.lab.qnode(command, str(self.lab.path), "--data", str(self.lab.data), *options)

    def document(self, command, *options):
        done = self.qnode(command, *options, "--json")
        return done.returncode, json.loads(done.stdout)

    def not_ready(self):
        """State of each instrument that is not ready."""
        sites = self.document("status")[1]["sites"]
        states = {f"{site}.{n}": i["state"] for site in sites for n, i in sites[site]["instruments"].items()}
        return {name: state for name, state in states.items() if state != "ready"}

    def fault(self, name, fault):
        assert self.lab.qnode("fault", str(self.lab.path), name, fault).returncode == 0

    def foreground(self, *options):
        """``qnode up`` in the foreground, when it has said that it is up."""
        process = subprocess.Popen(
            [sys.executable, "-m", "qnode", "up", str(self.lab.path), "--data", str(self.lab.data), *options],
            cwd=self.lab.folder,
            env=self.lab.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = ""
        while "qnode stop" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        return process


@pytest.fixture
def operator(lab):
    yield Operator(lab)
    for process in processes_of(lab.folder):
        process.kill()


def test_a_lab_up_and_down(lab, operator):
    # Up, twice: the second one leaves it alone.
    code, document = operator.document("up", "-d", "--speed", "max")
    supervisor = document["pid"]
    assert (code, document) == (0, {"lab": "two_nodes", "state": "up", "already": False, "pid": supervisor})
    assert len(processes_of(lab.folder)) == PROCESSES
    code, document = operator.document("up", "-d")
    assert (code, document["already"], document["pid"]) == (0, True, supervisor)
    refused = operator.qnode("up", "--seed", "3")
    assert refused.returncode == 2
    assert "is up already" in refused.stderr
    assert len(processes_of(lab.folder)) == PROCESSES

    # Status: every process, every instrument, and who holds it.
    def all_fresh():
        """The whole document, once each instrument is ready and has answered just now."""
        code, document = operator.document("status")
        instruments = [one for site in document["sites"].values() for one in site["instruments"].values()]
        fresh = all(one["state"] == "ready" and one["last_answer_s"] < 5 for one in instruments)
        return document if fresh and (document["ready"], code) == (True, 0) else None

    document = await_condition(all_fresh, "every instrument has answered")
    assert document["supervisor"]["pid"] == supervisor
    assert document["simulators"]["state"] == "running"
    sites = document["sites"]
    running = {process.pid for process in processes_of(lab.folder)}
    told = {supervisor, document["simulators"]["pid"]}
    for site in sites.values():
        told |= {site["pid"], site["guard_pid"]}
        assert site["owner"] == {"role": "daemon", "pid": site["pid"], "host": socket.gethostname()}
    assert told == running
    text = operator.qnode("status").stdout
    assert all(f"{site}.pulser" in text for site in document["sites"])

    # An instrument without mains is seen, breaks nothing, and comes back.
    without = {"alice.awg", "bob.tagger", "midpoint.tagger"}
    for name in without:
        operator.fault(name, "unplug")
    await_condition(lambda: operator.not_ready() == dict.fromkeys(without, "disconnected"), "all three are seen")
    assert operator.qnode("status").returncode == 1
    # That a site can't play is not seen in its instruments alone.
    await_condition(
        lambda: operator.document("status")[1]["sites"]["bob"]["state"].startswith("degraded"), "bob can't play"
    )
    for name in without:
        operator.fault(name, "plug")
    await_condition(lambda: operator.document("status")[1]["ready"], "all of it is ready again")
    assert lab.run("--heralds", "30")["exit"] == 0

    # Ctrl-C of a run leaves the lab up, dark, and at rest.
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        assert not dark(lab.ask_simulators({"op": "photons"}))
        run.signal(signal.SIGINT)
        assert run.result()["exit"] == 130
    assert dark(lab.ask_simulators({"op": "photons"}))
    assert {process.pid for process in processes_of(lab.folder)} == running

    # A run that is ended from elsewhere: dark when the command returns, and the lab stays up.
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        code, document = operator.document("abort")
        assert (code, document["lab"]) == (0, "two_nodes")
        assert dark(lab.ask_simulators({"op": "photons"}))
        result = run.result()
    assert (result["exit"], document["ended"]) == (1, [result["run"]])
    assert "qnode abort" in result["ended"]
    assert operator.document("abort") == (0, {"lab": "two_nodes", "ended": []})
    assert {process.pid for process in processes_of(lab.folder)} == running

    # A second daemon of a site is told who has its instruments.
    second = lab.qnode("node", str(lab.path), "alice", "--data", str(lab.data))
    assert second.returncode == 1
    assert f"alice is owned by another process (daemon, pid {sites['alice']['pid']} on " in second.stderr

    # Down, twice.
    code, document = operator.document("stop")
    assert (code, document["lab"], document["state"]) == (0, "two_nodes", "down")
    assert {"supervisor", "alice", "bob", "midpoint"} <= set(document["stopped"])
    assert not processes_of(lab.folder)
    assert operator.document("stop") == (0, {"lab": "two_nodes", "state": "down", "stopped": []})
    assert not [entry for entry in lab.log() if entry["event"] == "safe state failed"]
    code, document = operator.document("status")
    assert (code, document["supervisor"], document["simulators"]["state"]) == (1, None, "down")
    assert {one["state"] for one in document["sites"]["bob"]["instruments"].values()} == {"disconnected"}

    # The log of all of it, as one document.
    code, document = operator.document("logs")
    assert code == 0
    assert {"alice", "bob", "midpoint", "supervisor"} <= {entry["site"] for entry in document["entries"]}
    walls = [entry["wall"] for entry in document["entries"]]
    assert walls == sorted(walls)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_in_the_foreground_a_signal_ends_it_safely(lab, operator, number):
    process = operator.foreground()
    process.send_signal(number)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 0
    assert said.endswith("qnode: two_nodes is stopped, its instruments are safe\n")
    assert not processes_of(lab.folder)
    assert {entry["site"] for entry in lab.log() if entry["event"] == "stopped"} == {"alice", "bob", "midpoint"}


@pytest.mark.long
def test_a_killed_supervisor_leaves_nothing_and_simulators_that_die_end_it(lab, operator):
    process = operator.foreground()
    process.kill()
    process.communicate(timeout=90)
    await_condition(lambda: not processes_of(lab.folder), "all of it ends by itself")
    assert not [entry for entry in lab.log() if entry["event"] == "safe state failed"]

    process = operator.foreground()
    psutil.Process(operator.document("status")[1]["simulators"]["pid"]).kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "simulators has ended (signal 9) and is not started again" in said.splitlines()[-1]
    assert not processes_of(lab.folder)


def test_a_lab_that_can_not_come_up_says_why_and_leaves_nothing(lab, operator):
    with socket.socket() as taken:
        taken.bind((f"{lab.block}13", 4000))
        taken.listen()
        done = operator.qnode("up", "-d")
    assert done.returncode == 1
    assert "alice.awg" in done.stderr
    assert "Traceback" not in done.stderr
    assert not processes_of(lab.folder)


def test_a_daemon_tells_its_service_manager(lab, tmp_path, monkeypatch):
    lab.start("simulators", "simulate", str(lab.path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(90)
        with monkeypatch.context() as only_here:
            only_here.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            only_here.setenv("WATCHDOG_USEC", "500000")
            alice = lab.start("alice", "node", str(lab.path), "alice")
        words = []
        while words.count("WATCHDOG=1") < 2:
            words += manager.recv(4096).decode().splitlines()
        assert words[:2] == ["READY=1", "STATUS=alice: ready"]

        alice.terminate()
        while "STOPPING=1" not in words:
            words += manager.recv(4096).decode().splitlines()
        assert alice.wait(90) == 0
