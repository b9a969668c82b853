"""A stranger's client of a WebSQ, from what the maker's public client does, on plain sockets.

It knows: JSON objects go out with nothing between them; messages end with ETB; port 12345 sends a line of time and
counts each measurement period.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _addresses import own_block

from qnode.errors import InstrumentError
from simulators.instruments.single_quantum.websq import WebSQ
from simulators.kit.testing import BackgroundLoop, ManualTime, running, wait_for

HOST = f"{own_block()}35"
T0_PS = 1_800_000_037 * 10**12  # 1 800 000 000 s of Unix time
MS = 10**9

LABELS = (
    "NumberOfDetectors",
    "BiasCurrent",
    "TriggerLevel",
    "InptMeasurementPeriod",
    "BiasVoltage",
    "DetectorEnable",
    "StartAutoIV",
    "DarkCountsAutoIV",
    "BiasCurrentAutoIV",
)


class Stranger:
    """Keeps the newest properties of each label, as the maker's client does."""

    def __init__(self) -> None:
        # In this order: once the labels have come over the one, counting has begun for the other.
        self.counts = socket.create_connection((HOST, 12345), timeout=60)
        self.control = socket.create_connection((HOST, 12000), timeout=60)
        self.lines = self.counts.makefile("r")
        self.properties: dict[str, dict[str, Any]] = {}
        self.errors: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.send(request="labelProps", value="None")
        self.until("the labels", lambda: set(LABELS) <= set(self.properties))

    def close(self) -> None:
        for endpoint in (self.control, self.counts):
            with contextlib.suppress(OSError):
                endpoint.shutdown(socket.SHUT_RDWR)
            endpoint.close()
        self.lines.close()
        self._listener.join(5)

    def send(self, **message: object) -> None:
        self.control.sendall(json.dumps(message).encode())

    def value(self, label: str) -> Any:
        return self.properties[label]["value"]

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        wait_for(condition, what)

    def becomes(self, label: str, value: object) -> None:
        self.until(f"{label} to become {value}", lambda: self.value(label) == value)

    def _listen(self) -> None:
        pending = ""
        while True:
            try:
                data = self.control.recv(65_536)
            except (TimeoutError, OSError):
                return
            if not data:
                return
            *messages, pending = (pending + data.decode()).split("\x17")
            for message in messages:
                self._keep(json.loads(message))

    def _keep(self, message: dict[str, Any]) -> None:
        label, value = message["label"], message["value"]
        if "Error" in label:
            self.errors.append(value)
        elif isinstance(value, dict):
            self.properties[label] = value
        else:
            self.properties.setdefault(label, {})["value"] = value


@pytest.fixture
def clock() -> ManualTime:
    return ManualTime(T0_PS)


@pytest.fixture
def driver(clock: ManualTime) -> WebSQ:
    return WebSQ("midpoint.detectors", HOST, clock)


@pytest.fixture
def loop(driver: WebSQ) -> Iterator[BackgroundLoop]:
    with running(driver) as background:
        yield background


@pytest.fixture
def client(loop: BackgroundLoop) -> Iterator[Stranger]:
    stranger = Stranger()
    yield stranger
    stranger.close()


def working_point(client: Stranger, bias_ua: list[float]) -> None:
    client.send(command="SetAllBiasCurrents", label="BiasCurrent", value=bias_ua)
    client.send(command="DetectorEnable", label="DetectorEnable", value=True)
    client.becomes("DetectorEnable", True)


def test_properties_have_value_unit_and_bounds(client: Stranger) -> None:
    assert client.value("NumberOfDetectors") == 4
    assert client.properties["BiasCurrent"] == {"value": [0.0] * 4, "unit": "uA", "bounds": [0.0, 50.0]}
    assert client.properties["TriggerLevel"]["unit"] == "mV"
    assert client.properties["InptMeasurementPeriod"]["unit"] == "ms"
    assert client.value("DetectorEnable") is False
    assert client.value("StartAutoIV") is False
    assert len(client.value("DarkCountsAutoIV")) == len(client.value("BiasVoltage")) == 4


