"""What a midpoint does before there is a plan, without sockets and instruments."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qnode.daemons._midpoint import MidpointDaemon
from qnode.errors import InstrumentError, QnodeError

PLAY = {"run_id": "run-1", "link": "alice-bob", "kind": "heralding"}


class Nodes:
    """What is asked of both nodes; switching on waits for `go_on`."""

    def __init__(self, midpoint: MidpointDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.fails: QnodeError | None = None
        monkeypatch.setattr(midpoint, "_ask_all", self._ask_all)
        monkeypatch.setattr(midpoint, "_make_plan", self._make_plan)
        for name in ("switch_on", "switch_off"):
            monkeypatch.setattr(midpoint.slow, name, self._bias(name))

    def _bias(self, name: str) -> Any:
        async def switched() -> None:
            self.calls.append(f"bias {name}")

        return switched

    async def _ask_all(self, _link: Any, call: str, _params: Any) -> None:
        self.calls.append(call)
        if call == "switch_on":
            self.asked.set()
            await asyncio.wait_for(self.go_on.wait(), 5)
            if self.fails is not None:
                raise self.fails

    async def _make_plan(self, *_: Any) -> Any:
        self.calls.append("plan")
        raise QnodeError("as far as this goes")


def played(lab: Any, monkeypatch: pytest.MonkeyPatch, meanwhile: Any) -> tuple[str, list[str]]:
    """Why a proposal ended, and what was asked, when something happens while the lasers come on."""

    async def body() -> tuple[str, list[str]]:
        midpoint = MidpointDaemon(lab.path, "midpoint", lab.data)
        nodes = Nodes(midpoint, monkeypatch)
        playing = asyncio.create_task(midpoint._play(dict(PLAY)))
        await asyncio.wait_for(nodes.asked.wait(), 5)
        await meanwhile(midpoint, nodes)
        nodes.go_on.set()
        with pytest.raises(QnodeError) as caught:
            await asyncio.wait_for(playing, 5)
        return str(caught.value), nodes.calls

    return asyncio.run(body())


ON, OFF = ["bias switch_on", "switch_on"], ["bias switch_off", "switch_off"]


def test_all_is_on_before_a_plan_is_dated(lab, monkeypatch):
    async def nothing(*_: Any) -> None: ...

    assert played(lab, monkeypatch, nothing) == ("as far as this goes", [*ON, "plan"])


def test_a_laser_that_does_not_come_on_takes_all_off_again(lab, monkeypatch):
    async def fail(_midpoint: Any, nodes: Nodes) -> None:
        nodes.fails = InstrumentError("alice.lasers: the interlock is open")

    assert played(lab, monkeypatch, fail) == ("alice.lasers: the interlock is open", [*ON, *OFF])


@pytest.mark.parametrize(("run", "stopped"), [({}, True), ({"run_id": "run-1"}, True), ({"run_id": "run-2"}, False)])
def test_an_abort_while_lasers_come_on_is_heard_if_it_means_this_run(lab, monkeypatch, run, stopped):
    async def abort(midpoint: MidpointDaemon, _nodes: Nodes) -> None:
        answer = await midpoint._abort({**run, "reason": "interrupted by the operator"})
        assert answer == ("run-1" if stopped else None)

    reason, calls = played(lab, monkeypatch, abort)
    assert reason == ("interrupted by the operator" if stopped else "as far as this goes")
    assert calls == [*ON, *(OFF if stopped else ["plan"])]


def test_an_abort_with_nothing_to_abort_is_no_abort_of_the_next_plan(lab, monkeypatch):
    async def body() -> str:
        midpoint = MidpointDaemon(lab.path, "midpoint", lab.data)
        nodes = Nodes(midpoint, monkeypatch)
        assert await midpoint._abort({"reason": "interrupted by the operator"}) is None
        nodes.go_on.set()
        with pytest.raises(QnodeError) as caught:
            await midpoint._play(dict(PLAY))
        return str(caught.value)

    assert asyncio.run(body()) == "as far as this goes"


def test_a_second_proposal_waits_for_the_first(lab, monkeypatch):
    async def second(midpoint: MidpointDaemon, nodes: Nodes) -> None:
        waiting = asyncio.create_task(midpoint._play(dict(PLAY)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert nodes.calls == ON
        waiting.cancel()

    assert played(lab, monkeypatch, second)[0] == "as far as this goes"


def test_a_node_that_is_killed_while_lasers_come_on_ends_the_proposal(lab, monkeypatch):
    async def killed(midpoint: MidpointDaemon, _nodes: Nodes) -> None:
        midpoint.bereaved("alice", "the daemon of alice was killed")

    text, calls = played(lab, monkeypatch, killed)
    assert text == "the daemon of alice was killed"
    assert "plan" not in calls


def test_a_node_that_is_killed_between_plans_spoils_nothing(lab, monkeypatch):
    async def body() -> dict[str, str]:
        midpoint = MidpointDaemon(lab.path, "midpoint", lab.data)
        midpoint.bereaved("alice", "the daemon of alice was killed")
        return midpoint._failures

    assert asyncio.run(body()) == {}
