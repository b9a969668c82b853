"""QCoDeS's driver of the AWG5014, unmodified, against the simulated AWG5014C; asserted is what the world sees."""

import math
import socket

import numpy as np
import pytest
from _addresses import own_block

from qnode.errors import InstrumentError, MisuseError
from simulators.instruments.tektronix.awg5014c import TektronixAWG5014C
from simulators.kit.testing import ManualTime, running

tektronix = pytest.importorskip("qcodes.instrument_drivers.tektronix", reason="QCoDeS is not installed")

HOST, PORT = f"{own_block()}2", 4000
ADDRESS = f"TCPIP0::{HOST}::{PORT}::SOCKET"
POINTS = 300


def zero_word():
    """Word of 0 V: the middle of 14 bits."""
    return 8191


@pytest.fixture
def simulator():
    instrument = TektronixAWG5014C("alice.awg", ADDRESS, ManualTime())
    with running(instrument) as loop:
        instrument.background = loop
        yield instrument


@pytest.fixture
def client(simulator):
    # Over a raw socket the driver needs to be told the terminator, else it waits for its 180 s.
    awg = tektronix.TektronixAWG5014("awg", ADDRESS, timeout=10, visalib="@py", terminator="\n")
    yield awg
    awg.close()


def no_error(client):
    return client.get_error() == '0,"No error"'


def error_code(client):
    return int(client.get_error().split(",")[0])


def ramp(points=POINTS):
    """From -1 to 1, marker 1 in the first ten samples, marker 2 in the last ten."""
    level = np.linspace(-1, 1, points)
    m1 = (np.arange(points) < 10).astype(int)
    m2 = (np.arange(points) >= points - 10).astype(int)
    return level, m1, m2


def assert_is_ramp(words, points=POINTS):
    level, m1, m2 = ramp(points)
    assert len(words) == points
    np.testing.assert_array_equal((words >> 14) & 1, m1)
    np.testing.assert_array_equal(words >> 15, m2)
    # 8191 words a unit, cut or rounded by the client.
    np.testing.assert_allclose((words & 0x3FFF).astype(float), zero_word() * (1 + level), atol=1.0)


def send(client, name, points=POINTS):
    client.send_waveform_to_list(*ramp(points), name)
    assert client.is_awg_ready()


def settle(client):
    """All before is in effect when this returns."""
    client.ask("*OPC?")


def test_identity(client):
    identity = client.get_idn()
    assert identity["vendor"] == "TEKTRONIX"
    assert identity["model"] == "AWG5014C"
    assert client.trigger_impedance() == 50


def test_waveform_reaches_the_playback(client, simulator):
    # The client deletes a waveform that is not there first; the list says so.
    send(client, "ramp")
    assert error_code(client) == -224
    assert no_error(client)
    client.ch2.waveform("ramp")
    client.ch2.state(1)
    client.run_mode("CONT")
    settle(client)
    playback = simulator.playback
    assert not playback.sequence_mode
    assert not playback.running
    (element,) = playback.elements
    assert set(element.waveforms) == {2}
    assert element.loop_count == -1
    assert not element.wait_for_trigger
    assert_is_ramp(element.waveforms[2])
    assert playback.output_on == {1: False, 2: True, 3: False, 4: False}
    assert client.ch2.waveform() == "ramp"

    assert client.run() == "Running"
    assert simulator.playback.running
    client.stop()
    assert client.state() == "Idle"
    assert not simulator.playback.running


def test_waveform_data_is_read_back(client):
    send(client, "ramp")
    words = client.visa_handle.query_binary_values(
        'WLISt:WAVeform:DATA? "ramp"', datatype="H", container=np.array, is_big_endian=False
    )
    assert_is_ramp(words)
    assert client.ask('WLISt:WAVeform:TYPE? "ramp"') == "INT"
    assert client.ask('WLISt:WAVeform:LENGth? "ramp"') == str(POINTS)
    assert client.ask("WLISt:SIZE?") == "1"
    assert client.ask("WLISt:NAME? 0") == '"ramp"'
    assert client.ask('WLISt:WAVeform:PREDefined? "ramp"') == "0"
    assert len(client.ask('WLISt:WAVeform:TSTamp? "ramp"')) == len('"2026/01/01 00:00:00"')


