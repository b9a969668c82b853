"""QCoDeS's driver of the SGS100A, unmodified, against the simulated one; asserted is what the world sees."""

import socket
from importlib import resources

import pytest
from _addresses import own_block

from qnode.errors import InstrumentError, MisuseError
from simulators.instruments.rohde_schwarz.sgs100a import RohdeSchwarzSGS100A
from simulators.kit.testing import ManualTime, running

rohde_schwarz = pytest.importorskip("qcodes.instrument_drivers.rohde_schwarz", reason="QCoDeS is not installed")

HOST, PORT = f"{own_block()}14", 5025
ADDRESS = f"TCPIP0::{HOST}::{PORT}::SOCKET"

VALUES = {
    "frequency": (1e6, 2.877_123_456_79e9, 20e9),
    "phase": (0, 359.99),
    "power": (-120, 12.34, 25),
    "status": (True, False),
    "IQ_state": (True, False),
    "pulsemod_state": (True, False),
    "pulsemod_source": ("EXT", "INT"),
    "ref_osc_source": ("EXT", "INT"),
    "LO_source": ("EXT", "INT"),
    "ref_LO_out": ("LO", "OFF", "REF"),
    "ref_osc_output_freq": ("100MHz", "1000MHz", "10MHz"),
    "ref_osc_external_freq": ("100MHz", "1000MHz", "10MHz"),
    "IQ_impairments": (True, False),
    "I_offset": (-10, 1.25),
    "Q_offset": (10, -1.25),
    "IQ_gain_imbalance": (-1, 0.5),
    "IQ_angle": (8, -0.5),
    "trigger_connector_mode": ("SNVAL", "PVO", "PET", "PEMS", "SVAL"),
    "pulsemod_delay": (100, 1.5e-6),
    "pulsemod_double_delay": (40e-9, 100),
    "pulsemod_double_width": (20e-9, 100),
    "pulsemod_mode": ("DOUB", "SING"),
    "pulsemod_period": (100e-9, 100),
    "pulsemod_polarity": ("INV", "NORM"),
    "pulsemod_trig_ext_gate_polarity": ("INV", "NORM"),
    "pulsemod_trig_ext_impedance": ("G10K", "G50"),
    "pulsemod_trig_ext_slope": ("NEG", "POS"),
    "pulsemod_trig_mode": ("EXT", "EGAT", "AUTO"),
    "pulsemod_width": (20e-9, 100),
}
"""What each parameter is set to and must read back."""

LONG_WORDS = {
    "pulsemod_mode": {"double": "DOUB", "single": "SING"},
    "pulsemod_polarity": {"inverted": "INV", "normal": "NORM"},
    "pulsemod_trig_ext_slope": {"negative": "NEG", "positive": "POS"},
    "pulsemod_trig_mode": {"external": "EXT", "egate": "EGAT", "auto": "AUTO"},
    "ref_LO_out": {"Off": "OFF", "lo": "LO"},
    "operation_mode": {"BBBYpass": "BBBY", "NORMal": "NORM"},
}


@pytest.fixture
def simulator():
    instrument = RohdeSchwarzSGS100A("alice.microwave", ADDRESS, ManualTime())
    with running(instrument) as loop:
        instrument.background = loop
        yield instrument


@pytest.fixture
def client(simulator):
    source = rohde_schwarz.RohdeSchwarzSGS100A("microwave", ADDRESS, timeout=10, visalib="@py")
    yield source
    source.close()


def errors(client):
    return client.ask("SYST:ERR:ALL?")


def test_identity(client):
    identity = client.get_idn()
    assert identity["vendor"] == "Rohde&Schwarz"
    assert identity["model"] == "SGS100A"


@pytest.mark.parametrize("name", VALUES)
def test_every_parameter_reads_back_what_was_set(client, name):
    parameter = client.parameters[name]
    for value in VALUES[name]:
        parameter.set(value)
        assert parameter.get() == (pytest.approx(value) if isinstance(value, float) else value)
    assert errors(client) == '0,"No error"'


@pytest.mark.parametrize("name", LONG_WORDS)
def test_long_words(client, name):
    parameter = client.parameters[name]
    for word, short in LONG_WORDS[name].items():
        parameter.set(word)
        assert parameter.get() == short


def test_no_parameter_is_left_out(client):
    assert set(client.parameters) == {*VALUES, "operation_mode", "IDN", "timeout"}


