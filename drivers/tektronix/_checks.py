"""Whether a program keeps the limits of an AWG model, asked before anything is uploaded."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.roles import AwgChannelSettings, AwgElement, AwgLimits, AwgProgram

__all__ = ["broken_limits"]


def broken_limits(program: AwgProgram, limits: AwgLimits) -> list[str]:
    """One line for each limit that ``program`` breaks; empty when there is none."""
    return [*_of_channels(program, limits), *_of_waveforms(program, limits), *_of_table(program, limits)]


def _of_channels(program: AwgProgram, limits: AwgLimits) -> Iterator[str]:
    analog = limits.analog
    for channel, settings in program.channels.items():
        if not 1 <= channel <= limits.channels:
            yield f"channel {channel}; it has 1 to {limits.channels}"
        yield from _of_levels(channel, settings)
        if not analog.minimum_vpp <= settings.amplitude_vpp <= analog.maximum_vpp:
            possible = f"{analog.minimum_vpp} to {analog.maximum_vpp}"
            yield f"channel {channel}: {settings.amplitude_vpp} Vpp; it gives {possible}"


def _of_levels(channel: int, settings: AwgChannelSettings) -> Iterator[str]:
    if settings.marker_low_v >= settings.marker_high_v:
        yield f"channel {channel}: marker low {settings.marker_low_v} V is not below high {settings.marker_high_v} V"


def _of_waveforms(program: AwgProgram, limits: AwgLimits) -> Iterator[str]:
    for key, waveform in program.waveforms.items():
        if key != waveform.name:
            yield f"waveform {waveform.name!r} stands under the key {key!r}"
        if set(waveform.name) & set('";') or not waveform.name.isascii() or not waveform.name.isprintable():
            yield f"waveform {waveform.name!r}: a name is printable ASCII without quote and semicolon"
        if len(waveform.words) < limits.minimum_waveform_samples:
            yield f"waveform {key!r}: {len(waveform.words)} samples, fewer than {limits.minimum_waveform_samples}"


def _of_table(program: AwgProgram, limits: AwgLimits) -> Iterator[str]:
    lines = len(program.elements)
    if not 1 <= lines <= limits.maximum_elements:
        yield f"{lines} lines in the table; it holds 1 to {limits.maximum_elements}"
    for line, element in enumerate(program.elements, start=1):
        yield from _of_element(program, limits, line, element)


def _of_element(program: AwgProgram, limits: AwgLimits, line: int, element: AwgElement) -> Iterator[str]:
    if not element.waveforms:
        yield f"line {line}: no waveform"
    missing = sorted(name for name in element.waveforms.values() if name not in program.waveforms)
    if missing:
        yield f"line {line}: no waveform named {', '.join(map(repr, missing))}"
    elif len({len(program.waveforms[name].words) for name in element.waveforms.values()}) > 1:
        yield f"line {line}: waveforms of different lengths"
    unset = sorted(set(element.waveforms) - set(program.channels))
    if unset:
        yield f"line {line}: channels without settings: {unset}"
    if not 1 <= element.loop_count <= limits.maximum_loop_count:
        yield f"line {line}: loop count {element.loop_count}; it counts 1 to {limits.maximum_loop_count}"
    for word, target in (("go_to", element.go_to), ("jump_to", element.jump_to)):
        if target is not None and not 1 <= target <= len(program.elements):
            yield f"line {line}: {word} {target}; the table has {len(program.elements)} lines"
