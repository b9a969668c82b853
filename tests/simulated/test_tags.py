"""A run leaves all tags of its plans on disk, and shows its taggers live on the tap."""

import asyncio

import numpy as np

from qnode.bus import TapSubscriber
from qnode.client import LabConnection
from qnode.daemons._party import endpoint_of, lab_keyring
from qnode.labfile import load_lab
from qnode.tags import read_tags


def test_tags_of_a_run_are_archived_at_every_site_and_agree_with_the_ledger(lab):
    result = lab.run("--heralds", "200", "--speed", "max")
    assert result["exit"] == 0, result["stderr"]
    folder = lab.data / "runs" / result["run"]
    for node in ("alice", "bob"):
        (file,) = (folder / node).iterdir()
        assert file.suffix == ".parquet"
        block = read_tags(file)
        assert np.count_nonzero(block.channel == 2) == result["rounds"]  # a round sync each
        assert np.count_nonzero(block.channel == 3) >= result["heralds"]  # a herald line each
        assert not len(block.gaps)
    (file,) = (folder / "midpoint").iterdir()
    block = read_tags(file)
    assert np.count_nonzero(block.channel == 3) == result["rounds"]
    assert np.count_nonzero(block.channel == 4) >= result["heralds"]


async def topics_of(lab, site, wanted):
    """Listen to a site's tap until each of the topics has come; payload of each."""
    model = load_lab(lab.path)
    keyring = lab_keyring(model, lab.data)
    found = {}
    async with TapSubscriber(endpoint_of(model, site, "tap"), site, "operator", keyring) as tap:
        async with asyncio.timeout(60):
            async for message in tap:
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
            clicks, rates = await asyncio.gather(
                topics_of(lab, "midpoint", {"clicks.rates", "clicks.arrival", "clicks.correlation"}),
                topics_of(lab, "alice", {"tags.rates"}),
            )
            return clicks, rates, await run

    clicks, rates, result = asyncio.run(watch())
    assert result["exit"] == 0, result["stderr"]
    assert set(rates["tags.rates"]["rates_hz"]) == {"1", "2", "3", "4"}
    # A round has 1.495 ms: 669 syncs a second.
    assert abs(clicks["clicks.rates"]["rates_hz"]["3"] - 1 / 1.495e-3) < 5
    assert sum(clicks["clicks.arrival"]["counts"]) > 0
