"""Against scripted peers: the box (REP 5555), the DataLinkTarget (REP 6060) and its streams (PAIR)."""

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from _addresses import own_block

from drivers.idquantique.id900 import ID900
from drivers.roles import Identity, RawTags
from qnode.errors import InstrumentError, MisuseError

BLOCK = own_block()
HOST = f"{BLOCK}5"
ADDRESS = f"tcp://{HOST}:5555"


class Peer:
    """Answers lines by tables, records them in one order over both sockets; the streams are bound by the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = {
            "*IDN?": "IDQ,ID900,2103001,1.8.0",
            "DEVI:SYNC?": "EXTERNAL",
            "REC:NUMber?": "1000",
            "REC:STAGe?": "PLAYING",
            "RAW1:ERRORS?": "0",
            "RAW3:ERRORS?": "0",
        }
        self.dlt: dict[str, Any] = {"list": []}
        self.silent: set[str] = set()
        self.late: dict[str, str] = {}
        self.streams: dict[int, zmq.Socket[bytes]] = {}
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.sockets = [self.context.socket(zmq.ROUTER), self.context.socket(zmq.ROUTER)]
        for socket, port in zip(self.sockets, (5555, 6060), strict=True):
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(f"tcp://{HOST}:{port}")
        self.stopping = self.context.socket(zmq.PAIR)
        self.stopping.bind("inproc://stop")
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        stop = self.context.socket(zmq.PAIR)
        stop.connect("inproc://stop")
        poller = zmq.Poller()
        for socket in (*self.sockets, stop):
            poller.register(socket, zmq.POLLIN)
        while stop not in (ready := dict(poller.poll())):
            for which, socket in enumerate(self.sockets):
                if socket in ready:
                    client, empty, text = socket.recv_multipart()
                    line = text.decode()
                    self.asked.append(line)
                    if line in self.silent:
                        self.held = (socket, client, empty)
                    else:
                        answer = self._dlt_answer(line) if which else self.answers.get(line, "")
                        socket.send_multipart([client, empty, answer.encode()])
        for socket in (*self.sockets, stop, *self.streams.values()):
            socket.close(linger=0)

    def _dlt_answer(self, line: str) -> str:
        if line in self.dlt:
            answer = self.dlt[line]
            return answer if isinstance(answer, str) else json.dumps(answer)
        words = line.split()
        if words[0] == "start-stream":
            channel, port = words[words.index("--channel") + 1], words[words.index("--stream-port") + 1]
            stream = self.context.socket(zmq.PAIR)
            stream.setsockopt(zmq.LINGER, 0)
            stream.bind(f"tcp://{HOST}:{port}")
            self.streams[int(channel)] = stream
            return json.dumps({"id": f"{HOST}:{port}"})
        if words[0] == "stop":
            return json.dumps({"status": {"acquisitions_count": 9, "timestamps_count": 90, "errors": []}})
        raise AssertionError(line)

    def send_late_answer(self, text: str) -> None:
        socket, client, empty = self.held
        socket.send_multipart([client, empty, text.encode()])

    def close(self) -> None:
        self.stopping.send(b"")
        self.thread.join(5)
        self.stopping.close(linger=0)
        self.context.term()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def tagger(peer: Peer) -> Iterator[ID900]:
    tagger = ID900("tagger", ADDRESS, timeout_s=5.0)
    peer.asked.clear()
    yield tagger
    tagger.close()


def pairs(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def read_until(tagger: ID900, done: Callable[[dict[int, bytes]], bool]) -> dict[int, bytes]:
    got: dict[int, bytes] = {}
    deadline = time.monotonic() + 30
    while not done(got) and time.monotonic() < deadline:
        for tags in tagger.read(timeout_s=0.1):
            assert tags.format == "idq_u64_ref"
            got[tags.channel] = got.get(tags.channel, b"") + tags.data
    return got


def test_asks_both_in_the_order_of_the_makers_samples(peer: Peer, tagger: ID900) -> None:
    tagger.start([1, 3], 1000, 1_399_950_000)
    assert peer.asked == [
        "list",
        "REC:TRIG:ARM:MODE MANUal",
        "REC:TRIG:LINK STAR",
        "REC:ENABle ON",
        "REC:STOP",
        "REC:NUM 1000",
        "REC:DURation 1399950000",
        "STAR:ENAB ON",
        "REC:NUMber?",
        "INPU1:ENAB ON",
        "RAW1:REF:LINK STAR",
        "RAW1:ERRORS:CLEAR",
        f"start-stream --address {HOST} --channel 1 --stream-port 4242 --with-ref-index",
        "RAW1:SEND ON",
        "INPU3:ENAB ON",
        "RAW3:REF:LINK STAR",
        "RAW3:ERRORS:CLEAR",
        f"start-stream --address {HOST} --channel 3 --stream-port 4244 --with-ref-index",
        "RAW3:SEND ON",
        "REC:PLAY",
    ]
    peer.asked.clear()
    tagger.stop()
    assert peer.asked == [
        "REC:STOP",
        f"stop --id {HOST}:4242",
        "RAW1:SEND OFF",
        "RAW1:ERRORS?",
        f"stop --id {HOST}:4244",
        "RAW3:SEND OFF",
        "RAW3:ERRORS?",
    ]


def test_selects_the_external_clock_once(peer: Peer) -> None:
    peer.answers["DEVI:SYNC?"] = "INTERNAL"
    tagger = ID900("tagger", ADDRESS)
    assert peer.asked == ["*IDN?", "DEVI:SYNC?", "DEVI:SYNC EXTERNAL"]
    assert tagger.reference_locked() is False
    assert tagger.identify() == Identity("IDQ", "ID900", "2103001", "1.8.0")
    tagger.close()


def test_messages_of_a_channel_are_joined_in_order(peer: Peer, tagger: ID900) -> None:
    tagger.start([1, 3], 1000, 1_000_000)
    for message in (pairs(0, 17, 0, 99), b"", pairs(1, 5)):
        peer.streams[1].send(message)
    peer.streams[3].send(pairs(0, 2**63))
    got = read_until(tagger, lambda got: len(got.get(1, b"")) >= 48 and 3 in got)
    assert got == {1: pairs(0, 17, 0, 99, 1, 5), 3: pairs(0, 2**63)}


def test_nothing_comes_within_the_time_out(peer: Peer, tagger: ID900) -> None:
    tagger.start([1], 1000, 1_000_000)
    peer.streams[1].send(b"")  # the end mark of a sub-acquisition without clicks
    started = time.monotonic()
    assert tagger.read(timeout_s=0.1) == []
    assert time.monotonic() - started < 20.0


def test_three_thousand_rounds_come_complete(peer: Peer, tagger: ID900) -> None:
    tagger.start([1], 1000, 1_000_000)
    messages = [pairs(index, 7) for index in range(3000)]
    for message in messages:
        peer.streams[1].send(message)
    got = read_until(tagger, lambda got: len(got.get(1, b"")) >= 48_000)
    assert got == {1: b"".join(messages)}


def test_status_counts_by_channel(peer: Peer, tagger: ID900) -> None:
    tagger.start([1, 3], 1000, 1_000_000)
    for port, counts in ((4242, (12, 340)), (4244, (11, 5))):
        peer.dlt[f"status --id {HOST}:{port}"] = {
            "acquisitions_count": counts[0],
            "timestamps_count": counts[1],
            "inactivity": 0.2,
            "errors": [],
        }
    status = tagger.status()
    assert status.acquisitions == {1: 12, 3: 11}
    assert status.timestamps == {1: 340, 3: 5}
    assert status.recording is True
    tagger.stop()
    peer.answers["REC:STAGe?"] = "IDLE"
    status = tagger.status()
    assert (status.acquisitions, status.timestamps, status.recording) == ({1: 9, 3: 9}, {1: 90, 3: 90}, False)


def test_lost_stamps_are_an_error(peer: Peer, tagger: ID900) -> None:
    tagger.start([1], 1000, 1_000_000)
    peer.dlt[f"status --id {HOST}:4242"] = {
        "acquisitions_count": 1,
        "timestamps_count": 1,
        "errors": [{"description": "timestamps lost"}],
    }
    with pytest.raises(InstrumentError, match="stamps were lost: channel 1: timestamps lost"):
        tagger.status()
    peer.answers["RAW1:ERRORS?"] = "4"
    with pytest.raises(InstrumentError, match=r"channel 1: RAW1:ERRORS\? is 4"):
        tagger.stop()
    assert peer.asked[-1] == "RAW1:ERRORS?"


def test_stop_goes_on_past_what_fails(peer: Peer, tagger: ID900) -> None:
    tagger.start([1, 3], 1000, 1_000_000)
    peer.dlt[f"stop --id {HOST}:4242"] = {"error": {"description": "no such id"}}
    peer.asked.clear()
    with pytest.raises(InstrumentError, match="no such id"):
        tagger.stop()
    assert f"stop --id {HOST}:4244" in peer.asked
    assert {"RAW1:SEND OFF", "RAW3:SEND OFF"} <= set(peer.asked)


def test_streams_of_a_killed_owner_are_ended_first(peer: Peer, tagger: ID900) -> None:
    peer.dlt["list"] = ["old-1", "old-2"]
    tagger.start([1], 1000, 1_000_000)
    assert peer.asked[:3] == ["list", "stop --id old-1", "stop --id old-2"]


def test_a_refused_stream_ends_the_recording(peer: Peer, tagger: ID900) -> None:
    line = f"start-stream --address {HOST} --channel 1 --stream-port 4242 --with-ref-index"
    peer.dlt[line] = {"error": {"description": "no time controller at this address"}}
    with pytest.raises(InstrumentError, match=f"DataLinkTarget at tcp://{HOST}:6060 refused .*no time controller"):
        tagger.start([1], 1000, 1_000_000)
    assert "REC:PLAY" not in peer.asked
    assert peer.asked[peer.asked.index(line) + 1] == "REC:STOP"


def test_a_stream_that_nobody_serves_is_named(peer: Peer, tagger: ID900) -> None:
    impatient = ID900("impatient", ADDRESS, timeout_s=0.3)
    line = f"start-stream --address {HOST} --channel 2 --stream-port 4243 --with-ref-index"
    peer.dlt[line] = {"id": "x"}
    with pytest.raises(InstrumentError, match=f"no stream at tcp://{HOST}:4243 within 0.3 s"):
        impatient.start([2], 1000, 1_000_000)
    impatient.close()


def test_a_late_answer_is_never_read_as_the_next(peer: Peer) -> None:
    tagger = ID900("tagger", ADDRESS, timeout_s=0.3)
    peer.silent.add("INPU1:THRE?")
    with pytest.raises(
        InstrumentError, match=rf"tagger \(ID Quantique ID900 at {ADDRESS}\): 'INPU1:THRE\?': no answer"
    ):
        tagger.input1_threshold()
    peer.send_late_answer("0.75")
    assert tagger.identify().model == "ID900"
    peer.answers["INPU2:THRE?"] = "1.25"
    assert tagger.input2_threshold() == 1.25
    tagger.close()


def test_a_setting_that_is_answered_with_words_is_refused(peer: Peer, tagger: ID900) -> None:
    peer.answers["REC:TRIG:LINK STAR"] = "unknown command"
    with pytest.raises(InstrumentError, match="'REC:TRIG:LINK STAR' refused: 'unknown command'"):
        tagger.start([1], 1000, 1_000_000)


def test_safe_state_twice_in_any_state(peer: Peer, tagger: ID900) -> None:
    peer.dlt["list"] = ["old"]
    tagger.enter_safe_state()
    tagger.enter_safe_state()
    once = ["REC:STOP", *(f"RAW{channel}:SEND OFF" for channel in (1, 2, 3, 4)), "list", "stop --id old"]
    assert peer.asked == once * 2


def test_dlt_may_live_elsewhere(peer: Peer) -> None:
    tagger = ID900("tagger", ADDRESS, dlt_address=f"tcp://{BLOCK}6:6061", timeout_s=0.3)
    with pytest.raises(
        InstrumentError, match=rf"DataLinkTarget at tcp://{BLOCK}6:6061, 'list': no answer within 0.3 s"
    ):
        tagger.start([1], 1000, 1_000_000)
    tagger.close()


@pytest.mark.parametrize(
    ("channels", "acquisitions", "duration_ps"),
    [([], 1, 1), ([0], 1, 1), ([5], 1, 1), ([1, 1], 1, 1), ([1], 0, 1), ([1], 1, 0)],
)
def test_what_can_not_be_recorded_is_misuse(
    peer: Peer, tagger: ID900, channels: list[int], acquisitions: int, duration_ps: int
) -> None:
    with pytest.raises(MisuseError):
        tagger.start(channels, acquisitions, duration_ps)
    assert peer.asked == []


@pytest.mark.parametrize("address", ["127.0.0.5", "tcp://127.0.0.5", "http://127.0.0.5:5555", "tcp://h:99999"])
def test_a_bad_address_is_misuse(address: str) -> None:
    with pytest.raises(MisuseError, match="write it as tcp"):
        ID900("tagger", address)


def test_nobody_there_is_one_clear_line() -> None:
    with pytest.raises(InstrumentError, match=r"'\*IDN\?': no answer within 0.2 s - check power"):
        ID900("tagger", f"tcp://{BLOCK}4:5555", timeout_s=0.2)


def test_another_model_is_refused(peer: Peer) -> None:
    peer.answers["*IDN?"] = "Swabian,Time Tagger,1,1"
    with pytest.raises(InstrumentError, match="another device answers"):
        ID900("tagger", ADDRESS)


def test_reading_before_the_start_is_misuse(tagger: ID900) -> None:
    with pytest.raises(MisuseError, match=r"read\(\) before start\(\)"):
        tagger.read(timeout_s=0.0)


def test_tags_carry_their_input(peer: Peer, tagger: ID900) -> None:
    tagger.start([3], 1000, 1_000_000)
    peer.streams[3].send(pairs(4, 1))
    assert tagger.read(timeout_s=5.0) == [RawTags("idq_u64_ref", pairs(4, 1), channel=3)]