def test_the_world_sees_the_carrier(client, simulator):
    assert not simulator.playback.on
    before = simulator.playback.revision
    client.frequency(2.877e9)
    client.power(7.5)
    client.phase(90)
    client.IQ_state(True)
    client.pulsemod_state(True)
    client.ref_osc_source("EXT")
    client.on()
    assert errors(client) == '0,"No error"'
    playback = simulator.playback
    assert (playback.powered, playback.on, playback.iq_on, playback.pulse_modulated) == (True, True, True, True)
    assert (playback.frequency_hz, playback.power_dbm, playback.phase_deg) == (2.877e9, 7.5, 90.0)
    assert playback.external_reference
    assert playback.revision > before
    client.off()
    assert client.status() is False
    assert not simulator.playback.on


def test_reset_switches_off(client, simulator):
    client.on()
    client.reset()
    assert client.status() is False
    assert not simulator.playback.on
    # The driver's self test does not read the answer; it is the next line.
    client.run_self_tests()


def test_what_pyvisa_sim_answers_is_answered(client):
    yaml = pytest.importorskip("ruamel.yaml")
    text = resources.files("qcodes.instrument.sims").joinpath("RSSGS100A.yaml").read_text()
    device = yaml.YAML(typ="safe").load(text)["devices"]["SGS100A"]
    # OUTPut:MASTer is of the maker's big generators; no driver of this instrument asks for it.
    asked = [entry["getter"]["q"] for name, entry in device["properties"].items() if name != "state"]
    assert len(asked) > 20
    for question in asked:
        assert client.ask(question) != ""
    assert errors(client) == '0,"No error"'


@pytest.mark.parametrize(
    ("sent", "asked", "answer"),
    [
        (":FREQ 3GHz", ":FREQ?", "3000000000"),
        (":SOURce:FREQuency:CW 2.5e9", "sour1:freq?", "2500000000"),
        (":POW -3 dBm", ":POW?", "-3"),
        (":PHAS 45", ":PHAS?", "45"),
        (":OUTP 1", ":OUTP?", "1"),
        (":OUTP:PON UNCH", ":OUTP:PON?", "UNCH"),
        (":PULM:POL INV", ":PULM:POL?", "INV"),
        (":IQ:WBST 1", ":IQ:WBST?", "1"),
        (":IQ:IMP:LEAK:I 1.5", ":IQ:IMP:LEAK:I?", "1.5"),
        (":IQ:IMP:QUAD 2", ":IQ:IMP:QUAD:ANGL?", "2"),
        (":IQ:IMP:IQR:MAGN 0.25", ":IQ:IMP:IQR?", "0.25"),
        (":ROSC:EXT:FREQ 100MHz", ":ROSC:EXT:FREQ?", "100MHz"),
        (":ROSC:EXT:SBAN NARR", ":ROSC:EXT:SBAN?", "NARR"),
        (":PULM:TRIG:EXT:IMP G10K", ":PULM:TRIG:EXT:IMP?", "G10K"),
    ],
)
def test_headers_of_other_clients(client, sent, asked, answer):
    client.write(sent)
    assert errors(client) == '0,"No error"'
    assert client.ask(asked) == answer


def test_calibration_passes(client):
    assert client.ask("CAL:ALL?") == "0"


def test_refusals_stand_in_the_queue_and_change_nothing(client, simulator):
    before = simulator.playback
    client.write("SOUR:POW 26")
    client.write("SOUR:PULM:MODE TRIPLE")
    client.write("SOUR:NONSENSE 1")
    assert [part for part in errors(client).split(",") if part.lstrip("-").isdigit()] == ["-222", "-224", "-113"]
    assert simulator.playback.power_dbm == before.power_dbm


def test_unplugged_it_is_dark_and_forgets(client, simulator):
    client.on()
    assert client.status() is True
    simulator.background.call(simulator.unplug())
    assert not simulator.playback.powered
    assert not simulator.playback.on
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, PORT), timeout=5)
    simulator.background.call(simulator.plug())
    assert simulator.playback.powered
    with socket.create_connection((HOST, PORT), timeout=5) as fresh:
        fresh.sendall(b"OUTP?;POW?\n")
        assert fresh.recv(100) == b"0;-30\n"


def test_address_must_be_a_raw_socket():
    with pytest.raises(MisuseError, match=r"alice\.microwave.*TCPIP0::1\.2\.3\.4::INSTR"):
        RohdeSchwarzSGS100A("alice.microwave", "TCPIP0::1.2.3.4::INSTR", ManualTime())


def test_taken_port_is_named(simulator):
    with (
        pytest.raises(InstrumentError, match=rf"other.*{HOST} port {PORT}"),
        running(RohdeSchwarzSGS100A("other", ADDRESS, ManualTime())),
    ):
        pass
