"""A stranger's client of the Cobolt 06-01, from the maker's manual as public clients quote it, on pyserial.

It knows: a carriage return ends a command, CR LF its reply; `OK` answers what sets something.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from qnode.errors import InstrumentError
from simulators.instruments.cobolt.cobolt_06_01 import Cobolt0601
from simulators.kit.testing import BackgroundLoop, ManualTime, running

ILLEGAL = "Syntax error: illegal command"


class Stranger:
    """One line out, one line in."""

    def __init__(self, path: str) -> None:
        self.port = serial.Serial(path, 115_200, timeout=5)

    def send(self, command: str) -> str:
        self.port.write(f"{command}\r".encode())
        line = self.port.readline()
        assert line.endswith(b"\r\n"), line
        return line.decode().rstrip()

    def ok(self, *commands: str) -> None:
        for command in commands:
            assert self.send(command) == "OK", command


@pytest.fixture
def clock() -> ManualTime:
    return ManualTime(1_800_000_000 * 10**12)


@pytest.fixture
def laser(tmp_path: Path, clock: ManualTime) -> Cobolt0601:
    return Cobolt0601("alice.repump", str(tmp_path / "tty" / "alice-repump"), clock)


@pytest.fixture
def loop(laser: Cobolt0601) -> Iterator[BackgroundLoop]:
    with running(laser) as background:
        yield background


@pytest.fixture
def client(laser: Cobolt0601, loop: BackgroundLoop) -> Iterator[Stranger]:
    stranger = Stranger(laser.address)
    with stranger.port:
        yield stranger


def fault(laser: Cobolt0601, loop: BackgroundLoop, name: str) -> None:
    async def bring_about() -> None:
        laser.faults()[name]()

    loop.call(bring_about())


def beam(laser: Cobolt0601) -> tuple[bool, float]:
    out = laser.playback.beams["laser1"]
    return out.emission, out.power_mw


def test_identity(client: Stranger) -> None:
    assert client.send("?") == "OK"
    # Public clients take a firmware number with a point for a laser that knows its model.
    assert "." in client.send("gfv?")
    assert client.send("ver?") == client.send("gfv?")
    assert "-06-01-" in client.send("glm?")
    assert client.send("sn?") == client.send("gsn?")
    assert client.send("sn?").isdigit()


def test_off_when_plugged_in(client: Stranger, laser: Cobolt0601) -> None:
    assert beam(laser) == (False, 0.0)
    assert (client.send("l?"), client.send("gom?"), client.send("f?"), client.send("ilk?")) == ("0", "0", "0", "0")
    assert float(client.send("pa?")) == 0.0
    assert float(client.send("i?")) == 0.0


def test_constant_power(client: Stranger, laser: Cobolt0601) -> None:
    client.ok("cp", "p 0.03", "l1")
    assert (client.send("l?"), client.send("gom?"), client.send("gam?")) == ("1", "2", "1")
    assert beam(laser) == (True, pytest.approx(30.0))
    for question in ("p?", "ps?", "@cobasp?", "pa?"):
        assert float(client.send(question)) == pytest.approx(0.03)
    assert float(client.send("glp?")) == pytest.approx(30.0)
    # 0.5 mW/mA above 50 mA.
    assert float(client.send("i?")) == pytest.approx(110.0)
    client.ok("slp 40")
    assert float(client.send("p?")) == pytest.approx(0.04)
    client.ok("@cobasp 0.02")
    assert beam(laser) == (True, pytest.approx(20.0))
    client.ok("l0")
    assert beam(laser) == (False, 0.0)


def test_constant_current(client: Stranger, laser: Cobolt0601) -> None:
    client.ok("ci", "slc 120", "@cob1")
    assert (client.send("gam?"), client.send("gom?")) == ("0", "2")
    assert beam(laser) == (True, pytest.approx(35.0))
    assert float(client.send("glc?")) == pytest.approx(120.0)
    assert float(client.send("i?")) == float(client.send("rlc?")) == pytest.approx(120.0)
    assert float(client.send("pa?")) == pytest.approx(0.035)
    client.ok("ecc", "slc 20")
    assert beam(laser) == (True, 0.0)
    client.ok("@cob0")
    assert client.send("l?") == "0"


def test_modulation(client: Stranger, laser: Cobolt0601) -> None:
    client.ok("slmp 25", "sdmes 1", "em", "l1")
    assert (client.send("gam?"), client.send("gom?"), client.send("gmes?")) == ("2", "4", "1")
    assert (client.send("gdmes?"), client.send("games?")) == ("1", "0")
    assert float(client.send("glmp?")) == pytest.approx(25.0)
    assert beam(laser) == (True, pytest.approx(25.0))
    assert laser.playback.beams["laser1"].modulated
    client.ok("sdmes 0")
    assert not laser.playback.beams["laser1"].modulated
    client.ok("sames 1", "salis 1")
    assert client.send("galis?") == "1"
    assert laser.playback.beams["laser1"].modulated
    client.ok("ecp", "eoom")
    assert client.send("gom?") == "3"
    assert laser.playback.beams["laser1"].modulated
    client.ok("xoom")
    assert client.send("gom?") == "2"
    assert not laser.playback.beams["laser1"].modulated


def test_interlock_is_a_fault_until_it_is_cleared(client: Stranger, laser: Cobolt0601, loop: BackgroundLoop) -> None:
    client.ok("l1")
    fault(laser, loop, "open-interlock")
    assert beam(laser) == (False, 0.0)
    assert laser.playback.interlock_open
    assert (client.send("ilk?"), client.send("f?"), client.send("gom?"), client.send("l?")) == ("1", "3", "5", "0")
    client.ok("cf", "l1")
    assert (client.send("f?"), client.send("l?")) == ("3", "0")
    fault(laser, loop, "close-interlock")
    assert not laser.playback.interlock_open
    client.ok("l1")
    assert (client.send("ilk?"), client.send("l?")) == ("0", "0")
    client.ok("cf")
    assert (client.send("f?"), client.send("l?")) == ("0", "0")
    client.ok("l1")
    assert beam(laser)[0]


def test_key(client: Stranger, laser: Cobolt0601, loop: BackgroundLoop) -> None:
    assert client.send("@cobasks?") == client.send("@cobasks") == "1"
    client.ok("l1")
    fault(laser, loop, "lock-key")
    assert beam(laser) == (False, 0.0)
    assert (client.send("@cobasks?"), client.send("gom?")) == ("0", "0")
    client.ok("l1")
    assert (client.send("l?"), client.send("gom?")) == ("0", "1")
    fault(laser, loop, "unlock-key")
    assert beam(laser)[0]
    client.ok("@cobas 1")
    assert client.send("@cobas?") == "1"
    fault(laser, loop, "lock-key")
    assert client.send("gom?") == "1"
    fault(laser, loop, "unlock-key")
    assert client.send("gom?") == "2"


@pytest.mark.parametrize("command", ["nonsense", "l2", "p? 1", "l1 1", "id?"])
def test_unknown_commands(client: Stranger, command: str) -> None:
    assert client.send(command) == ILLEGAL


@pytest.mark.parametrize("command", ["p", "p x", "p 0.1001", "p -0.01", "p nan", "slc 251", "sdmes 2", "@cobas -1"])
def test_bad_values_change_nothing(client: Stranger, laser: Cobolt0601, command: str) -> None:
    before = laser.playback
    assert client.send(command) == "Syntax error: illegal value"
    assert laser.playback is before


def test_commands_may_come_in_any_pieces(client: Stranger) -> None:
    for piece in (b"p 0.", b"045\rp", b"?\r", b"\r\n"):
        client.port.write(piece)
    assert client.port.readline() == b"OK\r\n"
    assert client.port.readline() == b"0.0450\r\n"
    assert client.send("L?") == "0"


def test_hours_follow_lab_time(client: Stranger, clock: ManualTime) -> None:
    before = float(client.send("hrs?"))
    clock.advance(2 * 3600 * 10**12)
    assert float(client.send("hrs?")) == pytest.approx(before + 2)
    assert 10 < float(client.send("rbpt?")) < 50


def test_unplugged_it_is_dark_and_forgets(laser: Cobolt0601, loop: BackgroundLoop) -> None:
    before = Stranger(laser.address)
    with before.port:
        before.ok("p 0.02", "l1")
        assert beam(laser)[0]
        loop.call(laser.unplug())
        assert not laser.playback.powered
        assert beam(laser) == (False, 0.0)
        assert not Path(laser.address).exists()
        with pytest.raises(OSError, match=r"disconnected|Input/output"):
            before.send("l?")
    loop.call(laser.plug())
    after = Stranger(laser.address)
    with after.port:
        assert after.send("l?") == "0"
        assert float(after.send("p?")) == pytest.approx(0.05)


def test_a_taken_path_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with (
        pytest.raises(InstrumentError, match=rf"bob\.repump.*{path}"),
        running(Cobolt0601("bob.repump", str(path), ManualTime())),
    ):
        pass
    assert os.fspath(path.read_text()) == "mine"
