"""Full disks and killed daemons: the run goes on, tags that are missing are known to be, what was written is read.

A disk is full here for one process: its files can't grow beyond a limit, which is set and taken away while it runs.
Any user may do that, and the writes really fail. For tapes the limit lies above what journals need.
"""

import asyncio
import resource

import numpy as np
import pytest
from _bench import run_in_hand
from _faultruns import (
    BackgroundRun,
    await_condition,
    dark,
    own_records,
    require_equal_sums,
    require_heralds_once,
)

from qnode.bus import Keyring, TapSubscriber
from qnode.client import LabConnection
from qnode.heralds import Column, Rows
from qnode.labfile import load_lab
from qnode.tags import read_tags

TAPE_BYTES = 300_000
"""A node's tape is at this size after some 1300 rounds, its journals after some 20 000."""
SYNC, LINE, MIDPOINT_SYNC = 2, 3, 3
ROUND_PS = 1_495_000_000


def limit_files(pid, limit_bytes):
    """From now on the files of a process can't grow beyond this; None: they can."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if limit_bytes is None else limit_bytes, hard))


def alarms(lab, site, event="alarm"):
    return [entry for entry in lab.log() if entry["site"] == site and entry["event"] == event]


def tape_of(lab, run, site):
    (file,) = (lab.data / "runs" / run / site).glob("tags-*")
    return file


def require_syncs(block, rounds, channel=SYNC):
    """The sync of each round is on the tape, or where it would be is marked as missing; gives how many are there."""
    syncs = block.t_ps[block.channel == channel]
    expected = syncs[0] + np.arange(rounds) * ROUND_PS
    found = np.searchsorted(syncs, expected - 20_000) < np.searchsorted(syncs, expected + 20_000)
    marked = np.zeros(rounds, bool)
    for start, stop in block.gaps.tolist():
        marked |= (expected >= start) & (expected < stop)
    assert np.array_equal(marked, ~found)
    return int(found.sum())


async def first_alarm(lab, site):
    """What a listener on the tap of a site hears."""
    model = load_lab(lab.path)
    endpoint = f"tcp://{model.sites[site].bus.address}:{model.sites[site].bus.tap_port}"
    async with TapSubscriber(endpoint, site, "operator", Keyring.for_lab(lab.data, [endpoint])) as tap:
        async with asyncio.timeout(120):
            async for message in tap:
                if message.topic == "alarm":
                    return message.payload
    raise AssertionError("the tap has ended")


def test_a_full_disk_under_a_tape_costs_tags_and_no_herald(lab):
    lab.start_all()
    with run_in_hand(lab, 200) as run:
        limit_files(lab.processes["alice"].pid, TAPE_BYTES)
        result = run.finish()
    assert result["exit"] == 0, result["stderr"]
    require_heralds_once(lab, result["run"], require_equal_sums(result))
    lost = result["tags"]["alice"]["lost"]
    assert lost > 0
    assert result["tags"]["bob"]["lost"] == result["tags"]["midpoint"]["lost"] == 0
    (line,) = [line for line in result["stderr"].splitlines() if "missing" in line]
    assert line.startswith(f"qnode: alice: {lost:,} time tags are missing, since 20")
    assert {(alarm["level"], "/alice/tags-" in alarm["what"]) for alarm in alarms(lab, "alice")} == {("error", True)}
    assert alarms(lab, "alice", "tags lost")[0]["lost"] == lost
    block = read_tags(tape_of(lab, result["run"], "alice"))
    assert 0 < require_syncs(block, result["rounds"]) < result["rounds"]
    assert require_syncs(read_tags(tape_of(lab, result["run"], "bob")), result["rounds"]) == result["rounds"]


def test_when_there_is_room_again_recording_goes_on(lab):
    """What waits in memory meanwhile is not lost."""
    lab.start_all()
    with run_in_hand(lab, 200) as run:
        alice = lab.processes["alice"].pid
        limit_files(alice, TAPE_BYTES)
        run.run_to_round(2_000)
        await_condition(lambda: alarms(lab, "alice"), "an alarm")
        limit_files(alice, None)
        await_condition(lambda: alarms(lab, "alice", "alarm over"), "its end")
        result = run.finish()
    assert result["exit"] == 0, result["stderr"]
    assert result["tags"]["alice"]["lost"] == 0
    assert "missing" not in result["stderr"]
    block = read_tags(tape_of(lab, result["run"], "alice"))
    assert require_syncs(block, result["rounds"]) == result["rounds"]


def test_tapes_leave_the_reserve_to_journals_and_results(lab):
    def keep_it_all(tree):
        tree.setdefault("data", {})["reserve_mib"] = 1 << 40

    lab.edit(keep_it_all)
    lab.start_all()

    async def run_and_watch():
        async with LabConnection(lab.path, lab.data) as connection:
            await connection.await_ready()
            run = asyncio.create_task(asyncio.to_thread(lab.run, "--heralds", "30"))
            return await first_alarm(lab, "alice"), await run

    seen, result = asyncio.run(run_and_watch())
    assert "MiB are kept for journals and results" in seen["what"]
    assert result["exit"] == 0, result["stderr"]
    require_equal_sums(result)
    for site in ("alice", "bob", "midpoint"):
        assert result["tags"][site]["written"] == 0
        assert result["tags"][site]["lost"] > result["rounds"]
        assert f"{site}: {result['tags'][site]['lost']:,} time tags are missing, since 20" in result["stderr"]
        assert any("MiB are kept for journals and results" in alarm["what"] for alarm in alarms(lab, site))


def test_a_journal_that_can_not_be_written_leaves_no_light_on(lab):
    lab.start_all()
    with BackgroundRun(lab, "--heralds", "100000") as run:
        run.await_middle()
        limit_files(lab.processes["midpoint"].pid, 0)
        # 120 is Python's own: what is printed goes to a file, too, and may find no room.
        assert lab.processes["midpoint"].wait(90) in (1, 120)
        await_condition(lambda: dark(lab.ask_simulators({"op": "photons"})), "both nodes are dark")
        assert "Traceback" not in lab.output("midpoint")


@pytest.mark.parametrize("site", ["midpoint", pytest.param("bob", marks=pytest.mark.long)])
def test_a_run_on_a_full_disk_ends_with_one_clear_line(lab, site):
    with BackgroundRun(lab, "--heralds", "100000", "--speed", "max") as run:
        run.await_middle()
        limit_files(run.child(site).pid, 0)
        result = run.result()
    assert result["exit"] == 1
    last = result["stderr"].splitlines()[-1]
    # Which of its journals comes first decides whether it can still say so itself.
    assert last.startswith("qnode: the run ended early: ")
    assert f"/streams/{site}." in last
    assert "journal: record " in last
    assert "could not be written: no room left - free space on that disk" in last
    assert "Traceback" not in result["stderr"]
    require_heralds_once(lab, result["run"], require_equal_sums(result))


def test_a_result_that_can_not_be_written_is_still_told(lab):
    lab.start_all()
    with run_in_hand(lab, 100) as run:
        limit_files(run.process.pid, 0)
        result = run.finish()
    assert result["exit"] == 1
    assert result["ended"] == "done"
    assert result["heralds"] >= 100
    last = result["stderr"].splitlines()[-1]
    assert last.startswith("qnode: ")
    assert last.endswith("/result.json could not be written: no room left - free space on that disk")


def test_kill_9_costs_the_last_second_of_tags_and_the_rest_is_archived_at_the_restart(lab):
    with BackgroundRun(lab, "--heralds", "100000", "--speed", "1") as run:
        plan = run.await_middle(60_000)
        run.child("alice").kill()
        result = run.result()
    assert result["exit"] == 1
    assert "alice: the time tags of 1 plan(s) end where its daemon ended" in result["stderr"]
    folder = lab.data / "runs" / result["run"] / "alice"
    assert sorted(path.name.partition("-")[0] for path in folder.iterdir()) == ["calibration", "tags"]
    block = read_tags(folder / f"tags-{plan}.parquet")
    ((start, stop),) = block.gaps.tolist()
    assert start == block.t_ps[-1] + 1
    assert stop > start
    # Rounds that were played and not decided any more are known to be missing at the midpoint.
    decided = require_syncs(read_tags(tape_of(lab, result["run"], "midpoint")), result["rounds"], MIDPOINT_SYNC)
    assert 0 < decided <= result["rounds"]

    mine = list(own_records(lab, "alice"))
    columns = [m for m in mine if isinstance(m, Column) and m.plan_id == plan]
    recorded = sum(len(m.mask) for m in columns)
    syncs = block.t_ps[block.channel == SYNC]
    # Lab time is wall time here: what is missing is less than a second of rounds.
    second = 1e12 / ROUND_PS
    assert recorded > second
    assert len(syncs) > recorded - second
    # Each herald's line that is not within that second is on the tape, in its round.
    lines = np.searchsorted(syncs, block.t_ps[block.channel == LINE], side="right") - 1
    heralded = [row.round for m in mine if isinstance(m, Rows) and m.plan_id == plan for row in m.rows]
    expected = [round_ for round_ in heralded if round_ < len(syncs) - 1]
    assert expected
    assert set(expected) <= set(lines.tolist())
