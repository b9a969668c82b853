"""The maker's client, unmodified, against the simulated Pulse Streamer; what the world would see is asserted."""

import json
import socket
import struct

import numpy as np
import pytest
from _addresses import own_block

from qnode.errors import InstrumentError
from simulators.instruments.swabian.pulse_streamer import BINARY_PORT, JSON_RPC_PORT, PulseStreamer
from simulators.kit.testing import ManualTime, running, wait_for

pulsestreamer = pytest.importorskip("pulsestreamer", reason="the maker's client `pulsestreamer` is not installed")

ADDRESS = f"{own_block()}1"
TICK_PS = 1000
RISING = pulsestreamer.TriggerStart.HARDWARE_RISING
MANUAL = pulsestreamer.TriggerRearm.MANUAL


@pytest.fixture
def simulator():
    instrument = PulseStreamer("alice.pulser", ADDRESS, ManualTime())
    with running(instrument) as loop:
        instrument.background = loop
        yield instrument


@pytest.fixture
def client(simulator):
    return pulsestreamer.PulseStreamer(ADDRESS)


def a_sequence(client):
    """d0 high for 100 ns, low for 50 ns; d3 the other way round; a0 at 0.5 V, then -1 V; a1 at 0.25 V all along."""
    sequence = client.createSequence()
    sequence.setDigital(0, [(100, 1), (50, 0)])
    sequence.setDigital(3, [(100, 0), (50, 1)])
    sequence.setAnalog(0, [(100, 0.5), (50, -1.0)])
    sequence.setAnalog(1, [(150, 0.25)])
    return sequence


def assert_plays_a_sequence(playback):
    np.testing.assert_array_equal(playback.duration_ps, [100 * TICK_PS, 50 * TICK_PS])
    np.testing.assert_array_equal(playback.digital, [0b0001, 0b1000])
    # The client rounds to 1/32767 V.
    np.testing.assert_allclose(playback.analog_v, [[0.5, 0.25], [-1.0, 0.25]], atol=0.5 / 32767)


def play_to_the_end(simulator, at_ps=0):
    simulator.world_started(simulator.playback.revision, at_ps)
    simulator.world_finished(simulator.playback.revision, at_ps + 1)


def test_the_client_finds_the_binary_port(client):
    assert client._has_binary


def test_stream_starts_at_once_and_is_decoded(client, simulator):
    client.stream(a_sequence(client), n_runs=7, final=client.createOutputState([1], 0.0, 0.0))
    playback = simulator.playback
    assert playback.state == "software_start"
    assert playback.n_runs == 7
    assert_plays_a_sequence(playback)
    assert client.isStreaming()
    assert client.hasSequence()
    assert not client.hasFinished()

    play_to_the_end(simulator)
    assert simulator.playback.idle_digital == 0b10
    assert client.hasFinished()
    assert not client.isStreaming()


def test_list_of_steps_is_decoded_too(client, simulator):
    client.stream([(30, [0, 7], 0, 1), (5_000_000_000, [], 0, 0)], n_runs=-1)
    playback = simulator.playback
    # A step longer than 32 bits of ticks is split by the client.
    assert playback.duration_ps.sum() == 5_000_000_030 * TICK_PS
    assert playback.digital[0] == 0b1000_0001
    assert playback.analog_v[0, 1] == 1.0
    assert playback.n_runs == -1


def test_json_stream_of_a_client_without_binary_upload(client, simulator, monkeypatch):
    monkeypatch.setattr(client, "_has_binary", False)
    client.stream(a_sequence(client), n_runs=2)
    assert simulator.playback.n_runs == 2
    assert_plays_a_sequence(simulator.playback)
    # With old firmware the client asks for the serial number with an argument.
    assert client.getSerial() != client.getFPGAID()


