"""The wire of lab time: `qnode.clock.WorldClock` against the world's server, with a world that the test advances."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from qnode.clock import PS_PER_S, ClockError, HostClock, WorldClock, connect_clock
from qnode.labfile import ClockFaults
from simulators.world.clock_server import ClockServer
from simulators.world.clocks import PulsePerSecond, next_edge_ps
from simulators.world.timeline import Timeline

START_PS = 1_800_000_000 * PS_PER_S
MS = PS_PER_S // 1000


class Wall:
    """Wall time that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await test()

    asyncio.run(bounded())


@asynccontextmanager
async def served(timeline: Timeline, **offsets: int) -> AsyncIterator[ClockServer]:
    server = ClockServer(timeline, "127.0.44.1", 0, offsets)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def address(server: ClockServer) -> str:
    return f"tcp://{server.host}:{server.port}"


async def settle(done: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    while not done():
        await asyncio.sleep(0)


def test_lab_time_never_passes_the_smallest_bound_at_max() -> None:
    timeline = Timeline(START_PS, "max", wall=Wall())
    alice, bob, idle = timeline.join("alice"), timeline.join("bob"), timeline.join("operator")
    timeline.release(alice, START_PS + 500 * MS)
    timeline.release(bob, START_PS + 300 * MS)
    assert timeline.limit_ps() == START_PS + 300 * MS
    timeline.release(bob, None)
    assert timeline.limit_ps() == START_PS + 500 * MS
    timeline.leave(alice)
    # Idle parties alone: at the wall's pace, and the wall stands still here.
    assert timeline.limit_ps() == START_PS
    assert idle.bound_ps is None


def test_lab_time_runs_at_the_walls_pace_and_stops_at_a_bound() -> None:
    wall = Wall()
    timeline = Timeline(START_PS, 2.0, wall=wall)
    wall.now_s += 0.05
    assert timeline.limit_ps() == pytest.approx(START_PS + 100 * MS, abs=1000)
    timeline.release(timeline.join("alice"), START_PS + 60 * MS)
    assert timeline.limit_ps() == START_PS + 60 * MS


def test_a_pause_is_not_made_up_for() -> None:
    wall = Wall()
    timeline = Timeline(START_PS, 1.0, wall=wall)
    party = timeline.join("alice")
    timeline.release(party, START_PS + 10 * MS)
    wall.now_s += 60.0
    timeline.advance(timeline.limit_ps())
    assert timeline.now_ps() == START_PS + 10 * MS
    timeline.release(party, None)
    assert timeline.limit_ps() <= START_PS + 110 * MS


def test_credit_can_be_taken_back_but_not_what_was_played() -> None:
    timeline = Timeline(START_PS, "max", wall=Wall())
    party = timeline.join("alice")
    timeline.release(party, START_PS + 5 * MS)
    timeline.advance(START_PS + 3 * MS)
    timeline.release(party, START_PS + 1 * MS)
    assert timeline.limit_ps() == START_PS + 3 * MS


def test_a_silent_party_fails_the_run_after_its_time_and_is_named() -> None:
    wall = Wall()
    timeline = Timeline(START_PS, "max", wall=wall)
    failures: list[str] = []
    timeline.on_failure = failures.append
    alice, bob = timeline.join("alice"), timeline.join("bob")
    timeline.release(alice, START_PS + 1 * MS)
    timeline.when(START_PS + 9 * MS, lambda now: None, bob)
    timeline.advance(START_PS + 1 * MS)
    wall.now_s += 29.0
    timeline.advance(START_PS + 1 * MS)
    assert failures == []
    wall.now_s += 1.5
    timeline.advance(START_PS + 1 * MS)
    assert len(failures) == 1
    assert "alice released nothing for 30 s" in failures[0]
    assert "bob waits" in failures[0]


def test_a_party_that_nobody_waits_for_may_be_silent() -> None:
    wall = Wall()
    timeline = Timeline(START_PS, "max", wall=wall)
    failures: list[str] = []
    timeline.on_failure = failures.append
    timeline.release(timeline.join("alice"), START_PS + 1 * MS)
    for _ in range(3):
        timeline.advance(START_PS + 1 * MS)
        wall.now_s += 100.0
    assert failures == []


def test_client_and_server_now_wait_release_idle() -> None:
    async def test() -> None:
        timeline = Timeline(START_PS, "max", wall=Wall())
        async with served(timeline) as server:
            alice = await connect_clock(address(server), "alice")
            bob = await connect_clock(address(server), "bob")
            assert await alice.now_ps() == START_PS
            waiting = asyncio.create_task(alice.wait_until(START_PS + 7 * MS))
            await bob.release(START_PS + 2 * MS)
            await settle(lambda: timeline.limit_ps() == START_PS + 2 * MS)
            timeline.advance(START_PS + 2 * MS)
            assert await bob.now_ps() == START_PS + 2 * MS
            assert not waiting.done()
            await bob.idle()
            assert timeline.limit_ps() == START_PS + 7 * MS
            timeline.advance(START_PS + 7 * MS)
            assert await waiting == START_PS + 7 * MS
            await alice.close()
            await bob.close()

    run(test)


def test_a_party_that_closes_bounds_nothing() -> None:
    async def test() -> None:
        timeline = Timeline(START_PS, "max", wall=Wall())
        async with served(timeline) as server:
            alice = await connect_clock(address(server), "alice")
            bob = await connect_clock(address(server), "bob")
            await alice.release(START_PS + 1 * MS)
            await bob.release(START_PS + 9 * MS)
            await alice.close()
            await settle(lambda: timeline.limit_ps() == START_PS + 9 * MS)
            await bob.close()

    run(test)


def test_a_label_offset_shifts_what_a_party_sees_and_says() -> None:
    async def test() -> None:
        timeline = Timeline(START_PS, "max", wall=Wall())
        async with served(timeline, alice=1) as server:
            alice = await connect_clock(address(server), "alice")
            assert await alice.now_ps() == START_PS + PS_PER_S
            await alice.release(START_PS + PS_PER_S + 4 * MS)
            assert timeline.limit_ps() == START_PS + 4 * MS
            await alice.close()

    run(test)


def test_failure_reaches_every_call_with_its_text() -> None:
    async def test() -> None:
        wall = Wall()
        timeline = Timeline(START_PS, "max", wall=wall)
        async with served(timeline) as server:
            alice = await connect_clock(address(server), "alice")
            bob = await connect_clock(address(server), "bob")
            await alice.release(START_PS)
            waiting = asyncio.create_task(bob.wait_until(START_PS + PS_PER_S))
            while not waiting.done():
                timeline.advance(START_PS)
                wall.now_s += 31.0
                await asyncio.sleep(0)
            with pytest.raises(ClockError, match="alice released nothing"):
                await waiting
            with pytest.raises(ClockError, match="alice released nothing"):
                await bob.now_ps()
            await alice.close()
            await bob.close()

    run(test)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"op": "now", "id": 1}, "first line must be a hello"),
        ({"op": "hello", "party": "alice", "version": 9}, "version 9"),
        ("nonsense", "not understood"),
    ],
)
def test_the_server_refuses_aloud(line: Any, text: str) -> None:
    async def test() -> None:
        async with served(Timeline(START_PS, "max")) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")
            answer = json.loads(await reader.readline())
            assert answer["op"] == "error"
            assert text in answer["text"]
            assert await reader.readline() == b""
            writer.close()

    run(test)


