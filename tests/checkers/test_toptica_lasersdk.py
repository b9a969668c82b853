"""The maker's SDK, unmodified, against the simulated DLC pro; asserted is what the world sees."""

import asyncio
import contextlib
import socket
import threading

import pytest
from _addresses import own_block

from qnode.errors import InstrumentError
from simulators.instruments.toptica.dlc_pro import DLCpro
from simulators.kit.testing import ManualTime, running, wait_for

sdk = pytest.importorskip("toptica.lasersdk.client", reason="toptica-lasersdk is not installed")
dlcpro = pytest.importorskip("toptica.lasersdk.dlcpro.v3_3_3")
async_client = pytest.importorskip("toptica.lasersdk.asyncio.client")
async_dlcpro = pytest.importorskip("toptica.lasersdk.asyncio.dlcpro.v3_3_3")

HOST = f"{own_block()}15"
T0_PS = 1_800_000_037 * 10**12  # TAI; 2027-01-15T08:00:00 UTC

TYPES = {"Boolean": bool, "Integer": int, "Real": float, "String": str, "Binary": bytes}


@pytest.fixture
def clock():
    return ManualTime(T0_PS)


@pytest.fixture
def simulator(clock):
    instrument = DLCpro("alice.laser", HOST, clock)
    with running(instrument) as loop:
        instrument.background = loop
        yield instrument


@pytest.fixture
def laser(simulator):
    with dlcpro.DLCpro(dlcpro.NetworkConnection(HOST)) as opened:
        yield opened


@pytest.fixture
def client(simulator):
    with sdk.Client(sdk.NetworkConnection(HOST)) as opened:
        yield opened


def fault(simulator, name):
    async def bring_about():
        simulator.faults()[name]()

    simulator.background.call(bring_about())


def public(node):
    return [name for name in dir(type(node)) if not name.startswith("_")]


def nodes_below(node, path=""):
    """Every node of the SDK's tree, with its path in Python names."""
    yield path, node
    for name in public(node):
        if isinstance(getattr(type(node), name), property) and name != "name":
            yield from nodes_below(getattr(node, name), f"{path}.{name}")


def kind_of(parameter):
    name = type(parameter).__name__
    return next((kind for word, kind in TYPES.items() if name.endswith(f"Decop{word}")), None)


def test_identity(laser):
    assert laser.serial_number.get().startswith("DLC PRO_")
    assert laser.fw_ver.get() == "3.3.3"
    assert laser.system_type.get() == "DLC pro"
    assert laser.net_conf.ip_addr.get() == HOST
    assert laser.system_health.get() == 0


def test_every_parameter_of_the_tree_can_be_read(laser):
    count = 0
    for path, node in nodes_below(laser):
        if kind_of(node) is not None:
            assert type(node.get()) is kind_of(node), path
            count += 1
        elif type(node).__name__ == "Coordinate":
            assert node.get() == (0.0, 0.0)
    # 11 106 parameters, counted in the SDK's source; those of type Coordinate are among them.
    assert count > 11_000


def test_every_parameter_of_a_head_takes_back_its_value(laser):
    refused = []
    for path, node in nodes_below(laser.laser1):
        if type(node).__name__.startswith("Mutable"):
            value = node.get()
            assert node.set(value) == 0, path
            assert node.get() == value, path
        elif type(node).__name__.startswith("Decop"):
            refused.append(path)
    assert ".emission" in refused


def test_commands_of_every_node(laser):
    """Each public call that takes no arguments, on the root, on a head and on some boards."""
    called = 0
    for start in (laser, laser.laser1, laser.laser_common, laser.buzzer, laser.system_messages, laser.net_conf):
        for _, node in nodes_below(start) if start is not laser else [("", laser)]:
            for name in public(node):
                method = getattr(type(node), name)
                if name in ("open", "close", "run", "stop", "poll", "get", "set", "subscribe") or not callable(
                    method
                ):
                    continue
                if method.__code__.co_argcount == 1:
                    method(node)
                    called += 1
    assert called > 80