def test_hardware_trigger_arms_and_the_world_starts(client, simulator):
    client.setTrigger(RISING, MANUAL)
    assert client.getTriggerStart() is RISING
    assert client.getTriggerRearm() is MANUAL
    client.stream(a_sequence(client), n_runs=3)
    assert simulator.playback.state == "armed"
    state = client.getStreamingState()
    assert state["State"] is pulsestreamer.State.IDLING
    assert state["StateCondition"] is pulsestreamer.StateCondition.WAIT_FOR_TRIGGER

    armed = simulator.playback.revision
    simulator.world_started(armed, 0)
    assert simulator.playback.state == "streaming"
    assert simulator.playback.revision == armed
    assert client.isStreaming()
    assert client.getStreamingState()["State"] is pulsestreamer.State.STREAMING

    simulator.time.advance(450 * TICK_PS)
    simulator.world_finished(armed, simulator.time.now_ps())
    assert simulator.playback.state == "idle"
    assert client.hasFinished()
    state = client.getStreamingState()
    assert state["StateCondition"] is pulsestreamer.StateCondition.WAIT_FOR_REARM
    assert state["StreamingTime"] == 450

    assert client.rearm() is True
    assert simulator.playback.state == "armed"
    assert simulator.playback.revision > armed
    assert not client.hasFinished()
    assert client.rearm() is False


def test_automatic_rearm(client, simulator):
    client.setTrigger(RISING)
    client.stream(a_sequence(client), n_runs=1)
    first = simulator.playback.revision
    play_to_the_end(simulator)
    assert simulator.playback.state == "armed"
    assert simulator.playback.revision > first


def test_the_world_is_ignored_after_a_change(client, simulator):
    client.setTrigger(RISING, MANUAL)
    client.stream(a_sequence(client), n_runs=1)
    old = simulator.playback.revision
    client.stream([(10, [5], 0, 0)], n_runs=1)
    simulator.world_started(old, 0)
    assert simulator.playback.state == "armed"
    assert not client.isStreaming()


def test_start_now(client, simulator):
    client.setTrigger(pulsestreamer.TriggerStart.SOFTWARE)
    client.stream(a_sequence(client), n_runs=1)
    assert simulator.playback.state == "idle"
    client.startNow()
    assert simulator.playback.state == "software_start"
    play_to_the_end(simulator)
    client.startNow()
    assert simulator.playback.state == "software_start"


def test_start_now_does_not_bypass_a_hardware_trigger(client, simulator):
    client.setTrigger(RISING)
    client.stream(a_sequence(client), n_runs=1)
    client.startNow()
    assert simulator.playback.state == "armed"


def test_constant_force_final_and_reset(client, simulator):
    client.constant(client.createOutputState([0, 4], 0.0, 0.0))
    assert simulator.playback.state == "idle"
    assert simulator.playback.idle_digital == 0b1_0001

    client.stream(a_sequence(client), n_runs=-1, final=client.createOutputState([6]))
    assert simulator.playback.idle_digital == 0b1_0001
    client.forceFinal()
    assert simulator.playback.state == "idle"
    assert simulator.playback.idle_digital == 0b100_0000
    assert not client.isStreaming()

    client.selectClock(pulsestreamer.ClockSource.EXT_10MHZ)
    client.setTrigger(RISING)
    client.reset()
    assert simulator.playback.idle_digital == 0
    assert not simulator.playback.external_reference
    assert not client.hasSequence()
    assert client.getTriggerStart() is pulsestreamer.TriggerStart.IMMEDIATE


def test_clock(client, simulator):
    assert client.getClock() is pulsestreamer.ClockSource.INTERNAL
    assert not simulator.playback.external_reference
    client.selectClock(pulsestreamer.ClockSource.EXT_10MHZ)
    assert client.getClock() is pulsestreamer.ClockSource.EXT_10MHZ
    assert simulator.playback.external_reference


