"""The owner of a site's instruments, with tiny drivers that a lab dropped beside its lab file."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import itertools
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from qcodes.instrument import Instrument

import drivers
from drivers.roles import Identity
from qnode.daemons import _health, _host
from qnode.daemons._host import HostError, InstrumentHost, extend_driver_path
from qnode.errors import InstrumentError, MisuseError
from qnode.labfile import Site

DRIVER = """
import threading
from qcodes.instrument import Instrument
from drivers.roles import Identity

log = []
unplugged, referenceless = set(), set()
release, hanging = threading.Event(), threading.Event()
meeting = threading.Barrier(2, timeout=10)
WAIT_S = 10


class Box(Instrument):
    limits = "what the model can do"

    def __init__(self, name, address=None, fails="", **kwargs):
        if fails == "constructor":
            raise ValueError("no such thing at\\n" + str(address))
        super().__init__(name, **kwargs)
        self.address, self.fails, self.inside, self.times_safe = address, fails, 0, 0
        if fails == "slow":
            release.wait(WAIT_S)
        self.add_parameter("level", set_cmd=lambda value: self.note(f"level {value}"))
        self.note("made")

    def note(self, what):
        log.append((self.name, what, threading.get_ident()))

    def identify(self):
        self.note("identify")
        if self.name in unplugged:
            raise OSError("nobody there")
        if self.fails == "identify":
            raise OSError("no answer to *IDN?")
        return Identity("maker", "box", self.name, "1.0")

    def enter_safe_state(self):
        self.note("safe")
        self.times_safe += 1
        if self.fails == "safe" and self.times_safe > 1:
            raise OSError("still bright")

    def close(self):
        self.note("close")
        super().close()
        if self.fails == "close":
            raise OSError("gone")

    def reference_locked(self):
        self.note("asked")
        if self.name in unplugged:
            raise OSError("nobody there")
        return self.name not in referenceless

    def add(self, a, b):
        return a + b

    def alone(self):
        self.inside += 1
        others = self.inside - 1
        release.wait(0.02)
        self.inside -= 1
        return others

    def meet(self):
        meeting.wait()
        return True

    def hang(self):
        hanging.set()
        release.wait(WAIT_S)
        raise OSError("too late")

    def boom(self):
        raise ValueError("bad luck")
"""

_numbers = itertools.count()


class Drivers:
    """The drivers' module of one test, and hosts that use it."""

    def __init__(self, folder: Path) -> None:
        self.name = f"fake_boxes_{next(_numbers)}"
        (folder / "drivers").mkdir()
        (folder / "drivers" / f"{self.name}.py").write_text(DRIVER)
        self.folder = folder
        extend_driver_path(folder / "lab.yaml")
        self.module: ModuleType = importlib.import_module(f"drivers.{self.name}")

    def host(
        self, parameters: Any = None, *, lab_time: str = "host", simulated: bool = True, **fails: str
    ) -> InstrumentHost:
        """A host of the named instruments, each failing as told, with these parameters in its station block."""
        instruments = {
            name: {
                "type": f"drivers.{self.name}.Box" if how != "module" else "drivers.nothing_there.Box",
                "address": f"data:tty/{name}",
                "init": {"fails": how},
                "parameters": parameters or {},
            }
            for name, how in fails.items()
        }
        rack = {name: {"role": "awg", "simulated": simulated, "safe_state": "outputs_off"} for name in fails}
        site = Site.model_validate({"bus": {"address": "127.0.0.1"}, "instruments": instruments, "rack": rack})
        return InstrumentHost("alice", site, self.folder, lab_time)

    def events(self, name: str) -> list[str]:
        return [what for who, what, _ in self.module.log if who == name]


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drivers]:
    monkeypatch.setattr(drivers, "__path__", list(drivers.__path__))
    made = Drivers(tmp_path)
    yield made
    made.module.release.set()
    # What hung when its host was closed was left behind, as it must be; no other test may meet it.
    for who in {who for who, _, _ in made.module.log}:
        if Instrument.exist(who):
            Instrument.close(Instrument.find_instrument(who))
    for name in [name for name in sys.modules if name.startswith("drivers.fake_boxes_")]:
        del sys.modules[name]