def test_no_endpoint_is_one_clear_error() -> None:
    async def test() -> None:
        with pytest.raises(ClockError, match=r"127\.0\.44\.2:1: no connection"):
            await WorldClock.connect("tcp://127.0.44.2:1", "alice", timeout_s=2.0)
        with pytest.raises(ClockError, match="not an address"):
            await connect_clock("somewhere", "alice")

    run(test)


def test_a_world_that_goes_away_ends_the_waits() -> None:
    async def test() -> None:
        async with served(Timeline(START_PS, "max")) as server:
            alice = await connect_clock(address(server), "alice")
            waiting = asyncio.create_task(alice.wait_until(START_PS + 3600 * PS_PER_S))
            await alice.now_ps()
            await server.stop()
            with pytest.raises(ClockError, match=r"closed the connection|connection lost"):
                await waiting
            await alice.close()

    run(test)


def test_the_host_clock_is_tai_and_waits() -> None:
    async def test() -> None:
        clock = await connect_clock("host", "alice")
        assert isinstance(clock, HostClock)
        before = await clock.now_ps()
        after = await clock.wait_until(before + 5 * MS)
        assert after >= before + 5 * MS
        await clock.release(0)
        await clock.idle()
        await clock.close()

    run(test)


def test_pps_edges_with_faults() -> None:
    clock = PulsePerSecond(START_PS, ClockFaults(pps_missing_at_s=(2,), pps_doubled_at_s=(3,)))
    edges = clock.edges_ps(START_PS, START_PS + 4 * PS_PER_S)
    assert [(edge - START_PS) / PS_PER_S for edge in edges] == [1.0, 3.0, 3.4, 4.0]
    good = PulsePerSecond(START_PS, ClockFaults())
    edge, sites = next_edge_ps({"alice": clock, "bob": good}, START_PS + PS_PER_S)
    assert (edge, sites) == (START_PS + 2 * PS_PER_S, ["bob"])
    edge, sites = next_edge_ps({"alice": clock, "bob": good}, edge)
    assert (edge, sites) == (START_PS + 3 * PS_PER_S, ["alice", "bob"])