def test_off_when_plugged_in(client: Stranger, driver: WebSQ) -> None:
    playback = driver.playback
    assert playback.powered
    assert set(playback.enabled.values()) == {False}
    assert set(playback.efficiency.values()) == {0.0}
    assert dict(playback.bias_ua) == {1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}


def test_bias_reaches_the_world_when_enabled(client: Stranger, driver: WebSQ) -> None:
    client.send(command="SetAllBiasCurrents", label="BiasCurrent", value=[20, 19.6, 5, 0])
    client.becomes("BiasCurrent", [20, 19.6, 5, 0])
    assert driver.playback.bias_ua[1] == 0.0
    client.send(command="DetectorEnable", value=True)
    client.becomes("DetectorEnable", True)
    client.until("the bias to flow", lambda: driver.playback.bias_ua[1] == 20.0)
    assert driver.playback.efficiency[1] == pytest.approx(1.0)
    assert driver.playback.dark_rate[2] == pytest.approx(1.0)
    assert driver.playback.efficiency[3] < 0.01
    assert (driver.playback.efficiency[4], driver.playback.enabled[4]) == (0.0, True)
    client.send(command="DetectorEnable", value=False)
    client.until("the bias to end", lambda: driver.playback.bias_ua[1] == 0.0)


def test_latch_and_recovery_by_cycling_the_bias(client: Stranger, driver: WebSQ) -> None:
    working_point(client, [24.0, 20.0, 20.0, 20.0])
    client.until("the voltage", lambda: client.value("BiasVoltage")[0] > 0)
    before_mv = client.value("BiasVoltage")[0]
    client.send(command="SetAllBiasCurrents", label="BiasCurrent", value=[26.0, 20.0, 20.0, 20.0])
    client.until("the latch", lambda: driver.playback.latched[1])
    client.until("the jump", lambda: client.value("BiasVoltage")[0] > 15 * before_mv)
    assert driver.playback.efficiency[1] == 0.0
    assert not driver.playback.latched[2]
    for bias_ua in (20.0, 0.0, 20.0):
        client.send(command="SetAllBiasCurrents", label="BiasCurrent", value=[bias_ua, 20.0, 20.0, 20.0])
    client.until("the recovery", lambda: driver.playback.efficiency[1] > 0.99)
    assert not driver.playback.latched[1]


def test_a_flash_latches(client: Stranger, driver: WebSQ, loop: BackgroundLoop) -> None:
    working_point(client, [20.0, 20.0, 0.0, 0.0])
    client.until("the bias to flow", lambda: driver.playback.bias_ua[1] == 20.0)

    async def flash() -> None:
        driver.faults()["latch"]()

    loop.call(flash())
    assert dict(driver.playback.latched) == {1: True, 2: True, 3: False, 4: False}
    client.send(command="DetectorEnable", value=False)
    client.send(command="DetectorEnable", value=True)
    client.until("the recovery", lambda: driver.playback.efficiency[1] > 0.99)


def read_counts(client: Stranger, clock: ManualTime, period_ms: int) -> tuple[str, list[int]]:
    clock.advance(period_ms * MS)
    when, *counts = client.lines.readline().rstrip("\n").split(",")
    return when, [int(count) for count in counts]


def test_counts_in_the_dark_follow_the_bias(client: Stranger, clock: ManualTime, driver: WebSQ) -> None:
    working_point(client, [20.0, 22.05, 10.0, 0.0])
    client.send(command="SetMeasurementPeriod", label="InptMeasurementPeriod", value=10_000)
    client.becomes("InptMeasurementPeriod", 10_000)
    # The period that runs is still one of 100 ms.
    when, _ = read_counts(client, clock, 100)
    assert when == "1800000000.100"
    when, counts = read_counts(client, clock, 10_000)
    assert when == "1800000010.100"
    # 1000 at the working bias; 2.45 uA = 0.1 x 24.5 uA above it, e^2 times as many; none far below and without bias.
    assert abs(counts[0] - 1000) < 160
    assert abs(counts[1] - 7389) < 430
    assert counts[2] <= 10
    assert counts[3] == 0


