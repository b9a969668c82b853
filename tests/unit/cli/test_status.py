"""``qnode status``: its document where nobody answers, its tables, and the page that describes them."""

import asyncio
import io
import json
import os
import re
import socket
from pathlib import Path

import pytest
from rich.console import Console

from qnode.cli._states import sites_table
from qnode.cli._status import status, status_view
from qnode.daemons import Ownership

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
READY = {"role": "awg", "state": "ready", "detail": "", "last_answer_s": 0.26, "identity": "maker box 7"}
GONE = {**READY, "state": "disconnected", "detail": "no answer for 3 s", "last_answer_s": 12.0}
SITE = {
    "site": "alice",
    "state": "ready",
    "pid": 11,
    "guard_pid": 12,
    "host": "rack7",
    "lab_time_tai_ms": 1_000_250,
    "plan": None,
    "owner": {"role": "daemon", "pid": 11, "host": "rack7"},
    "instruments": {"awg": READY, "pulser": GONE},
}
DOCUMENT = {
    "lab": "two_nodes",
    "ready": False,
    "supervisor": {"role": "supervisor", "pid": 9, "host": "rack7"},
    "simulators": None,
    "sites": {"alice": SITE},
}


@pytest.fixture
def down(lab, capsys):
    """The document of a lab of which nothing runs."""

    def document():
        assert status(lab.path, lab.data, True) == 1
        return json.loads(capsys.readouterr().out)

    return document


def test_of_a_lab_that_is_down_every_instrument_is_disconnected(down):
    document = down()
    assert (document["lab"], document["ready"], document["supervisor"]) == ("two_nodes", False, None)
    assert document["simulators"]["state"] == "down"
    assert {site["state"] for site in document["sites"].values()} == {"down"}
    assert {name: set(site["instruments"]) for name, site in document["sites"].items()} == {
        "alice": {"pulser", "awg", "tagger", "lasers", "repump", "microwave"},
        "bob": {"pulser", "awg", "tagger", "lasers", "repump", "microwave"},
        "midpoint": {"pulser", "tagger", "snspd"},
    }
    assert {one["state"] for site in document["sites"].values() for one in site["instruments"].values()} == {
        "disconnected"
    }


def test_what_a_guard_is_at_work_on_is_locked_and_names_it(down, lab):
    lock = Ownership.of_site(lab.data, "bob", "guard")
    asyncio.run(lock.take("bob", 0.0))
    try:
        sites = down()["sites"]
    finally:
        lock.give_back()
    assert sites["bob"]["owner"] == {"role": "guard", "pid": os.getpid(), "host": socket.gethostname()}
    assert {one["state"] for one in sites["bob"]["instruments"].values()} == {"locked"}
    assert {one["state"] for one in sites["alice"]["instruments"].values()} == {"disconnected"}


def text_of(renderable):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def row(text, first):
    (line,) = [line for line in text.splitlines() if line.startswith(f"│ {first} ")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_tables_say_how_each_process_and_instrument_is():
    text = text_of(status_view(DOCUMENT, "Ctrl-C: the end"))
    assert row(text, "supervisor")[:3] == ["supervisor", "running", "9"]
    assert row(text, "alice") == ["alice", "ready", "11", "12", "1000.250", ""]
    assert row(text, "alice.awg") == ["alice.awg", "ready", "0.3 s ago", "daemon 11 on rack7", "maker box 7"]
    assert row(text, "alice.pulser")[1:] == ["disconnected", "12.0 s ago", "daemon 11 on rack7", "no answer for 3 s"]
    assert text.rstrip().endswith("Ctrl-C: the end")
    assert "simulators" not in text


def test_the_table_of_a_run_has_a_row_a_site():
    text = text_of(sites_table({"alice": SITE, "bob": None}))
    assert row(text, "alice") == ["alice", "ready", "ready: awg"]
    assert "disconnected: pulser" in text
    assert row(text, "bob")[1] == "does not answer"


def test_the_page_names_every_key_and_every_state(down):
    section = re.search(r"^## qnode status LAB$(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    named = set(re.findall(r"`(\w+)`", section))
    document = down()
    site = document["sites"]["alice"]
    assert {*document, *document["simulators"], *site, *site["instruments"]["awg"]} - {"site"} <= named
    assert {"disconnected", "connecting", "ready", "degraded", "locked"} <= named