def run(work: Callable[[InstrumentHost], Any], host: InstrumentHost, *, connect: bool = True) -> Any:
    """Do something with a host that is connected, and close it."""

    async def body() -> Any:
        try:
            if connect:
                await host.connect()
            return await work(host)
        finally:
            await host.close()

    return asyncio.run(body())


def test_each_instrument_is_made_asked_used_and_closed_in_one_thread_of_its_own(boxes):
    async def work(host: InstrumentHost) -> Any:
        assert await host.call("awg", "add", 2, 3) == 5
        assert host.identities["pulser"] == Identity("maker", "box", "pulser", "1.0")
        assert host.limits("awg") == "what the model can do"

    run(work, boxes.host(awg="", pulser=""))
    threads = {}
    for name in ("awg", "pulser"):
        assert boxes.events(name) == ["made", "identify", "safe", "asked", "close"]
        (threads[name],) = {ident for who, _, ident in boxes.module.log if who == name}
    assert threads["awg"] != threads["pulser"] != threading.get_ident()


def test_calls_to_one_instrument_wait_for_each_other_and_calls_to_two_meet(boxes):
    async def work(host: InstrumentHost) -> Any:
        others = await asyncio.gather(*(host.call("awg", "alone") for _ in range(5)))
        met = await asyncio.gather(host.call("awg", "meet"), host.call("pulser", "meet"))
        return others, met

    assert run(work, boxes.host(awg="", pulser="")) == ([0] * 5, [True, True])


def test_set_points_come_back_as_they_were_last_set(boxes):
    async def work(host: InstrumentHost) -> Any:
        await host.restore("awg")
        # Somebody else set it through us meanwhile.
        host._instruments["awg"].parameters["level"].set(7)
        await host.restore("awg")

    run(work, boxes.host(parameters={"level": {"initial_value": 3}}, awg=""))
    assert boxes.events("awg") == [
        *("made", "level 3", "identify", "safe", "asked"),
        *("level 3", "level 7", "level 7", "close"),
    ]


def test_a_parameter_without_an_initial_value_is_nothing_to_restore(boxes):
    run(lambda host: host.restore("awg"), boxes.host(parameters={"level": {"label": "Level"}}, awg=""))
    assert boxes.events("awg") == ["made", "identify", "safe", "asked", "close"]


def test_what_was_tuned_survives_a_new_connection(boxes):
    async def work(host: InstrumentHost) -> Any:
        host._instruments["awg"].parameters["level"].set(7)
        return await host.try_connect(["awg"])

    assert run(work, boxes.host(parameters={"level": {"initial_value": 3}}, awg="")) == ([], [])
    assert [event for event in boxes.events("awg") if event.startswith("level")] == [
        "level 3",
        "level 7",
        "level 3",
        "level 7",
    ]


def test_a_set_point_that_is_refused_names_instrument_and_parameter(boxes, monkeypatch):
    async def work(host: InstrumentHost) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(boxes.module.Box, "note", lambda *_: 1 / 0)
            with pytest.raises(InstrumentError, match=r"^alice\.awg\.level: ZeroDivisionError: .*division by zero"):
                await host.restore("awg")

    run(work, boxes.host(parameters={"level": {"initial_value": 3}}, awg=""))


def test_an_address_in_the_data_folder_is_resolved(boxes):
    async def work(host: InstrumentHost) -> Any:
        return host._instruments["awg"].address

    assert run(work, boxes.host(awg="")) == str(boxes.folder / "tty" / "awg")


def test_a_time_out_says_who_what_and_how_long_and_the_late_error_is_quiet(boxes, caplog):
    async def work(host: InstrumentHost) -> Any:
        with pytest.raises(HostError) as caught:
            await host.call("awg", "hang", timeout_s=0.05)
        boxes.module.release.set()
        assert await host.call("awg", "add", 1, 1) == 2
        return caught.value.message, caught.value.hint

    with caplog.at_level(logging.ERROR, "asyncio"):
        message, hint = run(work, boxes.host(awg=""))
        gc.collect()
    assert message == "alice.awg: no answer to hang within 0.05 s"
    assert "is it switched on?" in hint
    assert caplog.records == []