def test_slots_follow_each_other(client, simulator):
    stop = pulsestreamer.NextAction.STOP
    assert client.isReadyForData()
    assert client.upload(0, [(10, [0], 0, 0)], n_runs=2) == 0
    assert not client.isStreaming()
    state = client.getStreamingState()
    assert state["StateCondition"] is pulsestreamer.StateCondition.WAIT_FOR_START
    assert (
        client.upload(1, [(20, [1], 0, 0)], n_runs=3, next_action=stop, idle_state=client.createOutputState([2])) == 0
    )
    assert client.getSequenceControlData(1)["n_runs"] == 3

    client.start(0)
    assert simulator.playback.duration_ps.tolist() == [10 * TICK_PS]
    assert simulator.playback.n_runs == 2
    assert not client.isReadyForData(0)

    play_to_the_end(simulator)
    assert simulator.playback.state == "software_start"
    assert simulator.playback.duration_ps.tolist() == [20 * TICK_PS]
    assert simulator.playback.n_runs == 3
    assert client.isReadyForData(0)
    assert client.getStreamingState()["SlotChanges"] == 1

    play_to_the_end(simulator)
    assert client.hasFinished()
    assert simulator.playback.idle_digital == 0b100


def test_slot_on_a_trigger(client, simulator):
    client.setTrigger(RISING)
    client.upload(0, [(10, [0], 0, 0)], n_runs=1, when=pulsestreamer.When.TRIGGER)
    client.upload(1, [(20, [1], 0, 0)], n_runs=1, next_action=pulsestreamer.NextAction.STOP)
    client.start()
    play_to_the_end(simulator)
    assert simulator.playback.state == "armed"
    assert simulator.playback.digital.tolist() == [0b10]


def test_no_new_data(client, simulator):
    client.upload(0, [(10, [0], 0, 0)], n_runs=1)
    client.start()
    play_to_the_end(simulator)
    assert client.getStreamingState()["State"] is pulsestreamer.State.ERROR

    client.reset()
    client.upload(0, [(10, [0], 0, 0)], n_runs=1, on_nodata=pulsestreamer.OnNoData.WAIT_IDLING)
    client.start()
    play_to_the_end(simulator)
    assert client.getStreamingState()["StateCondition"] is pulsestreamer.StateCondition.WAIT_FOR_DATA
    assert simulator.playback.state == "idle"
    client.upload(1, [(30, [1], 0, 0)], n_runs=1)
    assert simulator.playback.state == "software_start"
    assert simulator.playback.digital.tolist() == [0b10]


def test_upload_into_a_slot_that_plays_is_refused(client, simulator):
    client.upload(0, [(10, [0], 0, 0)], n_runs=-1)
    client.start()
    assert client.upload(0, [(20, [1], 0, 0)], n_runs=1) != 0
    assert simulator.playback.digital.tolist() == [0b1]


def test_repeated_slot(client, simulator):
    client.upload(0, [(10, [0], 0, 0)], n_runs=4, next_action=pulsestreamer.NextAction.REPEAT_SLOT)
    client.start(0, 2)
    play_to_the_end(simulator)
    assert simulator.playback.state == "software_start"
    play_to_the_end(simulator)
    assert simulator.playback.state == "idle"
    assert client.hasFinished()


def test_readings_and_identity(client):
    assert client.getFirmwareVersion() >= "2.1"
    assert client.getHardwareVersion()
    assert len(client.getSerial().split(":")) == 6
    assert int(client.getFPGAID(), 16) >= 0
    assert float(client.getTemperature()) > 0
    assert client.getUnderflow() == 0
    assert client.getStatusRegister() == 0
    assert client.getSupplyState()["Voltage_12/V"] == 12.0
    assert client.setSquareWave125MHz([0, 1]) == 0
    assert client.setClkParam(10.0) == 0
    assert client.shiftClkPhase(3) == 0


