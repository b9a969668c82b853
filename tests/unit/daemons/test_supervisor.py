"""The supervisor, on children of a few lines that do one thing each."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from qnode.daemons import Supervisor, SupervisorError, passes_gate

CHILD = """#!{python} -S
import os, signal, sys, time
mode, words = sys.argv[3], sys.argv
lifeline = int(words[words.index("--lifeline-fd") + 1])
out = int(words[words.index("--notify-fd") + 1])
print(mode, "speaks", flush=True)
if mode == "broken":
    sys.exit(1)
if "--gate-fd" in words:
    word = os.read(int(words[words.index("--gate-fd") + 1]), 4096)
    print("lets go:", word.decode(), flush=True)
    if not word:
        sys.exit(0)
if mode == "refuses":
    os.write(out, b"ERROR=alice.awg: no answer\\n")
    sys.exit(1)
if mode == "mute":
    print("last words", flush=True)
    sys.exit(3)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(out, b"READY=1\\n")
if mode == "dies":
    sys.exit(7)
if mode == "leaves":
    sys.exit(0)
if mode == "guarded":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        # Its guard, which takes its time.
        os.write(out, b"GUARD=%d\\n" % os.getpid())
        time.sleep(float(words[4]))
        os._exit(0)
while os.read(lifeline, 1):
    pass
