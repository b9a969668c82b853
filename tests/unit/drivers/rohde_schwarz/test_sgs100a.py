"""Against a scripted peer that speaks lines over TCP."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from _peers import TcpPeer

from drivers.rohde_schwarz.sgs100a import RohdeSchwarzSGS100A
from drivers.roles import Identity, MicrowaveCarrier, RoleInstrument
from qnode.errors import InstrumentError, MisuseError

HOST = "127.0.45.3"
CONNECT = ["*IDN?", "SOUR:ROSC:SOUR?"]


class Peer(TcpPeer):
    """Answers questions by a table, applies what is set, records every line in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.answers = {
            "*IDN?": "Rohde&Schwarz,SGS100A,1416.0505k02/101234,3.1.19.15-3.20.390.24",
            "SOUR:ROSC:SOUR?": "EXT",
            "SYST:ERR:ALL?": '0,"No error"',
            "SOUR:FREQ?": "2880000000",
            "SOUR:POW?": "-10",
            ":OUTP:STAT?": "0",
            ":IQ:STAT?": "0",
        }
        self.deaf: set[str] = set()
        self.silent: set[str] = set()
        super().__init__(HOST)

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            for line in stream:
                text = line.decode().removesuffix("\n")
                self.lines.append(text)
                if text.endswith("?"):
                    if text not in self.silent:
                        connection.sendall(self.answers[text].encode() + b"\n")
                elif " " in text and text not in self.deaf:
                    header, value = text.split(" ")
                    self.answers[f"{header}?"] = value


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def source(peer: Peer) -> Iterator[RohdeSchwarzSGS100A]:
    source = RohdeSchwarzSGS100A("microwave", peer.address, timeout=2.0)
    assert peer.lines == CONNECT
    peer.lines.clear()
    yield source
    source.close()


def test_it_says_who_it_is(source: RohdeSchwarzSGS100A) -> None:
    assert source.identify() == Identity("Rohde&Schwarz", "SGS100A", "1416.0505k02/101234", "3.1.19.15-3.20.390.24")


