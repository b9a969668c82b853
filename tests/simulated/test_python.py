"""The Python front on a simulated lab that is up: one lab for all of it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _faultruns import dark

from qnode import Lab
from qnode.client import Pairs, Progress
from qnode.errors import MisuseError
from qnode.runs import read_columns

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "python.md"
PLENTY = 100_000
"""More pairs than any test waits for."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, lab_copy: Any) -> Iterator[Any]:
    copy = lab_copy(tmp_path_factory.mktemp("python"))
    try:
        copy.start_all("max", "--seed", "5")
        yield copy
    finally:
        copy.stop_all()


@pytest.fixture
def front(running: Any) -> Iterator[Lab]:
    with Lab.connect(running.path, running.data) as connected:
        yield connected


@pytest.fixture(scope="module")
def pairs(running: Any) -> Pairs:
    with Lab.connect(running.path, running.data) as front:
        return front.link("alice", "bob").entangle(pairs=90, bases="XYZ")


def document(lab: Any, run_id: str, name: str) -> Any:
    return json.loads((lab.data / "runs" / run_id / name).read_text())


def test_a_parameter_is_the_instruments_own(front):
    amplitude = front.node("bob").awg.ch1_amp
    before = amplitude()
    amplitude(1.25)
    # The long way, behind the same socket.
    assert front.node("bob").awg.ch1.amp() == 1.25
    with pytest.raises(MisuseError, match=r"^bob\.awg\.ch1_amp can't be 9: .* - it allows Numbers 0\.02<=v<=4\.5$"):
        amplitude(9)
    assert amplitude() == 1.25
    amplitude(before)


def test_connecting_and_leaving_change_nothing(running):
    with Lab.connect(running.path, running.data) as front:
        front.node("bob").awg.ch3_offset(0.125)
    with Lab.connect(running.path, running.data) as front:
        assert front.node("bob").awg.ch3_offset() == 0.125
        front.node("bob").awg.ch3_offset(0.0)
        assert {status["state"] for status in front.status().values()} == {"ready"}


def test_every_site_tells_of_its_instruments(front):
    assert front.midpoint("midpoint").pulser.clock() == "EXT_10MHZ"
    assert front.midpoint("midpoint").tagger.input1_threshold.unit == "V"
    snapshot = front.snapshot(update=True)
    assert set(snapshot["sites"]) == {"alice", "bob", "midpoint"}
    models = {
        name: entry["parameters"]["IDN"]["value"]["model"]
        for name, entry in snapshot["sites"]["alice"]["instruments"].items()
        if name != "tagger"
    }
    assert models == {
        "pulser": "Pulse Streamer 8/2",
        "awg": "AWG5014C",
        "lasers": "DLC pro",
        "repump": "06-01",
        "microwave": "SGS100A",
    }
    assert json.dumps(snapshot)


def test_pairs_come_with_all_that_a_physicist_asks(running, pairs):
    assert len(pairs) >= 90
    assert (pairs.ended, pairs.link, pairs.nodes) == ("done", "alice-bob", ("alice", "bob"))
    assert pairs.fidelity is not None
    assert 0.2 < pairs.fidelity.value < 1.0
    assert 0 < pairs.fidelity.error < 0.3
    assert set(pairs.correlators) <= {"psi+", "psi-"}
    assert pairs.rate_hz == pytest.approx(len(pairs) / pairs.seconds)
    sums = [entry["slots"] for entry in pairs.accounting.values()]
    assert len(sums) == 3
    assert sums[0] == sums[1] == sums[2]
    assert sums[0]["heralded"] == len(pairs)


def test_each_pair_is_in_its_plan_its_round_and_its_basis(pairs):
    plans = {plan.plan_id: plan for plan in pairs.plans}
    arrays = pairs.to_arrays()
    assert np.all(np.diff(arrays["round"]) > 0)
    for pair in pairs:
        plan = plans[pair.plan_id]
        in_plan = pair.round - plan.first_round
        assert 0 <= in_plan < plan.rounds
        # The click is inside its round, the attempt that it names began before it: 100 us of charge slot, 5.5 us each.
        in_round_ps = pair.click_ps - in_plan * pairs.round_period_ps
        assert 0 <= in_round_ps - (100_000_000 + pair.attempt * 5_500_000) < 5_500_000
        assert pair.bases == ("XYZ"[in_plan % 3],) * 2