def table_of_two(client):
    """Element 1: attempt; waits, loops 250 times, jumps to 2 on an event, then 2. Element 2: branch, then 1."""
    send(client, "attempt")
    send(client, "branch", 500)
    client.get_error()
    client.get_error()
    client.run_mode("SEQ")
    client.sequence_length(2)
    for channel in (1, 3):
        client.set_sqel_waveform("attempt", channel, 1)
        client.set_sqel_waveform("branch", channel, 2)
    assert client.set_sqel_trigger_wait(1) == "1"
    client.set_sqel_loopcnt(250, 1)
    client.set_sqel_event_jump_type(1, "INDEX")
    client.set_sqel_event_target_index(1, 2)
    client.set_sqel_goto_state(2, 1)
    client.set_sqel_goto_target_index(2, 1)
    settle(client)


def test_sequence_with_a_branch(client, simulator):
    table_of_two(client)
    assert no_error(client)
    playback = simulator.playback
    assert playback.sequence_mode
    assert playback.hardware_sequencer
    attempt, branch = playback.elements
    assert (attempt.loop_count, attempt.wait_for_trigger, attempt.go_to, attempt.jump_to) == (250, True, 2, 2)
    assert (branch.loop_count, branch.wait_for_trigger, branch.go_to, branch.jump_to) == (1, False, 1, None)
    assert set(attempt.waveforms) == {1, 3}
    assert_is_ramp(attempt.waveforms[3])
    assert_is_ramp(branch.waveforms[1], 500)
    # One array for one waveform: the world may cache by it.
    assert attempt.waveforms[1] is attempt.waveforms[3]

    assert client.sequence_length() == 2
    assert client.get_sqel_loopcnt(1) == "250"
    assert client.get_sqel_waveform(3, 2) == '"branch"'
    assert client.get_sqel_trigger_wait(2) == "0"
    for query, reply in {
        "SEQ:ELEM1:JTAR:TYPE?": "IND",
        "SEQ:ELEM1:JTAR:IND?": "2",
        "SEQ:ELEM2:JTAR:TYPE?": "OFF",
        "SEQ:ELEM2:GOTO:STAT?": "1",
        "SEQ:ELEM2:GOTO:IND?": "1",
        "SEQ:ELEM1:LOOP:INF?": "0",
    }.items():
        assert client.ask(query) == reply
    assert client.get_sq_mode() == "HARD"

    client.set_sqel_loopcnt_to_inf(2)
    client.set_sqel_event_jump_type(2, "NEXT")
    client.set_sqel_event_jump_target_index(2, 2)
    settle(client)
    # Behind the last line comes the first.
    assert simulator.playback.elements[1].loop_count == -1
    assert simulator.playback.elements[1].jump_to == 1


def test_run_state_of_a_sequence_follows_the_world(client, simulator):
    table_of_two(client)
    assert client.start() == "Waiting for trigger"
    assert client.sequence_pos() == "1"
    simulator.world_playing(True)
    assert client.state() == "Running"
    simulator.world_playing(False)
    assert client.state() == "Waiting for trigger"
    client.force_trigger()
    client.force_trigger_event()
    client.force_event()
    client.sequence_pos(2)
    assert client.sequence_pos() == "2"
    assert no_error(client)
    client.stop()
    client.sequence_pos(1)
    assert error_code(client) == -221


def test_short_waveform_falls_back_to_the_software_sequencer(client, simulator):
    table_of_two(client)
    send(client, "short", 249)
    for channel in (1, 3):
        client.set_sqel_waveform("short", channel, 2)
    assert client.get_sq_mode() == "SOFT"
    assert not simulator.playback.hardware_sequencer
    send(client, "short", 250)
    for channel in (1, 3):
        client.set_sqel_waveform("short", channel, 2)
    assert client.get_sq_mode() == "HARD"
    assert simulator.playback.hardware_sequencer


def test_nothing_to_play_does_not_run(client, simulator):
    assert client.run() == "Idle"
    assert error_code(client) == -221
    client.run_mode("SEQ")
    assert client.run() == "Idle"
    assert error_code(client) == -221
    client.sequence_length(1)
    assert client.run() == "Idle"
    assert error_code(client) == -221
    send(client, "a")
    send(client, "b", 400)
    client.set_sqel_waveform("a", 1, 1)
    client.set_sqel_waveform("b", 2, 1)
    while not no_error(client):
        pass
    assert client.run() == "Idle"
    assert "unequal length" in client.get_error()
    assert not simulator.playback.running


