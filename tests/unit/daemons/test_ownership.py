"""The lock on a site: one holder, named to everybody else, given back by the kernel when it dies."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from qnode.daemons import Holder, Ownership, holder_of
from qnode.daemons._ownership import LockedError

OTHER = """
import asyncio, sys
from pathlib import Path
from qnode.daemons import Ownership
lock = Ownership.of_site(Path(sys.argv[1]), "alice", "guard")
asyncio.run(lock.take("alice", 0.0))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds alice's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate(timeout=10)


def take(lock, within_s=0.0):
    asyncio.run(lock.take("alice", within_s))


def test_a_lock_is_held_named_and_given_back(tmp_path):
    lock = Ownership.of_site(tmp_path, "alice", "daemon")
    assert holder_of(lock) is None
    take(lock)
    assert lock.held
    assert holder_of(lock) == Holder("daemon", os.getpid(), socket.gethostname())
    assert holder_of(Ownership.of_site(tmp_path, "bob", "daemon")) is None
    lock.give_back()
    lock.give_back()
    assert not lock.held
    assert holder_of(lock) is None
    take(lock)
    lock.give_back()


def test_what_another_process_holds_is_refused_with_its_name(tmp_path, other):
    lock = Ownership.of_site(tmp_path, "alice", "daemon")
    with pytest.raises(LockedError) as caught:
        take(lock, 0.1)
    host = socket.gethostname()
    assert caught.value.message == f"alice is owned by another process (guard, pid {other.pid} on {host})"
    assert caught.value.hint == (
        "it makes the instruments of a daemon that was killed safe: try again in some seconds"
    )
    assert not lock.held


def test_a_suspended_holder_is_said_to_be_one(tmp_path, other):
    """It answers nobody, and `qnode stop` alone would wait for it."""
    os.kill(other.pid, signal.SIGSTOP)
    # It is suspended when its parent can see that it is.
    assert os.WIFSTOPPED(os.waitpid(other.pid, os.WUNTRACED)[1])
    with pytest.raises(LockedError) as caught:
        take(Ownership.of_site(tmp_path, "alice", "daemon"), 0.1)
    assert caught.value.hint == (
        f"it is suspended: `kill -CONT {other.pid}` lets it go on, then stop it with `qnode stop LAB`"
    )


@pytest.mark.parametrize(
    ("holder", "hint"),
    [
        ({"role": "daemon", "pid": os.getpid(), "host": socket.gethostname()}, "stop it with `qnode stop LAB`"),
        (
            {"role": "daemon", "pid": os.getpid(), "host": "bench-7"},
            "stop it on bench-7, or give this one a data folder of its own",
        ),
    ],
)
def test_what_to_do_depends_on_who_holds_it(tmp_path, holder, hint):
    lock = Ownership.of_site(tmp_path, "alice", "daemon")
    take(lock)
    lock.path.write_text(json.dumps(holder))
    with pytest.raises(LockedError) as caught:
        take(Ownership.of_site(tmp_path, "alice", "daemon"))
    assert caught.value.hint == hint
    lock.give_back()


def test_who_waits_gets_it_when_its_holder_is_killed(tmp_path, other):
    lock = Ownership.of_site(tmp_path, "alice", "daemon")

    async def body():
        waiting = asyncio.ensure_future(lock.take("alice", 10.0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.15)
        os.kill(other.pid, signal.SIGKILL)
        await asyncio.wait_for(waiting, 10.0)

    asyncio.run(body())
    assert holder_of(lock).pid == os.getpid()
    lock.give_back()


def test_a_holder_that_has_not_written_its_name_yet_is_still_one(tmp_path):
    lock = Ownership.of_lab(tmp_path)
    take(lock)
    lock.path.write_text("")
    assert holder_of(lock).pid == 0
    lock.give_back()