def test_a_call_that_timed_out_while_it_waited_is_still_carried_out(boxes):
    async def work(host: InstrumentHost) -> Any:
        with pytest.raises(HostError):
            await host.call("awg", "hang", timeout_s=0.05)
        with pytest.raises(HostError, match=r"no answer to enter_safe_state within 0\.05 s"):
            await host.call("awg", "enter_safe_state", timeout_s=0.05)
        before = boxes.events("awg")
        boxes.module.release.set()
        await host.call("awg", "add", 1, 1)
        return before, boxes.events("awg")

    before, after = run(work, boxes.host(awg=""))
    assert before == ["made", "identify", "safe", "asked"]
    assert after == ["made", "identify", "safe", "asked", "safe"]


def test_what_a_driver_raises_is_an_instrument_error_that_names_it(boxes):
    async def work(host: InstrumentHost) -> Any:
        with pytest.raises(InstrumentError, match=r"^alice\.awg\.boom: ValueError: bad luck$") as caught:
            await host.call("awg", "boom")
        assert isinstance(caught.value.__cause__, ValueError)

        def refuse() -> None:
            raise MisuseError("not like this", hint="do it otherwise")

        host._instruments["awg"].boom = refuse
        with pytest.raises(MisuseError, match="not like this - do it otherwise"):
            await host.call("awg", "boom")

    run(work, boxes.host(awg=""))


def test_all_instruments_that_fail_are_listed_one_line_each_and_the_others_are_safe(boxes):
    async def work(host: InstrumentHost) -> Any:
        with pytest.raises(HostError) as caught:
            await host.connect()
        with pytest.raises(HostError, match=r"alice\.awg is not connected"):
            await host.call("awg", "add", 1, 1)
        return caught.value

    error = run(work, boxes.host(awg="constructor", pulser="", tagger="identify", laser="module"), connect=False)
    lines = error.message.split("\n")
    assert lines[0] == f"alice.awg: no such thing at {boxes.folder / 'tty' / 'awg'}"
    assert lines[1] == "alice.tagger.identify: OSError: no answer to *IDN?"
    assert lines[2].startswith("alice.laser: driver drivers.nothing_there.Box can't be imported")
    assert len(lines) == 3
    assert boxes.events("pulser") == ["made", "identify", "safe", "asked", "close"]