def test_output_without_a_waveform_stays_off(client, simulator):
    client.all_channels_on()
    assert error_code(client) == -221
    assert not any(simulator.playback.output_on.values())
    table_of_two(client)
    client.write("*CLS")
    client.all_channels_on()
    settle(client)
    assert simulator.playback.output_on == {1: True, 2: False, 3: True, 4: False}
    assert client.ch1.state() == 1
    client.all_channels_off()
    settle(client)
    assert not any(simulator.playback.output_on.values())


def test_deleting_waveforms_stops_and_unloads(client, simulator):
    table_of_two(client)
    client.ch1.state(1)
    client.run()
    assert simulator.playback.running
    client.delete_all_waveforms_from_list()
    assert client.state() == "Idle"
    assert not simulator.playback.running
    assert not simulator.playback.output_on[1]
    assert client.get_sqel_waveform(1, 1) == '""'
    assert client.ask("WLIS:SIZE?") == "0"


def test_levels(client, simulator):
    client.ch3.amp(3.0)
    client.ch3.offset(-0.25)
    client.ch3.m2.high(2.5)
    client.ch3.m2.low(0.1)
    client.ch3.m2.delay(0.5)
    settle(client)
    playback = simulator.playback
    assert playback.amplitude_vpp[3] == 3.0
    assert playback.offset_v[3] == -0.25
    assert playback.marker_high_v[3, 2] == 2.5
    assert playback.marker_high_v[3, 1] == 1.0
    assert client.ch3.amp() == 3.0
    assert client.ch3.offset() == -0.25
    assert client.ch3.m2.high() == 2.5
    assert client.ch3.m2.low() == 0.1
    # QCoDeS sends nanoseconds and reads seconds.
    assert client.ch3.m2.delay() == 0.5e-9
    assert float(client.ask("SOUR3:VOLT:HIGH?")) == pytest.approx(1.25)
    client.write("SOUR3:VOLT:HIGH 1;LOW -1")
    settle(client)
    assert simulator.playback.amplitude_vpp[3] == pytest.approx(2.0)
    assert simulator.playback.offset_v[3] == pytest.approx(0.0)


def test_channel_odds_and_ends(client):
    for value in (20e6, 100e6, "INF"):
        client.ch1.filter(value)
        assert client.ch1.filter() == float(value)
    client.ch1.direct_output(1)
    assert client.ch1.direct_output() == "1"
    client.ch1.add_input('"ESIG"')
    assert client.ch1.add_input() == '"ESIG"'
    client.ch1.add_input('""')
    assert client.ch1.add_input() == '""'
    client.DC_output(1)
    assert client.DC_output() == 1
    client.send_DC_pulse(2, 1.5, 0)
    client.ch2.DC_out(-1)
    assert client.ch2.DC_out() == -1
    client.write("SOUR1:DAC:RES 10")
    assert client.ask("SOUR1:DAC:RES?") == "10"
    assert no_error(client)


def test_inputs_and_clocks(client, simulator):
    client.trigger_level(0.8)
    client.trigger_slope("NEG")
    client.event_level(1.1)
    client.event_polarity("NEG")
    client.event_jump_timing("SYNC")
    client.ref_source("EXT")
    client.clock_source("EXT")
    client.clock_freq(5e8)
    settle(client)
    playback = simulator.playback
    assert playback.trigger_level_v == 0.8
    assert not playback.trigger_rising
    assert playback.event_level_v == 1.1
    assert not playback.event_rising
    assert playback.event_timing == "synchronous"
    assert playback.external_reference
    assert playback.sample_rate_hz == 5e8

    client.event_jump_timing("ASYNC")
    client.trigger_impedance(1000)
    client.event_impedance(50)
    assert client.event_jump_timing() == "ASYN"
    assert simulator.playback.event_timing == "asynchronous"
    assert client.trigger_level() == 0.8
    assert client.trigger_slope() == "NEG"
    assert client.trigger_impedance() == 1000
    assert client.event_level() == 1.1
    assert client.event_polarity() == "NEG"
    assert client.event_impedance() == 50
    assert client.ref_source() == "EXT"
    assert client.clock_source() == "EXT"
    assert client.clock_freq() == 5e8
    assert client.trigger_mode() == client.run_mode() == "CONT"
    assert no_error(client)


def test_internal_trigger_is_deaf_to_the_wire(client, simulator):
    client.trigger_source("INT")
    assert client.trigger_source() == "INT"
    assert math.isinf(simulator.playback.trigger_level_v)
    client.trigger_source("EXT")
    settle(client)
    assert simulator.playback.trigger_level_v == 1.4


