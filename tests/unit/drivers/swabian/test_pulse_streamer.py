"""Against a scripted peer: HTTP JSON-RPC on 8050 and the binary port 21328."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from _addresses import own_block
from _peers import TcpPort

from drivers.roles import Identity, PulseProgram
from drivers.swabian.pulse_streamer import PulseStreamer
from qnode.errors import InstrumentError

BLOCK = own_block()
HOST = f"{BLOCK}7"
ARMED = {"State": 2, "StateCondition": 1}


class Peer:
    """Plays canned replies, records what was asked, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[Any]]] = []
        self.uploads: list[bytes] = []
        self.binary_error = 0
        self.replies: dict[str, Any] = {
            "getSerial": "00:26:32:f0:3b:1a",
            "getFirmwareVersion": "1.7.2",
            "getClock": 2,
            "selectClock": 0,
            "setTrigger": 0,
            "getTriggerStart": 2,
            "getTriggerRearm": 1,
            "constant": 0,
            "getStreamingState": ARMED,
            "getTemperature": 41.5,
            "getUnderflow": 0,
        }
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                method, params = request["method"], request.get("params", [])
                peer.calls.append((method, params))
                reply = peer.replies[method]
                if isinstance(reply, list):
                    reply = reply.pop(0) if len(reply) > 1 else reply[0]
                body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": reply}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer((HOST, 8050), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        self.binary = TcpPort(HOST, self._serve_binary, 21328)

    def _serve_binary(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while len(head := stream.read(32)) == 32:
                body = stream.read(struct.unpack("<4I2Q", head)[4])
                self.uploads.append(head + body)
                connection.sendall(struct.pack("<4I2Q", *struct.unpack("<2I", head[:8]), self.binary_error, 0, 0, 0))

    def asked(self, method: str) -> list[list[Any]]:
        return [params for name, params in self.calls if name == method]

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(5)
        self.binary.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def connect(peer: Peer) -> Iterator[Callable[[], PulseStreamer]]:
    made: list[PulseStreamer] = []

    def make() -> PulseStreamer:
        made.append(PulseStreamer("pulser", HOST))
        return made[-1]

    yield make
    for pulser in made:
        pulser.close()


def program(**changes: Any) -> PulseProgram:
    values: dict[str, Any] = {
        "ticks": np.array([100, 4_000_000_000, 7], np.uint32),
        "digital": np.array([0b0000_0001, 0, 0b1000_0010], np.uint8),
        "analog": np.array([[0, 0], [0x7FFF, -0x7FFF], [0, -1]], np.int16),
        "n_runs": 2**31,
    }
    return PulseProgram(**(values | changes))


def test_uploads_steps_in_the_makers_binary_layout(peer: Peer, connect: Callable[[], PulseStreamer]) -> None:
    pulser = connect()
    pulser.arm(program(final_digital=0b100))
    (upload,) = peer.uploads
    magic, _, command, zero, length, zero_too = struct.unpack("<4I2Q", upload[:32])
    # 32 bytes of stream header, 3 steps of 9 bytes, padded to 32.
    assert (magic, command, zero, length, zero_too) == (0x53504953, 0, 0, 32 + 27 + 5, 0)
    assert upload[32:40] == bytes.fromhex("0000008000000000")  # n_runs = 2**31
    assert upload[40:48] == bytes.fromhex("0300000000000000")  # three steps
    assert upload[48:64] == bytes.fromhex("0000 0000 04 000000 0000000000000000")  # a0, a1, mask of the final state
    assert upload[64:91] == bytes.fromhex(
        "64000000 01 0000 0000"  # 100 ns, d0
        "00286bee 00 ff7f 0180"  # 4e9 ns, +1 V, -1 V
        "07000000 82 0000 ffff"  # 7 ns, d1 and d7, -1 word
    )
    assert upload[91:] == bytes(5)


def test_arms_on_a_rising_edge_once_with_the_external_clock(peer: Peer, connect: Callable[[], PulseStreamer]) -> None:
    peer.replies["getClock"] = [0, 2]  # internal when found, external after it was selected
    pulser = connect()
    pulser.arm(program())
    assert peer.asked("selectClock") == [[2]]
    assert peer.asked("setTrigger") == [[2, 1]]
    assert pulser.state() == "armed"
    assert pulser.reference_locked()


def test_a_thousand_steps_arm_at_once(peer: Peer, connect: Callable[[], PulseStreamer]) -> None:
    pulser = connect()
    many = program(
        ticks=np.full(1000, 1400, np.uint32),
        digital=np.arange(1000).astype(np.uint8),
        analog=np.zeros((1000, 2), np.int16),
    )
    # Work is what a step must not cost; waiting for a computer that is busy is no work.
    started = time.process_time()
    pulser.arm(many)
    assert time.process_time() - started < 1.0
    assert len(peer.uploads[0]) == 32 + 32 + 9000 + (32 - 9000 % 32)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"State": 0, "StateCondition": 0}, "idle"),
        ({"State": 0, "StateCondition": 1}, "armed"),
        ({"State": 2, "StateCondition": 1}, "armed"),
        ({"State": 2, "StateCondition": 0}, "streaming"),
        ({"State": 3, "StateCondition": 2}, "finished"),
        ({"State": 4, "StateCondition": 0}, "error"),
        ({"State": 1, "StateCondition": 1}, "error"),
    ],
)
def test_state(peer: Peer, connect: Callable[[], PulseStreamer], answer: dict[str, int], expected: str) -> None:
    pulser = connect()
    peer.replies["getStreamingState"] = answer
    assert pulser.state() == expected