def test_a_port_that_another_program_holds_is_said_to_be_held(boxes, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    async def work(host: InstrumentHost) -> HostError:
        monkeypatch.setattr(boxes.module.Box, "__init__", refuse)
        with pytest.raises(HostError) as caught:
            await host.connect()
        return caught.value

    error = run(work, boxes.host(awg=""), connect=False)
    assert "Device or resource busy" in error.message
    assert error.hint == "another program holds it: `fuser -v` with the path of its terminal says which"


def test_an_instrument_that_does_not_come_up_in_time_is_named(boxes, monkeypatch):
    monkeypatch.setattr(_host, "CONNECT_S", 0.05)

    async def work(host: InstrumentHost) -> Any:
        with pytest.raises(HostError, match=r"^alice\.awg: not connected within 0\.05 s - is it switched on"):
            await host.connect()
        boxes.module.release.set()

    run(work, boxes.host(awg="slow", pulser=""), connect=False)
    assert boxes.events("awg") == ["made", "close"], "it came too late to be used, and is not left open"


def test_safe_all_reaches_every_instrument_and_tells_what_failed(boxes, monkeypatch):
    async def work(host: InstrumentHost) -> Any:
        monkeypatch.setattr(_host, "SAFE_S", 0.05)
        hanging = asyncio.ensure_future(host.call("laser", "hang"))
        assert await asyncio.to_thread(boxes.module.hanging.wait, 10)
        failures = await host.safe_all()
        boxes.module.release.set()
        with pytest.raises(InstrumentError, match="too late"):
            await hanging
        return failures

    assert run(work, boxes.host(awg="safe", pulser="", laser="")) == [
        "alice.awg.enter_safe_state: OSError: still bright",
        "alice.laser: no answer to enter_safe_state within 0.05 s - is it switched on? "
        "`qnode status` shows its last answer",
    ]
    assert boxes.events("pulser").count("safe") == 2


def test_safe_all_and_close_of_a_host_that_never_connected_do_nothing(boxes):
    async def work(host: InstrumentHost) -> Any:
        return await host.safe_all()

    assert run(work, boxes.host(awg=""), connect=False) == []
    assert boxes.module.log == []


def test_close_goes_on_when_one_fails_and_ends_the_threads(boxes):
    async def work(host: InstrumentHost) -> Any:
        await host.close()
        with pytest.raises(RuntimeError, match="shutdown"):
            await host.call("pulser", "add", 1, 1)
        assert len(await host.safe_all()) == 2, "it tells, and raises nothing"

    run(work, boxes.host(awg="close", pulser=""))
    assert boxes.events("awg")[-1] == boxes.events("pulser")[-1] == "close"


# --- how they are ---------------------------------------------------------------------------------------------------


def states(host: InstrumentHost) -> dict[str, str]:
    return {name: health.state for name, health in host.health.items()}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def watched(host: InstrumentHost, playing: Callable[[], bool] = lambda: False) -> AsyncIterator[None]:
    watching = asyncio.ensure_future(host.watch(playing))
    yield
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


def test_an_instrument_that_was_gone_is_made_anew_and_safe_and_the_others_are_left_alone(boxes, monkeypatch):
    monkeypatch.setattr(_host, "LOOK_S", 0.01)

    async def work(host: InstrumentHost) -> None:
        assert states(host) == {"awg": "ready", "pulser": "ready"}
        async with watched(host):
            boxes.module.unplugged.add("awg")
            await until(lambda: host.health["awg"].state == "disconnected")
            assert host.health["awg"].detail == "nobody there"
            assert host.health["pulser"].state == "ready"
            boxes.module.unplugged.clear()
            await until(lambda: host.health["awg"].state == "ready")
            assert await host.call("awg", "add", 2, 2) == 4

    run(work, boxes.host(awg="", pulser=""))
    made = [event for event in boxes.events("awg") if event in ("made", "safe", "close")]
    assert made == ["made", "safe", "close", "made", "safe", "close"]
    assert boxes.events("pulser").count("made") == 1


def test_an_instrument_that_can_not_be_made_again_is_tried_until_it_can(boxes, monkeypatch):
    monkeypatch.setattr(_host, "LOOK_S", 0.01)
    make = boxes.module.Box.__init__

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    async def work(host: InstrumentHost) -> None:
        async with watched(host):
            boxes.module.unplugged.add("awg")
            await until(lambda: host.health["awg"].state == "disconnected")
            boxes.module.Box.__init__ = refuse
            boxes.module.unplugged.clear()
            await until(lambda: host.health["awg"].state == "locked")
            with pytest.raises(HostError, match=r"alice\.awg is not connected"):
                await host.call("awg", "add", 1, 1)
            boxes.module.Box.__init__ = make
            await until(lambda: host.health["awg"].state == "ready")

    run(work, boxes.host(awg=""))


def test_what_an_instrument_says_is_wrong_degrades_it(boxes, monkeypatch):
    monkeypatch.setattr(_host, "LOOK_S", 0.01)

    async def work(host: InstrumentHost) -> None:
        async with watched(host):
            boxes.module.referenceless.add("awg")
            await until(lambda: boxes.events("awg").count("made") == 2)
            await until(lambda: host.health["awg"].state == "degraded")
            asked = boxes.events("awg").count("asked")
            await until(lambda: boxes.events("awg").count("asked") > asked + 3)
            boxes.module.referenceless.clear()
            await until(lambda: host.health["awg"].state == "ready")

    run(work, boxes.host(awg=""))
    # Set up anew, as after a short loss of mains, but once only: a cable may be missing.
    assert boxes.events("awg").count("made") == 2


def test_while_a_plan_plays_an_answer_is_enough_and_nothing_is_made_anew(boxes, monkeypatch):
    monkeypatch.setattr(_host, "LOOK_S", 0.2)
    now = [100.0]
    for module in (_host, _health):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    looks = 0

    def playing() -> bool:
        nonlocal looks
        looks += 1
        return True

    async def work(host: InstrumentHost) -> None:
        async with watched(host, playing):
            asked = boxes.events("awg").count("asked")
            # A clock that stands still: each answer is fresh, whatever else the computer does.
            await host.call("awg", "add", 1, 1)
            await until(lambda: looks >= 3)
            assert boxes.events("awg").count("asked") == asked
            now[0] += 1.0
            # Nobody talks to it any more: it is asked again, and only seen to be gone.
            boxes.module.unplugged.add("awg")
            await until(lambda: host.health["awg"].state == "disconnected")
            boxes.module.unplugged.clear()
            await asyncio.sleep(0.5)
            assert states(host) == {"awg": "disconnected"}
            assert boxes.events("awg").count("made") == 1

    run(work, boxes.host(awg=""))


def test_who_is_looked_at_by_a_plan_is_asked_once(boxes, monkeypatch):
    monkeypatch.setattr(_host, "LOOK_S", 0.005)

    async def work(host: InstrumentHost) -> None:
        host.watched_by_plan = frozenset({"awg"})
        async with watched(host, lambda: True):
            asked, others = (boxes.events(name).count("asked") for name in ("awg", "pulser"))
            await until(lambda: boxes.events("pulser").count("asked") > others + 5)
            assert boxes.events("awg").count("asked") == asked
            # What the plan sees is its health.
            boxes.module.referenceless.add("awg")
            look = await host.look("awg")
            assert not look.reference_locked
            assert states(host)["awg"] == "degraded"
            # The plan is over.
            host.watched_by_plan = frozenset()
            await until(lambda: boxes.events("awg").count("asked") > asked + 5)

    run(work, boxes.host(awg="", pulser=""))


def free_port() -> int:
    """Of 127.0.0.1, where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_simulated_instruments_are_not_waited_for_when_their_process_is_gone(boxes):
    async def work(host: InstrumentHost) -> None:
        with pytest.raises(HostError, match=r"^alice\.awg: no answer, and the simulators do not run any more - "):
            await asyncio.wait_for(host.call("awg", "hang", timeout_s=60), 8)
        # What is queued behind it is not waited for either.
        (line,) = await asyncio.wait_for(host.safe_all(), 8)
        assert line.startswith("alice.awg: no answer, and the simulators do not run any more")
        # Late rather than dropped: the safe state comes when the thread is free.
        boxes.module.release.set()
        await until(lambda: boxes.events("awg").count("safe") == 2)

    run(work, boxes.host(awg="", lab_time=f"tcp://127.0.0.1:{free_port()}"))
    # Its close may not have been waited for; the next test has an instrument of the same name.
    asyncio.run(until(lambda: not Instrument.exist("awg")))


def test_a_real_instrument_has_its_time_though_the_simulators_are_gone(boxes):
    async def work(host: InstrumentHost) -> None:
        with pytest.raises(HostError, match=r"^alice\.awg: no answer to hang within 1\.5 s"):
            await host.call("awg", "hang", timeout_s=1.5)
        boxes.module.release.set()

    run(work, boxes.host(awg="", lab_time=f"tcp://127.0.0.1:{free_port()}", simulated=False))


def test_a_simulated_instrument_that_is_slow_has_its_time_while_simulators_run(boxes):
    async def work() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        host = boxes.host(awg="", lab_time=f"tcp://127.0.0.1:{port}")
        try:
            await host.connect()
            with pytest.raises(HostError, match=r"^alice\.awg: no answer to hang within 1\.5 s"):
                await host.call("awg", "hang", timeout_s=1.5)
        finally:
            boxes.module.release.set()
            await host.close()
            server.close()

    asyncio.run(work())


def test_a_lab_without_own_drivers_changes_no_path(tmp_path, monkeypatch):
    monkeypatch.setattr(drivers, "__path__", list(drivers.__path__))
    before = list(drivers.__path__)
    extend_driver_path(tmp_path / "lab.yaml")
    assert list(drivers.__path__) == before
    (tmp_path / "drivers").mkdir()
    extend_driver_path(tmp_path / "lab.yaml")
    extend_driver_path(tmp_path / "lab.yaml")
    assert list(drivers.__path__) == [*before, str(tmp_path / "drivers")]
