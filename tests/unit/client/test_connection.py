"""An operator's calls to daemons that are plain servers of the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from qnode.bus import Handler, Keyring, Server
from qnode.client import LabConnection, _connection
from qnode.errors import InstrumentError, NetworkError, QnodeError
from qnode.labfile import lab_hash

SITES = ("alice", "bob", "midpoint")


def answering(answer: Any) -> Handler:
    async def handler(params: Any) -> Any:
        return answer

    return handler


def with_sites(
    lab: Any, handlers: dict[str, dict[str, Handler]], work: Callable[[LabConnection], Awaitable[Any]]
) -> Any:
    """Do something with a connection while these sites answer."""

    async def body() -> Any:
        connection = LabConnection(lab.path, lab.data)
        keyring = Keyring.for_lab(lab.data, [f"tcp://{lab.block}1:5700"])
        async with AsyncExitStack() as stack:
            for site, calls in handlers.items():
                bus = connection.lab.sites[site].bus
                await stack.enter_async_context(
                    Server(f"tcp://{bus.address}:{bus.command_port}", site, keyring, calls)
                )
            await stack.enter_async_context(connection)
            return await work(connection)

    return asyncio.run(asyncio.wait_for(body(), 90))


def statuses(connection: LabConnection, *sites: str, **changes: str) -> dict[str, dict[str, Handler]]:
    mine = lab_hash(connection.lab)
    return {site: {"status": answering({"lab_sha256": changes.get(site, mine)})} for site in sites}


def test_calls_go_to_the_site_that_is_named(lab):
    handlers = {site: {"where": answering(site)} for site in SITES}

    async def work(connection: LabConnection) -> Any:
        return [await connection.call(site, "where") for site in SITES]

    assert with_sites(lab, handlers, work) == list(SITES)


def test_what_a_daemon_raises_comes_back_with_its_hint(lab):
    async def refuse(params: Any) -> Any:
        raise InstrumentError(f"no {params['what']}", hint="switch it on")

    async def work(connection: LabConnection) -> Any:
        with pytest.raises(QnodeError, match="no laser") as caught:
            await connection.call("alice", "look", {"what": "laser"})
        return caught.value

    error = with_sites(lab, {"alice": {"look": refuse}}, work)
    assert (error.code, error.hint) == ("instrument", "switch it on")


def test_the_status_of_a_silent_site_is_none(lab):
    async def work(connection: LabConnection) -> Any:
        return await connection.statuses(timeout_s=3.0)

    handlers = {site: {"status": answering({"state": "ready"})} for site in ("alice", "midpoint")}
    assert with_sites(lab, handlers, work) == {
        "alice": {"state": "ready"},
        "bob": None,
        "midpoint": {"state": "ready"},
    }


def require_same_lab(lab: Any, *sites: str, **changes: str) -> None:
    async def work(connection: LabConnection) -> Any:
        await connection.require_same_lab()

    with_sites(lab, statuses(LabConnection(lab.path, lab.data), *sites, **changes), work)


def test_all_sites_with_this_lab_file_are_welcome(lab):
    require_same_lab(lab, *SITES)


def test_a_site_with_another_lab_file_is_named(lab):
    with pytest.raises(QnodeError, match=r"bob runs another lab file than .*lab\.yaml") as caught:
        require_same_lab(lab, *SITES, bob="00")
    assert caught.value.hint == "stop it and start it again with this one"


def test_a_site_that_does_not_answer_is_named(lab, monkeypatch):
    whole = LabConnection.statuses
    monkeypatch.setattr(LabConnection, "statuses", lambda self, timeout_s: whole(self, timeout_s=3.0))
    with pytest.raises(NetworkError, match=f"midpoint does not answer at {lab.block}30"):
        require_same_lab(lab, "alice", "bob")


def connecting(looks: int) -> Handler:
    """The status of a site that connects its AWG for so many looks, and then finds no tagger."""
    left = [looks]

    async def handler(_params: Any) -> Any:
        left[0] -= 1
        awg = "connecting" if left[0] >= 0 else "ready"
        return {"instruments": {"awg": {"state": awg}, "tagger": {"state": "disconnected"}}}

    return handler


def test_instruments_are_connected_when_none_is_being_connected(lab, monkeypatch):
    monkeypatch.setattr(_connection, "POLL_S", 0.0)
    looks = {"alice": 0, "bob": 2, "midpoint": 1}
    handlers = {site: {"status": connecting(count)} for site, count in looks.items()}
    assert with_sites(lab, handlers, lambda connection: connection.await_connected()) is None


def test_a_site_that_never_gets_there_is_not_waited_for_for_ever(lab):
    handlers = {site: {"status": connecting(0)} for site in ("alice", "midpoint")}
    with pytest.raises(NetworkError, match="bob"):
        with_sites(lab, handlers, lambda connection: connection.await_connected(0.2))
