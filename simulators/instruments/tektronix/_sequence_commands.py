"""The sequence table: loops, waits, gotos, and the jump of each line after an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from simulators.instruments.tektronix._registry import Awg, changing, flag
from simulators.instruments.tektronix._state import CHANNELS, MAX_ELEMENTS, Element
from simulators.kit.scpi import Call, ScpiError, quoted

__all__ = ["register"]

_MAX_LOOPS = 65536
_JUMP_TYPES: dict[str, Literal["IND", "NEXT", "OFF"]] = {"INDex": "IND", "NEXT": "NEXT", "OFF": "OFF"}


def register(awg: Awg) -> None:
    """Give ``awg`` these commands."""
    _register_table(awg)
    _register_waveforms(awg)
    _register_flow(awg)
    _register_jumps(awg)


def _element(awg: Awg, call: Call) -> Element:
    return awg.settings.elements[call.suffix(0, len(awg.settings.elements)) - 1]


def _setting(awg: Awg, pattern: str, get: Callable[[Element], str], put: Callable[[Element, Call], None]) -> None:
    """Register a setting of one line, which is the first number in the header."""

    def change(call: Call) -> None:
        element = _element(awg, call)
        put(element, call)
        element.playback = None

    awg.scpi.setting(f"SEQuence:ELEMent#:{pattern}", lambda call: get(_element(awg, call)), changing(awg, change))


def _line(awg: Awg, call: Call) -> int:
    """The argument, a line of the table."""
    return call.integer(0, 1, len(awg.settings.elements))


def _register_table(awg: Awg) -> None:
    def set_length(call: Call) -> None:
        lines = call.integer(0, 0, MAX_ELEMENTS)
        awg.settings.set_length(lines)
        if not lines and awg.settings.run_mode == "SEQ":
            awg.stop_output()

    awg.scpi.setting("SEQuence:LENGth", lambda call: str(len(awg.settings.elements)), changing(awg, set_length))
    awg.scpi.command("SEQuence:JUMP[:IMMediate]", lambda call: awg.jump(_line(awg, call)), 1)


def _register_waveforms(awg: Awg) -> None:
    def assign(call: Call) -> None:
        name = call.string(0)
        if name and name not in awg.settings.waveforms:
            raise ScpiError(-224, f"no waveform {name}")
        element = _element(awg, call)
        element.waveforms[call.suffix(1, CHANNELS) - 1] = name
        element.playback = None

    awg.scpi.setting(
        "SEQuence:ELEMent#:WAVeform#",
        lambda call: quoted(_element(awg, call).waveforms[call.suffix(1, CHANNELS) - 1]),
        changing(awg, assign),
    )


def _register_flow(awg: Awg) -> None:
    def set_count(element: Element, call: Call) -> None:
        element.loop_count = call.integer(0, 1, _MAX_LOOPS)

    def set_for_ever(element: Element, call: Call) -> None:
        element.loop_for_ever = call.boolean(0)

    def set_wait(element: Element, call: Call) -> None:
        element.wait = call.boolean(0)

    def set_go_to_on(element: Element, call: Call) -> None:
        element.go_to_on = call.boolean(0)

    def set_go_to(element: Element, call: Call) -> None:
        element.go_to = _line(awg, call)

    _setting(awg, "LOOP:COUNt", lambda element: str(element.loop_count), set_count)
    _setting(awg, "LOOP:INFinite", lambda element: flag(element.loop_for_ever), set_for_ever)
    _setting(awg, "TWAit", lambda element: flag(element.wait), set_wait)
    _setting(awg, "GOTO:STATe", lambda element: flag(element.go_to_on), set_go_to_on)
    _setting(awg, "GOTO:INDex", lambda element: str(element.go_to), set_go_to)


def _register_jumps(awg: Awg) -> None:
    def set_type(element: Element, call: Call) -> None:
        element.jump_type = call.choice(0, _JUMP_TYPES)

    def set_index(element: Element, call: Call) -> None:
        element.jump = _line(awg, call)

    _setting(awg, "JTARget:TYPE", lambda element: element.jump_type, set_type)
    _setting(awg, "JTARget:INDex", lambda element: str(element.jump), set_index)
