"""The front for people, against daemons that are plain servers of the bus."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import qnode
from qnode.bus import Handler, Keyring, LoopThread, Server
from qnode.client import Lab, _lab
from qnode.errors import MisuseError, NetworkError, QnodeError
from qnode.labfile import lab_hash, load_lab

SITES = ("alice", "bob", "midpoint")


def info(name: str, **more: Any) -> dict[str, Any]:
    usual = {"label": name, "unit": "", "doc": "", "gettable": True, "settable": True, "allowed": "anything"}
    return {"name": name, **usual, **more}


class FakeSites:
    """Servers of a lab in a loop of their own; a sync front in the test's thread talks to them."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.parsed = load_lab(lab.path)
        self.hashes = dict.fromkeys(SITES, lab_hash(self.parsed))
        self.values: dict[tuple[str, str], Any] = {("awg", "ch1_amp"): 1.5, ("awg", "ch1.offset"): 0.0}
        self.calls: list[tuple[str, str, Any]] = []
        self._loop = LoopThread("fake sites")
        self._servers: list[Server] = []

    def serve(self, *sites: str) -> None:
        self._loop.run(self._serve(sites), 10)

    async def _serve(self, sites: tuple[str, ...]) -> None:
        keyring = Keyring.for_lab(self.lab.data, [f"tcp://{self.lab.block}1:5700"])
        for site in sites:
            bus = self.parsed.sites[site].bus
            handlers = {
                name: self._noted(site, name, getattr(self, f"_{name}"))
                for name in ("status", "parameters", "get_parameter", "set_parameter", "snapshot")
            }
            server = Server(f"tcp://{bus.address}:{bus.command_port}", site, keyring, handlers)
            await server.start()
            self._servers.append(server)

    def _noted(self, site: str, name: str, answer: Callable[[str, Any], Any]) -> Handler:
        async def handler(params: Any) -> Any:
            self.calls.append((site, name, params))
            return answer(site, params)

        return handler

    def _status(self, site: str, params: Any) -> Any:
        return {"site": site, "state": "ready", "lab_sha256": self.hashes[site]}

    def _parameters(self, site: str, params: Any) -> Any:
        return [
            info("ch1_amp", label="Amplitude", unit="Vpp", doc="Of channel 1.", allowed="Numbers 0.02<=v<=4.5"),
            info("ch1.offset", unit="V", settable=False),
            info("ch1.m1.high", gettable=False),
            info("trip", gettable=False, settable=False),
        ]

    def _get_parameter(self, site: str, params: Any) -> Any:
        return self.values[params["instrument"], params["parameter"]]

    def _set_parameter(self, site: str, params: Any) -> None:
        if params["value"] == 9:
            raise MisuseError("too much", hint="less")
        self.values[params["instrument"], params["parameter"]] = params["value"]

    def _snapshot(self, site: str, params: Any) -> Any:
        return {"instruments": {"awg": {"of": site, **params}}}

    def close(self) -> None:
        async def all_closed() -> None:
            for server in self._servers:
                await server.close()

        self._loop.run(all_closed(), 10)
        self._loop.close()


@pytest.fixture
def sites(lab: Any) -> Iterator[FakeSites]:
    fake = FakeSites(lab)
    yield fake
    fake.close()


@pytest.fixture
def front(sites: FakeSites) -> Iterator[Lab]:
    sites.serve(*SITES)
    with Lab.connect(sites.lab.path, sites.lab.data) as connected:
        yield connected


def test_it_is_what_qnode_gives_first():
    assert qnode.Lab is Lab
    assert "Lab" in dir(qnode)
    with pytest.raises(AttributeError, match="module 'qnode' has no attribute 'Laboratory'"):
        qnode.Laboratory  # noqa: B018


def test_parameters_are_got_and_set_as_one_types_them(sites, front):
    awg = front.node("alice").awg
    assert awg.ch1_amp() == 1.5
    awg.ch1_amp(2.5)
    assert (awg.ch1_amp.get(), sites.values["awg", "ch1_amp"]) == (2.5, 2.5)
    awg.ch1_amp.set(np.float64(0.5))
    assert sites.values["awg", "ch1_amp"] == 0.5
    awg.ch1_amp(None)
    assert sites.values["awg", "ch1_amp"] is None, "None is a value"
    assert awg.ch1.offset() == 0.0
    assert ("alice", "get_parameter", {"instrument": "awg", "parameter": "ch1.offset"}) in sites.calls