@pytest.mark.parametrize(
    ("method", "reply", "text"),
    [
        ("getTriggerStart", 0, "trigger read back as IMMEDIATE, MANUAL"),
        ("getStreamingState", {"State": 4, "StateCondition": 0}, "error instead of armed"),
    ],
)
def test_goes_dark_when_it_is_not_armed(
    peer: Peer, connect: Callable[[], PulseStreamer], method: str, reply: Any, text: str
) -> None:
    pulser = connect()
    peer.replies[method] = reply
    with pytest.raises(InstrumentError, match=text):
        pulser.arm(program())
    assert peer.calls[-1] == ("constant", [[0, 0, 0, 0]])


def test_refused_upload_names_instrument_and_address(peer: Peer, connect: Callable[[], PulseStreamer]) -> None:
    pulser = connect()
    peer.binary_error = 3
    with pytest.raises(InstrumentError, match=rf"pulser \(Pulse Streamer 8/2 at {HOST}\): stream failed .* code: 3"):
        pulser.arm(program())
    peer.binary_error = 0
    pulser.arm(program())  # connects anew by itself
    assert len(peer.uploads) == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_runs": 0}, "n_runs 0"),
        ({"ticks": np.array([100, 0, 7], np.uint32)}, "step 1 lasts 0 ticks"),
        ({"final_digital": 256}, "0x100"),
        ({"digital": np.zeros(2, np.uint8)}, r"digital \(2,\)"),
        (
            {"ticks": np.zeros(0, np.uint32), "digital": np.zeros(0, np.uint8), "analog": np.zeros((0, 2), np.int16)},
            "0 steps",
        ),
    ],
)
def test_broken_limits_are_refused_before_upload(
    peer: Peer, connect: Callable[[], PulseStreamer], changes: dict[str, Any], text: str
) -> None:
    pulser = connect()
    with pytest.raises(InstrumentError, match=text):
        pulser.arm(program(**changes))
    assert peer.uploads == []
    assert peer.asked("setTrigger") == []


def test_safe_state_twice_right_after_connecting(peer: Peer, connect: Callable[[], PulseStreamer]) -> None:
    pulser = connect()
    pulser.enter_safe_state()
    pulser.enter_safe_state()
    assert peer.asked("constant") == [[[0, 0, 0, 0]], [[0, 0, 0, 0]]]


def test_parameters_and_identity(connect: Callable[[], PulseStreamer], capsys: pytest.CaptureFixture[str]) -> None:
    pulser = connect()
    assert pulser.temperature() == 41.5
    assert pulser.clock() == "EXT_10MHZ"
    assert pulser.underflow() is False
    assert pulser.identify() == Identity("Swabian Instruments", "Pulse Streamer 8/2", "00:26:32:f0:3b:1a", "1.7.2")
    assert pulser.IDN()["serial"] == "00:26:32:f0:3b:1a"
    # The maker's client prints a greeting; stdout is not ours to write on.
    assert capsys.readouterr().out == ""


def test_nobody_there_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InstrumentError, match=rf"pulser \(Pulse Streamer 8/2 at {BLOCK}8\): getClock failed .*8050"):
        PulseStreamer("pulser", f"{BLOCK}8")
    assert capsys.readouterr() == ("", "")