def test_settings_that_stay_over_a_power_cut(client, simulator):
    client.setHostname("alice-pulser")
    client.setAnalogCalibration(0.01, -0.02, 1.001, 0.999)
    client.setNetworkConfiguration(False, "10.0.0.2", "255.0.0.0", "10.0.0.1")
    assert client.getNetworkConfiguration()["ip"] == "10.0.0.2"
    assert client.getNetworkConfiguration(permanent=True)["ip"] == ADDRESS
    client.applyNetworkConfiguration()
    simulator.background.call(simulator.unplug())
    simulator.background.call(simulator.plug())
    assert client.getNetworkConfiguration(permanent=True)["ip"] == "10.0.0.2"
    assert client.getHostname() == "alice-pulser"
    assert client.getAnalogCalibration() == {
        "dc_offset_a0": 0.01,
        "dc_offset_a1": -0.02,
        "slope_a0": 1.001,
        "slope_a1": 0.999,
    }


def test_unplug_is_dark_and_forgets(client, simulator):
    client.stream(a_sequence(client), n_runs=-1)
    simulator.background.call(simulator.unplug())
    assert simulator.playback.state == "off"
    assert len(simulator.playback.duration_ps) == 0
    with pytest.raises(Exception, match="refused"):
        client.isStreaming()
    simulator.background.call(simulator.plug())
    assert not client.hasSequence()
    # The client's old upload socket was reset; it opens a new one by itself.
    client.stream(a_sequence(client), n_runs=1)
    assert simulator.playback.state == "software_start"


def test_reboot_forgets_and_breaks_the_upload_socket(client, simulator):
    client.stream(a_sequence(client), n_runs=-1)
    client.reboot()
    assert simulator.playback.state == "idle"
    wait_for(lambda: not client.is_socket_alive(), "the reset of the upload connection")
    client.stream(a_sequence(client), n_runs=1)
    assert simulator.playback.n_runs == 1


def test_two_clients_see_the_same_instrument(client, simulator):
    other = pulsestreamer.PulseStreamer(ADDRESS)
    client.setTrigger(RISING)
    other.stream(a_sequence(other), n_runs=5)
    assert client.hasSequence()
    client.stream([(10, [5], 0, 0)], n_runs=6)
    assert simulator.playback.n_runs == 6


def test_busy_port_names_address_and_port(simulator):
    second = PulseStreamer("bob.pulser", ADDRESS, ManualTime())
    with (
        pytest.raises(InstrumentError, match=rf"bob\.pulser.*{ADDRESS} port {JSON_RPC_PORT}.*taken"),
        running(second),
    ):
        pytest.fail("two simulators on one port")


def test_busy_binary_port_gives_the_json_port_back():
    with socket.create_server((ADDRESS, BINARY_PORT)):
        instrument = PulseStreamer("alice.pulser", ADDRESS, ManualTime())
        with pytest.raises(InstrumentError, match=f"port {BINARY_PORT}"), running(instrument):
            pytest.fail("the binary port was taken")
    with running(instrument):
        assert instrument.playback.state == "idle"


def test_foreign_address_is_explained():
    # 192.0.2.0/24 is reserved for documentation (RFC 5737), so no machine has it.
    instrument = PulseStreamer("alice.pulser", "192.0.2.1", ManualTime())
    with pytest.raises(InstrumentError, match="not on this machine"), running(instrument):
        pytest.fail("bound an address that is not ours")


def upload_message(pulses: bytes, n_pulses: int, n_runs: int = 1, magic: int = 0x53504953, command: int = 0) -> bytes:
    body = struct.pack("<qQ2h4BQ", n_runs, n_pulses, 0, 0, 0, 0, 0, 0, 0) + pulses
    body += bytes(32 - len(pulses) % 32)
    return struct.pack("<4I2Q", magic, 77, command, 0, len(body), 0) + body


def read_exactly(connection: socket.socket, n_bytes: int) -> bytes:
    data = b""
    while len(data) < n_bytes:
        piece = connection.recv(n_bytes - len(data))
        assert piece, f"closed after {len(data)} of {n_bytes} bytes"
        data += piece
    return data


