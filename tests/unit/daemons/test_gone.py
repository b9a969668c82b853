"""Whether a lab's simulators are gone, with a listener of the test's own in the place of their clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from qnode.daemons._gone import HOST_TIME, simulators_gone

LONG_ENOUGH_S = 0.5
"""For three looks, if each were refused."""


async def ends(watching: Awaitable[None], within_s: float) -> bool:
    try:
        await asyncio.wait_for(watching, within_s)
    except TimeoutError:
        return False
    return True


def with_listener(body: Callable[[asyncio.Server, str], Awaitable[None]]) -> None:
    async def work() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        try:
            await body(server, f"tcp://{host}:{port}")
        finally:
            server.close()

    asyncio.run(work())


def test_who_listens_is_there_and_who_has_stopped_is_gone():
    async def body(server: asyncio.Server, clock: str) -> None:
        assert not await ends(simulators_gone(clock), LONG_ENOUGH_S)
        server.close()
        await server.wait_closed()
        assert await ends(simulators_gone(clock), 10)

    with_listener(body)


def test_one_that_comes_back_between_two_looks_is_there(monkeypatch):
    looks = iter([ConnectionRefusedError(), ConnectionRefusedError(), OSError("no route"), *[None] * 100])

    async def look(_host: str, _port: int) -> tuple[None, asyncio.StreamWriter]:
        if (error := next(looks)) is not None:
            raise error

        class Writer:
            def close(self) -> None: ...

        return None, Writer()  # type: ignore[return-value]

    monkeypatch.setattr(asyncio, "open_connection", look)
    monkeypatch.setattr("qnode.daemons._gone.LOOK_AGAIN_S", 0.001)
    monkeypatch.setattr("qnode.daemons._gone.LOOK_CLOSELY_S", 0.001)
    assert not asyncio.run(ends(simulators_gone("tcp://127.0.0.1:1"), 0.1))


@pytest.mark.parametrize("clock", [HOST_TIME])
def test_a_rack_has_no_simulators_that_could_go(clock):
    assert not asyncio.run(ends(simulators_gone(clock), 0.05))
