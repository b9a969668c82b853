"""How fast daemons bring tags from their tagger's bytes to their spool, beside plain pyarrow: ratios of one run.

Run it with ``python benchmarks/recorder.py [--tags N] [--rounds N] [--folder DIR] [--json]``. A node's stream has the
words of a TDC1 at 20 M tags/s (photons, a round sync each ms, a herald line in each tenth round), a midpoint's the pairs
of an ID900 at the same rate (two detectors, sync, line), both read every 20 ms. Rows, interleaved over the rounds, best,
median, and best by the processor's time, which a busy machine hurts less:

* node: decode, put on the tape, count rates, live views, record the rounds; to the end of the spool. What a node does
  with each read.
* decode + tape, decode, tape: parts of it.
* midpoint: decode, decide, put on the tape, live views; to the end of the spool. What a midpoint does with each read.
* decode + decide: a part of it.
* pyarrow: the node's tags, decoded before, written as an Arrow IPC stream in batches of the recorder's size.

Required are 20 M tags/s without loss; a run that dropped one ends here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from drivers.roles import RawTags
from qnode.daemons._live import LiveClicks, LiveRates, LiveTags
from qnode.daemons._recorder import LINE, PHOTONS, PPS, SYNC, NodeRecorder, PpsLabels
from qnode.daemons._tape import PlanTape
from qnode.heralds import Engine, LinkTiming, NodeWindows, Plan
from qnode.tags import TagBlock, Tdc1Decoder

DETECTORS, ROUND_SYNC, HERALD_LINE = (1, 2), 3, 4
ROUND_PS, ATTEMPT_PS, WINDOW_PS = 1_000_000_000, 5_000_000, 25_000
ATTEMPTS = 190
CLICK_OPEN_PS, LINE_OPEN_PS = 980_000, 1_090_000
RATE_HZ = 20_000_000
READ_S = 0.02
UNIT_PS = 2_000
BATCH_TAGS = 1 << 18


def stream(tags: int) -> list[bytes]:
    """Reads of a TDC1: u32 words, bits 31..5 time in 2 ns, bits 3..0 the inputs 4..1 that fired."""
    rng = np.random.default_rng(1)
    length = tags * 10**12 // RATE_HZ // UNIT_PS
    period = ROUND_PS // UNIT_PS
    sync = np.arange(period // 2, length, period)
    line = sync[::10] + (LINE_OPEN_PS + 3 * ATTEMPT_PS) // UNIT_PS + 1
    photons = rng.integers(0, length, tags - len(sync) - len(line))
    t = np.concatenate((photons, sync, line))
    inputs = np.repeat(np.array([PHOTONS, SYNC, LINE]), [len(photons), len(sync), len(line)])
    order = np.argsort(t, kind="stable")
    words = ((t[order] & (1 << 27) - 1) << 5).astype("<u4") | (1 << inputs[order] - 1).astype("<u4")
    size = int(RATE_HZ * READ_S)
    return [words[k : k + size].tobytes() for k in range(0, tags, size)]


def midpoint_stream(tags: int) -> list[list[RawTags]]:
    """Reads of an ID900 with references: u64 pairs (round, picoseconds since the first), a stream an input."""
    rng = np.random.default_rng(2)
    reads = []
    per_round, rounds_a_read = RATE_HZ * ROUND_PS // 10**12, int(READ_S * 10**12) // ROUND_PS
    line_ps = LINE_OPEN_PS + 3 * ATTEMPT_PS
    for first in range(0, tags // per_round, rounds_a_read):
        read = []
        ref = np.arange(first, min(first + rounds_a_read, tags // per_round), dtype=np.int64)
        for channel in (*DETECTORS, ROUND_SYNC, HERALD_LINE):
            if channel in DETECTORS:
                rounds = np.repeat(ref, (per_round - 1) // 2)
                since = np.sort(rng.integers(1, ROUND_PS, (ref.size, (per_round - 1) // 2)), axis=1).reshape(-1)
            elif channel == ROUND_SYNC:
                rounds, since = ref, np.zeros(ref.size, np.int64)
            else:
                rounds = ref[::10]
                since = np.full(rounds.size, line_ps)
            pairs = np.stack((rounds, rounds * ROUND_PS + since), axis=1)
            read.append(RawTags("idq_u64_ref", pairs.astype("<u8").tobytes(), channel))
        reads.append(read)
    return reads


def plan(name: str, rounds: int = 1, attempts: int = 1) -> Plan:
    """One that is little more than a name here."""
    return Plan(
        plan_id=name, run_id="bench", kind="heralding", link="a-b", protocol="single_click", t0_tai_s=0, rounds=rounds,
        first_round=0, attempts=attempts, round_period_ps=ROUND_PS, attempt_period_ps=ATTEMPT_PS,
        bases={"alice": "XYZ"}, echo=True, sequences={}, lab_sha256="", credit_rounds=1, boot_id="",
    )  # fmt: skip


TIMING = LinkTiming(
    lead_ps={}, branch_ps=0, midpoint_trigger_ps=0, gate_ps=0, recording_ps=0, click_open_ps=CLICK_OPEN_PS,
    line_open_ps=LINE_OPEN_PS, node_line_open_ps={}, sync_from_pps_ps={}, slack_ps={}, smallest_attempt_ps=0,
    click_from_t0_ps=0,
)  # fmt: skip


WINDOWS = NodeWindows(
    charge_open_ps=-20_000_000, charge_close_ps=0, line_open_ps=LINE_OPEN_PS, line_width_ps=WINDOW_PS,
    readout_open_ps=1_000_000, readout_close_ps=11_000_000,
)  # fmt: skip


def midpoint(folder: Path, reads: Sequence[Sequence[RawTags]], *, whole: bool) -> int:
    """A plan's tags decoded and decided; the ``whole`` path goes on to live views and the end of the spool."""
    rounds = sum(len(read[-2].data) // 16 for read in reads)
    played = plan("1", rounds, ATTEMPTS)
    engine = Engine(played, TIMING, WINDOW_PS, "det1")
    tape = PlanTape(folder, "midpoint", played, 0) if whole else None
    views = LiveClicks(WINDOW_PS, lambda _topic, _payload: None)
    sent = 0
    for read in reads:
        engine.feed(read)
        stop = engine.decided + len(read[-2].data) // 16
        decision = engine.decide(stop)
        sent += len(decision.tags)
        if tape is not None:
            tape.put(decision.tags)
            views.feed(decision.tags, decision.offsets_ps, stop * ROUND_PS)
    if tape is not None:
        asyncio.run(tape.end(lambda: True))
        tape.spool.unlink()
        if tape.fate.lost or tape.fate.written != sent:
            raise SystemExit(f"tags were lost: {tape.fate}")
    return sent


def node(folder: Path, reads: Sequence[bytes | TagBlock], *, whole: bool) -> None:
    """A plan's tags to the end of its spool, bytes are decoded first; the ``whole`` path has views and rounds, too."""
    rounds = len(reads) * int(READ_S * 10**12) // ROUND_PS
    played = plan("0", rounds, ATTEMPTS)
    tape = PlanTape(folder, "alice", played, 0)
    decoder = Tdc1Decoder(prompt=True)
    rates = LiveRates((PHOTONS, SYNC, LINE, PPS), lambda _: None)
    views = LiveTags(PHOTONS, SYNC, LINE, ROUND_PS, 30_000_000, lambda _topic, _payload: None)
    labels = PpsLabels()
    labels.feed(np.zeros(1, np.int64), 0.0)
    recorder = NodeRecorder(
        played, "alice", WINDOWS, labels, first_sync_ps=ROUND_PS // 2, charge_threshold=1, readout_threshold=1,
        signs={"X": 1, "Y": 1, "Z": 1},
    )  # fmt: skip
    sent = 0
    for read in reads:
        block = decoder.feed(read) if isinstance(read, bytes) else read
        tape.put(block)
        sent += len(block)
        if whole:
            rates.feed(block.channel, decoder.horizon_ps)
            views.feed(block)
            recorder.feed(block, decoder.horizon_ps)
            if (stop := recorder.complete()) > recorder.recorded:
                column, rows = recorder.record(stop)
                if column.mask.any() or abs(len(rows) - (stop - column.first_round) / 10) > 1:
                    raise SystemExit(f"rounds {column.first_round} to {stop} were masked, or their lines lost")
    asyncio.run(tape.end(lambda: True))
    tape.spool.unlink()
    if tape.fate.lost or tape.fate.written != sent:
        raise SystemExit(f"tags were lost: {tape.fate}")


def plain(folder: Path, block: TagBlock) -> None:
    """What pyarrow makes of the same tags."""
    schema = pa.schema([("t_ps", pa.int64()), ("channel", pa.uint8())])
    with pa.OSFile(str(folder / "plain.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for k in range(0, len(block), BATCH_TAGS):
            part = [pa.array(block.t_ps[k : k + BATCH_TAGS]), pa.array(block.channel[k : k + BATCH_TAGS])]
            writer.write_batch(pa.record_batch(part, schema=schema))
    (folder / "plain.arrow").unlink()


@contextmanager
def backend(name: str) -> Iterator[None]:
    """The tag kernels that a daemon takes: numpy in a node, numba in a midpoint."""
    before, os.environ["QNODE_TAGS_BACKEND"] = os.environ.get("QNODE_TAGS_BACKEND", "auto"), name
    try:
        yield
    finally:
        os.environ["QNODE_TAGS_BACKEND"] = before


def measure(rows: dict[str, Callable[[], Any]], rounds: int, tags: int) -> dict[str, dict[str, float]]:
    """M tags/s of each row, best, median and best by processor time, rows interleaved over the rounds."""
    walls: dict[str, list[float]] = {name: [] for name in rows}
    processors: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds + 1):  # the first fills caches
        for name, call in rows.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            walls[name].append(time.perf_counter() - wall)
            processors[name].append(time.process_time() - processor)
    return {
        name: {
            "best": tags / min(walls[name][1:]) / 1e6,
            "median": tags / statistics.median(walls[name][1:]) / 1e6,
            "processor": tags / min(processors[name][1:]) / 1e6,
        }
        for name in rows
    }


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tags", type=int, default=20_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--folder", type=Path, help="on the disk to measure; default the temporary folder")
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    reads, midpoint_reads = stream(options.tags), midpoint_stream(options.tags)
    decoder = Tdc1Decoder(prompt=True)
    blocks = [decoder.feed(read) for read in reads]
    whole = TagBlock.concat(blocks)

    def decode() -> None:
        once = Tdc1Decoder(prompt=True)
        for read in reads:
            once.feed(read)

    def deciding(*, to_the_spool: bool) -> None:
        with backend("numba"):
            midpoint(folder, midpoint_reads, whole=to_the_spool)

    with tempfile.TemporaryDirectory(dir=options.folder) as name, backend("numpy"):
        folder = Path(name)
        rows: dict[str, Callable[[], Any]] = {
            "node": lambda: node(folder, reads, whole=True),
            "decode + tape": lambda: node(folder, reads, whole=False),
            "decode": decode,
            "tape": lambda: node(folder, blocks, whole=False),
            "midpoint": lambda: deciding(to_the_spool=True),
            "decode + decide": lambda: deciding(to_the_spool=False),
            "pyarrow": lambda: plain(folder, whole),
        }
        found: dict[str, Any] = measure(rows, options.rounds, len(whole))
    for row in found.values():
        row["to_pyarrow"] = row["median"] / found["pyarrow"]["median"]
    if options.json:
        print(json.dumps({"tags": len(whole), "rows": found}))
        return
    print(f"{len(whole):,} tags, M tags/s; required 20")
    for label, row in found.items():
        print(
            f"{label:<15} best {row['best']:7.1f}  median {row['median']:7.1f}  {row['to_pyarrow']:5.2f} x pyarrow"
            f"  by processor time {row['processor']:7.1f}"
        )


if __name__ == "__main__":
    main()
