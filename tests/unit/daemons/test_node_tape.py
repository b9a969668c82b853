"""A node whose disk hangs while it records a plan: rounds go on, tags are dropped, marked and told."""

import asyncio
from typing import Any

import numpy as np
import pytest

from drivers.roles import RawTags
from qnode.daemons._node import NodeDaemon
from qnode.daemons._recorder import PpsLabels
from qnode.errors import InstrumentError
from qnode.heralds import Plan
from qnode.tags import Tdc1Decoder, read_tags

ROUNDS, ROUND_PS, PHOTONS_A_ROUND = 100, 1_495_000_000, 30
PLAN = Plan(
    plan_id="00112233aabbccdd", run_id="run-1", kind="heralding", link="alice-bob", protocol="single_click",
    t0_tai_s=1000, rounds=ROUNDS, first_round=0, attempts=250, round_period_ps=ROUND_PS,
    attempt_period_ps=5_500_000, bases={"alice": "Z", "bob": "Z"}, echo=True, sequences={}, lab_sha256="",
    credit_rounds=10, boot_id="",
)  # fmt: skip


def words(node: NodeDaemon) -> bytes:
    """What a TDC1 sends of the plan: each round 30 photons in its charge slot, then its sync; one sync more."""
    programs = node.link_programs(PLAN)
    windows = programs.windows("alice")
    sync_ps = programs.timing.sync_from_pps_ps["alice"] + np.arange(ROUNDS + 1) * ROUND_PS
    slot_ps = windows.charge_open_ps + 5_000_000 + np.arange(PHOTONS_A_ROUND) * 1_000_000
    assert slot_ps[-1] < windows.charge_close_ps
    photons_ps = (sync_ps[:, None] + slot_ps).reshape(-1)
    time = np.concatenate((photons_ps, sync_ps)) // 2_000
    inputs = np.repeat([0b0001, 0b0010], [len(photons_ps), len(sync_ps)])
    order = np.argsort(time)
    return ((time[order] % (1 << 27) << 5) | inputs[order]).astype("<u4").tobytes()


class Tap:
    """Keeps the alarms that were sent."""

    def __init__(self) -> None:
        self.alarms: list[str] = []

    def send(self, topic: str, payload: Any) -> None:
        if topic == "alarm":
            self.alarms.append(payload["what"])


class Tagger:
    """Hands out a stream in reads of any size, then it is gone; counts the reads."""

    def __init__(self, stream: bytes) -> None:
        self.reads = [stream[k : k + 401] for k in range(0, len(stream), 401)]

    async def call(self, _name: str, method: str, *_: object) -> RawTags:
        assert method == "read"
        if not self.reads:
            raise InstrumentError("the tagger is gone")
        return RawTags("sfifteen_tdc1", self.reads.pop(0))


def test_a_node_records_its_rounds_while_its_disk_hangs(lab, monkeypatch, disk_gate):
    monkeypatch.setattr("qnode.daemons._tape.BUDGET_BYTES", 9 * 500)
    tap = Tap()

    async def play():
        node = NodeDaemon(lab.path, "alice", lab.data)
        node._tap = tap
        node._labels = PpsLabels()
        node._labels.feed(np.array([0]), 1000.1)
        stream = words(node)
        monkeypatch.setattr(node.host, "call", Tagger(stream).call)
        node._watch_rounds(PLAN)
        disk_gate.clear()
        with pytest.raises(InstrumentError, match="the tagger is gone"):
            async with asyncio.timeout(20):  # a read that waited for the disk would wait 30 s
                await node._read_tags()
        # All rounds are there and none is masked, although not one batch has got through to the disk.
        stop = node._recorder.complete()
        column, _ = node._recorder.record(stop)
        told = await node.handlers()["accounting"]({"run_id": "run-1"})
        disk_gate.set()
        await node.tapes.stop()
        if node.tapes._finishing:
            await asyncio.wait(set(node.tapes._finishing), timeout=60)
        await node.tapes.close()
        after = await node.handlers()["accounting"]({"run_id": "run-1"})
        return stream, stop, column, told["tags"], after["tags"]

    stream, stop, column, told, tags = asyncio.run(play())
    assert stop == ROUNDS
    assert not column.mask.any()
    assert told["lost"] > 0
    assert "the disk does not keep up, tags are being dropped" in told["why"]
    assert tap.alarms == [told["why"], ""]
    (file,) = (lab.data / "runs" / "run-1" / "alice").iterdir()
    found = read_tags(file)
    everything = Tdc1Decoder(prompt=True).feed(stream)
    assert (tags["written"], tags["written"] + tags["lost"]) == (len(found), len(everything))
    marked = np.zeros(len(everything), bool)
    for start, end in found.gaps.tolist():
        marked |= (everything.t_ps >= start) & (everything.t_ps < end)
    assert marked.sum() == tags["lost"] > 1_000
    np.testing.assert_array_equal(found.t_ps, everything.t_ps[~marked])
    np.testing.assert_array_equal(found.channel, everything.channel[~marked])
