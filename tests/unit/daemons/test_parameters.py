"""Calls about parameters, with a QCoDeS instrument in a host's own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from qcodes.instrument import Instrument, InstrumentChannel
from qcodes.validators import Enum, Numbers

from qnode.daemons._host import InstrumentHost
from qnode.daemons._parameters import Parameters
from qnode.errors import InstrumentError, MisuseError
from qnode.labfile import Site


class Box(Instrument):
    """Two parameters of its own, some in a submodule, and some that fail."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.threads: set[int] = set()
        self.power_mw = 0.5
        self.refuses = False
        self.add_parameter(
            "power",
            label="Output power",
            unit="mW",
            get_cmd=self._get,
            set_cmd=self._set,
            vals=Numbers(0, 2),
            docstring="Power behind the fibre.",
        )
        self.add_parameter("spectrum", get_cmd=lambda: np.array([[1.0, 2.0]]), set_cmd=False)
        self.add_parameter("trip", get_cmd=False, set_cmd=lambda value: None)
        self.add_parameter("broken", get_cmd=self._fail, set_cmd=False, snapshot_value=True)
        head = InstrumentChannel(self, "head")
        head.add_parameter("mode", get_cmd=None, set_cmd=None, initial_value="slow", vals=Enum("slow", "fast"))
        self.add_submodule("head", head)

    def _get(self) -> float:
        self.threads.add(threading.get_ident())
        return self.power_mw

    def _set(self, value: float) -> None:
        self.threads.add(threading.get_ident())
        if self.refuses:
            raise OSError("the line is cut")
        self.power_mw = value

    def _fail(self) -> float:
        raise InstrumentError("no light meter")


class Bench:
    """A host with one box, and the calls about its parameters."""

    def __init__(self, folder: Path) -> None:
        entry = {"role": "awg", "simulated": True, "safe_state": "outputs_off"}
        block = {"type": "drivers.tektronix.awg5014c.TektronixAWG5014C", "address": "127.0.0.1"}
        site = {"bus": {"address": "127.0.0.1"}, "instruments": {"laser": block}, "rack": {"laser": entry}}
        self.host = InstrumentHost("alice", Site.model_validate(site), folder)
        self.plan: str | None = None
        self.box: Box | None = Box("laser")
        self.host._instruments["laser"] = self.box
        self.handlers = Parameters(self.host, lambda: self.plan).handlers()

    def call(self, name: str, **params: Any) -> Any:
        """The answer as it would travel."""

        async def body() -> Any:
            return msgspec.msgpack.decode(msgspec.msgpack.encode(await self.handlers[name](params)))

        return asyncio.run(body())

    def get(self, parameter: str) -> Any:
        return self.call("get_parameter", instrument="laser", parameter=parameter)

    def set(self, parameter: str, value: Any) -> None:
        self.call("set_parameter", instrument="laser", parameter=parameter, value=value)


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    box = made.box
    yield made
    assert box is not None
    box.close()


def test_a_list_says_all_that_a_person_asks_of_a_parameter(bench):
    told = {entry["name"]: entry for entry in bench.call("parameters", instrument="laser")}
    assert set(told) == {"IDN", "power", "spectrum", "trip", "broken", "head.mode"}
    assert told["power"] == {
        "name": "power",
        "label": "Output power",
        "unit": "mW",
        "doc": "Power behind the fibre.",
        "gettable": True,
        "settable": True,
        "allowed": "Numbers 0<=v<=2",
    }
    assert (told["spectrum"]["gettable"], told["spectrum"]["settable"]) == (True, False)
    assert (told["trip"]["gettable"], told["trip"]["settable"]) == (False, True)
    assert told["head.mode"]["allowed"].startswith("Enum: {")
    assert told["trip"]["doc"] == ""


def test_values_are_got_and_set_in_the_thread_of_their_instrument(bench):
    assert bench.get("power") == 0.5
    bench.set("power", 1.25)
    assert (bench.get("power"), bench.box.power_mw) == (1.25, 1.25)
    assert bench.get("head.mode") == "slow"
    bench.set("head.mode", "fast")
    assert bench.get("head.mode") == "fast"
    assert bench.get("spectrum") == [[1.0, 2.0]]
    (thread,) = bench.box.threads
    assert thread != threading.get_ident()