def test_nothing_is_printed(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    RohdeSchwarzSGS100A("microwave", peer.address)
    assert capsys.readouterr().out == ""


def test_another_model_is_refused_and_the_name_is_free_again(peer: Peer) -> None:
    right = peer.answers["*IDN?"]
    peer.answers["*IDN?"] = "Rohde&Schwarz,SMB100A,1406.6000k02/1,3.1"
    with pytest.raises(InstrumentError, match=r"another device answers \*IDN\?: 'Rohde&Schwarz,SMB100A"):
        RohdeSchwarzSGS100A("microwave", peer.address)
    peer.answers["*IDN?"] = right
    RohdeSchwarzSGS100A("microwave", peer.address)


def test_the_external_reference_is_selected(peer: Peer) -> None:
    peer.answers["SOUR:ROSC:SOUR?"] = "INT"
    source = RohdeSchwarzSGS100A("microwave", peer.address)
    assert peer.lines == [
        *CONNECT,
        "*CLS",
        "SOUR:ROSC:EXT:FREQ 10MHz",
        "SOUR:ROSC:SOUR EXT",
        "SYST:ERR:ALL?",
    ]
    assert source.reference_locked() is True
    assert isinstance(source, RoleInstrument)
    peer.answers["SOUR:ROSC:SOUR?"] = "INT"
    assert source.reference_locked() is False


def test_the_carrier_is_set_and_read_back(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    source.set_carrier(2.8774e9, 7.456)
    assert peer.lines == [
        "*CLS",
        "SOUR:FREQ 2877400000.00",
        "SOUR:POW 7.46",
        "SYST:ERR:ALL?",
        "SOUR:FREQ?",
        "SOUR:POW?",
        ":OUTP:STAT?",
        ":IQ:STAT?",
    ]
    assert source.carrier() == MicrowaveCarrier(2877400000.0, 7.46, output_on=False, iq_on=False)


def test_a_carrier_outside_the_model_sends_nothing(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    with pytest.raises(MisuseError, match=r"microwave: power 40 dBm is refused - it takes .*-120.*25"):
        source.set_carrier(2.88e9, 40)
    with pytest.raises(MisuseError, match=r"frequency 1000.0 Hz is refused"):
        source.set_carrier(1e3, 0)
    assert peer.lines == []


def test_a_carrier_not_taken(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    peer.deaf.add("SOUR:POW 15.00")
    with pytest.raises(InstrumentError, match=r"it holds -10.00 dBm after 15.00 dBm was set"):
        source.set_carrier(2.88e9, 15)


def test_output_on_has_the_modulator_first(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    source.start_output()
    assert peer.lines == ["SOUR:ROSC:SOUR?", ":IQ:STAT 1", ":IQ:STAT?", ":OUTP:STAT 1", ":OUTP:STAT?"]
    assert source.carrier() == MicrowaveCarrier(2.88e9, -10.0, output_on=True, iq_on=True)


def test_a_source_that_lost_its_mains_gets_its_reference_before_its_output(
    peer: Peer, source: RohdeSchwarzSGS100A
) -> None:
    peer.answers["SOUR:ROSC:SOUR?"] = "INT"
    source.start_output()
    assert peer.lines.index("SOUR:ROSC:SOUR EXT") < peer.lines.index(":OUTP:STAT 1")
    assert source.reference_locked() is True


def test_safe_state_twice_keeps_the_carrier(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    source.start_output()
    peer.lines.clear()
    source.enter_safe_state()
    source.enter_safe_state()
    assert peer.lines == 2 * [":OUTP:STAT 0", ":OUTP:STAT?"]
    assert source.carrier() == MicrowaveCarrier(2.88e9, -10.0, output_on=False, iq_on=True)


def test_an_output_that_stays_on_is_told(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    source.start_output()
    peer.deaf.add(":OUTP:STAT 0")
    with pytest.raises(InstrumentError, match=r":OUTP:STAT\? says on after :OUTP:STAT 0; .* switch it off at its"):
        source.enter_safe_state()


def test_errors_of_the_queue_are_shown(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    peer.answers["SYST:ERR:ALL?"] = '-221,"Settings conflict",-200,"Execution error"'
    with pytest.raises(InstrumentError, match=r"'SOUR:FREQ .*' left errors: -221,\"Settings conflict\",-200"):
        source.set_carrier(2.88e9, 0)


def test_no_output_without_the_modulator(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    peer.deaf.add(":IQ:STAT 1")
    peer.answers["SYST:ERR:ALL?"] = '-241,"Hardware missing"'
    with pytest.raises(InstrumentError, match=r":IQ:STAT\? says off after :IQ:STAT 1; its errors: -241"):
        source.start_output()
    assert ":OUTP:STAT 1" not in peer.lines


def test_qcodes_parameters_work(peer: Peer, source: RohdeSchwarzSGS100A) -> None:
    source.frequency(3e9)
    assert source.power() == -10.0
    assert source.status() is False
    assert peer.lines == ["SOUR:FREQ 3000000000.00", "SOUR:POW?", ":OUTP:STAT?"]


def test_silence_is_one_clear_line_and_a_late_answer_is_not_the_next_one(
    peer: Peer, source: RohdeSchwarzSGS100A
) -> None:
    peer.silent.add("SOUR:POW?")
    with pytest.raises(InstrumentError, match=r"no answer to 'SOUR:POW\?' within \d+\.\d s"):
        source.power()
    with suppress(OSError):
        peer.connections[0].sendall(b"-99\n")
    assert source.frequency() == 2.88e9
    assert len(peer.connections) == 2
    assert source.timeout() == 2.0


def test_nobody_at_the_address() -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InstrumentError, match=r"microwave \(R&S SGS100A at TCPIP0::127.0.45.3.*can't connect"):
        RohdeSchwarzSGS100A("microwave", f"TCPIP0::{HOST}::{port}::SOCKET", timeout=2.0)
