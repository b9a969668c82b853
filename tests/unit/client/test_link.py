"""Pairs on demand: what is asked for, what is kept, how it ends. The playing itself is in test_playing.py."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qnode.client import Link, Pairs, PlanEndedError, PlayOptions, Progress, _link
from qnode.client._front import Front
from qnode.errors import InstrumentError, MisuseError, NetworkError
from qnode.labfile import load_lab

TWO_NODES = Path(__file__).parents[3] / "config" / "two_nodes.yaml"
READ = {"bright_ok": 95, "bright_shots": 100, "dark_ok": 99, "dark_shots": 100}
SO_FAR = Progress("heralding", 10, 1, 2, 0.1, 0.2, 10.0, None, None, 3.0)


class FakeConnection:
    """Stands in for `LabConnection`: a lab that is up."""

    def __init__(self, folder: Path) -> None:
        self.lab_path = TWO_NODES
        self.lab = load_lab(TWO_NODES)
        self.data_folder = folder

    async def require_same_lab(self) -> None:
        """It is."""

    async def await_ready(self) -> None:
        """It is."""

    async def snapshot(self, *, update: bool) -> Any:
        return {"sites": {"alice": {"instruments": {}, "update": update}}}

    async def __aexit__(self, *error: object) -> None:
        """Nothing to close."""


class Playing:
    """Stands in for `play_pairs`."""

    def __init__(self) -> None:
        self.options: PlayOptions | None = None
        self.ended = "done"
        self.error: Exception | None = None
        self.holds = False
        self.begun = threading.Event()
        self.aborted = threading.Event()

    async def __call__(self, connection: Any, entry: Any, options: PlayOptions, run_id: str, tell: Any) -> Pairs:
        self.options = options
        self.begun.set()
        tell(SO_FAR)
        if self.error is not None:
            raise self.error
        if self.holds:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.05)
                self.aborted.set()
        pairs = Pairs(run_id, entry)
        pairs.readout, pairs.rounds, pairs.ended = {"alice": READ, "bob": READ}, 100, self.ended
        return pairs


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> Playing:
    made = Playing()
    monkeypatch.setattr(_link, "play_pairs", made)
    return made


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    connection = FakeConnection(tmp_path)
    front = Front(connection)  # type: ignore[arg-type]
    yield Link(front, connection.lab.links[0])
    front.close()


def kept(folder: Path) -> dict[str, Any]:
    """The documents of the only run."""
    (run,) = (folder / "runs").iterdir()
    return {path.stem: json.loads(path.read_text()) for path in run.glob("*.json")}


def test_what_is_asked_for_is_played(playing, link):
    pairs = link.entangle(pairs=7, bases={"alice": "XZ", "bob": "Y"}, echo=False, credit_rounds=9)
    assert playing.options == PlayOptions(7, {"alice": "XZ", "bob": "Y"}, 9, False)
    assert (pairs.link, pairs.nodes, pairs.rounds) == ("alice-bob", ("alice", "bob"), 100)
    link.entangle(3)
    assert playing.options == PlayOptions(3, "XYZ", 1024, True)


def test_a_run_is_kept_with_what_was_asked_what_the_lab_was_and_what_came(playing, link, tmp_path):
    pairs = link.entangle(7, {"alice": "XZ", "bob": "Y"})
    documents = kept(tmp_path)
    run = documents["run"]
    assert pairs.run_id == run["run"]
    assert run["run"].split("-")[2] == "entangle"
    assert {name: run[name] for name in ("state", "experiment", "link", "heralds_wanted", "bases", "echo")} == {
        "state": "done",
        "experiment": "entangle",
        "link": "alice-bob",
        "heralds_wanted": 7,
        "bases": {"alice": "XZ", "bob": "Y"},
        "echo": True,
    }
    assert "alice.awg" in run["simulated"]
    assert documents["station"] == {"sites": {"alice": {"instruments": {}, "update": True}}}
    assert documents["result"]["run"] == run["run"]
    assert documents["result"]["rounds"] == 100
    assert (tmp_path / "runs" / run["run"] / "lab.yaml").read_bytes() == TWO_NODES.read_bytes()


def test_a_run_that_ends_early_is_an_error_that_has_what_came(playing, link, tmp_path):
    playing.ended = "bob: no light"
    with pytest.raises(PlanEndedError) as caught:
        link.entangle(7)
    assert str(caught.value) == 'alice-bob: bob: no light - 0 pairs came until then: error.context["pairs"]'
    assert isinstance(caught.value.context["pairs"], Pairs)
    assert (kept(tmp_path)["run"]["state"], kept(tmp_path)["run"]["error"]) == ("failed", "bob: no light")
    assert kept(tmp_path)["result"]["ended"] == "bob: no light"


def test_what_is_refused_is_kept_as_failed(playing, link, tmp_path):
    playing.error = MisuseError("midpoint is busy", hint="wait")
    with pytest.raises(MisuseError, match="midpoint is busy - wait"):
        link.entangle(7)
    assert kept(tmp_path)["run"]["error"] == "midpoint is busy - wait"


@pytest.mark.parametrize("arguments", [{"pairs": 0}, {"pairs": 5, "bases": {"alice": "X"}}])
def test_nonsense_is_refused_before_anything_is_kept(playing, link, tmp_path, arguments):
    with pytest.raises(MisuseError, match=r"0 pairs - ask for 1 or more|bases for alice on link alice-bob"):
        link.entangle(**arguments)
    assert (playing.options, list(tmp_path.iterdir())) == (None, [])


def test_progress_is_told_to_whoever_asks(playing, link, capfd):
    told: list[Progress] = []
    link.entangle(2, progress=told.append)
    assert told == [SO_FAR]
    link.entangle(2)
    assert capfd.readouterr() == ("", "")
    link.entangle(2, progress=True)
    line = "10 rounds  1/2 heralds  10.0 Hz  3 s left"
    assert capfd.readouterr() == ("", f"\r{line}{' ' * (78 - len(line))}\n")


def test_progress_is_told_in_the_thread_that_waits_and_may_end_it(playing, link, tmp_path):
    playing.holds = True
    threads: list[int] = []

    def enough(progress: Progress) -> None:
        threads.append(threading.get_ident())
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        link.entangle(7, progress=enough)
    assert threads == [threading.get_ident()]
    assert playing.aborted.is_set()
    assert kept(tmp_path)["run"]["state"] == "interrupted"


def test_a_call_that_takes_too_long_is_aborted(playing, link, tmp_path):
    playing.holds = True
    with pytest.raises(NetworkError, match=r"not done within 1 s"):
        link.entangle(7, timeout_s=1.0)
    assert playing.aborted.is_set()
    assert kept(tmp_path)["run"]["state"] == "interrupted"


def test_a_failing_instrument_on_the_way_is_kept_as_failed(playing, link, tmp_path):
    playing.error = InstrumentError("the tagger is unplugged")
    with pytest.raises(InstrumentError, match="unplugged"):
        link.entangle(7)
    assert kept(tmp_path)["run"]["state"] == "failed"
