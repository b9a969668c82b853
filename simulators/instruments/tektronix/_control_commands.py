"""Run, clock, trigger and event inputs, and the drive."""

from __future__ import annotations

import ntpath
from collections.abc import Callable

from simulators.instruments.tektronix import _setup_file
from simulators.instruments.tektronix._registry import Awg, changing, real
from simulators.instruments.tektronix._state import CHANNELS, MAX_ELEMENTS, Input, RunMode
from simulators.kit.scpi import Call, ScpiError, block, quoted

__all__ = ["register"]

_RUN_MODES: dict[str, RunMode] = {
    "CONTinuous": "CONT",
    "TRIGgered": "TRIG",
    "GATed": "GAT",
    "SEQuence": "SEQ",
}
_INTERNAL = {"INTernal": True, "EXTernal": False}
_POSITIVE = {"POSitive": True, "NEGative": False}
# ASYNC is neither the short nor the long form, and what QCoDeS sends.
_JUMP_TIMINGS = {"SYNChronous": True, "ASYNchronous": False, "ASYNC": False}
_DYNAMIC_JUMP = {"EJUMp": False, "DJUMp": True}

_MIN_RATE_HZ, _MAX_RATE_HZ = 10e6, 1.2e9
_MAX_LEVEL_V = 5.0
_MAX_PATTERN = 511


def register(awg: Awg) -> None:
    """Give ``awg`` these commands."""
    _register_run(awg)
    _register_clock(awg)
    _register_inputs(awg)
    _register_events(awg)
    _register_drive(awg)


def _register_run(awg: Awg) -> None:
    scpi = awg.scpi

    def set_run_mode(call: Call) -> None:
        awg.settings.run_mode = call.choice(0, _RUN_MODES)

    scpi.setting("AWGControl:RMODe", lambda call: awg.settings.run_mode, changing(awg, set_run_mode))
    scpi.command("AWGControl:RUN[:IMMediate]", lambda call: awg.run())
    scpi.command("AWGControl:STOP[:IMMediate]", lambda call: awg.stop_output())
    scpi.query("AWGControl:RSTate", lambda call: str(awg.run_state))
    scpi.query("AWGControl:CONFigure:CNUMber", lambda call: str(CHANNELS))
    # QCoDeS calls one place SEQuence and SEQuencer.
    scpi.query("AWGControl:SEQuence:TYPE", lambda call: "HARD" if awg.settings.hardware_sequencer else "SOFT")
    scpi.query("AWGControl:SEQuencer:TYPE", lambda call: "HARD" if awg.settings.hardware_sequencer else "SOFT")
    scpi.query("AWGControl:SEQuencer:POSition", lambda call: str(awg.position))
    scpi.command("*TRG", lambda call: None)
    scpi.command("TRIGger[:SEQuence][:IMMediate]", lambda call: None)


def _register_clock(awg: Awg) -> None:
    scpi = awg.scpi

    def set_rate(call: Call) -> None:
        awg.settings.sample_rate_hz = call.real(0, _MIN_RATE_HZ, _MAX_RATE_HZ)

    def set_clock(call: Call) -> None:
        awg.settings.internal_clock = call.choice(0, _INTERNAL)

    def set_reference(call: Call) -> None:
        awg.settings.internal_reference = call.choice(0, _INTERNAL)

    scpi.setting("[SOURce#:]FREQuency[:CW]", lambda call: real(awg.settings.sample_rate_hz), changing(awg, set_rate))
    scpi.setting("[SOURce#:]FREQuency:FIXed", lambda call: real(awg.settings.sample_rate_hz), changing(awg, set_rate))
    scpi.setting(
        "AWGControl:CLOCk:SOURce", lambda call: _internal(awg.settings.internal_clock), changing(awg, set_clock)
    )
    scpi.setting(
        "[SOURce#:]ROSCillator:SOURce",
        lambda call: _internal(awg.settings.internal_reference),
        changing(awg, set_reference),
    )


