"""A stranger's ID900 client, from the maker's public samples: REQ sockets, the DataLinkTarget, and stream clients.

The order of calls and the loop that waits for the end are those of the maker's scripts (utils/acquisitions).
"""

import ast
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from _addresses import own_block
from zmq.utils.monitor import recv_monitor_message

from qnode.errors import InstrumentError, MisuseError
from simulators.instruments.idquantique.id900 import ID900
from simulators.kit.testing import BackgroundLoop, ManualTime, running, wait_for

IP = f"{own_block()}5"
T0 = 1_800_000_000_000_000_000_000  # a TAI second, in ps
US = 1_000_000
MS = 1_000_000_000
S = 1_000_000_000_000


class Stranger:
    """REQ sockets to both helpers, with time-outs."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._tc = self._connect(5555)
        self._dlt = self._connect(6060)

    def _connect(self, port: int) -> zmq.Socket[bytes]:
        req = self.context.socket(zmq.REQ)
        req.setsockopt(zmq.RCVTIMEO, 5_000)
        req.setsockopt(zmq.LINGER, 0)
        req.connect(f"tcp://{IP}:{port}")
        return req

    def tc(self, command: str) -> str:
        self._tc.send_string(command)
        return self._tc.recv().decode()

    def dlt(self, command: str) -> object:
        self._dlt.send_string(command)
        return json.loads(self._dlt.recv())

    def start_stream(self, channel: int, *options: str) -> str:
        answer = self.dlt(f"start-stream --address {IP} --channel {channel} {' '.join(options)}")
        assert isinstance(answer, dict)
        return str(answer["id"])

    def status(self, acquisition: str) -> dict[str, object]:
        answer = self.dlt(f"status --id {acquisition}")
        assert isinstance(answer, dict)
        return answer

    def stop(self, acquisition: str) -> dict[str, object]:
        answer = self.dlt(f"stop --id {acquisition}")
        assert isinstance(answer, dict)
        return dict(answer["status"])

    def error_of(self, command: str) -> str:
        answer = self.dlt(command)
        assert isinstance(answer, dict)
        return str(answer["error"]["description"])

    def close(self) -> None:
        self.context.destroy(linger=0)


class StreamClient(threading.Thread):
    """As the maker's: a PAIR socket, watched for the disconnect; an empty message ends it."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.messages: list[bytes] = []
        self.ended_by = ""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._data = self._context.socket(zmq.PAIR)
        self._data.connect(f"tcp://{IP}:{port}")
        self._monitor = self._data.get_monitor_socket()
        self.start()

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._data, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while not self.ended_by:
            for ready, _ in poller.poll(1_000):
                if ready is self._data:
                    message = self._data.recv()
                    if message:
                        self.messages.append(message)
                    else:
                        self.ended_by = "empty message"
                elif recv_monitor_message(self._monitor)["event"] == zmq.EVENT_DISCONNECTED:
                    self.ended_by = self.ended_by or "disconnect"
        self._data.disable_monitor()
        self._context.destroy(linger=0)

    def finish(self) -> str:
        self.join(5)
        assert not self.is_alive()
        return self.ended_by

    def stamps(self) -> list[list[int]]:
        return [np.frombuffer(message, "<u8").tolist() for message in self.messages]


@pytest.fixture
def clock() -> ManualTime:
    return ManualTime(T0)


@pytest.fixture
def box(clock: ManualTime, tmp_path: Path) -> ID900:
    return ID900("midpoint.tagger", f"tcp://{IP}:5555", clock, save_folder=tmp_path)


@pytest.fixture
def loop(box: ID900) -> Iterator[BackgroundLoop]:
    with running(box) as background:
        yield background


@pytest.fixture
def stranger(loop: BackgroundLoop) -> Iterator[Stranger]:
    client = Stranger()
    yield client
    client.close()


