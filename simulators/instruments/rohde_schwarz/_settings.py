"""What can be set on an SGS100A: header, range and factory value of each setting.

Sources: headers [S], from QCoDeS's driver and from what other public clients of the instrument send; ranges of the
pulse modulator [S], as QCoDeS checks them; the other ranges and the factory values [K].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulators.kit.scpi import Call

__all__ = ["SETTINGS", "Setting", "Value"]

Value = float | bool | str


@dataclass(frozen=True)
class Setting:
    """One setting: how it is written, read and shown."""

    name: str
    pattern: str
    """Of its header; see `simulators.kit.scpi`."""
    factory: Value
    read: Callable[[Call], Value]
    """The value in a command's only argument.

    Raises `ScpiError` for one that the instrument does not take.
    """

    @staticmethod
    def show(value: Value) -> str:
        """``value`` as a reply."""
        if isinstance(value, bool):
            return str(int(value))
        return value if isinstance(value, str) else f"{value:.15g}"


def _number(name: str, pattern: str, factory: float, low: float, high: float) -> Setting:
    return Setting(name, pattern, factory, lambda call: call.real(0, low, high))


def _flag(name: str, pattern: str, factory: bool = False) -> Setting:
    return Setting(name, pattern, factory, lambda call: call.boolean(0))


def _word(name: str, pattern: str, *words: str) -> Setting:
    """The first of ``words`` is the factory value; replies are short forms."""
    choices: Mapping[str, str] = {word: "".join(c for c in word if not c.islower()) for word in words}
    return Setting(name, pattern, next(iter(choices.values())), lambda call: call.choice(0, choices))


def _reference_frequency(name: str, pattern: str, *shown: str) -> Setting:
    """Written and shown like 10MHz."""
    choices = {text.upper(): text for text in shown}
    return Setting(name, pattern, shown[0], lambda call: call.choice(0, choices))


_PULSE = "[SOURce#:]PULM"
_EXTERNAL = f"{_PULSE}:TRIGger:EXTernal"
_IMPAIRMENT = "[SOURce#:]IQ:IMPairment"
_REFERENCE = "[SOURce#:]ROSCillator"

SETTINGS: tuple[Setting, ...] = (
    # Up to 12.75 GHz by itself, up to 20 GHz with the SGU100A on top.
    _number("frequency_hz", "[SOURce#:]FREQuency[:CW]", 1e9, 1e6, 20e9),
    _number("phase_deg", "[SOURce#:]PHASe", 0.0, -36_000.0, 36_000.0),
    _number("power_dbm", "[SOURce#:]POWer[:LEVel][:IMMediate][:AMPLitude]", -30.0, -120.0, 25.0),
    _flag("on", "OUTPut#[:STATe]"),
    _word("power_on_state", "OUTPut#[:STATe]:PON", "OFF", "UNCHanged"),
    _word("operation_mode", "[SOURce#:]OPMode", "NORMal", "BBBYpass"),
    _flag("iq_on", "[SOURce#:]IQ:STATe"),
    _flag("iq_wideband", "[SOURce#:]IQ:WBSTate"),
    _flag("impairments_on", f"{_IMPAIRMENT}:STATe"),
    _number("leakage_i_percent", f"{_IMPAIRMENT}:LEAKage:I", 0.0, -10.0, 10.0),
    _number("leakage_q_percent", f"{_IMPAIRMENT}:LEAKage:Q", 0.0, -10.0, 10.0),
    _number("iq_ratio_db", f"{_IMPAIRMENT}:IQRatio[:MAGNitude]", 0.0, -1.0, 1.0),
    _number("quadrature_deg", f"{_IMPAIRMENT}:QUADrature[:ANGLe]", 0.0, -8.0, 8.0),
    _flag("pulse_on", f"{_PULSE}:STATe"),
    _word("pulse_source", f"{_PULSE}:SOURce", "INTernal", "EXTernal"),
    _word("pulse_mode", f"{_PULSE}:MODE", "SINGle", "DOUBle"),
    _word("pulse_polarity", f"{_PULSE}:POLarity", "NORMal", "INVerted"),
    _number("pulse_delay_s", f"{_PULSE}:DELay", 0.0, 0.0, 100.0),
    _number("pulse_period_s", f"{_PULSE}:PERiod", 10e-6, 100e-9, 100.0),
    _number("pulse_width_s", f"{_PULSE}:WIDTh", 2e-6, 20e-9, 100.0),
    _number("double_delay_s", f"{_PULSE}:DOUBle:DELay", 4e-6, 40e-9, 100.0),
    _number("double_width_s", f"{_PULSE}:DOUBle:WIDTh", 2e-6, 20e-9, 100.0),
    _word("pulse_trigger_mode", f"{_PULSE}:TRIGger:MODE", "AUTO", "EXTernal", "EGATe"),
    _word("pulse_trigger_impedance", f"{_EXTERNAL}:IMPedance", "G50", "G10K"),
    _word("pulse_trigger_slope", f"{_EXTERNAL}:SLOPe", "POSitive", "NEGative"),
    _word("pulse_gate_polarity", f"{_EXTERNAL}:GATE:POLarity", "NORMal", "INVerted"),
    _word("reference_source", f"{_REFERENCE}:SOURce", "INTernal", "EXTernal"),
    _reference_frequency("reference_output", f"{_REFERENCE}:OUTPut:FREQuency", "10MHz", "100MHz", "1000MHz"),
    _reference_frequency("reference_input", f"{_REFERENCE}:EXTernal:FREQuency", "10MHz", "100MHz", "1000MHz"),
    _word("reference_bandwidth", f"{_REFERENCE}:EXTernal:SBANdwidth", "WIDE", "NARRow"),
    _word("lo_source", "[SOURce#:]LOSCillator:SOURce", "INTernal", "EXTernal"),
    _word("lo_connector", "CONNector:REFLo:OUTPut", "REF", "LO", "OFF"),
    _word("trigger_connector", "CONNector:TRIGger:OMODe", "SVALid", "SNVALid", "PVOut", "PETrigger", "PEMSource"),
)