def test_parameters_are_listed_once_and_when_one_is_needed(sites, front):
    awg = front.node("alice").instruments["awg"]
    assert (awg.name, awg.role, awg.simulated) == ("awg", "awg", True)
    assert [name for _, name, _ in sites.calls if name == "parameters"] == []
    assert sorted(awg.parameters) == ["ch1.m1.high", "ch1.offset", "ch1_amp", "trip"]
    awg.ch1_amp()
    awg.ch1.m1  # noqa: B018
    assert [name for _, name, _ in sites.calls if name == "parameters"] == ["parameters"]


def test_a_parameter_says_what_it_is(front):
    awg = front.node("alice").awg
    assert repr(awg.ch1_amp) == "<alice.awg.ch1_amp [Vpp]: Amplitude; get and set; allows Numbers 0.02<=v<=4.5>"
    assert awg.ch1_amp.__doc__ == f"{awg.ch1_amp!r}\n\nOf channel 1."
    assert (awg.ch1_amp.unit, awg.ch1_amp.label, awg.ch1_amp.full_name) == ("Vpp", "Amplitude", "alice.awg.ch1_amp")
    assert repr(awg.ch1.offset) == "<alice.awg.ch1.offset [V]: ch1.offset; get>"
    assert repr(awg.trip) == "<alice.awg.trip: trip; neither get nor set>"
    assert awg.ch1.offset.__doc__ == repr(awg.ch1.offset)


def test_names_complete_and_wrong_ones_list_what_is_there(front):
    alice = front.node("alice")
    assert {"awg", "pulser", "tagger", "snapshot", "status"} <= set(dir(alice))
    assert {"ch1_amp", "ch1", "trip"} <= set(dir(alice.awg))
    assert "ch1.offset" not in dir(alice.awg)
    assert {"offset", "m1"} <= set(dir(alice.awg.ch1))
    with pytest.raises(
        AttributeError,
        match=r"^alice has no instrument 'agw'; it has pulser, awg, tagger, lasers, repump, microwave$",
    ):
        alice.agw  # noqa: B018
    with pytest.raises(AttributeError, match=r"^alice\.awg has no parameter 'amp'; it has ch1, ch1_amp, trip$"):
        alice.awg.amp  # noqa: B018
    with pytest.raises(AttributeError, match=r"^alice\.awg\.ch1 has no parameter 'amp'; it has m1, offset$"):
        alice.awg.ch1.amp  # noqa: B018
    with pytest.raises(MisuseError, match=r"^lab two_nodes has no node 'midpoint' - it has alice, bob$"):
        front.node("midpoint")
    with pytest.raises(MisuseError, match=r"^lab two_nodes has no midpoint 'alice' - it has midpoint$"):
        front.midpoint("alice")


def test_notebooks_may_look_for_special_names_without_a_call(sites, front):
    before = len(sites.calls)
    for thing in (front.node("alice"), front.node("alice").awg):
        assert not hasattr(thing, "_repr_html_")
        assert not hasattr(thing, "_ipython_display_")
    assert len(sites.calls) == before


def test_links_are_found_by_their_nodes_in_any_order_and_by_name(front):
    assert front.link("alice", "bob") is front.link("bob", "alice") is front.link("alice-bob")
    assert repr(front.link("alice-bob")) == "<link alice-bob: single_click, via midpoint>"
    with pytest.raises(MisuseError, match=r"^lab two_nodes has no link 'alice-carol' - it has alice-bob$"):
        front.link("alice", "carol")


def test_reprs_of_the_rest(front):
    assert repr(front.node("alice")) == "<node alice: pulser, awg, tagger, lasers, repump, microwave>"
    assert repr(front.midpoint("midpoint")) == "<midpoint midpoint: pulser, tagger, snspd>"
    assert repr(front.node("alice").awg) == "<alice.awg: simulated awg>"
    assert repr(front.node("alice").awg.ch1) == "<alice.awg.ch1: m1, offset>"
    assert repr(front) == f"<Lab two_nodes ({front.path}, connected): alice, bob, midpoint>"


