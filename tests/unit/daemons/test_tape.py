"""A plan's tags: spool while it plays, archive when it is over, an alarm instead of a stop."""

import asyncio
import logging
import time

import msgspec
import numpy as np
import pyarrow.parquet
import pytest
from _plans import a_plan

from qnode.daemons._tape import TapeDeck
from qnode.tags import Recorder, TagBlock, _recorder, read_tags

PLAN = a_plan(plan_id="00112233aabbccdd", rounds=10, round_period_ps=10)
NAME = "tags-00112233aabbccdd"


def block(*t_ps):
    return TagBlock.from_arrays(list(t_ps), np.ones(len(t_ps), np.uint8))


class Tap(list):
    """What was sent to the tap."""

    def __call__(self, topic, payload):
        self.append((topic, payload["what"]))


@pytest.fixture
def tap():
    return Tap()


def deck(folder, tap, reserve_bytes=0):
    return TapeDeck(folder, "alice", reserve_bytes=reserve_bytes, send=tap)


async def recorded(tapes, *blocks):
    """One plan on tape, to its end."""
    tapes.start(PLAN, 77)
    for one in blocks:
        tapes.put(one)
    await tapes.stop()


def events(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "qnode"]


def test_tags_are_archived_with_where_t0_is(tmp_path, tap):
    async def play():
        tapes = deck(tmp_path, tap)
        tapes.put(block(0))  # before a plan: nobody's
        await recorded(tapes, block(1, 2, 3), block(5, 9))
        await tapes.stop()  # a second stop finds nothing to do
        await tapes.close()
        return tapes.of_run("run-1"), tapes.of_run("run-2")

    mine, none = asyncio.run(play())
    (file,) = (tmp_path / "runs" / "run-1" / "alice").iterdir()
    assert file.name == f"{NAME}.parquet"
    assert read_tags(file).t_ps.tolist() == [1, 2, 3, 5, 9]
    metadata = pyarrow.parquet.read_schema(file).metadata
    # T0 at 77, ten rounds of 10 ps.
    assert (metadata[b"t0_ps"], metadata[b"until_ps"], metadata[b"kind"]) == (b"77", b"177", b"heralding")
    assert mine == {"written": 5, "lost": 0, "since": "", "why": "", "cut": 0}
    assert none["written"] == 0
    assert tap == []


def test_a_disk_that_takes_nothing_is_an_alarm_and_every_tag_is_counted(tmp_path, tap, caplog):
    (tmp_path / "runs").write_text("a file where the folder should be")

    async def play():
        tapes = deck(tmp_path, tap)
        await recorded(tapes, block(1, 2), block(3))
        await tapes.close()
        return tapes.of_run("run-1")

    with caplog.at_level(logging.ERROR, logger="qnode"):
        fate = asyncio.run(play())
    assert events(caplog) == ["alarm", "tags lost"]
    assert (fate["written"], fate["lost"]) == (0, 3)
    assert "Not a directory" in fate["why"]
    assert [topic for topic, _ in tap] == ["alarm"]


def test_a_tag_out_of_order_never_stops_the_run_and_is_a_gap(tmp_path, tap, caplog):
    async def play():
        tapes = deck(tmp_path, tap)
        await recorded(tapes, block(10, 20), block(12), block(15, 17), block(30))
        await tapes.close()
        return tapes.of_run("run-1")

    with caplog.at_level(logging.ERROR, logger="qnode"):
        fate = asyncio.run(play())
    assert events(caplog) == ["alarm", "tags lost"]
    assert (fate["written"], fate["lost"]) == (3, 3)
    found = read_tags(tmp_path / "runs" / "run-1" / "alice" / f"{NAME}.parquet")
    assert found.t_ps.tolist() == [10, 20, 30]
    assert found.gaps.tolist() == [[12, 13], [15, 18]]


def test_a_full_disk_costs_the_tags_and_hardly_any_time(tmp_path, tap, caplog):
    async def play():
        tapes = deck(tmp_path, tap, reserve_bytes=1 << 60)
        began = time.monotonic()
        await recorded(tapes, block(1, 2), block(3))
        took_s = time.monotonic() - began
        fate = tapes.of_run("run-1")
        await tapes.close()
        return fate, took_s

    with caplog.at_level(logging.ERROR, logger="qnode"):
        fate, took_s = asyncio.run(play())
    assert events(caplog) == ["alarm", "tags lost"]
    assert (fate["written"], fate["lost"]) == (0, 3)
    assert "are kept for journals and results" in fate["why"]
    assert fate["since"].endswith("Z")
    assert took_s < 60
    assert tap[0][0] == "alarm"
    assert "are kept for journals and results" in tap[0][1]


