from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from _faultnet import FaultProxy

from qnode.bus import (
    BootChange,
    FilePositions,
    Item,
    JournalPositions,
    Keyring,
    Position,
    RefusedError,
    StreamPublisher,
    StreamSubscriber,
)
from qnode.bus._boots import BootTable
from qnode.bus._wire import Items
from qnode.errors import MisuseError, NetworkError
from qnode.runs import Journal, JournalError

ANY = "tcp://127.0.43.2:0"
Go = Callable[[Any], Any]


@asynccontextmanager
async def publishing(folder: Path, keyring: Keyring, endpoint: str = ANY) -> AsyncIterator[StreamPublisher]:
    with Journal(folder / "heralds.journal") as journal:
        async with StreamPublisher(endpoint, "midpoint", keyring, journal) as publisher:
            yield publisher


def subscribe(endpoint: str, keyring: Keyring, *args: Any, **options: Any) -> StreamSubscriber:
    return StreamSubscriber(endpoint, "midpoint", "alice", keyring, *args, **options)


async def take(stream: StreamSubscriber, n: int) -> list[Item]:
    items = []
    async for item in stream:
        items.append(item)
        if len(items) == n:
            stream.done()
            break
    return items


def test_items_come_once_in_order_with_all_that_belongs_to_them(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, keyring) as stream:
            await stream.wait_connected()
            numbers = [publisher.publish(b"item %d" % n, kind=n % 256) for n in range(1000)]
            items = await take(stream, 1000)
            assert numbers == list(range(1, 1001))
            assert [(item.seq, item.kind, item.payload) for item in items] == [
                (n + 1, n % 256, b"item %d" % n) for n in range(1000)
            ]
            assert {item.boot_id for item in items} == {publisher.boot_id}
            await publisher.wait_acked("alice", 1000)
            assert publisher.subscribers() == {"alice": 1000}
            counters = stream.counters
            assert (counters.delivered, counters.duplicates, counters.gaps, counters.boots) == (1000, 0, 0, 0)
            assert stream.behind == 0

    go(work())


