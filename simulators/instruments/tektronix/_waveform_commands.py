"""The list of waveforms."""

from __future__ import annotations

from typing import Literal

from simulators.instruments.tektronix._registry import Awg, changing
from simulators.instruments.tektronix._waveform import MAX_POINTS, Waveform
from simulators.kit.scpi import Call, ScpiError, block, quoted

__all__ = ["register"]

_KINDS: dict[str, Literal["INT", "REAL"]] = {"INTeger": "INT", "REAL": "REAL"}


def register(awg: Awg) -> None:
    """Give ``awg`` these commands."""
    scpi = awg.scpi
    scpi.query("WLISt:SIZE", lambda call: str(len(awg.settings.waveforms)))
    scpi.query("WLISt:NAME", lambda call: quoted(_name(awg, call)), 1)
    scpi.command("WLISt:WAVeform:NEW", changing(awg, lambda call: _new(awg, call)), 3)
    scpi.command("WLISt:WAVeform:DELete", changing(awg, lambda call: _delete(awg, call)), 1)
    scpi.command("WLISt:WAVeform:DATA", changing(awg, lambda call: _write(awg, call)), (2, 4))
    scpi.query("WLISt:WAVeform:DATA", lambda call: block(_read(awg, call)), (1, 3))
    scpi.query("WLISt:WAVeform:TYPE", lambda call: _get(awg, call).kind, 1)
    scpi.query("WLISt:WAVeform:LENGth", lambda call: str(_get(awg, call).points), 1)
    scpi.query("WLISt:WAVeform:TSTamp", lambda call: quoted(_get(awg, call).stamp), 1)
    scpi.query("WLISt:WAVeform:PREDefined", lambda call: _predefined(awg, call), 1)


def _get(awg: Awg, call: Call) -> Waveform:
    name = call.string(0)
    try:
        return awg.settings.waveforms[name]
    except KeyError:
        raise ScpiError(-224, f"no waveform {name}") from None


def _name(awg: Awg, call: Call) -> str:
    index = call.integer(0, 0, max(0, len(awg.settings.waveforms) - 1))
    names = list(awg.settings.waveforms)
    if not names:
        raise ScpiError(-222)
    return names[index]


def _predefined(awg: Awg, call: Call) -> str:
    _get(awg, call)
    return "0"


def _new(awg: Awg, call: Call) -> None:
    name = call.string(0)
    # A name that is there stays as it is, whatever its length: QCoDeS deletes it first for that reason.
    if not name or name in awg.settings.waveforms:
        raise ScpiError(-224, f"can't make waveform {name!r}")
    points = call.integer(1, 1, MAX_POINTS)
    awg.settings.waveforms[name] = Waveform.flat(name, call.choice(2, _KINDS), points)


def _delete(awg: Awg, call: Call) -> None:
    everything = call.text(0).upper() == "ALL"
    names = set(awg.settings.waveforms) if everything else {_get(awg, call).name}
    if awg.settings.delete_waveforms(names):
        awg.stop_output()


def _write(awg: Awg, call: Call) -> None:
    waveform = _get(awg, call)
    start = call.integer(1, 0, waveform.points - 1) if len(call.arguments) > 2 else 0
    data = call.block(len(call.arguments) - 1)
    written = waveform.written(start, data)
    if len(call.arguments) > 3 and call.integer(2, 1, MAX_POINTS) != len(data) // waveform.bytes_a_point:
        raise ScpiError(-161, "the block has not the size that stands before it")
    awg.settings.waveforms[waveform.name] = written
    awg.settings.waveforms_changed()


def _read(awg: Awg, call: Call) -> bytes:
    waveform = _get(awg, call)
    start = call.integer(1, 0, waveform.points - 1) if len(call.arguments) > 1 else 0
    left = waveform.points - start
    points = call.integer(2, 1, left) if len(call.arguments) > 2 else left
    return waveform.read(start, points)