def test_triggered_and_gated_mode(client, simulator):
    send(client, "ramp")
    client.ch1.waveform("ramp")
    client.trigger_mode("TRIG")
    settle(client)
    (element,) = simulator.playback.elements
    assert element.wait_for_trigger
    assert element.loop_count == 1
    assert client.run() == "Waiting for trigger"
    client.trigger_mode("GAT")
    settle(client)
    assert simulator.playback.elements == ()


def test_dynamic_jump_takes_the_jump_of_the_lines_away(client, simulator):
    table_of_two(client)
    client.write("AWGC:EVEN:DJUM:DEF 3,2")
    assert client.ask("AWGC:EVEN:DJUM:DEF? 3") == "2"
    assert client.ask("AWGC:EVEN:DJUM:DEF? 4") == "-1"
    client.write("AWGC:EVEN:DJUM:DEF 3,-1")
    assert client.ask("AWGC:EVEN:DJUM:DEF? 3") == "-1"
    client.write("AWGC:EVEN:JMOD DJUM")
    assert client.ask("AWGC:EVEN:JMOD?") == "DJUM"
    assert [element.jump_to for element in simulator.playback.elements] == [None, None]
    client.write("AWGC:EVEN:JMOD EJUM")
    client.write("AWGC:EVEN:SOFT:IMM 1")
    settle(client)
    assert simulator.playback.elements[0].jump_to == 2
    assert no_error(client)


def test_reset(client, simulator):
    table_of_two(client)
    client.ch1.state(1)
    client.run()
    client.reset()
    settle(client)
    playback = simulator.playback
    assert not playback.running
    assert not playback.sequence_mode
    assert not playback.output_on[1]
    assert playback.elements == ()


def test_folders_and_files(client, capsys):
    client.change_folder(r"C:\Users\OEM\Documents")
    assert client.get_current_folder_name() == r'"C:\Users\OEM\Documents"'
    contents = client.create_and_goto_dir("pulses")
    assert contents.count('"') == 0
    assert client.get_current_folder_name() == r'"C:\Users\OEM\Documents\pulses"'
    client.send_awg_file("a.awg", b"line\nfeed;#15", verbose=True)
    assert client.get_filenames().endswith(',"a.awg,,13"')
    content = client.visa_handle.query_binary_values('MMEM:DATA? "a.awg"', datatype="B", container=bytes)
    assert content == b"line\nfeed;#15"
    client.set_current_folder_name("..")
    settle(client)
    assert '"pulses,DIR,0"' in client.get_folder_contents()
    client.write(r'MMEM:DEL "pulses\a.awg"')
    client.write('MMEM:DEL "pulses"')
    assert "pulses" not in client.get_folder_contents(print_contents=False)
    assert no_error(client)
    client.goto_root()
    assert client.get_current_folder_name() == '"C:\\"'
    assert '"Users,DIR,0"' in client.get_folder_contents(print_contents=False)
    client.change_folder("nowhere")
    assert error_code(client) == -256
    client.write('MMEM:MDIR "Users"')
    assert error_code(client) == -257
    client.load_awg_file("nothing.awg")
    assert error_code(client) == -256
    assert "Current folder" in capsys.readouterr().out


def setup_arguments():
    level, m1, m2 = ramp()
    waveforms = [[level, -level], [np.zeros(POINTS), level]]
    markers = [[m1, m1], [m1, m1]], [[m2, m2], [m2, m2]]
    return waveforms, *markers, [3, 0], [1, 0], [0, 1], [2, 0]


def assert_plays_the_setup(playback):
    assert playback.sequence_mode
    first, second = playback.elements
    assert (first.loop_count, first.wait_for_trigger, first.go_to, first.jump_to) == (3, True, 2, 2)
    assert (second.loop_count, second.wait_for_trigger, second.go_to, second.jump_to) == (-1, False, 1, None)
    assert set(first.waveforms) == set(second.waveforms) == {1, 3}
    assert_is_ramp(first.waveforms[1])
    assert_is_ramp(second.waveforms[3])
    np.testing.assert_allclose((first.waveforms[3] & 0x3FFF).astype(int), zero_word(), atol=1)
    assert playback.hardware_sequencer