def test_calls_with_arguments(laser):
    laser.service_script(b"\x00\x01binary")
    laser.fw_update.upload(b"image", "file.fw")
    assert laser.fw_update.show_log() == ""
    assert laser.buzzer.play("cde") is None
    assert laser.licenses.get_key(1) == ""
    assert laser.licenses.install("key") is False
    assert laser.laser1.recorder.data.get_data(0, 10) == b""
    laser.system_messages.mark_as_read(1)
    laser.laser1.dl.lock.select_lockpoint(0.5, 1.5, 0)
    laser.change_password("new")
    laser.laser1.dl.lock.lock_tracking.set(0.25, -1.5)
    assert laser.laser1.dl.lock.lock_tracking.get() == (0.25, -1.5)
    text, count = laser.system_connections()
    assert count == 2
    assert "command line" in text
    assert laser.serial_number.get() in laser.system_summary()


def test_emission_power_and_detuning(laser, simulator):
    head = laser.laser1.dl
    beam = simulator.playback.beams["laser1"]
    assert (beam.emission, beam.power_mw) == (False, 0.0)
    assert laser.emission.get() is False
    assert head.cc.enabled.set(True) == 0
    assert laser.emission.get() is True
    assert laser.laser1.emission.get() is True
    assert laser.laser2.emission.get() is False
    assert head.cc.emission.get() is True
    beam = simulator.playback.beams["laser1"]
    assert (beam.emission, beam.detuning_mhz, beam.scan_mhz) == (True, 0.0, 0.0)
    # 0.5 mW/mA above 50 mA.
    head.cc.current_set.set(120.0)
    assert head.cc.current_act.get() == 120.0
    assert simulator.playback.beams["laser1"].power_mw == pytest.approx(35.0)
    head.cc.current_set.set(40.0)
    assert simulator.playback.beams["laser1"].power_mw == 0.0
    # Tuning: 300 MHz/V, -100 MHz/mA, -3000 MHz/K around 70 V, 100 mA, 20 degrees.
    head.cc.current_set.set(100.5)
    head.pc.voltage_set.set(70.2)
    head.tc.temp_set.set(20.01)
    assert simulator.playback.beams["laser1"].detuning_mhz == pytest.approx(60.0 - 50.0 - 30.0)
    assert head.pc.voltage_act.get() == 70.2
    assert head.tc.temp_act.get() == 20.01
    assert head.tc.ready.get() is True
    assert simulator.playback.beams["laser2"].detuning_mhz == 0.0
    laser.laser1.enabled.set(False)
    assert head.cc.enabled.get() is False
    assert simulator.playback.beams["laser1"].emission is False


def test_boards_show_the_same_as_heads(laser, simulator):
    laser.cc2.channel1.enabled.set(True)
    assert laser.laser2.emission.get() is True
    laser.laser2.dl.pc.voltage_set.set(71.0)
    assert laser.pc2.channel1.voltage_act.get() == 71.0
    laser.laser1.dl.tc.temp_set.set(21.0)
    assert laser.tc1.channel1.temp_set.get() == 21.0
    assert laser.tc1.channel2.temp_set.get() == 20.0
    assert laser.laser2.dl.cc.path.get() == "cc2:channel1"


def test_scan(laser, simulator):
    scan = laser.laser1.scan
    laser.laser1.enabled.set(True)
    scan.amplitude.set(2.0)
    scan.offset.set(80.0)
    assert laser.laser1.dl.pc.voltage_set.get() == 80.0
    assert (scan.start.get(), scan.end.get(), scan.unit.get()) == (79.0, 81.0, "V")
    assert simulator.playback.beams["laser1"].scan_mhz == 0.0
    scan.enabled.set(True)
    assert simulator.playback.beams["laser1"].scan_mhz == pytest.approx(600.0)
    scan.end.set(83.0)
    assert (scan.amplitude.get(), scan.offset.get()) == (4.0, 81.0)
    scan.output_channel.set(51)
    assert scan.offset.get() == 100.0
    assert scan.unit.get() == "mA"
    assert simulator.playback.beams["laser1"].scan_mhz == pytest.approx(400.0)