def edges(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([t for t, _ in pairs], np.int64), np.array([c for _, c in pairs], np.uint8)


def record_triggered_by_start(stranger: Stranger, duration_ps: float, number: str = "INF") -> None:
    stranger.tc("STAR:ENAB ON;THRE 0.5V;EDGE RISING;COUP DC;SELE UNSHAPED")
    stranger.tc("REC:TRIG:ARM:MODE MANUal")
    stranger.tc("REC:ENABle ON")
    stranger.tc("REC:STOP")
    stranger.tc("REC:TRIG:LINK STAR")
    stranger.tc(f"REC:NUM {number}")
    stranger.tc(f"REC:DURation {duration_ps}")


def test_who_it_is(stranger: Stranger) -> None:
    assert "ID900" in stranger.tc("*IDN?")
    assert stranger.tc("*OPC?;*TST?;*ESR?;*STB?").split() == ["1", "0", "0", "0"]
    assert [stranger.tc(c) for c in ("*CLS", "*WAI", "*OPC")] == ["", "", ""]


SETTINGS = {
    "INPU1:ENAB ON": "ON",
    "INPU2:COUP AC": "AC",
    "INPU3:EDGE FALLING": "FALLING",
    "INPU4:THRE -0.25": "-0.25",
    "INPU1:DELAY 1500": "1500",
    "INPU1:MODE HIRES": "HIRES",
    "INPU1:SELE UNSHAPED": "UNSHAPED",
    "INPU1:RESY AUTO": "AUTO",
    "INPU1:COUN:INTE 250": "250",
    "INPU1:COUN:MODE CYCLE": "CYCLE",
    "STARt:ENABle ON": "ON",
    "STARt:THREshold 0.2V": "0.2",
    "STARt:COUNter:MODE ACCUM": "ACCUM",
    "TSCO7:FIR:LINK DELA2": "DELA2",
    "TSCO7:SEC:LINK NONE": "NONE",
    "TSCO7:OPIN ONLYFIR": "ONLYFIR",
    "TSCO7:OPOUt MUTE": "MUTE",
    "TSCO7:WIND:ENAB ON": "ON",
    "TSCO7:WIND:BEGI:LINK DELA3": "DELA3",
    "TSCO7:WIND:BEGI:DELAY 100000": "100000",
    "TSCO7:WIND:BEGI:EDGE RISI": "RISING",
    "TSCO7:WIND:END:LINK DELA3": "DELA3",
    "TSCO7:WIND:END:DELAY 600000": "600000",
    "TSCO7:WIND:END:EDGE FALL": "FALLING",
    "TSCO7:COUN:INTE 500": "500",
    "TSCO7:COUN:MODE CYCL": "CYCLE",
    "DELA6:VALU 10000": "10000",
    "DELA5:LINK STAR": "STAR",
    "GEN1:ENAB ON": "ON",
    "GEN1:PPER 10000000": "10000000",
    "GEN1:PWID 20000": "20000",
    "GEN1:PNUM INF": "INF",
    "GEN1:TRIG:LINK GEN3": "GEN3",
    "GEN1:TRIG:DELAY 40": "40",
    "GEN1:TRIG:ARM:MODE AUTO": "AUTO",
    "OUTP1:ENAB ON": "ON",
    "OUTP1:LINK TSCO9": "TSCO9",
    "OUTP1:MODE TTL": "TTL",
    "OUTP1:PULS OFF": "OFF",
    "OUTP1:PULS:WIDT 1000": "1000",
    "OUTP1:DELA 5": "5",
    "HIST1:MIN 50": "50TB",
    "HIST1:BWID 100": "100TB",
    "HIST1:BCOUnt 64": "64",
    "HIST1:REF:LINK TSCO5": "TSCO5",
    "HIST1:STOP:LINK TSCO6": "TSCO6",
    "HIST1:ENABle:LINK REC": "REC",
    "RAW1:REF:LINK NONE": "NONE",
    "RAW1:STOP:LINK TSCO1": "TSCO1",
    "RAW1:SEND ON": "ON",
    "REC:TRIG:ARM:MODE MANUal": "MANUAL",
    "REC:TRIG:LINK DELA5": "DELA5",
    "REC:TRIG:DELA 0": "0",
    "RECord:ENABle ON": "ON",
    "REC:NUMber 5": "5",
    "REC:DURation 1e12": "1000000000000",
    "REC:PWID 2000": "2000",
    "REC:PPER 90000": "90000",
    "DEVI:SYNC EXTERNAL": "EXTERNAL",
    "DEVIce:RES HIRES": "HIRES",
    "DEVICE:LEDS OFF": "OFF",
}


@pytest.mark.parametrize("command", SETTINGS)
def test_a_setting_comes_back(stranger: Stranger, command: str) -> None:
    header = command.partition(" ")[0]
    assert stranger.tc(command) == ""
    assert stranger.tc(f"{header}?") == SETTINGS[command]
    assert stranger.tc("*RST") == ""
    assert stranger.tc("SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize(
    "command",
    [
        "INPU1:COUN:RESEt",
        "TSCO6:COUN:RESEt",
        "STARt:HIREs:ERROr:CLEAr",
        "HIST1:FLUSh",
        "RAW1:ERRORS:CLEAR",
        "GEN1:PLAY",
        "GEN1:STOP",
        "GEN1:TRIG:ARM",
        "GEN1:TRIG:DARM",
        "REC:PLAY",
        "REC:STOP",
        "REC:TRIG:DARM",
        "REC:TRIG:LINK STAR;ARM",
        "DEVI:CONFI:LOAD COUNT",
        "DEVIce:SAMPling:RECAlibrate",
        "TSCO1:FIR:LINK GEN1;:RAW1:STOP:LINK TSCO1;:RAW1:REF:LINK NONE",
        "GEN1:ENAB ON;PPER 10000000;PWID 20000;PNUM INF;PLAY;TRIG:LINK NONE",
        "TSCO1:WIND:BEGI:LINK NONE;:TSCO1:WIND:END:LINK NONE",
        "INPU1:COUN:INTE 1000;MODE CYCL;:INPU1:COUP DC;EDGE RISI;ENAB ON;MODE HIRES;RESY AUTO;SELE UNSH;THRE 1V",
    ],
)
def test_lines_of_public_scripts_are_obeyed(stranger: Stranger, command: str) -> None:
    assert stranger.tc(command) == ""


def test_questions_of_public_scripts_are_answered(stranger: Stranger) -> None:
    assert int(stranger.tc("DEVI:RES:BWID?")) == 1
    assert stranger.tc("RAW4:ERRORS?") == "0"
    assert stranger.tc("STARt:HIRES:ERROR?") == "0"
    assert stranger.tc("REC:STAGe?") == "IDLE"
    assert stranger.tc("INPU1:COUNter?;:TSCO6:COUNter?;:STARt:COUNter?").splitlines() == ["0", "0", "0"]


def test_what_it_does_not_know_it_refuses_and_lists(stranger: Stranger) -> None:
    assert stranger.tc("FROB:NICATE 3").startswith("-113")
    assert stranger.tc("INPU1:EDGE SIDEWAYS").startswith("-224")
    assert stranger.tc("REC:ENAB OFF") == ""
    assert stranger.tc("REC:PLAY").startswith("-221")
    numbers = [stranger.tc("SYST:ERR?").partition(",")[0] for _ in range(4)]
    assert numbers == ["-113", "-224", "-221", "0"]


def test_inputs_and_reference_are_what_the_world_sees(box: ID900, stranger: Stranger) -> None:
    assert box.playback.powered
    assert not any(box.playback.enabled.values())
    stranger.tc("STAR:ENAB ON;THRE 1V;:INPU3:ENAB ON;THRE 0.3;:DEVI:SYNC EXTERNAL")
    assert {n for n, on in box.playback.enabled.items() if on} == {0, 3}
    assert box.playback.threshold_v[0] == 1.0
    assert box.playback.threshold_v[3] == 0.3
    assert box.playback.external_reference


def test_counters_answer_from_the_edges(box: ID900, stranger: Stranger) -> None:
    stranger.tc("INPU1:COUN:MODE CYCL;INTE 1;RESEt;:INPU2:COUN:MODE ACCUM;RESEt;:TSCO5:COUN:INTE 1;MODE CYCL")
    sent = edges((100, 1), (200, 2), (300, 1), (MS + 1, 1), (MS + 2, 2))
    box.deliver(T0, *sent, T0 + MS + 10)
    wait_for(lambda: stranger.tc("INPU2:COUN?") == "2", "the edges")
    assert stranger.tc("INPU1:COUNter?;:TSCO5:COUN?;:INPU3:COUN?").split() == ["2", "2", "0"]


def test_the_makers_order_of_calls_and_its_wait(box: ID900, clock: ManualTime, stranger: Stranger) -> None:
    stranger.tc("REC:TRIG:ARM:MODE MANUal")
    stranger.tc("REC:ENABle ON")
    stranger.tc("REC:STOP")
    stranger.tc("REC:NUM 1")
    stranger.tc(f"REC:DURation {0.002 * 1e12}")
    clients, acquisitions = {}, {}
    for channel in (1, 2):
        stranger.tc(f"RAW{channel}:ERRORS:CLEAR")
        clients[channel] = StreamClient(4241 + channel)
        acquisitions[channel] = stranger.start_stream(channel, f"--stream-port {4241 + channel}")
        stranger.tc(f"RAW{channel}:SEND ON")
    assert stranger.dlt("list") == list(acquisitions.values())
    stranger.tc("REC:PLAY")
    assert stranger.tc("REC:STAGe?").upper() == "PLAYING"
    box.deliver(T0, *edges((5_000, 1), (7_000, 2), (MS, 1), (2 * MS, 1)), T0 + 3 * MS)
    clock.advance(3 * MS)

    number = int(stranger.tc("REC:NUMber?"))
    wait_for(lambda: stranger.tc("REC:STAGe?").upper() != "PLAYING", "the end")
    wait_for(lambda: all(stranger.status(a)["acquisitions_count"] == number for a in acquisitions.values()), "all")
    wait_for(lambda: all(client.messages for client in clients.values()), "the messages")
    final = {channel: stranger.stop(a) for channel, a in acquisitions.items()}
    assert {channel: s["timestamps_count"] for channel, s in final.items()} == {1: 2, 2: 1}
    assert all(s["errors"] == [] for s in final.values())
    assert stranger.dlt("list") == []
    for channel in (1, 2):
        assert stranger.tc(f"RAW{channel}:SEND OFF") == ""
        assert int(stranger.tc(f"RAW{channel}:ERRORS?")) == 0
    assert clients[1].finish() == "empty message"
    assert clients[1].stamps() == [[5_000, MS]]
    assert clients[2].stamps() == [[7_000]]


def test_a_message_comes_at_the_end_of_a_sub_acquisition_and_not_before(box: ID900, stranger: Stranger) -> None:
    client = StreamClient(4242)
    acquisition = stranger.start_stream(1)
    stranger.tc("RAW1:SEND ON")
    record_triggered_by_start(stranger, 100 * US)
    stranger.tc("REC:PLAY")
    box.deliver(T0, *edges((10 * US, 0), (20 * US, 1), (30 * US, 1)), T0 + 110 * US - 1)
    assert stranger.status(acquisition)["acquisitions_count"] == 0
    assert client.messages == []
    box.deliver(T0, *edges(), T0 + 110 * US)
    wait_for(lambda: len(client.messages) == 1, "the message")
    assert client.stamps() == [[10 * US, 20 * US]]
    stranger.stop(acquisition)
    client.finish()


def test_start_opens_each_and_what_lies_between_is_not_recorded(box: ID900, stranger: Stranger) -> None:
    client = StreamClient(5001)
    acquisition = stranger.start_stream(3, "--stream-port 5001")
    stranger.tc("RAW3:SEND ON")
    record_triggered_by_start(stranger, 100 * US, number="3")
    stranger.tc("REC:PLAY")
    sent = edges(
        (0, 3),  # before the first START
        (10 * US, 0),
        (11 * US, 3),
        (115 * US, 3),  # after the end
        (200 * US, 0),  # nothing on input 3: no message, but it counts
        (210 * US, 1),
        (400 * US, 0),
        (400 * US, 3),
        (499 * US, 3),
        (600 * US, 0),  # one too many
        (601 * US, 3),
    )
    box.deliver(T0, *sent, T0 + 900 * US)
    assert client.finish() == "empty message"
    assert client.stamps() == [[1 * US], [390 * US, 489 * US]]
    status = stranger.stop(acquisition)
    assert (status["acquisitions_count"], status["timestamps_count"]) == (3, 3)
    assert stranger.tc("REC:STAG?") == "IDLE"


def test_reference_index_is_that_of_the_sub_acquisition(box: ID900, stranger: Stranger) -> None:
    client = StreamClient(4242)
    acquisition = stranger.start_stream(1, "--with-ref-index")
    stranger.tc("RAW1:SEND ON")
    record_triggered_by_start(stranger, 100 * US)
    stranger.tc("REC:PLAY")
    sent = edges((0, 0), (200 * US, 0), (201 * US, 1), (202 * US, 1), (400 * US, 0), (405 * US, 1))
    box.deliver(T0, *sent, T0 + 900 * US)
    wait_for(lambda: len(client.messages) == 2, "two messages")
    assert client.stamps() == [[1, 201 * US, 1, 202 * US], [2, 405 * US]]
    stranger.stop(acquisition)
    client.finish()


def test_stamps_restart_where_start_is_the_reference(box: ID900, stranger: Stranger) -> None:
    client = StreamClient(4242)
    acquisition = stranger.start_stream(1)
    stranger.tc("RAW1:SEND ON;REF:LINK STAR")
    record_triggered_by_start(stranger, 100 * US)
    stranger.tc("REC:PLAY")
    box.deliver(T0, *edges((0, 0), (3 * US, 1), (200 * US, 0), (207 * US, 1)), T0 + 900 * US)
    wait_for(lambda: len(client.messages) == 2, "two messages")
    assert client.stamps() == [[3 * US], [7 * US]]
    stranger.stop(acquisition)
    client.finish()


def test_stamps_restart_where_the_box_is_told_so(clock: ManualTime) -> None:
    box = ID900("midpoint.tagger", f"tcp://{IP}:5555", clock, restart_stamps=True, ref_index_first=False)
    with running(box):
        stranger = Stranger()
        client = StreamClient(4242)
        acquisition = stranger.start_stream(1, "--with-ref-index")
        stranger.tc("RAW1:SEND ON")
        record_triggered_by_start(stranger, 100 * US)
        stranger.tc("REC:PLAY")
        box.deliver(T0, *edges((0, 0), (3 * US, 1), (200 * US, 0), (207 * US, 1)), T0 + 900 * US)
        wait_for(lambda: len(client.messages) == 2, "two messages")
        assert client.stamps() == [[3 * US, 0], [7 * US, 1]]
        stranger.stop(acquisition)
        client.finish()
        stranger.close()


def test_nothing_is_sent_before_send_on(box: ID900, stranger: Stranger) -> None:
    acquisition = stranger.start_stream(1)
    record_triggered_by_start(stranger, 10 * US)
    stranger.tc("REC:PLAY")
    box.deliver(T0, *edges((0, 0), (US, 1)), T0 + 50 * US)
    assert stranger.status(acquisition)["acquisitions_count"] == 0
    stranger.tc("RAW1:SEND ON")
    box.deliver(T0, *edges((60 * US, 0), (61 * US, 1)), T0 + 90 * US)
    wait_for(lambda: stranger.status(acquisition)["timestamps_count"] == 1, "the second")


def test_stop_ends_an_endless_recording(box: ID900, clock: ManualTime, stranger: Stranger) -> None:
    acquisition = stranger.start_stream(1)
    stranger.tc("RAW1:SEND ON;:REC:TRIG:LINK NONE;:REC:NUM INF;PWID 1000000000;PPER 1000400000;PLAY")
    box.deliver(T0, *edges((5, 1), (2 * MS, 1)), T0 + 3 * MS)
    clock.advance(2 * MS + MS // 2)
    stranger.tc("REC:STOP")
    assert stranger.tc("REC:STAGe?") == "IDLE"
    status = stranger.stop(acquisition)
    # [0, 1), [1.0004, 2.0004) and, cut at 2.5, [2.0008, 2.5) ms
    assert (status["acquisitions_count"], status["timestamps_count"]) == (3, 2)
    assert float(str(status["inactivity"])) >= 0


def test_stop_before_any_edge(clock: ManualTime, stranger: Stranger) -> None:
    acquisition = stranger.start_stream(1)
    stranger.tc("RAW1:SEND ON;:REC:NUM INF;PLAY")
    clock.advance(5 * MS)
    assert stranger.tc("REC:STOP") == ""
    assert stranger.tc("REC:STAGe?") == "IDLE"
    assert stranger.tc("REC:PLAY") == ""  # ends the stopped one for good
    assert stranger.status(acquisition)["acquisitions_count"] == 1


def test_armed_automatically_as_qudi_does(box: ID900, stranger: Stranger) -> None:
    acquisition = stranger.start_stream(1)
    stranger.tc("RAW1:SEND ON;:REC:TRIG:LINK DELA5;:REC:NUM 1;DUR 10000000;:REC:TRIG:ARM:MODE AUTO")
    assert stranger.tc("REC:STAGe?") == "ARMED"
    box.deliver(T0, *edges((0, 0), (US, 1), (50 * US, 0), (51 * US, 1)), T0 + 90 * US)
    wait_for(lambda: stranger.status(acquisition)["acquisitions_count"] == 2, "two triggers")
    assert stranger.tc("REC:STAGe?") == "PLAYING"
    stranger.tc("REC:TRIG:ARM:MODE MANUAL;:REC:TRIG:DARM")
    assert stranger.tc("REC:STAGe?") == "IDLE"


def test_histogram_of_delays_since_start(box: ID900, stranger: Stranger) -> None:
    record_triggered_by_start(stranger, 100 * US)
    stranger.tc("HIST1:REF:LINK STAR;STOP:LINK TSCO5;:HIST1:MIN 0;BWID 1000;BCOU 4;FLUS")
    stranger.tc("REC:PLAY")
    box.deliver(T0, *edges((0, 0), (500, 1), (2_500, 1), (200 * US, 0), (200 * US + 999, 1)), T0 + 900 * US)
    wait_for(lambda: ast.literal_eval(stranger.tc("HIST1:DATA?")) == [2, 0, 1, 0], "the histogram")


@pytest.mark.parametrize(("form", "expected"), [("bin", None), ("ascii", b"1000000;0\n")])
def test_stamps_are_saved(box: ID900, stranger: Stranger, tmp_path: Path, form: str, expected: bytes | None) -> None:
    answer = stranger.dlt(
        f'start-save --address {IP} --channel 1 --filename "stamps C1.{form}" --format {form} --with-ref-index'
    )
    assert isinstance(answer, dict)
    stranger.tc("RAW1:SEND ON")
    record_triggered_by_start(stranger, 10 * US)
    stranger.tc("REC:PLAY")
    box.deliver(T0, *edges((0, 0), (US, 1)), T0 + 50 * US)
    wait_for(lambda: stranger.status(answer["id"])["timestamps_count"] == 1, "the stamp")
    stranger.stop(answer["id"])
    saved = (tmp_path / f"stamps C1.{form}").read_bytes()
    assert saved == (expected if expected is not None else np.array([0, US], "<u8").tobytes())


def test_the_data_link_refuses_in_words(stranger: Stranger) -> None:
    first = stranger.start_stream(1)
    assert first in stranger.error_of(f"start-stream --address {IP} --channel 1")
    assert "127.9.9.9" in stranger.error_of("start-stream --address 127.9.9.9 --channel 2")
    assert "4242" in stranger.error_of(f"start-stream --address {IP} --channel 2 --stream-port 4242")
    assert "channel" in stranger.error_of(f"start-stream --address {IP} --channel 7")
    assert "nobody" in stranger.error_of("status --id nobody")
    assert "nobody" in stranger.error_of("stop --id nobody")
    assert "dance" in stranger.error_of("dance")
    assert stranger.error_of('list "') != ""
    assert stranger.error_of(f"start-save --address {IP} --channel 2 --filename no/such/f --format bin") != ""
    stranger.stop(first)
    assert stranger.start_stream(1) == first  # its port is free again


def test_ten_thousand_sub_acquisitions_a_second(box: ID900, stranger: Stranger) -> None:
    clients = [StreamClient(4244), StreamClient(4245)]
    acquisitions = [stranger.start_stream(3), stranger.start_stream(4)]
    stranger.tc("RAW3:SEND ON;:RAW4:SEND ON")
    record_triggered_by_start(stranger, 90 * US)
    stranger.tc("REC:PLAY")
    # Ten rounds a millisecond: START, the round sync on input 3, now and then a herald on input 4.
    start = np.arange(500, dtype=np.int64) * 100 * US
    herald = start[::50] + 40 * US
    began = time.process_time()
    for part in range(60):
        t_ps = np.concatenate([start, start + 15_000, herald])
        channel = np.repeat(np.array([0, 3, 4], np.uint8), [500, 500, herald.size])
        order = np.argsort(t_ps, kind="stable")
        box.deliver(T0 + part * 50 * MS, t_ps[order], channel[order], T0 + (part + 1) * 50 * MS)
    wait_for(lambda: len(clients[0].messages) == 30_000, "a message a round", timeout_s=90)
    worked_s = time.process_time() - began
    wait_for(lambda: len(clients[1].messages) == 600, "the heralds")
    assert all(stranger.stop(a)["acquisitions_count"] == 30_000 for a in acquisitions)
    syncs = np.frombuffer(b"".join(clients[0].messages), "<u8").astype(np.int64)
    assert np.array_equal(syncs, np.arange(30_000) * 100 * US + 15_000)
    # Three seconds of rounds; of processor time, both ends together: a busy machine makes it no slower.
    assert worked_s < 15
    for client in clients:
        client.finish()


def test_a_client_that_comes_late_gets_what_waited(box: ID900, stranger: Stranger) -> None:
    acquisition = stranger.start_stream(1)
    stranger.tc("RAW1:SEND ON")
    record_triggered_by_start(stranger, 10 * US)
    stranger.tc("REC:PLAY")
    box.deliver(T0, *edges((0, 0), (US, 1)), T0 + 50 * US)
    wait_for(lambda: stranger.status(acquisition)["acquisitions_count"] == 1, "the first")
    client = StreamClient(4242)
    wait_for(lambda: len(client.messages) == 1, "the message that waited")
    box.deliver(T0, *edges((60 * US, 0), (62 * US, 1)), T0 + 90 * US)
    wait_for(lambda: len(client.messages) == 2, "the next one")
    stranger.stop(acquisition)
    client.finish()


def test_unplugged_while_streaming(box: ID900, loop: BackgroundLoop, stranger: Stranger) -> None:
    client = StreamClient(4242)
    stranger.start_stream(1)
    stranger.tc("RAW1:SEND ON")
    record_triggered_by_start(stranger, 10 * US)
    stranger.tc("REC:PLAY")
    box.deliver(T0, *edges((0, 0), (US, 1)), T0 + 50 * US)
    wait_for(lambda: len(client.messages) == 1, "the stream runs")
    loop.call(box.unplug())
    assert not box.playback.powered
    assert client.finish() == "disconnect"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((IP, 5555), timeout=2)
    box.deliver(T0, *edges((100 * US, 0)), T0 + 200 * US)  # into the void
    loop.call(box.plug())
    assert stranger.tc("STAR:ENAB?;:REC:STAGe?").split() == ["OFF", "IDLE"]  # the sockets connect again by themselves
    assert stranger.dlt("list") == []


@pytest.mark.parametrize("port", [5555, 6060])
def test_a_busy_port_is_named(box: ID900, port: int) -> None:
    with (
        socket.create_server((IP, port)),
        pytest.raises(InstrumentError, match=rf"midpoint\.tagger: tcp://{IP}:{port} is busy.* - "),
        running(box),
    ):
        pass
    with running(box):  # nothing was left half open
        assert box.playback.powered


def test_an_address_of_another_machine_is_named(clock: ManualTime) -> None:
    box = ID900("midpoint.tagger", "tcp://192.0.2.1:5555", clock)
    with pytest.raises(InstrumentError, match=r"tcp://192\.0\.2\.1:5555 can't be bound"), running(box):
        pass


def test_an_address_of_another_kind_is_refused(clock: ManualTime) -> None:
    with pytest.raises(MisuseError, match=r"write tcp://<ip>:5555"):
        ID900("midpoint.tagger", "data:tty/tagger", clock)
