"""Against a scripted server with both ports: labels as JSON, counts as lines."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from _peers import TcpPort

from drivers.roles import DetectorCounts, Identity, RoleInstrument, SetPoint
from drivers.single_quantum.websq import WebSQ
from qnode.errors import InstrumentError, MisuseError

HOST = "127.0.45.4"
ALL = {"request": "labelProps", "value": "None"}
VOLTAGE = {"request": "BiasVoltage"}


def bias(*currents_ua: float) -> dict[str, Any]:
    return {"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": list(currents_ua)}


class Peer:
    """Two detectors. Voltage is 50 Ohm times the bias; a latched one shows 400 mV until its bias is 0."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.labels: dict[str, Any] = {
            "BiasCurrent": {"value": [18.0, 21.5], "unit": "uA", "bounds": [-90.9, 90.9]},
            "TriggerLevel": {"value": [30.0, 31.0], "unit": "mV"},
            "NumberOfDetectors": {"value": 2},
            "InptMeasurementPeriod": {"value": 10, "unit": "ms"},
            "BiasVoltage": {"value": [0.0, 0.0], "unit": "mV"},
            "DetectorEnable": {"value": True},
            "LastError": {"value": "an old one"},
        }
        self.latched: set[int] = set()
        self.latches_for_ever: set[int] = set()
        self.deaf: set[str] = set()
        self.silent = False
        self.chunk = 0
        self.end = b"\x17"
        self.broadcast_before_reply: list[dict[str, Any]] = []
        self.lines = b"1764000000.01,100,200\n1764000000.02,101,202\n1764000000.03,7,7\n"
        self.control = TcpPort(HOST, self._serve_control)
        self.counts = TcpPort(HOST, self._serve_counts)

    def _serve_control(self, connection: socket.socket) -> None:
        decoder, text = json.JSONDecoder(), ""
        while data := connection.recv(65536):
            text += data.decode()
            while text:
                try:
                    message, end = decoder.raw_decode(text)
                except json.JSONDecodeError:
                    break
                text = text[end:]
                self.messages.append(message)
                if not self.silent:
                    self._send(connection, self._react(message))

    def _send(self, connection: socket.socket, messages: list[dict[str, Any]]) -> None:
        data = b"".join(json.dumps(message).encode() + self.end for message in messages)
        data += b"" if data.endswith(b"\x17") or not data else b"\x17"
        step = self.chunk or max(len(data), 1)
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])

    def _react(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        if message == ALL:
            first, self.broadcast_before_reply = self.broadcast_before_reply, []
            return first + [{"label": label, "value": value} for label, value in self.labels.items()]
        if message == VOLTAGE:
            self.labels["BiasVoltage"]["value"] = self._voltages()
            return [{"label": "BiasVoltage", "value": self._voltages()}]
        if message["command"] in self.deaf:
            return []
        self.labels[message["label"]]["value"] = message["value"]
        if message["label"] == "BiasCurrent":
            off = {detector for detector in (1, 2) if not message["value"][detector - 1]}
            self.latched = self.latched - off | self.latches_for_ever
        return [{"label": message["label"], "value": message["value"]}]

    def _voltages(self) -> list[float]:
        on = self.labels["DetectorEnable"]["value"]
        currents_ua = self.labels["BiasCurrent"]["value"]
        return [
            400.0 if detector in self.latched and on else current * 50e-3 * on
            for detector, current in enumerate(currents_ua, start=1)
        ]

    def _serve_counts(self, connection: socket.socket) -> None:
        connection.sendall(self.lines)
        connection.recv(1)

    def commands(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if "command" in message]

    def hang_up(self) -> None:
        for port in (self.control, self.counts):
            port.hang_up()

    def close(self) -> None:
        for port in (self.control, self.counts):
            port.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def connect(peer: Peer, **kwargs: Any) -> WebSQ:
    ports = {"control_port": peer.control.port, "counts_port": peer.counts.port}
    return WebSQ("snspd", HOST, **({"timeout_s": 2.0} | ports | kwargs))


@pytest.fixture
def driver(peer: Peer) -> Iterator[WebSQ]:
    driver = connect(peer)
    assert peer.messages == [ALL]
    peer.messages.clear()
    yield driver
    driver.close()


def test_it_says_who_it_is(driver: WebSQ) -> None:
    assert driver.identify() == Identity("Single Quantum", "WebSQ with 2 detectors", serial="", firmware="")
    assert driver.detectors == 2
    assert driver.reference_locked() is True
    assert isinstance(driver, RoleInstrument)


def test_labels_come_whole_however_they_are_cut(peer: Peer, driver: WebSQ) -> None:
    peer.chunk = 7
    assert driver.bias_current() == [18.0, 21.5]
    assert driver.trigger_level() == [30.0, 31.0]


def test_objects_without_their_end_are_told_apart(peer: Peer, driver: WebSQ) -> None:
    peer.end = b""
    assert driver.bias_current() == [18.0, 21.5]
    assert driver.measurement_period() == 10.0


def test_set_points_are_sent_and_read_back(peer: Peer, driver: WebSQ) -> None:
    driver.bias_current([10, 11.5])
    driver.trigger_level([20.0, 25.0])
    driver.measurement_period(100)
    assert peer.commands() == [
        bias(10.0, 11.5),
        {"command": "SetAllTriggerLevels", "label": "TriggerLevel", "value": [20.0, 25.0]},
        {"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 100},
    ]
    assert driver.bias_current() == [10.0, 11.5]


def test_the_set_points_of_one_detector(driver: WebSQ) -> None:
    assert driver.set_points(2) == {"bias current": SetPoint(21.5, "uA"), "trigger level": SetPoint(31.0, "mV")}


def test_a_set_point_not_taken_is_told(peer: Peer, driver: WebSQ) -> None:
    peer.deaf.add("SetAllBiasCurrents")
    with pytest.raises(
        InstrumentError,
        match=r"BiasCurrent is \[18.0, 21.5\] after SetAllBiasCurrents \[1.0, 2.0\]; it tells: nothing",
    ):
        driver.bias_current([1.0, 2.0])


def test_the_servers_own_words_for_a_refusal(peer: Peer, driver: WebSQ) -> None:
    peer.deaf.add("DetectorEnable")
    peer.broadcast_before_reply = [{"label": "DriverError", "value": "board 1 does not answer"}]
    with pytest.raises(
        InstrumentError, match=r"DetectorEnable is True after .* DriverError: board 1 does not answer"
    ):
        driver.disable_detectors()


def test_an_error_told_earlier_does_not_keep_it_from_the_safe_state(peer: Peer, driver: WebSQ) -> None:
    peer.broadcast_before_reply = [{"label": "DriverError", "value": "compressor"}]
    driver.enter_safe_state()
    assert peer.labels["DetectorEnable"]["value"] is False


@pytest.mark.parametrize(
    ("currents", "text"),
    [([1.0], "1 values of BiasCurrent for 2 detectors"), ([1.0, 2.0, 3.0], "3 values of BiasCurrent")],
)
def test_one_value_a_detector(peer: Peer, driver: WebSQ, currents: list[float], text: str) -> None:
    with pytest.raises(MisuseError, match=text):
        driver.bias_current(currents)
    assert peer.commands() == []


def test_bounds_that_the_server_tells_hold(peer: Peer, driver: WebSQ) -> None:
    peer.labels["BiasCurrent"]["bounds"] = [0.0, 30.0]
    with pytest.raises(MisuseError, match=r"BiasCurrent \[18.0, 31.0\] is refused - it takes 0 to 30"):
        driver.bias_current([18.0, 31.0])
    assert peer.commands() == []


def test_safe_state_twice_keeps_the_set_points(peer: Peer, driver: WebSQ) -> None:
    driver.enter_safe_state()
    driver.enter_safe_state()
    assert peer.commands() == 2 * [{"command": "DetectorEnable", "label": "DetectorEnable", "value": False}]
    assert driver.enabled() is False
    assert driver.bias_current() == [18.0, 21.5]
    driver.enable_detectors()
    assert peer.labels["DetectorEnable"]["value"] is True
    # 18 uA and 21.5 uA in 50 Ohm.
    assert driver.bias_voltage() == pytest.approx([0.9, 1.075])


def test_voltage_in_another_unit(peer: Peer, driver: WebSQ) -> None:
    peer.labels["BiasVoltage"]["unit"] = "V"
    peer.latched = {1}
    assert driver.bias_voltage() == pytest.approx([400e3, 1075.0])
    peer.labels["BiasVoltage"]["unit"] = "dBm"
    with pytest.raises(InstrumentError, match=r"BiasVoltage is in 'dBm'"):
        driver.bias_voltage()


def test_a_latched_detector_is_found_and_recovers(peer: Peer, driver: WebSQ) -> None:
    assert driver.latched() == ()
    peer.latched = {2}
    assert driver.latched() == (2,)
    driver.recover(2)
    assert peer.commands() == [bias(18.0, 0.0), bias(18.0, 21.5)]
    assert driver.latched() == ()


def test_a_detector_that_latches_again_is_told(peer: Peer, driver: WebSQ) -> None:
    peer.latched = {1}
    driver.latched()
    original = peer._react

    def react(message: dict[str, Any]) -> list[dict[str, Any]]:
        messages = original(message)
        if message == bias(18.0, 21.5):
            peer.latched = {1}
        return messages

    peer._react = react  # type: ignore[method-assign]
    with pytest.raises(InstrumentError, match=r"detector 1 latches again at 18 uA: 400 mV, and above 100 mV counts"):
        driver.recover(1)
    assert driver.bias_current() == [18.0, 21.5]


def test_a_detector_that_stays_latched_gets_its_set_point_back(peer: Peer, driver: WebSQ) -> None:
    peer.latched = peer.latches_for_ever = {2}
    with pytest.raises(InstrumentError, match=r"detector 2 stays latched 2 s without bias"):
        driver.recover(2)
    assert driver.bias_current() == [18.0, 21.5]


@pytest.mark.parametrize("detector", [0, 3])
def test_a_detector_that_is_not_there(peer: Peer, driver: WebSQ, detector: int) -> None:
    for call in (driver.recover, driver.set_points):
        with pytest.raises(MisuseError, match=rf"no detector {detector} - its detectors are 1 to 2"):
            call(detector)
    assert peer.messages == []


def test_counts_are_those_of_the_first_whole_period(driver: WebSQ) -> None:
    assert driver.counts(timeout_s=10.0) == DetectorCounts((101, 202), period_ms=10.0, unix_time_s=1764000000.02)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (b"1.0,1,2\n", r"no counts at port \d+ within \d+\.\d s - wait longer than two .* 10 ms"),
        (b"1.0,1,2\nHTTP/1.1 400\n", r"'HTTP/1.1 400' is no line of counts"),
        (b"1.0,1,2\n1.0,nan,2\n", r"'1.0,nan,2' is no line of counts"),
        (b"1.0,1,2\n1.1,1,2,3,4\n", r"4 counts in '1.1,1,2,3,4', but it has 2 detectors"),
    ],
)
def test_no_counts_is_one_clear_line(peer: Peer, driver: WebSQ, lines: bytes, text: str) -> None:
    peer.lines = lines
    with pytest.raises(InstrumentError, match=text):
        driver.counts(timeout_s=1.0)