def test_a_run_is_kept_whole(running, pairs):
    run, result = document(running, pairs.run_id, "run.json"), document(running, pairs.run_id, "result.json")
    assert (run["state"], run["experiment"], run["bases"]) == ("done", "entangle", "XYZ")
    assert (result["heralds"], result["heralds_sha256"]) == (len(pairs), pairs.sha256())
    assert result["fidelity"] == pytest.approx(pairs.fidelity.value)
    # What a run of the command leaves: pairs with their place in the window, prediction, drawing, page with arrivals.
    folder = running.data / "runs" / pairs.run_id
    columns = read_columns(folder / "pairs.parquet")
    assert columns["click_ps"].tolist() == pairs.to_arrays()["click_ps"].tolist()
    assert ((columns["offset_ps"] >= 0) & (columns["offset_ps"] < 25_000)).all()
    assert document(running, pairs.run_id, "predict.json")["fidelity"] == pytest.approx(0.6506, abs=1e-4)
    assert (folder / "round.svg").exists()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Arrival times around the detection window" in page
    assert pairs.sha256() in page
    assert run["world_seed"] is None, "the lab was up before the run"
    station = document(running, pairs.run_id, "station.json")
    assert station["sites"]["alice"]["instruments"]["awg"]["parameters"]["ch1_amp"]["value"] > 0
    shown = running.qnode("show", pairs.run_id, "--data", str(running.data))
    assert shown.returncode == 0, shown.stderr


def test_a_run_of_the_command_keeps_the_station_too(running):
    done = running.run("--heralds", "5")
    assert done["exit"] == 0, done["stderr"]
    assert set(document(running, done["run"], "station.json")["sites"]) == {"alice", "bob", "midpoint"}


def test_bases_may_differ_by_node(front):
    some = front.link("alice", "bob").entangle(pairs=10, bases={"alice": "ZX", "bob": "Y"})
    assert {pair.bases for pair in some} == {("Z", "Y"), ("X", "Y")}
    assert some.fidelity is None


def snippets(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_snippets_of_the_how_to_run_in_their_order(running, monkeypatch, capsys):
    folder = running.folder / "reader"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "two_nodes.yaml").write_bytes(running.path.read_bytes())
    (folder / "qnode-data").symlink_to(running.data)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "reader"}
    blocks = snippets(HOW_TO)
    assert len(blocks) >= 7
    for block in blocks:
        exec(compile(block, str(HOW_TO), "exec"), names)
    assert "alice ready" in capsys.readouterr().out
    assert (folder / "pairs.png").read_bytes().startswith(b"\x89PNG")
    assert np.load(folder / "pairs.npz")["outcomes"].shape[1] == 2
    assert len(names["pairs"]) >= 20


class Interrupted:
    """A call that is interrupted by Ctrl-C once its plan plays, with something done in between."""

    def __init__(self, front: Lab, meanwhile: Callable[[], None]) -> None:
        playing, main = threading.Event(), threading.get_ident()
        self.failure: BaseException | None = None

        def tell(progress: Progress) -> None:
            if progress.rounds > 0:
                playing.set()

        def press() -> None:
            try:
                assert playing.wait(60)
                meanwhile()
            except BaseException as error:
                self.failure = error
            finally:
                signal.pthread_kill(main, signal.SIGINT)

        pressing = threading.Thread(target=press)
        pressing.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                front.link("alice", "bob").entangle(PLENTY, progress=tell)
        finally:
            pressing.join(60)
        if self.failure is not None:
            raise self.failure


def test_while_a_plan_plays_nothing_is_set_and_ctrl_c_ends_it_dark(running, front):
    amplitude = front.node("alice").awg.ch1_amp
    before = amplitude()

    def meanwhile() -> None:
        with pytest.raises(MisuseError, match=r"alice\.awg\.ch1_amp can't be set while plan [0-9a-f]+ is under way"):
            amplitude(1.0)
        with pytest.raises(MisuseError, match="midpoint is busy with plan"):
            front.link("alice", "bob").entangle(1)
        assert amplitude() == before

    Interrupted(front, meanwhile)
    # The other side: the daemons are at rest, and the world sees no light at any fibre.
    assert {site: status["plan"] for site, status in front.status().items()} == {
        "alice": None,
        "bob": None,
        "midpoint": None,
    }
    assert dark(running.ask_simulators({"op": "photons"}))
    interrupted = [
        run
        for path in (running.data / "runs").glob("*/run.json")
        if (run := json.loads(path.read_text()))["state"] == "interrupted"
    ]
    assert [run["experiment"] for run in interrupted] == ["entangle"]
    # And the lab is ready for the next one.
    assert len(front.link("alice", "bob").entangle(5)) >= 5


def test_it_works_in_a_running_loop_while_other_threads_ask(front):
    amplitudes: list[float] = []
    amplitude = front.node("bob").awg.ch2_amp
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            amplitudes.append(amplitude())

    asking = threading.Thread(target=ask)
    asking.start()

    async def cell() -> Pairs:
        return front.link("alice", "bob").entangle(5)

    try:
        assert len(asyncio.run(cell())) >= 5
    finally:
        done.set()
        asking.join(20)
    assert len(amplitudes) > 5


def test_a_lab_that_is_down_says_how_to_start_it(tmp_path: Path, lab_copy: Any):
    copy = lab_copy(tmp_path)
    done = copy.qnode("keys", "init", str(copy.path), "--data", str(copy.data))
    assert done.returncode == 0, done.stderr
    with pytest.raises(Exception, match=rf"^{copy.path} is not up - start it with `qnode up {copy.path}"):
        Lab.connect(copy.path, copy.data)
