"""How the processes of a lab come up, on a supervisor that only writes down what it is told, and whether a lab is up."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qnode import client
from qnode.cli import _up
from qnode.cli._up import RisingLab
from qnode.daemons import Ownership, SupervisorError
from qnode.errors import MisuseError
from qnode.labfile import Lab, load_lab

SITES = ("alice", "bob", "midpoint")


class Told:
    """Stands in for the supervisor; a process is ready as soon as it is let go, unless it fails."""

    def __init__(self, failing: str = "") -> None:
        self.children = {name: SimpleNamespace(name=name) for name in ("simulators", *SITES)}
        self.failing = failing
        self.steps: list[str] = []

    def let_go(self, child: Any) -> None:
        self.steps.append(f"let go {child.name}")

    async def ready(self, child: Any) -> None:
        await asyncio.sleep(0)
        if child.name == self.failing:
            raise SupervisorError(f"{child.name}: no")
        self.steps.append(f"ready {child.name}")


def come_up(supervisor: Told | None, folder: Path, said: list[str]) -> None:
    lab = load_lab(Path(__file__).parents[3] / "config" / "two_nodes.yaml")
    asyncio.run(RisingLab(lab, supervisor, Ownership.of_lab(folder), said.append).come_up())  # type: ignore[arg-type]


def test_daemons_are_let_go_when_their_instruments_are_there(tmp_path: Path) -> None:
    supervisor, said = Told(), list[str]()
    come_up(supervisor, tmp_path, said)
    assert supervisor.steps[:2] == ["let go simulators", "ready simulators"]
    assert supervisor.steps[2:5] == [f"let go {site}" for site in SITES]
    assert sorted(supervisor.steps[5:]) == [f"ready {site}" for site in SITES]
    assert [line.partition(":")[0] for line in said] == [
        "starting simulators, alice, bob, midpoint",
        "simulators run; connecting instruments",
        "all healthy",
    ]


@pytest.mark.parametrize("who", ["simulators", "bob"])
def test_whoever_does_not_come_up_is_told_and_without_simulators_no_daemon_is_let_go(
    tmp_path: Path, who: str
) -> None:
    supervisor = Told(failing=who)
    with pytest.raises(SupervisorError, match=f"^{who}: no$"):
        come_up(supervisor, tmp_path, [])
    assert ("let go alice" in supervisor.steps) == (who != "simulators")


def test_a_lab_that_was_up_has_nothing_to_come_up(tmp_path: Path) -> None:
    said = list[str]()
    come_up(None, tmp_path, said)
    assert not said
    assert not list(tmp_path.iterdir())


def test_a_port_that_listens_may_be_a_daemon(lab: Any) -> None:
    entry: Lab = load_lab(lab.path)
    assert asyncio.run(_up._nobody_listens(entry))
    bus = entry.sites["bob"].bus
    with socket.create_server((bus.address, bus.command_port)):
        assert not asyncio.run(_up._nobody_listens(entry))


# --- whether it is up ---


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