def refused(bench: Bench, work: Callable[[], Any], error: type[Exception], text: str) -> None:
    before = bench.box.power_mw
    with pytest.raises(error) as caught:
        work()
    assert str(caught.value) == text
    assert bench.box.power_mw == before


def test_what_is_not_allowed_is_refused_in_one_clear_line(bench):
    refused(
        bench,
        lambda: bench.set("power", 3),
        MisuseError,
        "alice.laser.power can't be 3: 3 is invalid: must be between 0 and 2 inclusive - it allows Numbers 0<=v<=2",
    )
    refused(
        bench,
        lambda: bench.set("power", "much"),
        MisuseError,
        "alice.laser.power can't be 'much': 'much' is not an int or float - it allows Numbers 0<=v<=2",
    )
    refused(bench, lambda: bench.set("spectrum", 1), MisuseError, "alice.laser.spectrum can only be read")
    refused(bench, lambda: bench.get("trip"), MisuseError, "alice.laser.trip can only be set")
    refused(
        bench,
        lambda: bench.get("powr"),
        MisuseError,
        "alice.laser has no parameter 'powr' - it has IDN, broken, head.mode, power, spectrum, trip",
    )
    refused(
        bench,
        lambda: bench.call("get_parameter", instrument="lasr", parameter="power"),
        MisuseError,
        "alice has no instrument 'lasr' - it has laser",
    )


def test_an_instrument_that_fails_is_named_with_its_parameter(bench):
    with pytest.raises(InstrumentError, match="no light meter"):
        bench.get("broken")
    bench.box.refuses = True
    with pytest.raises(InstrumentError, match=r"^alice\.laser\.power: OSError: .*the line is cut"):
        bench.set("power", 1.0)


def test_nothing_is_set_while_a_plan_is_under_way_but_all_can_be_read(bench):
    bench.plan = "0123"
    refused(
        bench,
        lambda: bench.set("power", 1.0),
        MisuseError,
        "alice.laser.power can't be set while plan 0123 is under way - wait for its end, or abort it",
    )
    assert bench.get("power") == 0.5


def test_a_plan_that_comes_while_a_set_waits_for_the_thread_wins(bench):
    async def body() -> None:
        busy, free = threading.Event(), threading.Event()

        def hold(instrument: Any) -> None:
            busy.set()
            free.wait(10)

        holding = asyncio.ensure_future(bench.host.apply("laser", "hold", hold))
        await asyncio.to_thread(busy.wait, 10)
        params = {"instrument": "laser", "parameter": "power", "value": 1.0}
        setting = asyncio.ensure_future(bench.handlers["set_parameter"](params))
        await asyncio.sleep(0)
        bench.plan = "0123"
        free.set()
        await holding
        with pytest.raises(MisuseError, match="while plan 0123 is under way"):
            await setting

    asyncio.run(asyncio.wait_for(body(), 20))
    assert bench.box.power_mw == 0.5


def value_in(snapshot: Any, name: str = "power") -> Any:
    return snapshot["instruments"]["laser"]["parameters"][name]["value"]


def test_a_snapshot_reads_what_was_never_read_and_all_when_asked(bench):
    assert value_in(bench.call("snapshot", update=False)) == 0.5
    bench.box.power_mw = 0.75
    assert value_in(bench.call("snapshot", update=False)) == 0.5
    assert value_in(bench.call("snapshot", update=True)) == 0.75
    snapshot = bench.call("snapshot", update=False)
    assert snapshot["instruments"]["laser"]["submodules"]["head"]["parameters"]["mode"]["value"] == "slow"
    assert value_in(snapshot, "spectrum") == [[1.0, 2.0]]


def test_a_snapshot_asks_no_instrument_while_a_plan_is_under_way(bench):
    bench.plan = "0123"
    assert value_in(bench.call("snapshot", update=True)) is None
    assert bench.box.threads == set()


def test_one_dead_parameter_or_instrument_is_an_entry_of_a_snapshot(bench):
    assert value_in(bench.call("snapshot", update=True), "broken") is None
    del bench.host._instruments["laser"]
    assert bench.call("snapshot", update=True) == {
        "instruments": {"laser": {"error": "alice.laser is not connected"}}
    }