def test_an_archive_that_found_no_room_is_made_with_the_next_plan(tmp_path, tap, monkeypatch):
    """Room for the spool, none for the archive; then there is room."""
    left = [0]
    real = _recorder.require_room

    def require_room(folder, more_bytes, reserve_bytes):
        real(folder, more_bytes, left[0])

    monkeypatch.setattr("qnode.tags._spool.require_room", require_room)
    left[0] = 1 << 60

    async def play():
        tapes = deck(tmp_path, tap)
        await recorded(tapes, block(1, 2))
        first = sorted(path.name for path in (tmp_path / "runs" / "run-1" / "alice").iterdir())
        left[0] = 0
        tapes.start(msgspec.structs.replace(PLAN, plan_id="b" * 16), 0)
        await tapes.close()
        return first

    assert asyncio.run(play()) == [f"{NAME}.arrow"]
    files = sorted(path.name for path in (tmp_path / "runs" / "run-1" / "alice").iterdir())
    assert files == [f"{NAME}.parquet", f"tags-{'b' * 16}.parquet"]


def test_a_slow_disk_drops_marks_and_never_holds_up_the_loop(tmp_path, tap, monkeypatch, caplog, disk_gate):
    monkeypatch.setattr("qnode.daemons._tape.BUDGET_BYTES", 9 * 3_000)
    monkeypatch.setattr("qnode.daemons._tape.FINISH_S", 0.05)
    sent = [block(*range(1000 * k, 1000 * (k + 1))) for k in range(20)]

    async def play():
        loop = asyncio.get_running_loop()
        tapes = deck(tmp_path, tap)
        tapes.start(PLAN, 0)
        disk_gate.clear()
        slowest_s = 0.0
        for one in sent:
            began = loop.time()
            tapes.put(one)
            await asyncio.sleep(0)
            slowest_s = max(slowest_s, loop.time() - began)
        began = loop.time()
        await tapes.stop()  # the disk still hangs: the next plan need not wait for it
        stopped_s = loop.time() - began
        disk_gate.set()
        await asyncio.wait(set(tapes._finishing), timeout=30)
        await tapes.close()
        return slowest_s, stopped_s, tapes.of_run("run-1")

    with caplog.at_level(logging.ERROR, logger="qnode"):
        slowest_s, stopped_s, fate = asyncio.run(play())
    assert slowest_s < 1
    assert stopped_s < 5
    assert events(caplog) == ["alarm", "tags lost"]
    assert 3_000 <= fate["written"] <= 4_000
    assert fate["written"] + fate["lost"] == 20_000
    found = read_tags(tmp_path / "runs" / "run-1" / "alice" / f"{NAME}.parquet")
    assert len(found) == fate["written"]
    # What is in the file and what is in its gap is everything.
    ((start, end),) = found.gaps.tolist()
    assert found.t_ps.tolist() + list(range(start, end)) == list(range(20_000))
    assert "does not keep up" in tap[0][1]


def test_what_a_killed_daemon_left_is_archived_by_the_next_one(tmp_path, tap):
    folder = tmp_path / "runs" / "run-1" / "alice"
    folder.mkdir(parents=True)
    recorder = Recorder(folder / f"{NAME}.arrow", meta={"until_ps": "177"})
    recorder.put(block(100, 110))
    recorder.close()
    spool = folder / f"{NAME}.arrow"
    spool.write_bytes(spool.read_bytes()[:-8])  # as it stands on disk before it is closed
    (folder / "tags-torn.arrow").write_bytes(b"\xff\xff")
    other = tmp_path / "runs" / "run-1" / "bob" / "tags-1.arrow"
    other.parent.mkdir()
    other.touch()

    async def come_up():
        tapes = deck(tmp_path, tap)
        tapes.take_up_left_behind()
        await tapes.close()
        return tapes.of_run("run-1")

    fate = asyncio.run(come_up())
    assert (fate["written"], fate["lost"], fate["cut"]) == (2, 0, 2)
    found = read_tags(folder / f"{NAME}.parquet")
    assert found.t_ps.tolist() == [100, 110]
    assert found.gaps.tolist() == [[111, 177]]
    # What can't be read is left to a person, and another site's to that site.
    assert sorted(path.name for path in folder.iterdir()) == [f"{NAME}.parquet", "tags-torn.arrow"]
    assert other.exists()
