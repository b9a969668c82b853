"""A run leaves all tags of its plans on disk, and shows its taggers live on the tap."""

import asyncio
import json

import numpy as np
import pyarrow.parquet
import pytest

from qnode.bus import TapSubscriber
from qnode.client import LabConnection
from qnode.daemons._endpoints import endpoint_of, lab_keyring
from qnode.heralds import Herald, Rows, decode_message
from qnode.labfile import load_lab
from qnode.runs import Journal
from qnode.tags import read_tags

PHOTONS, SYNC, LINE, PPS = 1, 2, 3, 4
"""Inputs of a node's tagger."""
DETECTORS, MIDPOINT_SYNC, MIDPOINT_LINE = (1, 2), 3, 4
ROUND_PS = 1_495_000_000


def records(lab, site, kind):
    with Journal(lab.data / "streams" / f"{site}.journal", readonly=True) as journal:
        return [message for record in journal if isinstance(message := decode_message(record.payload), kind)]


@pytest.fixture
def done(lab):
    """A run of 200 heralds, and its folder."""
    result = lab.run("--heralds", "200", "--speed", "max")
    assert result["exit"] == 0, result["stderr"]
    return result, lab.data / "runs" / result["run"]


def midpoint_adds_up(lab, folder, result):
    """Every detection that the ledger counts is on the tape, and nothing fired that it does not count."""
    (file,) = (folder / "midpoint").iterdir()
    block = read_tags(file)
    assert not len(block.gaps)
    assert np.count_nonzero(block.channel == MIDPOINT_SYNC) == result["rounds"]
    sums = result["accounting"]["midpoint"]
    assert np.count_nonzero(block.channel == MIDPOINT_LINE) == sums["heralded"] + sums["vetoed"]
    lines = block.t_ps[block.channel == MIDPOINT_LINE]
    heralds = records(lab, "midpoint", Herald)
    assert len(heralds) == sums["heralded"]
    for herald in heralds:
        (line,) = lines[lines // ROUND_PS == herald.round]
        detector = {1: 1, 2: 2}[herald.pattern]
        clicks = block.t_ps[block.channel == detector]
        # The logic answers a click within a microsecond.
        assert np.count_nonzero((clicks > line - 1_000_000) & (clicks < line)) >= 1, herald


def node_adds_up(lab, folder, node, result):
    """A sync a round, a line a herald, and after each line the photons that the readout counted."""
    (file,) = (folder / node).glob("tags-*")
    block = read_tags(file)
    assert not len(block.gaps)
    syncs = block.t_ps[block.channel == SYNC]
    assert len(syncs) == result["rounds"]
    lines = block.t_ps[block.channel == LINE]
    rows = [row for message in records(lab, node, Rows) for row in message.rows]
    assert len(rows) == len(lines) == result["accounting"][node]["heralded"] + result["accounting"][node]["vetoed"]
    photons = block.t_ps[block.channel == PHOTONS]
    counted = 0
    for row, line in zip(rows, lines.tolist(), strict=True):
        assert syncs[row.round] < line < syncs[row.round] + ROUND_PS
        in_round = np.searchsorted(photons, syncs[row.round] + ROUND_PS) - np.searchsorted(photons, line)
        assert in_round >= row.readout_counts
        counted += row.readout_counts
    assert counted > 0

    (file,) = (folder / node).glob("calibration-*")
    block = read_tags(file)
    assert np.count_nonzero(block.channel == SYNC) == 100
    shots = result["readout"][node]
    assert np.count_nonzero(block.channel == PHOTONS) > 100 * shots["bright"]["value"]


def test_tags_of_a_run_add_up_to_its_ledger(lab, done):
    result, folder = done
    midpoint_adds_up(lab, folder, result)
    for node in ("alice", "bob"):
        node_adds_up(lab, folder, node, result)
    for site, tags in result["tags"].items():
        files = list((folder / site).iterdir())
        assert {file.suffix for file in files} == {".parquet"}
        assert tags["written"] == sum(pyarrow.parquet.read_metadata(file).num_rows for file in files)
        assert (tags["lost"], tags["cut"]) == (0, 0)
    # What a person types first.
    files = sorted(str(file) for site in result["tags"] for file in (folder / site).iterdir())
    assert len(files) == 5
    told = lab.qnode("tags", "info", "--json", *files)
    assert told.returncode == 0, told.stderr
    assert sum(each["tags"] for each in json.loads(told.stdout)["files"]) == sum(
        tags["written"] for tags in result["tags"].values()
    )


async def topics_of(lab, site, wanted):
    """Listen to a site's tap until each of the topics has come with something in it; payload of each."""
    model = load_lab(lab.path)
    keyring = lab_keyring(model, lab.data)
    found = {}
    async with TapSubscriber(endpoint_of(model, site, "tap"), site, "operator", keyring) as tap:
        async with asyncio.timeout(120):
            async for message in tap:
                # The two detectors of a link that heralds on one click hardly ever fire together.
                if message.topic == "clicks.correlation" or any(message.payload.get("counts", [1])):
                    found[message.topic] = message.payload
                if wanted <= set(found):
                    return found
    raise AssertionError(found)


def test_running_taggers_are_seen_on_the_tap(lab):
    lab.start_all()

    async def watch():
        async with LabConnection(lab.path, lab.data) as connection:
            await connection.await_ready()
            run = asyncio.create_task(asyncio.to_thread(lab.run, "--heralds", "3000"))
            clicks, tags = await asyncio.gather(
                topics_of(lab, "midpoint", {"clicks.rates", "clicks.arrival", "clicks.correlation"}),
                topics_of(lab, "alice", {"tags.rates", "tags.arrival", "tags.correlation"}),
            )
            return clicks, tags, await run

    clicks, tags, result = asyncio.run(watch())
    assert result["exit"] == 0, result["stderr"]
    assert set(tags["tags.rates"]["rates_hz"]) == {"1", "2", "3", "4"}
    # A round has 1.495 ms: 669 syncs a second.
    assert abs(clicks["clicks.rates"]["rates_hz"]["3"] - 1 / 1.495e-3) < 5
    assert sum(clicks["clicks.arrival"]["counts"]) > 0
    # Photons come in a round's charge slot and after its herald line, and not evenly.
    for view in (tags["tags.arrival"], tags["tags.correlation"]):
        assert max(view["counts"]) > 3 * sum(view["counts"]) / len(view["counts"])