def test_silence_is_one_clear_line_and_the_next_call_connects_anew(peer: Peer, driver: WebSQ) -> None:
    peer.silent = True
    with pytest.raises(InstrumentError, match=r"no answer to BiasCurrent within \d+\.\d s - check power"):
        driver.bias_current()
    peer.silent = False
    assert driver.bias_current() == [18.0, 21.5]
    assert len(peer.control.connections) == 2


def test_a_lost_connection_is_made_anew(peer: Peer, driver: WebSQ) -> None:
    peer.hang_up()
    with pytest.raises(InstrumentError, match=r"BiasCurrent failed: .*the next call connects anew"):
        driver.bias_current()
    assert driver.bias_current() == [18.0, 21.5]


def test_values_that_are_no_numbers(peer: Peer, driver: WebSQ) -> None:
    peer.labels["BiasCurrent"]["value"] = [18.0]
    with pytest.raises(InstrumentError, match=r"BiasCurrent is \[18.0\], not a number for each of 2 detectors"):
        driver.bias_current()
    peer.labels["InptMeasurementPeriod"]["value"] = "10 ms"
    with pytest.raises(InstrumentError, match=r"InptMeasurementPeriod is '10 ms', not a number"):
        driver.measurement_period()


def test_another_server_is_refused() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 ftp ready\r\n\x17")
                connection.recv(65536)

        server = threading.Thread(target=greet)
        server.start()
        with pytest.raises(
            InstrumentError, match=r"NumberOfDetectors failed: no JSON objects come from it: '220 ftp ready'"
        ):
            WebSQ("snspd", HOST, control_port=port)
        server.join(5)


def test_nobody_at_the_address() -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        InstrumentError, match=r"snspd \(Single Quantum WebSQ at 127.0.45.4\): NumberOfDetectors failed: .*refused"
    ):
        WebSQ("snspd", HOST, control_port=port)
