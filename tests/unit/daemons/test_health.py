"""Five words for an instrument, and what makes each of them true."""

import errno
import time
from dataclasses import dataclass, field

import pytest

from drivers.roles import Identity, LaserState
from qnode.daemons._health import NO_ANSWER_S, InstrumentHealth, is_busy, look_at
from qnode.errors import InstrumentError

GOOD = LaserState(emitting=False, interlock_open=False, key_locked=False)


@dataclass
class Box:
    locked: bool = True
    heads: tuple[str, ...] = ("laser1", "laser2")
    states: dict[str, LaserState] = field(default_factory=dict)
    latched_ones: tuple[int, ...] = ()

    def reference_locked(self):
        return self.locked

    def head_state(self, head):
        return self.states.get(head, GOOD)

    def latched(self):
        return self.latched_ones


@pytest.mark.parametrize(
    ("box", "role", "words"),
    [
        (Box(), "awg", ""),
        (Box(), "laser", ""),
        (Box(), "detector_driver", ""),
        (Box(locked=False), "awg", "its external 10 MHz reference is not in use"),
        (Box(states={"laser2": LaserState(False, True, False)}), "laser", "interlock open"),
        (Box(states={"laser1": LaserState(False, False, True)}), "laser", "key switch off"),
        (Box(states={"laser2": LaserState(True, False, False, fault="too hot")}), "laser", "laser2: too hot"),
        (Box(latched_ones=(1, 3)), "detector_driver", "detector 1, 3 latched"),
    ],
)
def test_an_instrument_says_what_is_wrong_with_it(box, role, words):
    assert look_at(box, role).fault == words


def test_a_report_holds_who_it_is_and_how_old_its_last_answer_is(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    health = InstrumentHealth()
    assert health.report(None, "") == {
        "state": "connecting",
        "detail": "",
        "last_answer_s": None,
        "identity": None,
    }
    health.answered()
    health.found("ready")
    now[0] = 107.26
    report = health.report(Identity("maker", "box", "7", "1.0"), "")
    assert report == {"state": "ready", "detail": "", "last_answer_s": 7.3, "identity": "maker box 7"}


def test_what_the_daemon_sees_in_the_data_degrades_what_calls_itself_ready():
    health = InstrumentHealth()
    health.found("ready")
    assert health.report(None, "no pulse per second")["state"] == "degraded"
    assert health.report(None, "no pulse per second")["detail"] == "no pulse per second"
    health.found("disconnected", "no answer")
    assert health.report(None, "no pulse per second")["detail"] == "no answer"


def test_who_is_asked_and_says_nothing_is_gone_before_its_driver_gives_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    health = InstrumentHealth()
    health.found("ready")
    health.asked_s = 100.0
    now[0] = 100.0 + NO_ANSWER_S - 0.1
    assert health.report(None, "")["state"] == "ready"
    now[0] = 100.0 + NO_ANSWER_S + 0.6
    assert health.report(None, "")["state"] == "disconnected"
    assert health.report(None, "")["detail"] == "no answer for 3 s"


def test_busy_is_found_anywhere_in_the_chain_of_an_error():
    def error(cause):
        outer = InstrumentError("can't open the terminal")
        outer.__cause__ = cause
        return outer

    assert is_busy(error(OSError(errno.EBUSY, "Device or resource busy")))
    assert is_busy(error(error(OSError(errno.EBUSY, "busy"))))
    assert not is_busy(error(OSError(errno.ENOENT, "no such file")))
    assert not is_busy(InstrumentError("refused"))