def test_setup_file_is_decoded(client, simulator):
    client.clock_freq(2e8)
    client.trigger_level(0.7)
    client.event_level(0.9)
    client.event_jump_timing("SYNC")
    client.ref_source("EXT")
    client.ch3.amp(2.5)
    client.ch3.offset(0.5)
    client.ch3.m1.high(1.5)
    client.ch3.m1.low(0.5)
    client.ch3.m1.delay(0.2)
    client.ch3.filter(20e6)
    client.ch3.direct_output(0)
    client.ch3.add_input('""')
    # The client makes a backslash between folder and name of the terminator, which VISA has taken away: without the
    # way up to the root it would load another file than it has sent.
    name = r"\..\..\..\sequence.awg"
    client.make_send_and_load_awg_file(*setup_arguments(), channels=[1, 3], filename=name)
    settle(client)
    assert no_error(client)
    playback = simulator.playback
    assert_plays_the_setup(playback)
    assert playback.sample_rate_hz == 2e8
    assert playback.trigger_level_v == 0.7
    assert playback.event_level_v == 0.9
    assert playback.event_timing == "synchronous"
    assert playback.external_reference
    assert playback.amplitude_vpp == {1: 1.0, 2: 1.0, 3: 2.5, 4: 1.0}
    assert playback.offset_v[3] == 0.5
    assert playback.marker_high_v[3, 1] == 1.5
    assert client.ch3.filter() == 20e6
    assert client.sequence_length() == 2
    assert client.setup_filename() == '"sequence.awg","C:"'
    assert client.ask('WLIS:WAV:LENG? "wfm001ch1"') == str(POINTS)


def test_setup_file_from_a_disk(client, simulator, tmp_path):
    path = tmp_path / "local.awg"
    client.make_and_save_awg_file(
        *setup_arguments(), channels=[1, 3], filename=str(path), preservechannelsettings=False
    )
    client.ch1.amp(4.0)
    client.send_awg_file("local.awg", path.read_bytes())
    client.load_awg_file("local.awg")
    settle(client)
    assert no_error(client)
    assert_plays_the_setup(simulator.playback)
    # What the file does not say is as from the factory.
    assert simulator.playback.amplitude_vpp[1] == 1.0
    client.write(r'AWGC:SRES "C:\Users\OEM\Documents\local.awg","C:"')
    assert no_error(client)


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"x" + data, lambda data: b""])
def test_damaged_setup_file_changes_nothing(client, simulator, damage):
    client.send_awg_file("bad.awg", damage(client.make_awg_file(*setup_arguments(), channels=[1, 3])))
    settle(client)
    before = simulator.playback
    client.load_awg_file("bad.awg")
    settle(client)
    assert error_code(client) == -250
    assert simulator.playback.revision <= before.revision + 1
    assert not simulator.playback.sequence_mode


def test_unplug_loses_what_is_volatile_and_keeps_the_drive(client, simulator):
    table_of_two(client)
    client.ch1.state(1)
    client.run()
    client.send_awg_file("kept.awg", b"123")
    settle(client)
    simulator.background.call(simulator.unplug())
    assert not simulator.playback.running
    assert not simulator.playback.output_on[1]
    assert simulator.playback.elements == ()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, PORT), timeout=5)
    simulator.background.call(simulator.plug())
    with connection() as stranger:
        assert stranger.ask("SEQ:LENG?;:WLIS:SIZE?;:AWGC:RST?") == "0;0;0"
        assert '"kept.awg,,3"' in stranger.ask("MMEM:CAT?")


