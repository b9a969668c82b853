"""Outputs, levels and markers of the four channels."""

from __future__ import annotations

import math
from collections.abc import Callable

from simulators.instruments.tektronix._registry import Awg, changing, flag, real
from simulators.instruments.tektronix._state import CHANNELS, Channel, Marker
from simulators.kit.scpi import Call, ScpiError, quoted

__all__ = ["register"]

_MIN_VPP, _MAX_VPP = 0.02, 4.5
_MAX_OFFSET_V = 2.25
_MARKER_HIGH_V = (-0.9, 2.7)
_MARKER_LOW_V = (-1.0, 2.6)
_MAX_MARKER_DELAY_S = 1e-9
_MIN_DC_V, _MAX_DC_V = -3.0, 5.0
_FILTERS_HZ = (20e6, 100e6)
_DAC_BITS = (8, 10, 14)


def register(awg: Awg) -> None:
    """Give ``awg`` these commands."""
    _register_outputs(awg)
    _register_levels(awg)
    _register_markers(awg)


def _channel(awg: Awg, call: Call) -> Channel:
    return awg.settings.channels[call.suffix(0, CHANNELS) - 1]


def _setting(awg: Awg, pattern: str, get: Callable[[Channel], str], put: Callable[[Channel, Call], None]) -> None:
    """Register a setting of one channel, which is the first number in the header."""
    awg.scpi.setting(
        pattern, lambda call: get(_channel(awg, call)), changing(awg, lambda call: put(_channel(awg, call), call))
    )


def _register_outputs(awg: Awg) -> None:
    def switch(call: Call) -> None:
        number = call.suffix(0, CHANNELS)
        on = call.boolean(0)
        if on and not awg.settings.channel_has_waveform(number):
            raise ScpiError(-221, f"no waveform on channel {number}")
        awg.settings.channels[number - 1].on = on

    def set_filter(channel: Channel, call: Call) -> None:
        if call.text(0).upper() in ("INF", "INFINITY"):
            channel.filter_hz = math.inf
            return
        value = call.real(0, 0.0, math.inf)
        if value not in _FILTERS_HZ and value < 9.9e37:
            raise ScpiError(-224)
        channel.filter_hz = value if value in _FILTERS_HZ else math.inf

    def set_direct(channel: Channel, call: Call) -> None:
        channel.direct = call.boolean(0)

    def set_add_input(channel: Channel, call: Call) -> None:
        feed = call.string(0).upper()
        if feed not in ("", "ESIG", "ESIGNAL"):
            raise ScpiError(-224)
        channel.add_input = feed != ""

    def set_waveform(channel: Channel, call: Call) -> None:
        name = call.string(0)
        if name and name not in awg.settings.waveforms:
            raise ScpiError(-224, name)
        channel.waveform = name

    awg.scpi.setting("OUTPut#[:STATe]", lambda call: flag(_channel(awg, call).on), changing(awg, switch))
    _setting(awg, "OUTPut#:FILTer[:LPASs]:FREQuency", lambda channel: real(channel.filter_hz), set_filter)
    _setting(awg, "AWGControl:DOUTput#[:STATe]", lambda channel: flag(channel.direct), set_direct)
    _setting(
        awg, "[SOURce#:]COMBine:FEED", lambda channel: quoted("ESIG" if channel.add_input else ""), set_add_input
    )
    _setting(awg, "[SOURce#:]WAVeform", lambda channel: quoted(channel.waveform), set_waveform)


def _register_levels(awg: Awg) -> None:
    def set_amplitude(channel: Channel, call: Call) -> None:
        channel.amplitude_vpp = call.real(0, _MIN_VPP, _MAX_VPP)

    def set_offset(channel: Channel, call: Call) -> None:
        channel.offset_v = call.real(0, -_MAX_OFFSET_V, _MAX_OFFSET_V)

    def set_high(channel: Channel, call: Call) -> None:
        _set_span(channel, channel.offset_v - channel.amplitude_vpp / 2, call.real(0, -4.5, 4.5))

    def set_low(channel: Channel, call: Call) -> None:
        _set_span(channel, call.real(0, -4.5, 4.5), channel.offset_v + channel.amplitude_vpp / 2)

    def set_dc(channel: Channel, call: Call) -> None:
        channel.dc_v = call.real(0, _MIN_DC_V, _MAX_DC_V)

    def set_bits(channel: Channel, call: Call) -> None:
        bits = call.integer(0, 8, 14)
        if bits not in _DAC_BITS:
            raise ScpiError(-224)
        channel.dac_bits = bits

    def switch_dc(call: Call) -> None:
        awg.settings.dc_on = call.boolean(0)

    level = "[SOURce#:]VOLTage[:LEVel][:IMMediate]"
    _setting(awg, f"{level}[:AMPLitude]", lambda channel: real(channel.amplitude_vpp), set_amplitude)
    _setting(awg, f"{level}:OFFSet", lambda channel: real(channel.offset_v), set_offset)
    _setting(awg, f"{level}:HIGH", lambda channel: real(channel.offset_v + channel.amplitude_vpp / 2), set_high)
    _setting(awg, f"{level}:LOW", lambda channel: real(channel.offset_v - channel.amplitude_vpp / 2), set_low)
    _setting(awg, "AWGControl:DC#:VOLTage[:LEVel][:IMMediate]:OFFSet", lambda channel: real(channel.dc_v), set_dc)
    _setting(awg, "[SOURce#:]DAC:RESolution", lambda channel: str(channel.dac_bits), set_bits)
    awg.scpi.setting("AWGControl:DC[:STATe]", lambda call: flag(awg.settings.dc_on), changing(awg, switch_dc))


def _set_span(channel: Channel, low_v: float, high_v: float) -> None:
    amplitude_vpp, offset_v = high_v - low_v, (high_v + low_v) / 2
    if not _MIN_VPP <= amplitude_vpp <= _MAX_VPP or abs(offset_v) > _MAX_OFFSET_V:
        raise ScpiError(-222)
    channel.amplitude_vpp, channel.offset_v = amplitude_vpp, offset_v


def _register_markers(awg: Awg) -> None:
    def marker(call: Call) -> Marker:
        return _channel(awg, call).markers[call.suffix(1, 2) - 1]

    def set_high(call: Call) -> None:
        marker(call).high_v = call.real(0, *_MARKER_HIGH_V)

    def set_low(call: Call) -> None:
        marker(call).low_v = call.real(0, *_MARKER_LOW_V)

    def set_delay(call: Call) -> None:
        marker(call).delay_s = call.real(0, 0.0, _MAX_MARKER_DELAY_S)

    level = "[SOURce#:]MARKer#:VOLTage[:LEVel][:IMMediate]"
    awg.scpi.setting(f"{level}:HIGH", lambda call: real(marker(call).high_v), changing(awg, set_high))
    awg.scpi.setting(f"{level}:LOW", lambda call: real(marker(call).low_v), changing(awg, set_low))
    awg.scpi.setting("[SOURce#:]MARKer#:DELay", lambda call: real(marker(call).delay_s), changing(awg, set_delay))
