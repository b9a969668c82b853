"""Against a scripted peer that speaks lines over TCP and knows binary blocks."""

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from _addresses import own_block
from _peers import TcpPeer

from drivers.roles import (
    AwgChannelSettings,
    AwgElement,
    AwgProgram,
    AwgWaveform,
    EventInput,
    Identity,
    TriggerInput,
)
from drivers.tektronix.awg5014c import TektronixAWG5014C
from qnode.errors import InstrumentError, MisuseError

ADDRESSES = own_block()
HOST = f"{ADDRESSES}3"
BLOCK = re.compile(rb'^:WLIS:WAV:DATA "[^"]*",#(\d)')


class Peer(TcpPeer):
    """Answers questions by a table, joined ones in one line; records commands and blocks in order."""

    def __init__(self, port: int = 0) -> None:
        self.commands: list[str] = []
        self.blocks: dict[str, bytes] = {}
        self.messages: list[int] = []
        self.silent: set[str] = set()
        self.answers: dict[str, str | bytes | list[str]] = {
            "*IDN?": "TEKTRONIX,AWG5014C,B010123,SCPI:99.0 FW:4.6.0.7",
            "SOURce:FREQuency?": "1.0E9",
            ":SOUR1:ROSC:SOUR?": "EXT",
            ":WLIS:SIZE?": "0",
            "*OPC?": "1",
            ":SYST:ERR?": '0,"No error"',
            ":AWGC:RSTATE?": "1",
            ":AWGC:SEQ:TYPE?": "HARD",
        }
        super().__init__(HOST, port)

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while line := self._line(stream):
                self.messages.append(len(line))
                answers = [self._answer(part) for part in line.decode().split(";")]
                reply = b";".join(answer for answer in answers if answer)
                if reply:
                    connection.sendall(reply + b"\n")

    def _line(self, stream: Any) -> bytes:
        line = b""
        while byte := stream.read(1):
            if byte == b"\n":
                return line
            line += byte
            if match := BLOCK.match(line):
                size = int(stream.read(int(match[1])))
                self.blocks[line.decode().split('"')[1]] = stream.read(size)
                line = line[: match.start(1) - 1] + b"BLOCK"
        return b""

    def _answer(self, command: str) -> bytes:
        self.commands.append(command)
        if "?" not in command or command in self.silent:
            return b""
        answer = self.answers[command]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer if isinstance(answer, bytes) else answer.encode()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def awg(peer: Peer) -> Iterator[TektronixAWG5014C]:
    awg = TektronixAWG5014C("awg", peer.address, timeout=2.0)
    peer.commands.clear()
    yield awg
    awg.close()


FLAT = np.full(250, 8191, np.uint16)
MARKED = np.arange(250, dtype=np.uint16) | 0xC000


def program(**changes: Any) -> AwgProgram:
    """One round: an attempt that waits, loops and may jump, and its branch."""
    values: dict[str, Any] = {
        "waveforms": {"flat-00": AwgWaveform("flat-00", FLAT), "mark-11": AwgWaveform("mark-11", MARKED)},
        "elements": [
            AwgElement({1: "flat-00", 3: "mark-11"}, loop_count=250, wait_for_trigger=True, go_to=1, jump_to=2),
            AwgElement({1: "mark-11", 3: "flat-00"}),
        ],
        "channels": {1: AwgChannelSettings(3.0), 3: AwgChannelSettings(0.5, 0.1, 1.2, -0.3)},
        "trigger": TriggerInput(level_v=1.4),
        "event": EventInput(level_v=0.9),
    }
    return AwgProgram(**(values | changes))


