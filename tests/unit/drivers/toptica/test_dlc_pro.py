"""Against a scripted peer that speaks the command line over TCP."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from _peers import TcpPeer

from drivers.roles import Identity, LaserState, RoleInstrument, SetPoint
from drivers.toptica.dlc_pro import DLCpro
from qnode.errors import InstrumentError, MisuseError

HOST = "127.0.45.2"
WELCOME = b"\r\nWelcome to DLC pro!\r\n\r\nDeCoF Command Line\r\n> "
SET = re.compile(r"^\(param-set! '(\S+) (\S+)\)$")


class Peer(TcpPeer):
    """Answers by a table of paths, applies what is set, records every line in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values = {
            "system-type": '"DLC pro"',
            "serial-number": '"DLC PRO_012345"',
            "fw-ver": '"3.3.3"',
            "interlock-open": "#f",
            "frontkey-locked": "#f",
            "system-health": "0",
            "system-health-txt": '"Ok"',
            "laser1:emission": "#f",
            "laser2:emission": "#f",
            "laser1:dl:cc:current-set": "95.0",
            "laser1:dl:cc:current-act": "94.9871",
            "laser1:dl:pc:voltage-set": "70.5",
            "laser1:dl:tc:temp-set": "20.25",
            "laser1:dl:lock:lock-enabled": "#f",
            "laser1:dl:lock:state-txt": '"Idle"',
        }
        self.refused: dict[str, str] = {}
        self.silent: set[str] = set()
        self.welcome = WELCOME
        self.on_set: Callable[[str, str], None] = self.follow_current
        super().__init__(HOST)

    def follow_current(self, path: str, value: str) -> None:
        """A head emits as its current is switched, as with button pressed and key on."""
        if path.endswith(":dl:cc:enabled"):
            self.values[f"{path.split(':')[0]}:emission"] = value

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            connection.sendall(self.welcome)
            for line in stream:
                text = line.decode().removesuffix("\n")
                self.lines.append(text)
                if text not in self.silent:
                    connection.sendall(self.answer(text).encode() + b"\n> ")

    def answer(self, text: str) -> str:
        if text in self.refused:
            return self.refused[text]
        if match := SET.match(text):
            self.values[match[1]] = match[2]
            self.on_set(match[1], match[2])
            return "0"
        path = text.removeprefix("(param-ref '").removesuffix(")")
        return self.values.get(path, "Error: -11 unknown parameter")


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def laser(peer: Peer) -> Iterator[DLCpro]:
    laser = DLCpro("laser", HOST, port=peer.port, timeout_s=2.0)
    peer.lines.clear()
    yield laser
    laser.close()


@pytest.fixture
def short_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.toptica.dlc_pro._SWITCH_S", 0.1)


def test_it_says_who_it_is(peer: Peer, laser: DLCpro) -> None:
    assert laser.identify() == Identity("Toptica", "DLC pro", "DLC PRO_012345", "3.3.3")
    assert peer.lines == ["(param-ref 'system-type)", "(param-ref 'serial-number)", "(param-ref 'fw-ver)"]
    assert laser.reference_locked() is True
    assert isinstance(laser, RoleInstrument)


def test_another_device_is_refused(peer: Peer) -> None:
    peer.values["system-type"] = '"iChrome CLE"'
    with pytest.raises(InstrumentError, match=r"another device answers: .*'iChrome CLE'"):
        DLCpro("laser", HOST, port=peer.port)
    peer.values["system-type"] = '"DLC pro"'
    DLCpro("laser", HOST, port=peer.port)  # the name is free again


def test_start_switches_the_current_on_and_waits_for_light(peer: Peer, laser: DLCpro) -> None:
    laser.start_emission("laser2")
    assert peer.lines == [
        "(param-ref 'interlock-open)",
        "(param-ref 'frontkey-locked)",
        "(param-set! 'laser2:dl:cc:enabled #t)",
        "(param-ref 'laser2:emission)",
    ]
    assert peer.values["laser1:emission"] == "#f"


def test_start_of_all_heads(peer: Peer, laser: DLCpro) -> None:
    laser.start_emission()
    assert (peer.values["laser1:emission"], peer.values["laser2:emission"]) == ("#t", "#t")