print("lifeline ended", flush=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    program = tmp_path / "child"
    program.write_text(CHILD.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr("qnode.daemons._supervisor.sys.executable", str(program))
    monkeypatch.setattr("qnode.daemons._supervisor.RESTART_S", 0.02)
    return tmp_path


def output(folder, name):
    return (folder / "log" / f"{name}.out").read_text()


async def until(condition):
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_start_returns_when_the_child_is_ready_and_stop_ends_it(folder):
    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.start("alice", ["good"])
        pid = child.pid
        assert child.ready.done()
        assert not gone(pid)
        await supervisor.stop()
        assert child.pid is None
        assert child.process.returncode == -signal.SIGTERM
        assert gone(pid)

    asyncio.run(body())


def test_a_gated_child_waits_and_leaves_no_trace_before_it_is_let_go(folder):
    async def body():
        supervisor = Supervisor(folder)
        before = set(folder.iterdir())
        child = await supervisor.begin("alice", ["good"], gated=True)
        await until(lambda: os.pread(child.draft, 100, 0) == b"good speaks\n")
        assert not child.ready.done()
        assert set(folder.iterdir()) == before
        supervisor.let_go(child)
        await supervisor.ready(child)
        # What it had said before is in the file that it was told.
        assert output(folder, "alice") == "good speaks\n"
        supervisor.let_go(child)
        await supervisor.stop()

    asyncio.run(body())


def test_a_gated_child_is_stopped_as_any_other(folder):
    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.begin("alice", ["good"], gated=True)
        await supervisor.stop()
        assert child.process.returncode == -signal.SIGTERM
        assert (child.gate, child.draft) == (-1, -1)

    asyncio.run(body())


def test_a_gated_child_ends_when_whoever_holds_the_gate_is_gone(folder):
    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.begin("alice", ["good"], gated=True)
        os.close(child.gate)
        child.gate = -1
        assert await asyncio.wait_for(child.process.wait(), 10.0) == 0
        await supervisor.stop()

    asyncio.run(body())


def test_a_gated_child_that_ends_is_quoted_from_what_it_said(folder):
    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.begin("bob", ["broken"], gated=True)
        with pytest.raises(SupervisorError, match=r"^bob: broken speaks$"):
            await supervisor.ready(child)
        await supervisor.stop()

    asyncio.run(body())


def test_a_process_lets_itself_through_where_there_is_no_gate():
    assert passes_gate(None)


def test_the_word_on_the_gate_is_where_output_goes(tmp_path):
    program = (
        "import sys; from qnode.daemons._supervisor import passes_gate\n"
        "sys.exit(print('written') if passes_gate(int(sys.argv[1])) else 3)"
    )
    for word, code in ((os.fsencode(tmp_path / "out"), 0), (b"", 3)):
        read, write = os.pipe()
        if word:
            os.write(write, word)
        os.close(write)
        done = subprocess.run(
            [sys.executable, "-c", program, str(read)], pass_fds=(read,), capture_output=True, timeout=30, check=False
        )
        os.close(read)
        assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")
    assert (tmp_path / "out").read_text() == "written\n"


def test_a_child_that_refuses_is_quoted(folder):
    async def body():
        with pytest.raises(SupervisorError, match=r"^alice.awg: no answer$"):
            await Supervisor(folder).start("alice", ["refuses"])

    asyncio.run(body())


def test_a_child_that_ends_without_a_word_is_quoted_from_its_output(folder):
    async def body():
        with pytest.raises(SupervisorError, match=r"^bob: last words$"):
            await Supervisor(folder).start("bob", ["mute"])

    asyncio.run(body())


def test_a_child_that_is_not_ready_in_time_is_an_error_that_names_its_output(folder, monkeypatch):
    monkeypatch.setattr("qnode.daemons._supervisor.READY_S", 0.0)

    async def body():
        supervisor = Supervisor(folder)
        with pytest.raises(SupervisorError, match=r"alice was not ready after 0 s .*alice\.out"):
            await supervisor.start("alice", ["good"])
        await supervisor.stop()

    asyncio.run(body())


def test_a_killed_child_is_reported_and_started_again_three_times_at_most(folder, monkeypatch):
    # However long three starts take.
    monkeypatch.setattr("qnode.daemons._supervisor.START_LIMIT_INTERVAL_S", 1e9)

    async def body():
        ends = []
        supervisor = Supervisor(folder, lambda child, code: ends.append((child.name, code)))
        child = await supervisor.start("alice", ["good"], restart=True)
        pids = [child.pid]
        for _ in range(2):
            os.kill(child.pid, signal.SIGKILL)
            await until(lambda: child.pid not in (None, pids[-1]))
            await supervisor.wait_ready("alice")
            pids.append(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: child.down)
        with pytest.raises(SupervisorError, match="alice does not run any more"):
            await asyncio.wait_for(supervisor.wait_ready("alice"), 60.0)
        assert ends == [("alice", -signal.SIGKILL)] * 3
        assert len(set(pids)) == 3
        await supervisor.stop()

    asyncio.run(body())


def test_a_child_that_ends_by_itself_is_not_started_again_unless_asked(folder):
    async def body():
        ends = []
        supervisor = Supervisor(folder, lambda child, code: ends.append(code))
        child = await supervisor.start("simulators", ["dies"])
        await until(lambda: child.down)
        assert ends == [7]
        assert len(child.starts) == 1
        await supervisor.stop()

    asyncio.run(body())


def test_stopped_children_are_not_reported_and_stay_down(folder):
    async def body():
        ends = []
        supervisor = Supervisor(folder, lambda child, code: ends.append(code))
        child = await supervisor.start("alice", ["good"], restart=True)
        await supervisor.stop()
        await until(lambda: child.down)
        assert not ends
        assert len(child.starts) == 1

    asyncio.run(body())


def test_a_child_that_does_not_stop_is_killed(folder):
    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.start("alice", ["stubborn"])
        await supervisor.stop(within_s=0.1)
        assert child.process.returncode == -signal.SIGKILL

    asyncio.run(body())


def test_a_child_that_leaves_in_order_is_not_started_again(folder):
    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.start("alice", ["leaves"], restart=True)
        await until(lambda: child.down)
        assert len(child.starts) == 1
        assert child.how_ended == "exit code 0"

    asyncio.run(body())


def test_a_child_that_is_killed_now_and_then_is_always_started_again(folder, monkeypatch):
    monkeypatch.setattr("qnode.daemons._supervisor.START_LIMIT_INTERVAL_S", 0.0)

    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.start("alice", ["good"], restart=True)
        for _ in range(5):
            pid = child.pid
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: child.pid not in (None, pid))
            await supervisor.wait_ready("alice")
        assert len(child.starts) == 6
        await supervisor.stop()

    asyncio.run(body())


@pytest.mark.parametrize(("works_s", "guard_s"), [(0.3, 60.0), (60.0, 0.1)])
def test_the_guard_of_a_killed_child_is_waited_for_and_then_killed(folder, works_s, guard_s):
    async def body():
        supervisor = Supervisor(folder)
        child = await supervisor.start("alice", ["guarded", str(works_s)])
        await until(lambda: child.said.startswith("GUARD="))
        guard = int(child.said.removeprefix("GUARD="))
        began = time.monotonic()
        await supervisor.stop(within_s=0.1, guard_s=guard_s)
        # An orphan that has ended may wait a while to be taken notice of.
        assert gone(guard) or psutil.Process(guard).status() == psutil.STATUS_ZOMBIE
        assert time.monotonic() - began < 50.0

    asyncio.run(body())


def test_a_child_that_others_need_outlives_them_when_the_supervisor_is_killed(folder):
    """The pipe of the simulators ends with the last daemon, not with the supervisor."""

    async def body():
        supervisor = Supervisor(folder)
        simulators = await supervisor.start("simulators", ["good"])
        alice = await supervisor.start("alice", ["good"], before="simulators")
        # What the kernel does to a killed process: all its descriptors are closed, here the simulators' first.
        os.close(simulators.lifeline)
        simulators.lifeline = -1
        bob = await supervisor.start("bob", ["good"], before="simulators")
        assert "lifeline ended" not in output(folder, "simulators")
        assert simulators.pid is not None
        os.close(alice.lifeline)
        alice.lifeline = -1
        await until(lambda: "lifeline ended" in output(folder, "simulators"))
        assert "lifeline ended" in output(folder, "alice")
        assert bob.pid is not None
        await supervisor.stop()

    asyncio.run(body())