def test_connecting_asks_who_is_there_and_selects_the_reference(
    peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.answers[":SOUR1:ROSC:SOUR?"] = "INT"
    awg = TektronixAWG5014C("awg", peer.address)
    assert awg.identify() == Identity("TEKTRONIX", "AWG5014C", "B010123", "SCPI:99.0 FW:4.6.0.7")
    assert peer.commands == [
        "TRIGger:IMPedance 50",
        "SOURce:FREQuency?",
        "*IDN?",
        ":SOUR1:ROSC:SOUR?",
        ":SOUR1:ROSC:SOUR EXT",
        "*IDN?",
    ]
    assert capsys.readouterr().out == ""
    awg.close()


def test_load_sends_waveforms_settings_and_table(peer: Peer, awg: TektronixAWG5014C) -> None:
    awg.load(program())
    assert peer.commands == [
        "*CLS",
        ":AWGC:STOP",
        ":OUTP1 0",
        ":OUTP2 0",
        ":OUTP3 0",
        ":OUTP4 0",
        ":SEQ:LENG 0",
        ":WLIS:SIZE?",
        ':WLIS:WAV:NEW "qn_flat-00",250,INT',
        ':WLIS:WAV:DATA "qn_flat-00",BLOCK',
        ':WLIS:WAV:NEW "qn_mark-11",250,INT',
        ':WLIS:WAV:DATA "qn_mark-11",BLOCK',
        ":AWGC:CLOC:SOUR INT",
        ":SOUR1:ROSC:SOUR EXT",
        ":SOUR1:FREQ 1000000000",
        ":TRIG:SOUR EXT",
        ":TRIG:SLOP POS",
        ":TRIG:LEV 1.4",
        ":AWGC:EVEN:JMOD EJUM",
        ":EVEN:POL POS",
        ":EVEN:LEV 0.9",
        ":EVEN:JTIM SYNC",
        ":SOUR1:VOLT:LEV:IMM:AMPL 3",
        ":SOUR1:VOLT:LEV:IMM:OFFS 0",
        ":SOUR1:MARK1:VOLT:LEV:IMM:HIGH 2",
        ":SOUR1:MARK1:VOLT:LEV:IMM:LOW 0",
        ":SOUR1:MARK2:VOLT:LEV:IMM:HIGH 2",
        ":SOUR1:MARK2:VOLT:LEV:IMM:LOW 0",
        ":SOUR3:VOLT:LEV:IMM:AMPL 0.5",
        ":SOUR3:VOLT:LEV:IMM:OFFS 0.1",
        ":SOUR3:MARK1:VOLT:LEV:IMM:HIGH 1.2",
        ":SOUR3:MARK1:VOLT:LEV:IMM:LOW -0.3",
        ":SOUR3:MARK2:VOLT:LEV:IMM:HIGH 1.2",
        ":SOUR3:MARK2:VOLT:LEV:IMM:LOW -0.3",
        ":SEQ:LENG 2",
        ':SEQ:ELEM1:WAV1 "qn_flat-00"',
        ':SEQ:ELEM1:WAV3 "qn_mark-11"',
        ":SEQ:ELEM1:LOOP:COUN 250",
        ":SEQ:ELEM1:TWA 1",
        ":SEQ:ELEM1:GOTO:IND 1",
        ":SEQ:ELEM1:GOTO:STAT 1",
        ":SEQ:ELEM1:JTAR:IND 2",
        ":SEQ:ELEM1:JTAR:TYPE IND",
        ':SEQ:ELEM2:WAV1 "qn_mark-11"',
        ':SEQ:ELEM2:WAV3 "qn_flat-00"',
        ":AWGC:RMOD SEQ",
        "*OPC?",
        ":SYST:ERR?",
    ]
    # 8191 is 0x1fff; the ramp has both markers (bits 14, 15) on; little-endian.
    assert peer.blocks["qn_flat-00"] == b"\xff\x1f" * 250
    assert peer.blocks["qn_mark-11"] == b"".join(bytes([low, 0xC0]) for low in range(250))


def test_asynchronous_jumps_are_asyn(peer: Peer, awg: TektronixAWG5014C) -> None:
    awg.load(program(event=EventInput(timing="asynchronous")))
    assert ":EVEN:JTIM ASYN" in peer.commands


def test_waveforms_already_there_are_not_sent_again(peer: Peer, awg: TektronixAWG5014C) -> None:
    awg.load(program())
    peer.answers |= {
        ":WLIS:SIZE?": "5",
        ":WLIS:NAME? 0": '"*Sine10"',
        ":WLIS:NAME? 1": '"theirs"',
        ":WLIS:NAME? 2": '"qn_flat-00"',
        ":WLIS:NAME? 3": '"qn_old-99"',
        ":WLIS:NAME? 4": '"qn_mark-11"',
    }
    peer.commands.clear()
    awg.load(program())
    about = [command for command in peer.commands if command.startswith(":WLIS:WAV")]
    assert about == [':WLIS:WAV:DEL "qn_old-99"']
    # Not while a table still names it.
    assert peer.commands.index(':WLIS:WAV:DEL "qn_old-99"') > peer.commands.index(":AWGC:RMOD SEQ")


def test_a_name_of_an_earlier_session_proves_nothing(peer: Peer, awg: TektronixAWG5014C) -> None:
    peer.answers |= {
        ":WLIS:SIZE?": "2",
        ":WLIS:NAME? 0": '"qn_flat-00"',
        ":WLIS:NAME? 1": '"qn_mark-11"',
        ':WLIS:WAV:DATA? "qn_flat-00"': b"#3500" + b"\xff\x1f" * 250,
        ':WLIS:WAV:DATA? "qn_mark-11"': b"#3500" + bytes(500),  # cut off after NEW
    }
    awg.load(program())
    assert [command for command in peer.commands if command.startswith(":WLIS:WAV")] == [
        ':WLIS:WAV:DATA? "qn_flat-00"',
        ':WLIS:WAV:DATA? "qn_mark-11"',
        ':WLIS:WAV:DEL "qn_mark-11"',
        ':WLIS:WAV:NEW "qn_mark-11",250,INT',
        ':WLIS:WAV:DATA "qn_mark-11",BLOCK',
    ]


def test_the_error_queue_is_drained_and_told(peer: Peer, awg: TektronixAWG5014C) -> None:
    peer.answers[":SYST:ERR?"] = ['-113,"Undefined header"', '-222,"Data out of range"', '0,"No error"']
    with pytest.raises(
        InstrumentError, match='load left 2 errors: -113 "Undefined header"; -222 "Data out of range"'
    ):
        awg.load(program())
    assert peer.commands.count(":SYST:ERR?") == 3
    with pytest.raises(MisuseError, match=r"run\(\) before load\(\)"):
        awg.run()


def element(line: int, **answers: str) -> dict[str, str]:
    fresh = {"WAV1": '""', "WAV2": '""', "WAV3": '""', "WAV4": '""', "LOOP:INF": "0", "LOOP:COUN": "1", "TWA": "0"}
    fresh |= {"GOTO:STAT": "0", "GOTO:IND": "1", "JTAR:TYPE": "OFF", "JTAR:IND": "1"}
    answers = {key.replace("_", ":"): value for key, value in answers.items()}
    return {f":SEQ:ELEM{line}:{key}?": value for key, value in (fresh | answers).items()}


def as_loaded() -> dict[str, str | bytes | list[str]]:
    """What an instrument answers after `program` was loaded."""
    answers: dict[str, str | bytes | list[str]] = {
        ":WLIS:SIZE?": "3",
        ":WLIS:NAME? 0": '"*Sine10"',
        ":WLIS:NAME? 1": '"qn_mark-11"',
        ":WLIS:NAME? 2": '"qn_flat-00"',
        ':WLIS:WAV:DATA? "qn_flat-00"': b"#3500" + b"\xff\x1f" * 250,
        # Holds 0x0a, the terminator, in its eleventh word.
        ':WLIS:WAV:DATA? "qn_mark-11"': b"#3500" + b"".join(bytes([low, 0xC0]) for low in range(250)),
        ":SEQ:LENG?": "2",
        ":TRIG:LEV?": "1.400000",
        ":EVEN:LEV?": "9.0E-1",
        ":EVEN:JTIM?": "SYNC",
    }
    answers |= element(
        1,
        WAV1='"qn_flat-00"',
        WAV3='"qn_mark-11"',
        LOOP_COUN="250",
        TWA="1",
        GOTO_STAT="1",
        JTAR_TYPE="IND",
        JTAR_IND="2",
    )
    answers |= element(2, WAV1='"qn_mark-11"', WAV3='"qn_flat-00"')
    for channel, levels in ((1, ("3.0000", "0", "2.0", "0.0")), (3, ("5.000E-1", "0.1", "1.2", "-0.3"))):
        answers[f":SOUR{channel}:VOLT:LEV:IMM:AMPL?"], answers[f":SOUR{channel}:VOLT:LEV:IMM:OFFS?"] = levels[:2]
        for marker in (1, 2):
            head = f":SOUR{channel}:MARK{marker}:VOLT:LEV:IMM"
            answers[f"{head}:HIGH?"], answers[f"{head}:LOW?"] = levels[2:]
    return answers


def test_reads_back_what_it_holds(peer: Peer, awg: TektronixAWG5014C) -> None:
    peer.answers |= as_loaded()
    assert awg.read_back().sha256() == program().sha256()


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({":SEQ:ELEM2:LOOP:INF?": "1"}, "line 2 loops without end"),
        ({":SEQ:ELEM2:JTAR:TYPE?": "NEXT"}, "line 2 has a jump target of type NEXT"),
        ({":SEQ:ELEM2:WAV1?": '"theirs"'}, "line 2 plays 'theirs' on channel 1"),
        ({":SOUR3:MARK2:VOLT:LEV:IMM:HIGH?": "2.7"}, "markers of channel 3 have different levels"),
    ],
)
def test_a_foreign_table_is_told(peer: Peer, awg: TektronixAWG5014C, changed: dict[str, str], text: str) -> None:
    peer.answers |= as_loaded() | changed
    with pytest.raises(InstrumentError, match=text):
        awg.read_back()