def test_a_late_comer_gets_everything_and_two_get_the_same(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            for n in range(300):
                publisher.publish(b"%d" % n)
            async with (
                subscribe(publisher.endpoint, keyring) as alice,
                StreamSubscriber(publisher.endpoint, "midpoint", "bob", keyring) as bob,
            ):
                first = await take(alice, 300)
                assert [item.payload for item in first] == [b"%d" % n for n in range(300)]
                assert await take(bob, 300) == first

    go(work())


def test_an_item_is_in_the_journal_before_it_is_sent(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, keyring) as stream:
            publisher.publish(b"now", kind=3)
            (item,) = await take(stream, 1)
            with Journal(tmp_path / "heralds.journal", readonly=True) as journal:
                (record,) = journal
            assert (record.seq, record.kind, record.wall_ns, record.payload) == item[1:]

    go(work())


def test_a_cut_of_a_second_loses_nothing_and_doubles_nothing(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            with FaultProxy(publisher.endpoint) as proxy:
                async with subscribe(proxy.endpoint, keyring) as stream:
                    taking = asyncio.create_task(take(stream, 3000))
                    loop = asyncio.get_running_loop()
                    for n in range(3000):
                        if n == 1000:
                            proxy.cut()
                            healed = loop.call_later(1.0, proxy.heal)
                        publisher.publish(struct.pack("<I", n))
                        await asyncio.sleep(0.0004)
                    items = await taking
                    assert healed.when() <= loop.time()
                    assert [struct.unpack("<I", item.payload)[0] for item in items] == list(range(3000))
                    assert [item.seq for item in items] == list(range(1, 3001))
                    assert stream.counters.reconnects >= 1
                    assert stream.counters.duplicates == 0

    go(work())


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_link_that_goes_silent_is_noticed_and_healed(tmp_path: Path, keyring: Keyring, go: Go, way: Any) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            with FaultProxy(publisher.endpoint) as proxy:
                async with subscribe(proxy.endpoint, keyring) as stream:
                    publisher.publish(b"0")
                    await take(stream, 1)
                    proxy.stall(way)
                    while stream.connected:
                        publisher.publish(b"x")
                        await asyncio.sleep(0.01)
                    assert way == "up" or stream.silent_s > 0.2
                    proxy.heal()
                    last = publisher.publish(b"last")
                    items = await take(stream, last - 1)
                    assert [item.seq for item in items] == list(range(2, last + 1))
                    assert items[-1].payload == b"last"

    go(work())


@pytest.mark.parametrize("seed", range(4))
def test_cuts_in_the_middle_of_messages_heal(tmp_path: Path, keyring: Keyring, go: Go, seed: int) -> None:
    draw = random.Random(seed)

    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            with FaultProxy(publisher.endpoint) as proxy:
                async with subscribe(proxy.endpoint, keyring) as stream:
                    for n in range(2000):
                        publisher.publish(b"%d" % n + bytes(draw.randrange(400)))
                    proxy.cut_after("down", draw.randrange(1, 200_000))
                    taking = asyncio.create_task(take(stream, 2000))
                    await asyncio.wait({taking}, timeout=0.4)
                    proxy.heal()
                    items = await taking
                    assert [(item.seq, item.payload.rstrip(b"\0")) for item in items] == [
                        (n + 1, b"%d" % n) for n in range(2000)
                    ]

    go(work())


def losing(publisher: StreamPublisher, monkeypatch: pytest.MonkeyPatch, lost: set[int]) -> None:
    """Let the pipe swallow, once, every batch that begins with one of these numbers."""
    send = publisher._hub.send

    def swallow(session: Any, message: Any) -> bool:
        if isinstance(message, Items) and message.first_seq in lost:
            lost.remove(message.first_seq)
            return True
        return send(session, message)

    monkeypatch.setattr(publisher._hub, "send", swallow)


def test_a_hole_is_seen_at_the_next_item_and_filled(
    tmp_path: Path, keyring: Keyring, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, keyring) as stream:
            await stream.wait_connected()
            losing(publisher, monkeypatch, {3, 4, 8})
            for n in range(1, 11):
                publisher.publish(b"%d" % n)
                publisher._flush()
            items = await take(stream, 10)
            assert [(item.seq, item.payload) for item in items] == [(n, b"%d" % n) for n in range(1, 11)]
            assert stream.counters.gaps >= 1
            assert stream.counters.replays >= 1

    go(work())


def test_what_comes_twice_is_handed_on_once(
    tmp_path: Path, keyring: Keyring, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, keyring) as stream:
            await stream.wait_connected()
            send = publisher._hub.send
            sent: list[Items] = []

            def repeat(session: Any, message: Any) -> bool:
                if not isinstance(message, Items):
                    return send(session, message)
                sent.append(message)
                # With each batch the one before again, and both as one: an overlap from the front.
                both = (
                    Items(message.boot_id, sent[-2].first_seq, [*sent[-2].items, *message.items])
                    if sent[1:]
                    else message
                )
                return send(session, both) and send(session, message)

            monkeypatch.setattr(publisher._hub, "send", repeat)
            for n in range(1, 6):
                publisher.publish(b"%d" % n)
                publisher._flush()
            publisher.publish(b"end")
            items = await take(stream, 6)
            assert [(item.seq, item.payload) for item in items[:5]] == [(n, b"%d" % n) for n in range(1, 6)]
            assert stream.counters.duplicates >= 9  # 1, then (1) 2 (2), (2) 3 (3) ...: five repeats and four overlaps
            assert stream.counters.gaps == 0

    go(work())


def test_a_session_that_the_publisher_has_ended_begins_anew(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, keyring) as stream:
            publisher.publish(b"1")
            await take(stream, 1)
            (session,) = publisher._hub.sessions.values()
            publisher._hub._end(session)
            publisher.publish(b"2")
            (item,) = await take(stream, 1)
            assert item.payload == b"2"
            assert stream.counters.reconnects == 1

    go(work())


@pytest.mark.long
def test_a_subscriber_that_stood_still_goes_on(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    """SIGSTOP for longer than a session lives: all heartbeats fail, nothing is lost."""
    keyring.pair("alice")
    own = tmp_path / "alice.journal"
    consumer = Path(__file__).with_name("stream_consumer.py")

    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(consumer), publisher.endpoint, str(tmp_path / "lab"), str(own), "20000"
            )
            publisher.publish(b"0")
            await publisher.wait_acked("alice", 1, timeout_s=10.0)
            process.send_signal(signal.SIGSTOP)
            while publisher.subscribers():
                publisher.publish(b"%d" % publisher.last_seq)
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGCONT)
            while publisher.last_seq < 20_000:
                publisher.publish(b"%d" % publisher.last_seq)
            assert await process.wait() == 0
        with Journal(own, readonly=True) as journal:
            assert [record.payload[24:] for record in journal] == [b"%d" % n for n in range(20_000)]

    go(work())


def test_a_last_item_that_is_lost_is_missed_by_the_position(
    tmp_path: Path, keyring: Keyring, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, keyring) as stream:
            await stream.wait_connected()
            losing(publisher, monkeypatch, {1})
            publisher.publish(b"only")
            (item,) = await take(stream, 1)
            assert item.payload == b"only"
            assert (stream.counters.gaps, stream.counters.replays) == (1, 1)

    go(work())


def test_a_restarted_subscriber_goes_on_where_it_was(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            for n in range(20):
                publisher.publish(b"%d" % n)
            boots: list[BootChange] = []
            positions = tmp_path / "alice" / "midpoint.position"
            for expected in (range(1, 8), range(8, 21)):
                kept = FilePositions(positions)
                async with subscribe(publisher.endpoint, keyring, kept, on_boot=boots.append) as stream:
                    assert [item.seq for item in await take(stream, len(expected))] == list(expected)
            assert FilePositions(positions).load() == Position(publisher.boot_id, 20)
            assert boots == [BootChange(b"", publisher.boot_id, range(0))]

    go(work())


def test_the_item_in_hand_at_the_end_comes_again(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            for _ in range(3):
                publisher.publish(b"")
            kept = FilePositions(tmp_path / "position")
            async with subscribe(publisher.endpoint, keyring, kept) as stream:
                async for item in stream:
                    if item.seq == 2:
                        break
            assert kept.load().seq == 1

            seen = []

            async def until_three(item: Item) -> None:
                seen.append(item.seq)
                if item.seq == 3:
                    raise RuntimeError("can't deal with 3")

            async with subscribe(publisher.endpoint, keyring, kept) as stream:
                with pytest.raises(RuntimeError):
                    await stream.run(until_three)
            assert seen == [2, 3]
            assert kept.load().seq == 2

    go(work())


def test_a_subscriber_killed_at_random_has_each_item_once(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    n_items = 4000
    draw = random.Random(43)
    keyring.pair("alice")
    consumer = Path(__file__).with_name("stream_consumer.py")
    own = tmp_path / "alice.journal"

    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            for n in range(n_items // 2):
                publisher.publish(b"%d" % n)
            command = [
                sys.executable,
                str(consumer),
                publisher.endpoint,
                str(tmp_path / "lab"),
                str(own),
                str(n_items),
            ]
            for _ in range(3):
                process = await asyncio.create_subprocess_exec(*command)
                already = publisher.acked("alice")
                while publisher.acked("alice") < already + draw.randrange(1, 300):
                    publisher.publish(b"%d" % publisher.last_seq)
                    await asyncio.sleep(0.001)
                process.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
            while publisher.last_seq < n_items:
                publisher.publish(b"%d" % publisher.last_seq)
            process = await asyncio.create_subprocess_exec(*command)
            assert await process.wait() == 0
        with Journal(own, readonly=True) as journal:
            records = list(journal)
        assert [struct.unpack_from("<Q", record.payload, 16)[0] for record in records] == list(range(1, n_items + 1))
        assert [record.payload[24:] for record in records] == [b"%d" % n for n in range(n_items)]

    go(work())


def test_numbers_go_on_over_a_restart_of_the_publisher(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        boots: list[BootChange] = []
        async with publishing(tmp_path, keyring) as publisher:
            endpoint, first_boot = publisher.endpoint, publisher.boot_id
            stream = subscribe(endpoint, keyring, on_boot=boots.append)
            await stream.start()
            publisher.publish(b"a")
            publisher.publish(b"b")
            items = await take(stream, 1)
        async with publishing(tmp_path, keyring, endpoint) as publisher, stream:
            second_boot = publisher.boot_id
            assert publisher.publish(b"c") == 3
            items += await take(stream, 2)
        assert [(item.boot_id, item.seq, item.payload) for item in items] == [
            (first_boot, 1, b"a"),
            (first_boot, 2, b"b"),
            (second_boot, 3, b"c"),
        ]
        assert boots == [BootChange(b"", first_boot, range(0)), BootChange(first_boot, second_boot, range(0))]
        assert stream.counters.boots == 1
        assert stream.counters.duplicates == 0

    go(work())


def test_what_a_power_cut_took_from_the_journal_is_taken_back(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    path = tmp_path / "heralds.journal"

    async def work() -> None:
        kept = FilePositions(tmp_path / "position")
        boots: list[BootChange] = []
        async with publishing(tmp_path, keyring) as publisher:
            endpoint, first_boot = publisher.endpoint, publisher.boot_id
            for n in range(1, 5):
                publisher.publish(b"old %d" % n)
            durable_size = path.stat().st_size
            for n in range(5, 8):
                publisher.publish(b"old %d" % n)
            async with subscribe(endpoint, keyring, kept) as stream:
                await take(stream, 7)
        os.truncate(path, durable_size)
        async with publishing(tmp_path, keyring, endpoint) as publisher:
            assert publisher.publish(b"new 5") == 5
            async with subscribe(endpoint, keyring, kept, on_boot=boots.append) as stream:
                (item,) = await take(stream, 1)
            assert item[:2] == (publisher.boot_id, 5)
            assert item.payload == b"new 5"
            assert boots == [BootChange(first_boot, publisher.boot_id, range(5, 8))]

    go(work())


def test_what_waits_unread_when_it_is_taken_back_is_never_handed_on(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    path = tmp_path / "heralds.journal"

    async def work() -> None:
        boots: list[BootChange] = []
        async with publishing(tmp_path, keyring) as publisher:
            endpoint, first_boot = publisher.endpoint, publisher.boot_id
            for n in range(1, 8):
                publisher.publish(b"old %d" % n)
                if n == 4:
                    durable_size = path.stat().st_size
            stream = subscribe(endpoint, keyring, on_boot=boots.append)
            await stream.start()
            while len(stream._queue) < 7:
                await asyncio.sleep(0.01)
            assert (await anext(stream)).seq == 1
        os.truncate(path, durable_size)
        async with publishing(tmp_path, keyring, endpoint) as publisher, stream:
            publisher.publish(b"new 5")
            while len(boots) < 2:
                await asyncio.sleep(0.01)
            items = await take(stream, 4)
            await publisher.wait_acked("alice", 5)
        assert [item.payload for item in items] == [b"old 2", b"old 3", b"old 4", b"new 5"]
        # Nothing of 5 to 7 had been handed on, so there is nothing to take back.
        assert boots[1] == BootChange(first_boot, publisher.boot_id, range(5, 2))
        assert len(boots[1].taken_back) == 0

    go(work())


def test_who_was_away_over_two_starts_is_told_what_is_void(tmp_path: Path) -> None:
    a, b, c = (bytes([letter]) * 16 for letter in b"abc")
    table = BootTable(tmp_path / "boots")
    table.add(a, 1)  # made 1..100, of which a power cut left 90
    table.add(b, 91)  # made 91..120
    table.add(c, 121)
    table = BootTable(tmp_path / "boots")
    assert table.still_valid(a, 100) == 90
    assert table.still_valid(a, 40) == 40
    assert table.still_valid(b, 110) == 110
    assert table.still_valid(b"?" * 16, 110) == 0
    assert [table.maker(seq) for seq in (1, 90, 91, 120, 121)] == [
        (a, 90),
        (a, 90),
        (b, 120),
        (b, 120),
        (c, 2**64 - 1),
    ]
    table.add(b"d" * 16, 85)  # a cut took the end of a, and all of b and c
    assert [table.maker(seq)[0] for seq in (84, 85, 130)] == [a, b"d" * 16, b"d" * 16]
    assert table.still_valid(b, 95) == 84


def test_a_subscriber_that_hangs_holds_up_nobody_and_bounds_what_waits(
    tmp_path: Path, keyring: Keyring, go: Go
) -> None:
    async def work() -> None:
        async with (
            publishing(tmp_path, keyring) as publisher,
            subscribe(publisher.endpoint, keyring) as hanging,
            StreamSubscriber(publisher.endpoint, "midpoint", "bob", keyring) as bob,
        ):
            await hanging.wait_connected()
            taking = asyncio.create_task(take(bob, 20_000))
            for n in range(20_000):
                publisher.publish(b"%d" % n)
                if n % 200 == 0:
                    await asyncio.sleep(0)
            assert len(await taking) == 20_000
            await publisher.wait_acked("bob", 20_000)
            assert publisher.acked("alice") == 0
            assert 0 < len(hanging._queue) <= 4096 + 256
            assert hanging.connected
            assert [item.seq for item in await take(hanging, 20_000)] == list(range(1, 20_001))

    go(work())


def test_big_items_are_bounded_by_bytes_and_arrive(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, keyring) as stream:
            await stream.wait_connected()
            for n in range(60):
                publisher.publish(bytes([n]) * 1_000_000)
                await asyncio.sleep(0)
            while len(stream._queue) < 10:
                await asyncio.sleep(0.01)
            items = await take(stream, 60)
            assert [(item.payload[0], len(item.payload)) for item in items] == [(n, 1_000_000) for n in range(60)]
            with pytest.raises(MisuseError, match="the most is 1 MiB"):
                publisher.publish(bytes(1024 * 1024 + 1))

    go(work())


@pytest.mark.parametrize(("late_after_s", "late"), [(0.0, 5), (3600.0, 0)])
def test_what_is_late_by_the_wall_is_counted(
    tmp_path: Path, keyring: Keyring, go: Go, late_after_s: float, late: int
) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            for _ in range(5):
                publisher.publish(b"")
            async with subscribe(publisher.endpoint, keyring, late_after_s=late_after_s) as stream:
                await take(stream, 5)
                assert stream.counters.late == late

    go(work())


def test_an_item_that_could_not_be_journalled_is_not_sent(
    tmp_path: Path, keyring: Keyring, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        with Journal(tmp_path / "heralds.journal") as journal:
            async with (
                StreamPublisher(ANY, "midpoint", keyring, journal) as publisher,
                subscribe(publisher.endpoint, keyring) as stream,
            ):
                publisher.publish(b"1")
                with monkeypatch.context() as full:

                    def no_room(*_: Any) -> int:
                        raise OSError(28, "No space left on device")

                    full.setattr(os, "pwrite", no_room)
                    with pytest.raises(JournalError, match="record 2 could not be written: no room left"):
                        publisher.publish(b"lost")
                assert publisher.publish(b"2") == 2
                assert [item.payload for item in await take(stream, 2)] == [b"1", b"2"]

    go(work())


def test_waiting_for_acks_ends_with_who_and_how_far(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            publisher.publish(b"")
            with pytest.raises(
                NetworkError, match=r"alice has dealt with 0 of 1 items.*after 0\.1 s \(not connected\)"
            ):
                await publisher.wait_acked("alice", 1, timeout_s=0.1)

    go(work())


def test_a_subscriber_with_an_unknown_key_gets_nothing(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        stranger = Keyring(tmp_path / "elsewhere", make=True)
        stranger.pair("alice")
        (stranger.folder / "midpoint.pub").write_bytes(keyring.pair("midpoint").public)
        async with publishing(tmp_path, keyring) as publisher, subscribe(publisher.endpoint, stranger) as stream:
            publisher.publish(b"secret")
            with pytest.raises(RefusedError, match="does not know the key of alice"):
                await stream.wait_connected()
            assert stream.counters.delivered == 0
            assert publisher.subscribers() == {}

    go(work())


def test_closing_ends_an_iteration_that_waits(tmp_path: Path, keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with publishing(tmp_path, keyring) as publisher:
            stream = subscribe(publisher.endpoint, keyring)
            taking = asyncio.create_task(take(stream, 1))
            await stream.start()
            await stream.wait_connected()
            await stream.close()
            assert await taking == []

    go(work())


def test_a_torn_position_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "position"
    kept = FilePositions(path)
    for seq in (5, 6):
        kept.save(Position(b"B" * 16, seq))
    data = path.read_bytes()
    (slot_of_six,) = (at for at in (0, 36) if struct.unpack_from("<Q", data, at + 8) == (6,))
    path.write_bytes(data[: slot_of_six + 10] + b"\xff" + data[slot_of_six + 11 :])
    assert FilePositions(path).load() == Position(b"B" * 16, 5)
    path.write_bytes(b"something else, and long enough to hold a slot of thirty-six bytes")
    with pytest.raises(MisuseError, match="is not a position file"):
        FilePositions(path)


def test_a_position_in_the_own_journal_follows_a_publisher_that_fell_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "own") as journal:
        positions = JournalPositions(journal)
        assert positions.load() == Position()
        for boot, seq in ((b"A" * 16, 7), (b"B" * 16, 5)):
            positions.record(Item(boot, seq, 0, 0, b""), b"what became of it")
        assert JournalPositions(journal).load() == Position(b"B" * 16, 5)