class Plain:
    """A client without a library."""

    def __init__(self) -> None:
        self.socket = socket.create_connection((HOST, PORT), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.replies.close()
        self.socket.close()

    def ask(self, text):
        self.socket.sendall(text.encode() + b"\n")
        return self.replies.readline().decode().rstrip("\n")


def connection():
    return Plain()


def test_two_clients_at_once(client, simulator):
    with connection() as stranger:
        stranger.socket.sendall(b'WLIS:WAV:NEW "mine",300,INT;DATA "mine",#3600')
        send(client, "ramp")
        stranger.socket.sendall(bytes(599))
        assert client.ask("WLIS:SIZE?") == "2"
        stranger.socket.sendall(b"\0")
        assert stranger.ask('WLIS:WAV:LENG? "mine"') == "300"
        client.ch1.waveform("mine")
        settle(client)
        (element,) = simulator.playback.elements
        assert not element.waveforms[1].any()


@pytest.mark.usefixtures("simulator")
def test_parts_of_a_waveform():
    with connection() as stranger:
        stranger.socket.sendall(b'WLIS:WAV:NEW "w",4,INT;DATA "w",1,2,#4' + b"0004" + b"\1\2\3\4")
        # Words 1 and 2 are 0x0201 and 0x0403, the others 0 V.
        stranger.socket.sendall(b'WLIS:WAV:DATA? "w"\n')
        assert stranger.replies.read(4 + 8) == b"#18\xff\x1f\1\2\3\4\xff\x1f\n"
        stranger.socket.sendall(b'WLIS:WAV:DATA? "w",1,1\n')
        assert stranger.replies.read(6) == b"#12\1\2\n"
        stranger.socket.sendall(b'WLIS:WAV:DATA "w",3,#14' + bytes(4))
        assert stranger.ask("SYST:ERR?").startswith("-223")
        stranger.socket.sendall(b'WLIS:WAV:DATA "w",#13' + bytes(3))
        assert stranger.ask("SYST:ERR?").startswith("-161")
        stranger.socket.sendall(b'WLIS:WAV:DATA "w",0,9,#12' + bytes(2))
        assert stranger.ask("SYST:ERR?").startswith("-161")
        assert stranger.ask('WLIS:WAV:NEW "w",9,INT;:SYST:ERR?').startswith("-224")
        assert stranger.ask("SYST:ERR?").startswith("0")


def test_real_waveform(simulator):
    points = np.array([(-1.0, 0), (0.0, 0x40), (1.0, 0x80)], dtype=[("level", "<f4"), ("markers", "u1")])
    with connection() as stranger:
        stranger.socket.sendall(b'WLIS:WAV:NEW "r",3,REAL;DATA "r",#215' + points.tobytes())
        assert stranger.ask('SOUR1:WAV "r";:WLIS:WAV:TYPE? "r"') == "REAL"
    (element,) = simulator.playback.elements
    assert element.waveforms[1].tolist() == [0, 8191 | 1 << 14, 16382 | 1 << 15]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("SOUR1:FREQ 2e9", -222),
        ("SOUR1:VOLT 5", -222),
        ("SOUR5:VOLT 1", -114),
        ("SEQ:LENG 8001", -222),
        ("SEQ:ELEM9:TWA 1", -114),
        ("SEQ:LENG 2;ELEM1:GOTO:IND 3", -222),
        ("SEQ:LENG 1;ELEM1:LOOP:COUN 65537", -222),
        ('SEQ:LENG 1;ELEM1:WAV1 "none"', -224),
        ('SOUR1:WAV "none"', -224),
        ("SOUR1:DAC:RES 9", -224),
        ("TRIG:IMP 75", -224),
        ("AWGC:RMOD SOMETIMES", -224),
        ("WLIS:NAME? 0", -222),
        ("SOUR1:VOLT:HIGH -1", -222),
        ('SOUR1:COMB:FEED "X"', -224),
        ("OUTP1:FILT:FREQ 3e6", -224),
    ],
)
@pytest.mark.usefixtures("simulator")
def test_bad_values_go_to_the_error_queue(line, code):
    with connection() as stranger:
        assert int(stranger.ask(f"{line};:SYST:ERR?").split(",")[0]) == code
        assert stranger.ask("SYST:ERR?") == '0,"No error"'


def test_a_long_table_is_uploaded_in_one_go(simulator):
    lines = 4000
    with connection() as stranger:
        stranger.socket.sendall(f'WLIS:WAV:NEW "w",300,INT\nSEQ:LENG {lines}\nAWGC:RMOD SEQ\n'.encode())
        # The second header stands relative to SEQuence:ELEMent, as the first one's last word is left away.
        text = "".join(
            f'SEQ:ELEM{line}:WAV1 "w";TWA 1;LOOP:COUN {line}\nSEQ:ELEM{line}:JTAR:TYPE INDEX;IND {lines - line + 1}\n'
            for line in range(1, lines + 1)
        )
        stranger.socket.sendall(text.encode())
        assert stranger.ask("*OPC?") == "1"
    elements = simulator.playback.elements
    assert [element.loop_count for element in elements] == list(range(1, lines + 1))
    assert [element.jump_to for element in elements] == list(range(lines, 0, -1))
    assert all(element.wait_for_trigger for element in elements)


def test_busy_port_names_address_and_port(simulator):
    second = TektronixAWG5014C("bob.awg", ADDRESS, ManualTime())
    with pytest.raises(InstrumentError, match=rf"bob\.awg.*{HOST} port {PORT}.*taken"), running(second):
        pytest.fail("two simulators on one port")


def test_address_of_another_kind_is_refused():
    with pytest.raises(MisuseError, match=r"alice\.awg.*GPIB"):
        TektronixAWG5014C("alice.awg", "GPIB0::1::INSTR", ManualTime())