def _register_inputs(awg: Awg) -> None:
    scpi = awg.scpi

    def set_source(call: Call) -> None:
        awg.settings.external_trigger = not call.choice(0, _INTERNAL)

    def set_gate(call: Call) -> None:
        awg.settings.trigger_gate_high = call.choice(0, _POSITIVE)

    def set_timer(call: Call) -> None:
        awg.settings.trigger_timer_s = call.real(0, 1e-6, 10.0)

    _register_input(awg, "TRIGger[:SEQuence]", "SLOPe", lambda: awg.settings.trigger)
    _register_input(awg, "EVENt", "POLarity", lambda: awg.settings.event)
    scpi.setting(
        "TRIGger[:SEQuence]:SOURce",
        lambda call: _internal(not awg.settings.external_trigger),
        changing(awg, set_source),
    )
    scpi.setting(
        "TRIGger[:SEQuence]:POLarity",
        lambda call: _positive(awg.settings.trigger_gate_high),
        changing(awg, set_gate),
    )
    scpi.setting("TRIGger[:SEQuence]:TIMer", lambda call: real(awg.settings.trigger_timer_s), set_timer)


def _register_input(awg: Awg, root: str, edge: str, get: Callable[[], Input]) -> None:
    def set_level(call: Call) -> None:
        get().level_v = call.real(0, -_MAX_LEVEL_V, _MAX_LEVEL_V)

    def set_edge(call: Call) -> None:
        get().rising = call.choice(0, _POSITIVE)

    def set_impedance(call: Call) -> None:
        value = call.integer(0, 50, 1000)
        if value not in (50, 1000):
            raise ScpiError(-224)
        get().impedance_ohm = value

    awg.scpi.setting(f"{root}:LEVel", lambda call: real(get().level_v), changing(awg, set_level))
    awg.scpi.setting(f"{root}:{edge}", lambda call: _positive(get().rising), changing(awg, set_edge))
    awg.scpi.setting(f"{root}:IMPedance", lambda call: str(get().impedance_ohm), changing(awg, set_impedance))


def _register_events(awg: Awg) -> None:
    scpi = awg.scpi

    def set_timing(call: Call) -> None:
        awg.settings.synchronous_jump = call.choice(0, _JUMP_TIMINGS)

    def set_mode(call: Call) -> None:
        awg.settings.dynamic_jump = call.choice(0, _DYNAMIC_JUMP)
        awg.settings.waveforms_changed()

    def define(call: Call) -> None:
        pattern = call.integer(0, 0, _MAX_PATTERN)
        # [K] -1 takes the target away.
        target = call.integer(1, -1, MAX_ELEMENTS)
        if target > 0:
            awg.settings.dynamic_targets[pattern] = target
        else:
            awg.settings.dynamic_targets.pop(pattern, None)

    def defined(call: Call) -> str:
        return str(awg.settings.dynamic_targets.get(call.integer(0, 0, _MAX_PATTERN), -1))

    scpi.command("EVENt[:IMMediate]", lambda call: None)
    scpi.setting(
        "EVENt:JTIMing",
        lambda call: "SYNC" if awg.settings.synchronous_jump else "ASYN",
        changing(awg, set_timing),
    )
    scpi.setting(
        "AWGControl:EVENt:JMODe",
        lambda call: "DJUM" if awg.settings.dynamic_jump else "EJUM",
        changing(awg, set_mode),
    )
    scpi.command("AWGControl:EVENt:DJUMp:DEFine", define, 2)
    scpi.query("AWGControl:EVENt:DJUMp:DEFine", defined, 1)
    scpi.command("AWGControl:EVENt:SOFTware[:IMMediate]", lambda call: None, (0, 1))


def _register_drive(awg: Awg) -> None:
    scpi, disk = awg.scpi, awg.disk

    def restore(call: Call) -> None:
        path = call.string(0)
        settings = _setup_file.load(disk.read(path))
        settings.setup_name = ntpath.basename(path)
        awg.load(settings)

    scpi.setting(
        "MMEMory:CDIRectory", lambda call: quoted(disk.current), lambda call: disk.change_folder(call.string(0))
    )
    scpi.command("MMEMory:MDIRectory", lambda call: disk.make_folder(call.string(0)), 1)
    scpi.command("MMEMory:DELete", lambda call: disk.delete(call.string(0)), 1)
    scpi.query("MMEMory:CATalog", lambda call: disk.catalogue(call.string(0) if call.arguments else "."), (0, 1))
    scpi.command("MMEMory:DATA", lambda call: disk.write(call.string(0), call.block(1)), 2)
    scpi.query("MMEMory:DATA", lambda call: block(disk.read(call.string(0))), 1)
    scpi.command("AWGControl:SREStore", restore, (1, 2))
    scpi.query("AWGControl:SNAMe", lambda call: f'{quoted(awg.settings.setup_name)},"C:"')


def _internal(value: bool) -> str:
    return "INT" if value else "EXT"


def _positive(value: bool) -> str:
    return "POS" if value else "NEG"
