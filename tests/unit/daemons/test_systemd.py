"""The notify protocol, on a socket that stands in for systemd's."""

import asyncio
import os
import socket

import pytest

from qnode.daemons import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager_socket(request, tmp_path, monkeypatch):
    name = f"@qnode-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        listening.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listening


def test_words_arrive_as_one_datagram_and_children_inherit_no_socket(manager_socket):
    manager = ServiceManager()
    manager.tell("READY=1", "STATUS=alice: ready")
    assert manager_socket.recv(4096) == b"READY=1\nSTATUS=alice: ready"
    assert "NOTIFY_SOCKET" not in os.environ


def test_the_watchdog_hears_of_us_twice_a_period(manager_socket, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    manager = ServiceManager()
    assert manager.watchdog_s == 0.04

    async def body():
        alive = asyncio.ensure_future(manager.keep_alive())
        for _ in range(3):
            assert await asyncio.to_thread(manager_socket.recv, 4096) == b"WATCHDOG=1"
        alive.cancel()

    asyncio.run(body())
    assert not {"WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)


@pytest.mark.parametrize("pid", ["1", "not a number"])
def test_a_watchdog_for_another_process_is_none_of_ours(monkeypatch, pid):
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    monkeypatch.setenv("WATCHDOG_PID", pid)
    manager = ServiceManager()
    assert manager.watchdog_s == 0.0
    asyncio.run(asyncio.wait_for(manager.keep_alive(), 5))


def test_without_a_manager_or_with_one_that_is_gone_nothing_happens(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager().tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    ServiceManager().tell("READY=1")