@pytest.mark.parametrize(
    ("path", "text"),
    [("interlock-open", "the interlock is open - close"), ("frontkey-locked", "the key at the front is off - turn")],
)
def test_interlock_and_key_keep_it_dark(peer: Peer, laser: DLCpro, path: str, text: str) -> None:
    peer.values[path] = "#t"
    with pytest.raises(InstrumentError, match=text):
        laser.start_emission()
    assert not [line for line in peer.lines if "param-set!" in line]


@pytest.mark.usefixtures("short_switch")
def test_a_head_that_stays_dark_is_switched_off_again(peer: Peer, laser: DLCpro) -> None:
    peer.on_set = lambda path, value: None
    with pytest.raises(InstrumentError, match=r"laser1 is dark 0.1 s after .*press the emission button"):
        laser.start_emission("laser1")
    assert peer.values["laser1:dl:cc:enabled"] == "#f"


@pytest.mark.usefixtures("short_switch")
def test_safe_state_tries_every_head_and_tells_which_still_emits(peer: Peer, laser: DLCpro) -> None:
    peer.values["laser1:emission"] = "#t"
    peer.on_set = lambda path, value: None
    with pytest.raises(InstrumentError, match=r"may still emit: .*laser1 still emits .*turn the key") as raised:
        laser.enter_safe_state()
    assert "laser2" not in str(raised.value)
    assert peer.values["laser2:dl:cc:enabled"] == "#f"


def test_safe_state_twice_in_any_state(peer: Peer, laser: DLCpro) -> None:
    laser.start_emission()
    peer.lines.clear()
    laser.enter_safe_state()
    once = [
        "(param-set! 'laser1:dl:cc:enabled #f)",
        "(param-ref 'laser1:emission)",
        "(param-set! 'laser2:dl:cc:enabled #f)",
        "(param-ref 'laser2:emission)",
        "(param-set! 'laser1:dl:lock:lock-enabled #f)",
        "(param-set! 'laser2:dl:lock:lock-enabled #f)",
    ]
    assert peer.lines == once
    laser.enter_safe_state()
    assert peer.lines == 2 * once
    assert peer.values["laser1:dl:cc:current-set"] == "95.0"


def test_the_state_of_a_head(peer: Peer, laser: DLCpro) -> None:
    assert laser.head_state("laser1") == LaserState(emitting=False, interlock_open=False, key_locked=False)
    peer.values |= {
        "interlock-open": "#t",
        "frontkey-locked": "#t",
        "laser1:emission": "#t",
        "laser1:dl:lock:lock-enabled": "#t",
        "laser1:dl:lock:state-txt": '"Locked"',
        "system-health": "2",
        "system-health-txt": '"Interlock open"',
    }
    assert laser.head_state("laser1") == LaserState(True, True, True, True, "Interlock open")
    peer.values["laser1:dl:lock:state-txt"] = '"Searching"'
    assert laser.head_state("laser1").frequency_locked is False


def test_the_set_points_of_a_head(peer: Peer, laser: DLCpro) -> None:
    dark = {"current": SetPoint(95.0, "mA"), "temperature": SetPoint(20.25, "°C")}
    assert laser.set_points("laser1") == {
        **dark,
        "frequency lock": SetPoint(False),
        "piezo voltage": SetPoint(70.5, "V"),
    }
    # The lock tunes the piezo by itself.
    peer.values["laser1:dl:lock:lock-enabled"] = "#t"
    assert laser.set_points("laser1") == {**dark, "frequency lock": SetPoint(True)}
    assert not [line for line in peer.lines if "param-set!" in line]


def test_a_head_that_is_not_there(laser: DLCpro) -> None:
    for call in (laser.start_emission, laser.stop_emission, laser.head_state, laser.set_points):
        with pytest.raises(MisuseError, match=r"no head 'laser3' - its heads are laser1, laser2"):
            call("laser3")