def test_a_changed_line_reads_back_differently(peer: Peer, awg: TektronixAWG5014C) -> None:
    peer.answers |= as_loaded() | {":SEQ:ELEM1:LOOP:COUN?": "249"}
    assert [element.loop_count for element in awg.read_back().elements] == [249, 1]


def test_a_full_table_travels_in_few_messages(peer: Peer, awg: TektronixAWG5014C) -> None:
    rounds = 4000
    elements = [
        element
        for k in range(rounds)
        for element in (
            AwgElement({1: "flat-00", 3: "mark-11"}, 250, True, go_to=(2 * k + 2) % 8000 + 1, jump_to=2 * k + 2),
            AwgElement({1: "mark-11", 3: "flat-00"}),
        )
    ]
    awg.load(program(elements=elements))
    sent = [command for command in peer.commands if command.startswith(":SEQ:ELEM")]
    assert len(sent) == rounds * (2 + 6 + 2)
    assert sent[-1] == ':SEQ:ELEM8000:WAV3 "qn_flat-00"'
    assert max(peer.messages) <= 4200
    assert len(peer.messages) < 400


def test_run_switches_on_and_waits_for_the_trigger(peer: Peer, awg: TektronixAWG5014C) -> None:
    awg.load(program())
    peer.commands.clear()
    peer.answers[":AWGC:RSTATE?"] = ["0", "0", "1"]
    awg.run()
    assert peer.commands == [
        ":OUTP1 1",
        ":OUTP3 1",
        ":AWGC:RUN",
        *[":AWGC:RSTATE?"] * 3,
        ":AWGC:SEQ:TYPE?",
        ":SYST:ERR?",
    ]


