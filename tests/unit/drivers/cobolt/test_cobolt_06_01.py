"""Against a scripted peer behind a pseudo-terminal."""

from collections.abc import Iterator

import pytest
from _peers import PtyPeer

from drivers.cobolt.cobolt_06_01 import Cobolt0601
from drivers.roles import Identity, LaserState, RoleInstrument, SetPoint
from qnode.errors import InstrumentError, MisuseError


class Peer(PtyPeer):
    """Answers lines by a table, else OK to what sets; records them in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.replies = {
            "gsn?": "24601",
            "l?": "0",
            "ilk?": "0",
            "f?": "0",
            "gom?": "0",
            "@cobas?": "0",
            "p?": "0.0500",
            "pa?": "0.0497",
            "i?": "61.3",
            "hrs?": "812.25",
        }
        self.switches = {"l1": "1", "@cob1": "1", "l0": "0"}
        self.pending = b""
        super().__init__()

    def feed(self, data: bytes) -> None:
        *lines, self.pending = (self.pending + data).split(b"\r")
        for line in lines:
            self.lines.append(line.decode())
            self.say(self._answer(line.decode()))

    def _answer(self, line: str) -> bytes:
        self.replies["l?"] = self.switches.get(line, self.replies["l?"])
        reply = self.replies.get(line, "Syntax error: illegal command" if line.endswith("?") else "OK")
        return reply.encode() + b"\r\n" if reply else b""


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.unplug()


@pytest.fixture
def laser(peer: Peer) -> Iterator[Cobolt0601]:
    laser = Cobolt0601("repump", peer.path, timeout_s=2.0, start_s=0.1)
    assert peer.lines == ["gsn?"]
    peer.lines.clear()
    yield laser
    laser.close()


def test_it_says_who_it_is(laser: Cobolt0601) -> None:
    assert laser.identify() == Identity("Cobolt", "06-01", serial="24601", firmware="")
    assert laser.reference_locked() is True
    assert isinstance(laser, RoleInstrument)


def test_another_device_is_refused(peer: Peer) -> None:
    peer.replies["gsn?"] = "Syntax error: illegal command"
    with pytest.raises(InstrumentError, match=r"another device answers gsn\?: 'Syntax error"):
        Cobolt0601("repump", peer.path)
    peer.replies["gsn?"] = "24601"
    Cobolt0601("repump", peer.path)  # the name is free again


@pytest.mark.parametrize(
    ("autostart", "command"), [("0", "l1"), ("1", "@cob1"), ("Syntax error: illegal command", "l1")]
)
def test_start_by_autostart_where_it_is_on(peer: Peer, laser: Cobolt0601, autostart: str, command: str) -> None:
    peer.replies["@cobas?"] = autostart
    laser.start_emission()
    assert peer.lines == ["ilk?", "f?", "@cobas?", command, "l?"]
    assert laser.emission() is True


def test_an_open_interlock_keeps_it_dark(peer: Peer, laser: Cobolt0601) -> None:
    peer.replies["ilk?"] = "1"
    with pytest.raises(InstrumentError, match="the interlock is open - close the interlock loop"):
        laser.start_emission("laser1")
    assert peer.lines == ["ilk?"]


@pytest.mark.parametrize(
    ("code", "text"), [("1", "temperature error"), ("4", "constant power time-out"), ("17", "fault 17")]
)
def test_a_fault_keeps_it_dark_until_it_is_cleared(peer: Peer, laser: Cobolt0601, code: str, text: str) -> None:
    peer.replies["f?"] = code
    with pytest.raises(InstrumentError, match=rf"{text} - mend it, clear_fault\(\)"):
        laser.start_emission()
    assert peer.lines == ["ilk?", "f?"]
    laser.clear_fault()
    assert peer.lines[2:] == ["cf"]


def test_a_laser_that_stays_dark_is_switched_off_again(peer: Peer, laser: Cobolt0601) -> None:
    del peer.switches["l1"]
    peer.replies["gom?"] = "1"
    with pytest.raises(InstrumentError, match=r"still off 0.1 s after it was switched on: waiting for key - turn"):
        laser.start_emission()
    assert peer.lines[-2:] == ["l0", "l?"]


def test_safe_state_twice_keeps_the_set_points(peer: Peer, laser: Cobolt0601) -> None:
    laser.start_emission()
    peer.lines.clear()
    laser.enter_safe_state()
    laser.enter_safe_state()
    assert peer.lines == ["l0", "l?", "l0", "l?"]
    assert laser.power() == 0.05


def test_a_laser_that_stays_on_is_told(peer: Peer, laser: Cobolt0601, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.cobolt.cobolt_06_01._OFF_S", 0.1)
    laser.start_emission()
    del peer.switches["l0"]
    with pytest.raises(InstrumentError, match=r"still on 0.1 s after it was switched off: .* - turn its key off"):
        laser.enter_safe_state()


def test_the_state_of_the_head(peer: Peer, laser: Cobolt0601) -> None:
    assert laser.head_state("laser1") == LaserState(emitting=False, interlock_open=False, key_locked=False)
    peer.replies |= {"l?": "1", "ilk?": "1", "gom?": "1", "f?": "3"}
    assert laser.head_state("laser1") == LaserState(True, True, True, None, "interlock error")
    peer.replies["ilk?"] = "open"
    with pytest.raises(InstrumentError, match=r"'ilk\?' answers 'open', expected 0 or 1"):
        laser.head_state("laser1")


def test_the_set_points_of_the_head(peer: Peer, laser: Cobolt0601) -> None:
    assert laser.set_points("laser1") == {"power": SetPoint(0.05, "W")}
    assert peer.lines == ["p?"]


def test_a_head_that_is_not_there(peer: Peer, laser: Cobolt0601) -> None:
    for call in (laser.start_emission, laser.set_points):
        with pytest.raises(MisuseError, match="repump: no head 'laser2' - its only head is laser1"):
            call("laser2")
    assert peer.lines == []


def test_parameters(peer: Peer, laser: Cobolt0601) -> None:
    laser.power(0.02)
    laser.current(61.3)
    laser.mode("constant_current")
    laser.mode("constant_power")
    laser.mode("modulation")
    assert peer.lines == ["p 0.020000", "slc 61.300", "ci", "cp", "em"]
    assert (laser.power_actual(), laser.current_actual(), laser.hours()) == (0.0497, 61.3, 812.25)
    peer.replies["gom?"] = "2"
    assert laser.operating_state() == "continuous"
    assert laser.interlock_open() is False


def test_a_command_refused(peer: Peer, laser: Cobolt0601) -> None:
    peer.replies["p 9.000000"] = "Syntax error: illegal command"
    with pytest.raises(InstrumentError, match=r"'p 9.000000' answers 'Syntax error: .*' instead of OK"):
        laser.power(9)


def test_silence_is_one_clear_line_and_a_late_answer_is_not_the_next_one(peer: Peer, laser: Cobolt0601) -> None:
    peer.replies["pa?"] = ""
    with pytest.raises(InstrumentError, match=r"no answer to 'pa\?' within 2 s, only b''"):
        laser.power_actual()
    peer.say(b"0.0497\r\n")
    assert laser.current_actual() == 61.3


def test_no_terminal_is_one_clear_line() -> None:
    with pytest.raises(InstrumentError, match=r"repump \(Cobolt 06-01 at /dev/no-such-tty\): can't open .*USB cable"):
        Cobolt0601("repump", "/dev/no-such-tty")


def test_unplugged(peer: Peer, laser: Cobolt0601) -> None:
    peer.unplug()
    with pytest.raises(InstrumentError, match=r"'pa\?' failed: .*check the USB cable"):
        laser.power_actual()
    with pytest.raises(InstrumentError, match="can't open the terminal"):
        laser.enter_safe_state()