def test_what_a_daemon_refuses_comes_back_as_it_was_said(front):
    with pytest.raises(MisuseError, match=r"^too much - less$"):
        front.node("bob").awg.ch1_amp(9)
    with pytest.raises(MisuseError, match="of type object can't travel"):
        front.node("bob").awg.ch1_amp(object())


def test_status_and_snapshots(front):
    assert {site: status["state"] for site, status in front.status().items()} == dict.fromkeys(SITES, "ready")
    assert front.node("bob").status()["site"] == "bob"
    assert front.node("bob").snapshot(update=True) == {"instruments": {"awg": {"of": "bob", "update": True}}}
    assert front.snapshot() == {
        "sites": {site: {"instruments": {"awg": {"of": site, "update": False}}} for site in SITES}
    }


def test_a_site_that_is_gone_is_an_entry_of_status_and_snapshot(sites, front):
    amplitude = front.node("bob").awg.ch1_amp
    sites._loop.run(sites._servers[1].close(), 5)
    assert front.status(timeout_s=2.0)["bob"] is None
    snapshot = front.snapshot(timeout_s=2.0)["sites"]
    assert "bob" in snapshot["bob"]["error"]
    assert set(snapshot["alice"]) == {"instruments"}
    with pytest.raises(NetworkError, match="bob"):
        amplitude.get(timeout_s=0.5)


def test_it_works_from_several_threads_and_within_a_running_loop(front):
    got: list[float] = []
    awg = front.node("alice").awg
    threads = [threading.Thread(target=lambda: got.extend(awg.ch1_amp() for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert got == [1.5] * 80

    async def cell() -> float:
        return float(front.node("bob").awg.ch1_amp())

    assert asyncio.run(cell()) == 1.5


def test_after_close_nothing_can_be_asked_and_a_second_close_does_nothing(front):
    awg = front.node("alice").awg
    front.close()
    front.close()
    assert "closed" in repr(front)
    with pytest.raises(NetworkError, match="the connection to lab two_nodes is closed"):
        awg.ch1_amp()


def test_no_thread_is_left_behind(sites):
    sites.serve(*SITES)
    before = threading.active_count()
    with Lab.connect(sites.lab.path, sites.lab.data) as front:
        assert threading.active_count() > before
        front.status()
    assert threading.active_count() == before


def test_a_lab_that_was_never_up_says_how_to_start_it_and_makes_nothing(lab):
    with pytest.raises(NetworkError) as caught:
        Lab.connect(str(lab.path), data=str(lab.data))
    assert str(caught.value) == f"{lab.path} is not up - start it with `qnode up {lab.path} --data {lab.data}`"
    assert not lab.data.exists()


def test_the_data_folder_of_the_lab_file_is_the_default(lab, monkeypatch):
    monkeypatch.chdir(lab.folder)
    with pytest.raises(NetworkError, match=rf"start it with `qnode up {lab.path}`$"):
        Lab.connect(lab.path)


def test_a_lab_that_went_down_says_the_same(sites, monkeypatch):
    monkeypatch.setattr(_lab, "UP_S", 0.5)
    (sites.lab.data / "keys").mkdir(parents=True)
    with pytest.raises(NetworkError, match="is not up - start it with"):
        Lab.connect(sites.lab.path, sites.lab.data)


def test_a_lab_that_is_half_up_names_who_is_missing(sites):
    sites.serve("alice", "bob")
    with pytest.raises(NetworkError, match="is not up as a whole: midpoint did not answer - start it with"):
        Lab.connect(sites.lab.path, sites.lab.data)


def test_a_lab_of_another_file_is_refused(sites):
    sites.hashes["bob"] = "00"
    sites.serve(*SITES)
    before = threading.active_count()
    with pytest.raises(QnodeError, match="bob runs another lab file than"):
        Lab.connect(sites.lab.path, sites.lab.data)
    assert threading.active_count() == before