def test_the_software_sequencer_is_refused(peer: Peer, awg: TektronixAWG5014C) -> None:
    awg.load(program())
    peer.answers[":AWGC:SEQ:TYPE?"] = "SOFT"
    with pytest.raises(InstrumentError, match="would play by the SOFT sequencer"):
        awg.run()
    assert awg.state() == "waiting_for_trigger"  # asked after the commands below were taken
    assert peer.commands[-6:-1] == [":AWGC:STOP", ":OUTP1 0", ":OUTP2 0", ":OUTP3 0", ":OUTP4 0"]


@pytest.mark.parametrize(("answer", "state"), [("0", "stopped"), ("1", "waiting_for_trigger"), ("2", "running")])
def test_state(peer: Peer, awg: TektronixAWG5014C, answer: str, state: str) -> None:
    peer.answers[":AWGC:RSTATE?"] = answer
    assert awg.state() == state


def test_an_unknown_state_is_told(peer: Peer, awg: TektronixAWG5014C) -> None:
    peer.answers[":AWGC:RSTATE?"] = "7"
    with pytest.raises(InstrumentError, match="answers '7'"):
        awg.state()


@pytest.mark.parametrize("name", ["stop", "enter_safe_state"])
def test_stop_and_safe_state_switch_all_outputs_off(peer: Peer, awg: TektronixAWG5014C, name: str) -> None:
    peer.answers[":AWGC:RSTATE?"] = "0"
    call: Callable[[], None] = getattr(awg, name)
    call()
    once = list(peer.commands)
    call()
    assert peer.commands == once * 2
    assert once[:5] == [":AWGC:STOP", ":OUTP1 0", ":OUTP2 0", ":OUTP3 0", ":OUTP4 0"]
    assert once[-1] == ":AWGC:RSTATE?"