def test_counts_of_the_world(client: Stranger, clock: ManualTime, driver: WebSQ) -> None:
    working_point(client, [20.0] * 4)
    driver.deliver_counts({1: 12, 2: 7}, T0_PS + 100 * MS)
    assert read_counts(client, clock, 100) == ("1800000000.100", [12, 7, 0, 0])
    driver.deliver_counts({4: 1}, T0_PS + 200 * MS)
    assert read_counts(client, clock, 100) == ("1800000000.200", [0, 0, 0, 1])


def test_automatic_bias(client: Stranger, clock: ManualTime, driver: WebSQ) -> None:
    client.send(command="DarkCountsAutoIV", label="DarkCountsAutoIV", value=[100, 100, 271.8281828, 100])
    client.send(command="AutoCaliBiasCurrents", value=True)
    client.becomes("StartAutoIV", True)

    def over() -> bool:
        # It is told before it is begun: the search's time counts from a moment that no client sees.
        clock.advance(500 * MS)
        return client.value("StartAutoIV") is False

    client.until("the end of the search", over)
    # 0.8 of the switching currents 25, 24.5, 25.5, 24 uA; e times as many dark counts 0.05 of it higher.
    found = client.value("BiasCurrentAutoIV")
    assert found == pytest.approx([20.0, 19.6, 21.675, 19.2])
    assert client.value("BiasCurrent") == found


def test_trigger_levels_and_requests(client: Stranger) -> None:
    client.send(command="SetAllTriggerLevels", label="TriggerLevel", value=[23, 24, 25, 26])
    client.becomes("TriggerLevel", [23, 24, 25, 26])
    client.properties["BiasVoltage"]["value"] = None
    client.send(request="BiasVoltage")
    client.until("the answer", lambda: client.value("BiasVoltage") == [0.0] * 4)


def test_changes_are_told_to_all_clients(client: Stranger) -> None:
    other = Stranger()
    try:
        client.send(command="SetMeasurementPeriod", label="InptMeasurementPeriod", value=250)
        other.becomes("InptMeasurementPeriod", 250)
    finally:
        other.close()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"command": "Explode", "value": 1}, "unknown command Explode"),
        ({"request": "Nonsense"}, "unknown label Nonsense"),
        ({"command": "SetAllBiasCurrents", "value": [1, 2]}, "each of 4 detectors"),
        ({"command": "SetAllBiasCurrents", "value": [1, 2, 3, 51]}, "from 0 to 50, not 51"),
        ({"command": "SetAllBiasCurrents", "value": [1, 2, 3, True]}, "not True"),
        ({"command": "SetMeasurementPeriod", "value": 0}, "from 10 to 10000"),
        ({"command": "DetectorEnable", "value": "yes"}, "true or false"),
        ({"command": "AutoCaliBiasCurrents", "value": None}, "true or false"),
    ],
)
def test_refusals_come_as_errors(client: Stranger, driver: WebSQ, message: dict[str, object], told: str) -> None:
    before = driver.playback
    client.send(**message)
    client.until("the error", lambda: bool(client.errors))
    assert told in client.errors[0]
    assert driver.playback is before


def test_no_json_is_told_too(client: Stranger) -> None:
    client.control.sendall(b"{nonsense}")
    client.until("the error", lambda: client.errors == ["no JSON"])


def test_unplugged_it_is_dark_and_forgets(driver: WebSQ, loop: BackgroundLoop) -> None:
    client = Stranger()
    working_point(client, [20.0] * 4)
    client.until("the bias to flow", lambda: driver.playback.bias_ua[1] == 20.0)
    loop.call(driver.unplug())
    client.close()
    assert not driver.playback.powered
    assert set(driver.playback.bias_ua.values()) == {0.0}
    for port in (12000, 12345):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((HOST, port), timeout=5)
    loop.call(driver.plug())
    again = Stranger()
    assert again.value("BiasCurrent") == [0.0] * 4
    assert again.value("DetectorEnable") is False
    again.close()


def test_a_taken_port_is_named(client: Stranger) -> None:
    with (
        pytest.raises(InstrumentError, match=rf"other.*{HOST} port 12000"),
        running(WebSQ("other", HOST, ManualTime())),
    ):
        pass