@pytest.mark.parametrize(
    ("happens", "ends", "parameter"),
    [
        ("open-interlock", "close-interlock", "interlock_open"),
        ("lock-key", "unlock-key", "frontkey_locked"),
    ],
)
def test_interlock_and_key_switch_off_for_good(laser, simulator, happens, ends, parameter):
    laser.laser1.enabled.set(True)
    laser.laser2.enabled.set(True)
    assert getattr(laser, parameter).get() is False
    fault(simulator, happens)
    assert getattr(laser, parameter).get() is True
    assert not any(beam.emission for beam in simulator.playback.beams.values())
    assert simulator.playback.interlock_open == (parameter == "interlock_open")
    with pytest.raises(sdk.DecopError, match="-7"):
        laser.laser1.enabled.set(True)
    fault(simulator, ends)
    assert getattr(laser, parameter).get() is False
    assert laser.emission.get() is False
    laser.laser1.enabled.set(True)
    assert simulator.playback.beams["laser1"].emission


def test_button_and_forced_off(laser, simulator):
    laser.laser1.enabled.set(True)
    laser.emission_button_enabled.set(False)
    assert not simulator.playback.beams["laser1"].emission
    laser.emission_button_enabled.set(True)
    assert simulator.playback.beams["laser1"].emission
    laser.laser1.dl.cc.forced_off.set(True)
    assert not simulator.playback.beams["laser1"].emission


def test_refusals(client):
    with pytest.raises(sdk.DecopError, match=r"Error: -3 .*laser1:nonsense"):
        client.get("laser1:nonsense")
    with pytest.raises(sdk.DecopError, match="Error: -3"):
        client.get("laser1:dl")
    with pytest.raises(sdk.DecopError, match="-6"):
        client.set("laser1:dl:cc:current-set", 181.0)
    with pytest.raises(sdk.DecopError, match="-5"):
        client.set("laser1:emission", True)
    with pytest.raises(sdk.DecopError, match="-4"):
        client.set("laser1:dl:cc:enabled", 1)
    with pytest.raises(sdk.DecopError, match="-3"):
        client.set("nonsense", 1)
    with pytest.raises(sdk.DecopError, match="Error: -3"):
        client.exec("nonsense")
    assert client.get("laser1:dl:cc:current-set", float) == 100.0


def test_types_are_told_without_being_asked(client):
    assert client.get("laser1:emission") is False
    assert client.get("laser1:dl:cc:current-set") == 100.0
    assert client.get("net-conf:cmd-port") == 1998
    assert client.get("fw-ver") == "3.3.3"
    assert client.get("laser1:dl:lock:lock-tracking") == (0.0, 0.0)
    assert client.get("laser1:dl:lock:lock-tracking", float, float) == (0.0, 0.0)
    assert client.get_set_value("laser1:dl:cc:current-set", float) == 100.0
    client.set("system-label", "left rack")
    assert client.get("system-label", str) == "left rack"
    client.set("laser1:scan:amplitude", 1e-07)
    assert client.get("laser1:scan:amplitude", float) == 1e-07


def test_user_levels(laser, client):
    assert client.change_ul(sdk.UserLevel.READONLY) == sdk.UserLevel.READONLY
    with pytest.raises(sdk.DecopError, match="-7"):
        client.set("laser1:dl:cc:enabled", True)
    with pytest.raises(sdk.DecopError, match="Error: -7"):
        client.exec("laser1:save")
    assert client.get("ul", int) == 4
    assert laser.ul.get() == 3
    assert client.change_ul(sdk.UserLevel.MAINTENANCE, "wrong") == sdk.UserLevel.READONLY
    assert client.change_ul(sdk.UserLevel.MAINTENANCE, "CAUTION") == sdk.UserLevel.MAINTENANCE
    assert client.change_ul(sdk.UserLevel.SERVICE) == sdk.UserLevel.MAINTENANCE
    assert laser.change_ul(sdk.UserLevel.NORMAL) == sdk.UserLevel.NORMAL


def test_changes_come_over_the_monitoring_line(laser, simulator):
    told = []
    with laser.laser1.dl.cc.current_set.subscribe(lambda _, when, value: told.append((when, value.get()))):
        wait_for(lambda: laser.poll() or len(told) == 1, "the first value")
        laser.laser1.dl.cc.current_set.set(90.0)
        wait_for(lambda: laser.poll() or len(told) == 2, "the second value")
    assert [value for _, value in told] == [100.0, 90.0]
    assert told[0][0].isoformat() == "2027-01-15T08:00:00"