def test_a_late_answer_is_never_read_as_the_next(peer: Peer, awg: TektronixAWG5014C) -> None:
    peer.silent.add(":AWGC:RSTATE?")
    with pytest.raises(
        InstrumentError, match=r"awg \(Tektronix AWG5014C at TCPIP0::.*no answer to ':AWGC:RSTATE\?' within"
    ):
        awg.state()
    peer.connections[0].sendall(b"2\n")  # what it would have said, too late
    peer.silent.clear()
    assert awg.state() == "waiting_for_trigger"
    assert len(peer.connections) == 2


def test_connects_anew_after_a_power_cut(peer: Peer, awg: TektronixAWG5014C) -> None:
    port = peer.port
    peer.close()
    for _ in range(2):
        with pytest.raises(InstrumentError, match="check power and network cable"):
            awg.state()
    again = Peer(port)
    again.answers[":AWGC:RSTATE?"] = "0"
    assert awg.state() == "stopped"
    assert awg.timeout() == 2.0
    awg.close()
    again.close()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"elements": []}, "0 lines in the table"),
        ({"elements": [AwgElement({1: "flat-00"})] * 8001}, "8001 lines in the table; it holds 1 to 8000"),
        ({"elements": [AwgElement({1: "nowhere"})]}, "line 1: no waveform named 'nowhere'"),
        ({"elements": [AwgElement({})]}, "line 1: no waveform"),
        ({"elements": [AwgElement({1: "flat-00"}, loop_count=65537)]}, "loop count 65537; it counts 1 to 65536"),
        ({"elements": [AwgElement({1: "flat-00"}, loop_count=0)]}, "loop count 0"),
        ({"elements": [AwgElement({1: "flat-00"}, jump_to=2)]}, "jump_to 2; the table has 1 lines"),
        ({"elements": [AwgElement({1: "flat-00"}, go_to=0)]}, "go_to 0"),
        ({"elements": [AwgElement({2: "flat-00"})]}, r"channels without settings: \[2\]"),
        ({"channels": {1: AwgChannelSettings(4.6), 3: AwgChannelSettings(1.0)}}, "4.6 Vpp; it gives 0.02 to 4.5"),
        ({"channels": {n: AwgChannelSettings(1.0) for n in (1, 3, 5)}}, "channel 5; it has 1 to 4"),
        (
            {"channels": {1: replace(AwgChannelSettings(1.0), marker_high_v=0.0), 3: AwgChannelSettings(1.0)}},
            "marker low 0.0 V is not below high 0.0 V",
        ),
        ({"waveforms": {"flat-00": AwgWaveform("flat-00", FLAT[:249])}}, "249 samples, fewer than 250"),
        (
            {
                "waveforms": {
                    "flat-00": AwgWaveform("flat-00", FLAT),
                    "mark-11": AwgWaveform("mark-11", np.tile(FLAT, 2)),
                }
            },
            "line 1: waveforms of different lengths",
        ),
        ({"waveforms": {"a": AwgWaveform("b", FLAT)}}, "'b' stands under the key 'a'"),
        ({"waveforms": {'a"': AwgWaveform('a"', FLAT)}}, "printable ASCII"),
    ],
)
def test_broken_limits_are_refused_before_upload(
    peer: Peer, awg: TektronixAWG5014C, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(InstrumentError, match=text):
        awg.load(program(**changes))
    assert peer.commands == []


def test_short_names_are_the_parameters_of_the_channels(peer: Peer, awg: TektronixAWG5014C) -> None:
    peer.answers["SOURce1:VOLTage:LEVel:IMMediate:AMPLitude?"] = "2.5"
    assert awg.ch1_amp() == 2.5
    assert awg.parameters["ch1_amp"] is awg.ch1_amp


def test_another_model_is_refused(peer: Peer) -> None:
    peer.answers["*IDN?"] = "TEKTRONIX,AWG7122C,B010123,FW:4.6"
    with pytest.raises(InstrumentError, match=r"another device answers .*AWG7122C"):
        TektronixAWG5014C("awg", peer.address)


def test_nobody_there_is_one_clear_line() -> None:
    with pytest.raises(InstrumentError, match=rf"awg \(Tektronix AWG5014C at TCPIP0::{ADDRESSES}2::4000::SOCKET\)"):
        TektronixAWG5014C("awg", f"TCPIP0::{ADDRESSES}2::4000::SOCKET")
