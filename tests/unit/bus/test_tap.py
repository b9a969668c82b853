from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qnode.bus import Keyring, TapMessage, TapPublisher, TapSubscriber
from qnode.errors import MisuseError

ANY = "tcp://127.0.43.3:0"
Go = Callable[[Any], Any]


async def first(tap: TapPublisher, listener: TapSubscriber, topic: str, payload: Any) -> TapMessage:
    """Send until a message arrives: who has just connected may miss the first ones."""
    hearing = asyncio.ensure_future(anext(listener))
    while not hearing.done():
        tap.send(topic, payload)
        await asyncio.sleep(0.005)
    return await hearing


def test_a_listener_hears_its_topics_only(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with (
            TapPublisher(ANY, "alice", keyring) as tap,
            TapSubscriber(tap.endpoint, "alice", "operator", keyring, ["counts."]) as listener,
        ):
            message = await first(tap, listener, "counts.readout", {"rate_hz": 812.5})
            assert (message.topic, message.payload) == ("counts.readout", {"rate_hz": 812.5})
            tap.send("log", "not for you")
            tap.send("counts.end", None)
            async for message in listener:
                assert message.topic != "log"
                if message.topic == "counts.end":
                    break

    go(work())


def test_a_listener_that_does_not_listen_costs_old_messages_only(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with (
            TapPublisher(ANY, "alice", keyring) as tap,
            TapSubscriber(tap.endpoint, "alice", "operator", keyring) as listener,
        ):
            await first(tap, listener, "n", 0)
            n = 0
            while not listener.dropped:
                n += 1
                tap.send("n", n)
                if n % 50 == 0:
                    await asyncio.sleep(0.001)
            assert len(listener._queue) == 1000

    go(work())


def test_a_stranger_hears_nothing(keyring: Keyring, tmp_path: Path, go: Go) -> None:
    async def work() -> None:
        stranger = Keyring(tmp_path / "elsewhere", make=True)
        async with TapPublisher(ANY, "alice", keyring) as tap:
            (stranger.folder).mkdir(parents=True)
            (stranger.folder / "alice.pub").write_bytes(keyring.public("alice"))
            async with (
                TapSubscriber(tap.endpoint, "alice", "operator", stranger) as spy,
                TapSubscriber(tap.endpoint, "alice", "operator", keyring) as listener,
            ):
                for n in range(20):
                    await first(tap, listener, "n", n)
                assert len(spy._queue) == 0

    go(work())


def test_misuse_is_named(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        tap = TapPublisher(ANY, "alice", keyring)
        with pytest.raises(MisuseError, match="not started"):
            tap.send("n", 1)
        async with tap:
            with pytest.raises(MisuseError, match="payload of n can't travel"):
                tap.send("n", object())

    go(work())