def test_monitoring_with_interval_and_threshold(client):
    told = []
    subscription = client.subscribe(
        "laser1:dl:pc:voltage-set", lambda _, when, value: told.append(value.get()), float, 1, 1.0
    )
    wait_for(lambda: client.poll() or len(told) == 1, "the first value")
    client.set("laser1:dl:pc:voltage-set", 70.5)
    client.set("laser1:dl:pc:voltage-set", 71.25)
    wait_for(lambda: client.poll() or len(told) == 2, "the second value")
    assert told == [70.0, 71.25]
    subscription.cancel()


def test_monitoring_what_is_not_there(client):
    told = []
    client.subscribe("nonsense", lambda _, when, value: told.append(value.value))
    wait_for(lambda: client.poll() or bool(told), "the error")
    assert isinstance(told[0], sdk.DecopError)
    assert "-3" in str(told[0])


def test_run_until_stopped(laser):
    with laser.uptime.subscribe(lambda *_: laser.stop()):
        laser.run(timeout=5)


def test_time_goes_with_the_lab(laser, clock):
    assert laser.time.get() == "2027-01-15T08:00:00.000Z"
    assert laser.uptime.get() == 0
    clock.advance(3_661_500 * 10**9)
    assert laser.uptime.get() == 3661
    assert laser.uptime_txt.get() == "1:01:01"
    assert laser.time.get() == "2027-01-15T09:01:01.500Z"


def test_asynchronous_client(simulator):
    async def body():
        async with async_dlcpro.DLCpro(async_dlcpro.NetworkConnection(HOST)) as laser:
            assert await laser.laser2.enabled.set(True) == 0
            assert await laser.laser2.emission.get() is True
            async with await laser.laser2.emission.subscribe() as emission:
                _, value = await emission.next()
                assert value is True
                await laser.laser2.enabled.set(False)
                _, value = await emission.next()
                assert value is False
            for path, node in nodes_below(laser.laser2.dl.cc, ".laser2.dl.cc"):
                if kind_of(node) is not None:
                    assert type(await node.get()) is kind_of(node), path

    asyncio.run(asyncio.wait_for(body(), 20))


def test_discovery(simulator):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(b"whoareyou?", (HOST, 60010))
        reply = asking.recv(1000)
    protocol = _discovered(reply)
    assert protocol is not None
    assert (str(protocol[0]), *protocol[1:]) == (HOST, 1998, 1999)


def _discovered(reply):
    connection = pytest.importorskip("toptica.lasersdk.asyncio.connection")
    serial = reply.decode().split('"')[1]

    async def parse():
        protocol = connection.DiscoveryProtocol(serial)
        protocol.datagram_received(reply, (HOST, 60010))
        return protocol.result.result()

    return asyncio.run(parse())


def test_unplugged_it_is_dark_and_forgets(simulator):
    client = sdk.Client(sdk.NetworkConnection(HOST, 1998, 0))
    client.open()
    client.set("laser1:dl:cc:enabled", True)
    client.set("laser1:dl:cc:current-set", 90.0)
    assert simulator.playback.beams["laser1"].emission
    simulator.background.call(simulator.unplug())
    assert not simulator.playback.powered
    assert not simulator.playback.beams["laser1"].emission
    # The SDK lets the broken connection through, from each call and from close().
    with pytest.raises(OSError, match="reset"):
        client.get("laser1:emission")
    with contextlib.suppress(OSError):
        client.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, 1998), timeout=5)
    simulator.background.call(simulator.plug())
    with sdk.Client(sdk.NetworkConnection(HOST)) as fresh:
        assert fresh.get("laser1:dl:cc:enabled", bool) is False
        assert fresh.get("laser1:dl:cc:current-set", float) == 100.0


def test_two_clients_at_once(simulator):
    failures = []

    def work(head):
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(sdk.Client(sdk.NetworkConnection(HOST, 1998, 0)))
            for n in range(100):
                opened.set(f"{head}:dl:cc:current-set", float(n))
                value = opened.get(f"{head}:dl:cc:current-set", float)
                if value != float(n):
                    failures.append((head, n, value))

    threads = [threading.Thread(target=work, args=(head,)) for head in ("laser1", "laser2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert simulator.playback.beams["laser1"].power_mw == 0.0


def test_a_taken_port_is_named(simulator):
    with (
        pytest.raises(InstrumentError, match=rf"bob\.laser.*{HOST} port 1998"),
        running(DLCpro("bob.laser", HOST, ManualTime())),
    ):
        pass