def test_upload_in_pieces_and_two_in_one_segment(simulator):
    one = upload_message(struct.pack("<IBhh", 40, 0b11, 0, 0), 1)
    two = upload_message(struct.pack("<IBhh", 80, 0b100, 0, 0), 1)
    with socket.create_connection((ADDRESS, BINARY_PORT), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(one), 7):
            connection.sendall(one[at : at + 7])
        assert struct.unpack("<4I2Q", read_exactly(connection, 32))[:3] == (0x53504953, 77, 0)
        assert simulator.playback.duration_ps.tolist() == [40 * TICK_PS]
        connection.sendall(one + two)
        read_exactly(connection, 64)
        assert simulator.playback.duration_ps.tolist() == [80 * TICK_PS]


@pytest.mark.parametrize(
    "message",
    [
        upload_message(struct.pack("<IBhh", 40, 1, 0, 0), n_pulses=9),
        upload_message(b"", n_pulses=0),
        upload_message(struct.pack("<IBhh", 40, 1, 0, 0), 1, n_runs=0),
        upload_message(struct.pack("<IBhh", 40, 1, 0, 0), 1, command=0x777),
    ],
    ids=["fewer pulses than announced", "empty", "no runs", "unknown command"],
)
def test_upload_that_makes_no_sense_is_an_error_and_changes_nothing(simulator, message):
    before = simulator.playback
    with socket.create_connection((ADDRESS, BINARY_PORT), timeout=5) as connection:
        connection.sendall(message)
        _, identity, error, *_ = struct.unpack("<4I2Q", read_exactly(connection, 32))
        assert identity == 77
        assert error != 0
        assert simulator.playback is before


def test_upload_with_a_wrong_magic_ends_the_connection(simulator):
    with socket.create_connection((ADDRESS, BINARY_PORT), timeout=5) as connection:
        connection.sendall(struct.pack("<4I2Q", 0xDEADBEEF, 1, 0, 0, 0, 0))
        assert connection.recv(1) == b""


def post(body: bytes, path: str = "/json-rpc", method: str = "POST", pieces: int = 10_000) -> tuple[int, bytes]:
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    request += body
    with socket.create_connection((ADDRESS, JSON_RPC_PORT), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(request), pieces):
            connection.sendall(request[at : at + pieces])
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    head, _, content = reply.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def call(method: str, *params: object) -> dict:
    body = json.dumps({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}).encode()
    return json.loads(post(body, pieces=3)[1])


@pytest.mark.usefixtures("simulator")
def test_json_rpc_errors():
    assert call("getClock") == {"jsonrpc": "2.0", "id": 5, "result": 0}
    assert call("brewCoffee")["error"]["code"] == -32601
    assert call("selectClock")["error"]["code"] == -32602
    assert call("selectClock", 9)["error"]["code"] == -32602
    assert call("constant", [0, 256, 0, 0])["error"]["code"] == -32602
    assert call("stream", "not base64!", 1, [0, 0, 0, 0])["error"]["code"] == -32602
    assert "no sequence" in call("startNow")["error"]["message"]
    assert json.loads(post(b"{")[1])["error"]["code"] == -32700
    assert json.loads(post(b"[]")[1])["error"]["code"] == -32600


@pytest.mark.usefixtures("simulator")
def test_json_rpc_notification_and_batch():
    notification = {"jsonrpc": "2.0", "method": "selectClock", "params": [2]}
    assert post(json.dumps(notification).encode()) == (204, b"")
    batch = [notification, {"jsonrpc": "2.0", "id": 1, "method": "getClock"}]
    assert json.loads(post(json.dumps(batch).encode())[1]) == [{"jsonrpc": "2.0", "id": 1, "result": 2}]


@pytest.mark.usefixtures("simulator")
def test_http_refusals():
    assert post(b"{}", path="/")[0] == 404
    assert post(b"", method="GET")[0] == 405
