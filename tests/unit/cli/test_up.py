"""Whether a lab is up: daemons that answer late run all the same."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from qnode import client
from qnode.cli import _up
from qnode.daemons import Ownership
from qnode.errors import MisuseError

SITES = ("alice", "bob", "midpoint")


class Answers:
    """A connection to a lab whose sites take so many seconds to answer."""

    def __init__(self, takes_s: dict[str, float]) -> None:
        self.takes_s = takes_s

    async def __aenter__(self) -> Answers:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def statuses(self, timeout_s: float) -> dict[str, Any]:
        return {name: {} if takes_s <= timeout_s else None for name, takes_s in self.takes_s.items()}

    async def require_same_lab(self) -> None:
        return None


@pytest.fixture
def is_up(tmp_path, monkeypatch):
    (tmp_path / "keys").mkdir()

    def asked(**takes_s: float) -> bool:
        monkeypatch.setattr(client, "LabConnection", lambda *_: Answers(takes_s))
        with socket.create_server(("127.0.0.1", 0)) as somebody:
            bus = SimpleNamespace(address="127.0.0.1", command_port=somebody.getsockname()[1])
            lab: Any = SimpleNamespace(sites=dict.fromkeys(SITES, SimpleNamespace(bus=bus)))
            return asyncio.run(_up._is_up(tmp_path / "lab.yaml", lab, tmp_path, seed=None, speed=None))

    return asked


def test_who_answers_late_beside_others_is_up(is_up):
    assert is_up(alice=0.1, bob=0.1, midpoint=3.0)


def test_who_does_not_answer_at_all_is_named(is_up):
    with pytest.raises(MisuseError, match=r"^alice and bob of this lab run, midpoint does not answer - "):
        is_up(alice=0.1, bob=0.1, midpoint=1e9)


@pytest.mark.parametrize(("role", "up"), [("daemon", True), ("guard", False)])
def test_when_nobody_answers_in_time_a_daemon_that_holds_its_site_is_waited_for(is_up, tmp_path, role, up):
    lock = Ownership.of_site(tmp_path, "bob", role)
    asyncio.run(lock.take("bob", 0.0))
    try:
        assert is_up(**dict.fromkeys(SITES, 3.0)) is up
    finally:
        lock.give_back()


def test_where_nobody_is_it_is_known_at_once(is_up):
    assert not is_up(**dict.fromkeys(SITES, 3.0))
