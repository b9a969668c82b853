"""Lasers, carrier and bias as a host would answer for them; no instruments, no sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from drivers.roles import LaserState, MicrowaveCarrier, SetPoint
from qnode.daemons import _slow
from qnode.daemons._health import Look
from qnode.daemons._slow import SlowInstruments
from qnode.errors import InstrumentError
from qnode.labfile import load_lab

GOOD = LaserState(emitting=True, interlock_open=False, key_locked=False)
DARK = replace(GOOD, emitting=False)
HEAD = {"current": SetPoint(95.0, "mA"), "frequency lock": SetPoint(True)}
BIAS = {"bias current": SetPoint(12.5, "uA")}
CARRIER = MicrowaveCarrier(2.83e9, 15.0, output_on=True, iq_on=True)


class Rack:
    """A host whose instruments are a table: (instrument, method, arguments) to what it answers or raises."""

    def __init__(self, lab: Any, site: str) -> None:
        self.lab = load_lab(lab.path)
        self.site_name, self.site = site, self.lab.sites[site]
        self.calls: list[tuple[Any, ...]] = []
        self.told: list[tuple[str, str]] = []
        self.answers: dict[tuple[Any, ...], Any] = {
            ("lasers", "head_state", "laser1"): GOOD,
            ("lasers", "head_state", "laser2"): GOOD,
            ("repump", "head_state", "laser1"): GOOD,
            ("microwave", "carrier"): CARRIER,
            ("snspd", "enabled"): True,
            ("snspd", "latched"): (),
            ("lasers", "set_points", "laser1"): HEAD,
            ("lasers", "set_points", "laser2"): HEAD,
            ("repump", "set_points", "laser1"): {"power": SetPoint(0.02, "W")},
            ("snspd", "set_points", 1): BIAS,
            ("snspd", "set_points", 2): BIAS,
        }
        self.looks: list[str] = []
        self.watched_by_plan: frozenset[str] = frozenset()
        self.slow = SlowInstruments(
            self, self.lab, lambda _, said: self.told.append((said["instrument"], said["what"]))
        )

    async def call(self, name: str, method: str, *args: Any, timeout_s: float = 0.0) -> Any:
        if method != "identify":
            self.calls.append((name, method, *args))
        answer = self.answers.get((name, method, *args))
        if isinstance(answer, Exception):
            raise answer
        return answer.pop(0) if isinstance(answer, list) else answer

    async def look(self, name: str) -> Look:
        assert name in self.watched_by_plan
        self.looks.append(name)
        heads = {"lasers": ("laser1", "laser2"), "repump": ("laser1",)}.get(name, ())
        states = {head: await self.call(name, "head_state", head) for head in heads}
        return Look(True, states, await self.call(name, "latched") if name == "snspd" else ())

    async def restore(self, name: str) -> None:
        self.calls.append((name, "restore"))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]

    def watched(self, looks: int = 5) -> str | None:
        """What the watch says, or None when each instrument was looked at so many times without a word."""

        async def body() -> str | None:
            failures: list[Any] = []
            before = len(self.looks)
            watching = asyncio.ensure_future(self.slow.watch(failures.append))
            async with asyncio.timeout(60.0):
                while not (watching.done() or self._seen(before, looks)):
                    await asyncio.sleep(0.002)
            if not watching.done():
                watching.cancel()
                return None
            await watching
            (failure,) = failures
            return str(failure)

        return asyncio.run(body())

    def _seen(self, before: int, looks: int) -> bool:
        """Whether each instrument that is watched was looked at so many times since, and the last looks are compared."""
        return all(self.looks[before:].count(name) > looks for name in self.slow._members)


@pytest.fixture
def rack(lab, monkeypatch):
    monkeypatch.setattr(_slow, "WATCH_S", 0.01)
    return lambda site="alice": Rack(lab, site)


def test_what_is_on_stays_on_and_a_carrier_gets_its_set_points(rack):
    alice = rack()
    asyncio.run(alice.slow.switch_on())
    assert sorted(alice.calls) == [
        ("lasers", "head_state", "laser1"),
        ("lasers", "head_state", "laser2"),
        ("lasers", "set_points", "laser1"),
        ("lasers", "set_points", "laser2"),
        ("microwave", "carrier"),
        ("microwave", "restore"),
        ("repump", "head_state", "laser1"),
        ("repump", "set_points", "laser1"),
    ]


def test_what_is_off_gets_its_set_points_first(rack):
    alice, midpoint = rack(), rack("midpoint")
    alice.answers["lasers", "head_state", "laser2"] = DARK
    alice.answers["microwave", "carrier"] = [replace(CARRIER, iq_on=False), CARRIER]
    midpoint.answers["snspd", "enabled"] = False
    asyncio.run(alice.slow.switch_on())
    asyncio.run(midpoint.slow.switch_on())
    # What is on counts, not what it was before.
    assert alice.of("lasers")[2:4] == [("restore",), ("start_emission", "laser2")]
    assert alice.of("lasers")[4:] == [("set_points", "laser1"), ("set_points", "laser2")]
    assert alice.of("microwave") == [("restore",), ("carrier",), ("start_output",), ("carrier",)]
    assert midpoint.of("snspd")[:4] == [("enabled",), ("restore",), ("enable_detectors",), ("latched",)]
    assert midpoint.of("snspd")[4:] == [("set_points", 1), ("set_points", 2)]
    assert alice.told == midpoint.told == []


def test_a_head_that_no_wire_leaves_stays_dark(rack, lab, remove_wire):
    lab.edit(remove_wire("alice.qubit.spin_pump_laser"))
    lab.edit(remove_wire("alice.qubit.repump_laser"))
    alice = rack()
    asyncio.run(alice.slow.switch_on())
    asyncio.run(alice.slow.switch_off())
    assert alice.of("lasers") == [("head_state", "laser1"), ("set_points", "laser1"), ("enter_safe_state",)]
    assert alice.of("repump") == []


def test_one_that_does_not_come_on_keeps_none_from_it_and_is_told(rack):
    alice = rack()
    alice.answers["lasers", "head_state", "laser1"] = InstrumentError("alice.lasers is gone")
    alice.answers["repump", "head_state", "laser1"] = DARK
    with pytest.raises(InstrumentError, match=r"^alice\.lasers is gone$"):
        asyncio.run(alice.slow.switch_on())
    assert ("start_emission", "laser1") in alice.of("repump")


def test_one_that_does_not_go_off_keeps_none_from_it(rack):
    alice = rack()
    alice.answers["lasers", "enter_safe_state"] = InstrumentError("alice.lasers is gone")
    asyncio.run(alice.slow.switch_off())
    assert [alice.of(name)[-1] for name in ("lasers", "repump", "microwave")] == [("enter_safe_state",)] * 3
    assert alice.told == [("alice.lasers", "not switched off: alice.lasers is gone")]


def test_nothing_is_told_while_all_is_well(rack):
    alice = rack()
    asyncio.run(alice.slow.switch_on())
    assert alice.watched() is None
    assert alice.told == []
    assert len(alice.of("microwave")) > 2
    assert set(alice.looks) == {"lasers", "repump", "microwave"}
    assert not alice.watched_by_plan, "the plan is over: the host looks again by itself"


def test_what_is_switched_off_in_mid_plan_is_no_strangers_doing(rack):
    midpoint = rack("midpoint")

    async def body() -> None:
        failures: list[Any] = []
        await midpoint.slow.switch_on()
        watching = asyncio.ensure_future(midpoint.slow.watch(failures.append))
        async with asyncio.timeout(60.0):
            while not midpoint.looks:
                await asyncio.sleep(0.002)
        await midpoint.slow.switch_off()
        midpoint.answers["snspd", "enabled"] = False
        assert watching.cancelled()
        assert failures == []

    asyncio.run(body())
    assert midpoint.calls[-1] == ("snspd", "enter_safe_state")
    assert midpoint.told == []


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (replace(DARK, interlock_open=True, fault="interlock error"), ": the interlock is open - close"),
        (replace(DARK, key_locked=True), ": the key is off - turn"),
        (replace(DARK, fault="temperature error"), ", laser2: temperature error - mend"),
        (DARK, ", laser2: emission is off - "),
        (replace(GOOD, frequency_locked=False), ", laser2: the frequency lock is lost - lock it again"),
        (replace(GOOD, frequency_locked=True), None),
    ],
)
def test_a_laser_that_fails_ends_the_watch(rack, state, what):
    alice = rack()
    asyncio.run(alice.slow.switch_on())
    alice.answers["lasers", "head_state", "laser2"] = state
    said = alice.watched()
    if what is None:
        assert said is None
        return
    assert said.startswith(f"alice.lasers{what}")
    assert alice.told == [("alice.lasers", said)]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"output_on": False}, "alice.microwave: its output is off"),
        ({"iq_on": False}, "alice.microwave: its I/Q modulation is off"),
        (
            {"frequency_hz": 2.835e9, "power_dbm": 12.0},
            "alice.microwave: its carrier is 2835000000 Hz, 12 dBm; when it was switched on 2830000000 Hz, 15 dBm",
        ),
    ],
)
def test_a_carrier_that_changes_ends_the_watch(rack, change, what):
    alice = rack()
    asyncio.run(alice.slow.switch_on())
    alice.answers["microwave", "carrier"] = replace(CARRIER, **change)
    assert alice.watched() == f"{what} - did somebody touch it, or did it lose its mains?"


@pytest.mark.parametrize(
    ("site", "question", "now", "what"),
    [
        (
            "alice",
            ("lasers", "set_points", "laser2"),
            {**HEAD, "current": SetPoint(96.5, "mA")},
            "alice.lasers, laser2: its current is 96.5 mA, and was 95 mA when it was switched on",
        ),
        (
            "alice",
            ("lasers", "set_points", "laser1"),
            {
                "current": SetPoint(95.0, "mA"),
                "frequency lock": SetPoint(False),
                "piezo voltage": SetPoint(70.0, "V"),
            },
            "alice.lasers, laser1: its frequency lock is off, and was on when it was switched on",
        ),
        (
            "alice",
            ("repump", "set_points", "laser1"),
            {"power": SetPoint(0.0, "W")},
            "alice.repump, laser1: its power is 0 W, and was 0.02 W when it was switched on",
        ),
        (
            "midpoint",
            ("snspd", "set_points", 2),
            {"bias current": SetPoint(13.0, "uA")},
            "midpoint.snspd, detector 2: its bias current is 13 uA, and was 12.5 uA when it was switched on",
        ),
    ],
)
def test_a_set_point_that_a_stranger_changes_ends_the_watch(rack, site, question, now, what):
    here = rack(site)
    asyncio.run(here.slow.switch_on())
    here.answers[question] = now
    said = here.watched()
    assert said == f"{what} - did somebody touch it, or did it lose its mains?"
    assert here.told == [(f"{site}.{question[0]}", said)]


def test_a_latched_detector_is_brought_back_where_a_wire_leaves_it(rack):
    midpoint = rack("midpoint")
    asyncio.run(midpoint.slow.switch_on())
    midpoint.answers["snspd", "latched"] = [(2, 3), *[()] * 1000]
    assert midpoint.watched() is None
    assert [call for call in midpoint.calls if call[1] == "recover"] == [("snspd", "recover", 2)]
    assert midpoint.told == [
        ("midpoint.snspd", "detector 2 is latched"),
        ("midpoint.snspd", "detector 2 counts again"),
    ]


@pytest.mark.parametrize(
    ("question", "answer", "what"),
    [
        (("snspd", "enabled"), False, "midpoint.snspd: the bias is off - "),
        (("snspd", "recover", 1), InstrumentError("midpoint.snspd: latches again"), "midpoint.snspd: latches again"),
        (("snspd", "latched"), InstrumentError("midpoint.snspd: no answer"), "midpoint.snspd: no answer"),
    ],
)
def test_detectors_that_stay_dead_end_the_watch(rack, question, answer, what):
    midpoint = rack("midpoint")
    asyncio.run(midpoint.slow.switch_on())
    midpoint.answers["snspd", "latched"] = (1,)
    midpoint.answers[question] = answer
    assert midpoint.watched().startswith(what)


def test_a_site_without_slow_instruments_has_nothing_to_watch(rack, lab, remove_wire):
    for detector in ("det1", "det2"):
        lab.edit(remove_wire(f"midpoint.{detector}.bias"))
    midpoint = rack("midpoint")
    asyncio.run(midpoint.slow.switch_on())
    asyncio.run(midpoint.slow.watch(pytest.fail))
    assert midpoint.calls == []