def test_parameters_of_a_head(peer: Peer, laser: DLCpro) -> None:
    assert laser.laser1.current_actual() == 94.9871
    assert laser.laser1.emission() is False
    laser.laser1.current(96)
    laser.laser1.piezo_voltage(0.00001)
    laser.laser1.lock_enabled(True)
    # DeCoF needs the point in a real number, and takes no exponent without one.
    assert peer.lines[2:] == [
        "(param-set! 'laser1:dl:cc:current-set 96.0)",
        "(param-set! 'laser1:dl:pc:voltage-set 0.0)",
        "(param-set! 'laser1:dl:lock:lock-enabled #t)",
    ]


def test_detuning_by_the_piezo(peer: Peer) -> None:
    tuning = {"laser1": {"resonance_v": 70.0, "hz_per_v": -400e6}}
    laser = DLCpro("laser", HOST, port=peer.port, tuning=tuning)
    # 70.5 V is half a volt above resonance: -200 MHz; +1 GHz lies 2.5 V below it.
    assert laser.laser1.detuning() == pytest.approx(-200e6)
    laser.laser1.detuning(1e9)
    assert peer.values["laser1:dl:pc:voltage-set"] == "67.5"
    with pytest.raises(MisuseError, match=r"laser_laser2: its tuning is not known - give `init:"):
        laser.laser2.detuning(0)


@pytest.mark.parametrize(
    ("tuning", "text"),
    [
        ({"laser3": {"resonance_v": 1.0, "hz_per_v": 1.0}}, "tuning of laser3, but its heads are laser1, laser2"),
        ({"laser1": {"resonance_v": 1.0}}, "give resonance_v, and hz_per_v other than 0"),
        ({"laser1": {"resonance_v": 1.0, "hz_per_v": 0.0}}, "give resonance_v, and hz_per_v other than 0"),
    ],
)
def test_a_tuning_that_can_not_be(tuning: dict[str, dict[str, float]], text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        DLCpro("laser", HOST, port=1, tuning=tuning)


@pytest.mark.parametrize("reply", ["-7", "Error: -7 value out of range", ""])
def test_a_value_refused_is_an_error_and_the_line_goes_on(peer: Peer, laser: DLCpro, reply: str) -> None:
    peer.refused["(param-set! 'laser1:dl:cc:current-set 900.0)"] = reply
    with pytest.raises(InstrumentError, match=r"'laser1:dl:cc:current-set 900.0' failed: .+check the value"):
        laser.laser1.current(900)
    assert laser.laser1.current() == 95.0


def test_silence_is_one_clear_line_and_a_late_reply_is_not_the_next_one(peer: Peer, laser: DLCpro) -> None:
    question = "(param-ref 'laser1:dl:cc:current-act)"
    peer.silent.add(question)
    with pytest.raises(InstrumentError, match=r"no answer to 'laser1:dl:cc:current-act' within \d+\.\d s") as raised:
        laser.laser1.current_actual()
    waited_s = raised.value.context["waited_s"]
    assert isinstance(waited_s, float)
    assert waited_s >= 0.5
    with suppress(OSError):
        peer.connections[0].sendall(b"1.0\n> ")
    assert laser.laser1.current() == 95.0
    assert len(peer.connections) == 2


def test_a_lost_connection_is_made_anew(peer: Peer, laser: DLCpro) -> None:
    peer.hang_up()
    with pytest.raises(InstrumentError, match=r"'laser1:emission' failed: .*check"):
        laser.laser1.emission()
    assert laser.laser1.emission() is False


def test_nobody_at_the_address() -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        InstrumentError, match=r"laser \(Toptica DLC pro at 127.0.45.2\): 'system-type' failed: .*power"
    ):
        DLCpro("laser", HOST, port=port)


def test_a_peer_without_a_prompt(peer: Peer) -> None:
    peer.welcome = b"SSH-2.0-OpenSSH_9.6\r\n"
    with pytest.raises(InstrumentError, match="'system-type'"):
        DLCpro("laser", HOST, port=peer.port, timeout_s=0.2)


def test_no_thread_is_left_behind_and_close_twice_is_harmless(laser: DLCpro) -> None:
    def decof() -> int:
        return sum(thread.name.startswith("decof") for thread in threading.enumerate())

    assert decof() == 1
    laser.close()
    assert decof() == 0
    laser.close()
