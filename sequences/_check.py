"""All that can be refused before a sample is computed: each fault names pulse, place, time, limit and a way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from drivers.roles import AwgLimits, PulseLimits
from qnode.errors import MisuseError
from sequences._placed import Limits, Placed, grid_ps, place
from sequences.language import Round, Section, Train
from sequences.wiring import Wiring

__all__ = ["check", "players"]


def check(round_: Round, wiring: Wiring, limits: Mapping[str, Limits]) -> None:
    """Refuse what the rack can't play.

    Args:
        round_: the round.
        wiring: who carries which signal.
        limits: instrument to the limits of its model.

    Raises:
        MisuseError: an unknown signal, a pulse or section off the grid, an overlap on a connector, a voltage out of
            range, a waveform too short, too many loops, lines or steps, a pulse on an instrument that can't play it
            there (above all light on a pulse sequencer inside the attempt train), a round too short for its trains.
    """
    _check_timeline(round_, wiring, limits)
    for section in _sections(round_):
        placed = place(section, wiring, limits)
        for one in placed:
            _check_plays_trains(one, section, limits)
        _check_pulses(placed, section, limits)
    for instrument in sorted(players(round_, wiring, limits)):
        model = limits[instrument]
        if isinstance(model, AwgLimits):
            _check_table(round_, instrument, wiring, model)
            _check_dark_start(round_, instrument, wiring, limits)
    _check_room(round_, wiring, limits)


def players(round_: Round, wiring: Wiring, limits: Mapping[str, Limits]) -> set[str]:
    """The instruments that play the trains of a round."""
    return {one.output.instrument for section in _sections(round_) for one in place(section, wiring, limits)}


def _sections(round_: Round) -> list[Section]:
    """The sections of all trains, each once, in the order of playing."""
    found: dict[int, Section] = {}
    for trains in round_.trains:
        for train in trains:
            for section in (train.section, train.branch):
                if section is not None:
                    found.setdefault(id(section), section)
    return list(found.values())


def _check_timeline(round_: Round, wiring: Wiring, limits: Mapping[str, Limits]) -> None:
    section = round_.timeline
    placed = place(section, wiring, limits)
    for one in placed:
        if not isinstance(limits[one.output.instrument], PulseLimits):
            raise MisuseError(
                f"{_what(one, section)} starts on a trigger, but stands in the round's timeline",
                hint="put the pulse in a section of a train, or wire the signal to a pulse sequencer",
            )
    _check_pulses(placed, section, limits)
    for instrument in {one.output.instrument for one in placed}:
        model = limits[instrument]
        if isinstance(model, PulseLimits):
            _check_steps([one for one in placed if one.output.instrument == instrument], section, model)


def _check_plays_trains(one: Placed, section: Section, limits: Mapping[str, Limits]) -> None:
    if isinstance(limits[one.output.instrument], AwgLimits):
        return
    if one.output.kind == "light":
        raise _light_in_train(one, section)
    raise MisuseError(
        f"{_what(one, section)} can't branch after a herald, but section {section.name!r} belongs to a train",
        hint="put the pulse in the round's timeline, or wire the signal to the instrument with the event input",
    )


def _light_in_train(one: Placed, section: Section) -> MisuseError:
    return MisuseError(
        f"{_what(one, section)}: light on a pulse sequencer inside the attempt train "
        f"(wire {one.where} -> {one.signal}), which would go on after a herald",
        hint="wire this light to the instrument with the event input, or play it outside the train",
        wire=one.where,
    )


def _check_pulses(placed: list[Placed], section: Section, limits: Mapping[str, Limits]) -> None:
    for one in placed:
        step_ps = grid_ps(limits[one.output.instrument])
        _check_grid(one.pulse.start_ps, step_ps, f"the start of {_what(one, section)}")
        _check_grid(one.pulse.length_ps, step_ps, f"the length of {_what(one, section)}")
        if one.stop_ps > section.length_ps:
            shift_ps = one.start_ps - one.pulse.start_ps
            raise MisuseError(
                f"{_what(one, section)} plays {shift_ps} ps later to make up for longer wires and ends at "
                f"{one.stop_ps} ps, outside the section's {section.length_ps} ps",
                hint=f"the latest legal start is {one.pulse.start_ps - (one.stop_ps - section.length_ps)} ps",
            )
        _check_level(one, section, limits[one.output.instrument])
    by_connector: dict[str, list[Placed]] = {}
    for one in placed:
        by_connector.setdefault(one.where, []).append(one)
    for group in by_connector.values():
        _check_overlap(group, section)


def _check_grid(value_ps: int, step_ps: int, what: str) -> None:
    if value_ps % step_ps:
        below_ps = value_ps - value_ps % step_ps
        raise MisuseError(
            f"{what} is {value_ps} ps, off the grid of {step_ps} ps",
            hint=f"the nearest legal values are {below_ps} and {below_ps + step_ps} ps",
        )


def _check_level(one: Placed, section: Section, model: Limits) -> None:
    if one.connector.of_awg != isinstance(model, AwgLimits):
        raise MisuseError(
            f"{_what(one, section)}: a {type(model).__name__.removesuffix('Limits')} instrument has no such output",
            hint="correct the wire",
        )
    if not one.connector.analog:
        if one.volts is not None:
            raise MisuseError(f"{_what(one, section)} has a shape, but the output is digital", hint="use Section.on")
        _check_exists(one, section, model)
        return
    if one.volts is None:
        raise MisuseError(f"{_what(one, section)} has no shape, but the output is analog", hint="use Section.play")
    _check_exists(one, section, model)
    limit_v = _range_v(one, section, model)
    if abs(one.volts) > limit_v:
        raise MisuseError(
            f"{_what(one, section)} at {one.pulse.start_ps} ps needs {one.volts:+.4g} V, over the range of "
            f"{limit_v:.4g} V",
            hint=f"the nearest legal amplitude is {limit_v if one.volts > 0 else -limit_v:+.4g} V; "
            "or make the pulse longer, or set a wider output range",
        )


def _check_exists(one: Placed, section: Section, model: Limits) -> None:
    number = one.connector.channel
    if isinstance(model, AwgLimits):
        there = 1 <= number <= model.channels and one.connector.marker <= model.markers_per_channel
    else:
        there = number < (model.analog_channels if one.connector.analog else model.digital_channels)
    if not there:
        raise MisuseError(f"{_what(one, section)}: the model has no such output", hint="correct the wire")


def _range_v(one: Placed, section: Section, model: Limits) -> float:
    """The largest legal voltage of an analog output."""
    if isinstance(model, PulseLimits):
        return 1.0
    amplitude_vpp = one.output.amplitude_vpp
    if amplitude_vpp is None:
        raise MisuseError(f"{_what(one, section)} is analog, but has no amplitude", hint="give it an amplitude_vpp")
    low, high = model.analog.minimum_vpp, model.analog.maximum_vpp
    if not low <= amplitude_vpp <= high:
        nearest = min(max(amplitude_vpp, low), high)
        raise MisuseError(
            f"{one.where}: an amplitude of {amplitude_vpp} Vpp, outside {low} to {high} Vpp",
            hint=f"the nearest legal value is {nearest} Vpp",
        )
    return amplitude_vpp / 2


def _check_overlap(group: list[Placed], section: Section) -> None:
    ordered = sorted(group, key=lambda one: one.start_ps)
    for first, second in pairwise(ordered):
        if second.start_ps < first.stop_ps:
            raise MisuseError(
                f"pulses {first.pulse.name!r} ({first.pulse.start_ps} to {first.pulse.stop_ps} ps) and "
                f"{second.pulse.name!r} ({second.pulse.start_ps} to {second.pulse.stop_ps} ps) overlap on "
                f"{second.signal} ({second.where}) in section {section.name!r}",
                hint=f"start {second.pulse.name!r} at {second.pulse.start_ps + first.stop_ps - second.start_ps} ps "
                "or later",
            )


def _check_steps(placed: list[Placed], section: Section, model: PulseLimits) -> None:
    step_ps = model.tick_ps
    _check_grid(section.length_ps, step_ps, f"the length of section {section.name!r}")
    shortest_ps = model.minimum_step_ticks * step_ps
    edges = sorted({(edge, one.pulse.name) for one in placed for edge in (one.start_ps, one.stop_ps)})
    for (before_ps, _), (after_ps, name) in pairwise([(0, ""), *edges, (section.length_ps, "the end")]):
        if 0 < after_ps - before_ps < shortest_ps:
            raise MisuseError(
                f"section {section.name!r}: an edge of {name!r} at {after_ps} ps on {placed[0].output.instrument} "
                f"follows another after {after_ps - before_ps} ps, below the shortest step of {shortest_ps} ps",
                hint=f"move it to {before_ps} or {before_ps + shortest_ps} ps",
            )
    steps = len({edge for edge, _ in edges}) + 1
    if steps > model.maximum_steps:
        raise MisuseError(
            f"section {section.name!r} needs {steps} steps on {placed[0].output.instrument}",
            hint=f"the limit is {model.maximum_steps}: use fewer pulses",
        )


def _check_table(round_: Round, instrument: str, wiring: Wiring, model: AwgLimits) -> None:
    trigger = wiring.trigger_of(instrument)
    if trigger != round_.trigger:
        raise MisuseError(
            f"{instrument} is triggered by {trigger!r}, but round {round_.name!r} starts its trains by "
            f"{round_.trigger!r}",
            hint="correct the wire or the round",
        )
    lines = 0
    for trains in round_.trains:
        for train in trains:
            lines += 1 if train.branch is None else 2
            _check_train(train, instrument, model)
    if lines > model.maximum_elements:
        raise MisuseError(
            f"round {round_.name!r} needs {lines} lines of the sequence table of {instrument}",
            hint=f"the limit is {model.maximum_elements}: repeat after fewer rounds",
        )


def _check_train(train: Train, instrument: str, model: AwgLimits) -> None:
    if not 1 <= train.times <= model.maximum_loop_count:
        nearest = min(max(train.times, 1), model.maximum_loop_count)
        raise MisuseError(
            f"section {train.section.name!r} is to loop {train.times} times on {instrument}",
            hint=f"legal are 1 to {model.maximum_loop_count}; the nearest is {nearest}",
        )
    step_ps = grid_ps(model)
    for section in (train.section, train.branch):
        if section is None:
            continue
        _check_grid(section.length_ps, step_ps, f"the length of section {section.name!r}")
        shortest_ps = model.minimum_waveform_samples * step_ps
        if section.length_ps < shortest_ps:
            raise MisuseError(
                f"section {section.name!r} is {section.length_ps} ps long, too short a waveform for {instrument}",
                hint=f"make it at least {shortest_ps} ps ({model.minimum_waveform_samples} samples)",
            )


def _check_dark_start(round_: Round, instrument: str, wiring: Wiring, limits: Mapping[str, Limits]) -> None:
    """A line that waits for its trigger holds its first sample: light there would shine through the whole wait."""
    for section in {id(trains[0].section): trains[0].section for trains in round_.trains if trains}.values():
        for one in place(section, wiring, limits):
            if one.output.instrument == instrument and one.start_ps == 0:
                step_ps = grid_ps(limits[instrument])
                raise MisuseError(
                    f"{_what(one, section)} is on in the first sample, which is held while {instrument} waits for "
                    "its trigger",
                    hint=f"the earliest legal start is {one.pulse.start_ps + step_ps} ps",
                )


def _check_room(round_: Round, wiring: Wiring, limits: Mapping[str, Limits]) -> None:
    if not round_.trains:
        return
    starts = [pulse for pulse in round_.timeline.pulses if pulse.signal == round_.trigger]
    if len(starts) != 1:
        raise MisuseError(
            f"round {round_.name!r} has {len(starts)} pulses on its trigger {round_.trigger!r}",
            hint="put exactly one there",
        )
    start_ps = starts[0].start_ps
    stop_ps = start_ps + max(_longest_ps(trains) for trains in round_.trains)
    if stop_ps > round_.period_ps:
        raise MisuseError(
            f"round {round_.name!r}: its trains start at {start_ps} ps and can last until {stop_ps} ps, past the "
            f"round's {round_.period_ps} ps",
            hint=f"the smallest legal round is {stop_ps} ps",
        )
    for one in place(round_.timeline, wiring, limits):
        if one.output.kind == "light" and one.pulse.stop_ps > start_ps and one.pulse.start_ps < stop_ps:
            raise _light_in_train(one, round_.timeline)


def _longest_ps(trains: Iterable[Train]) -> int:
    played_ps = longest_ps = 0
    for train in trains:
        played_ps += train.section.length_ps * train.times
        longest_ps = max(longest_ps, played_ps + (train.branch.length_ps if train.branch else 0))
    return longest_ps


def _what(one: Placed, section: Section) -> str:
    return f"pulse {one.pulse.name!r} on {one.signal} ({one.where}) in section {section.name!r}"
