"""One node in a round: which lines its AWG plays, what its herald line does, and what its readouts find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnode.labfile import WorldNode
from simulators.kit import AwgPlayback
from simulators.world.drive import Drive
from simulators.world.noise import readout_counts
from simulators.world.rack import AwgRack, Light, LinePath, Operation, Rotation, Segment, Waveform
from simulators.world.spin import SpinModel, shifted
from simulators.world.wiring import crosses

__all__ = ["HERALD_PULSE_PS", "AwgState", "Jump", "NodePlayer", "Shot"]

Complex = NDArray[np.complex128]

HERALD_PULSE_PS = 100_000
"""Length of the pulse on a herald line: an event input that looks for falling edges is late by it."""


@dataclass(eq=False)
class AwgState:
    """Where an AWG's sequencer stands; kept from round to round and from run to run."""

    line: int | None = None
    """The line that waits for a trigger; None: none does."""
    busy_until_ps: int = -(1 << 62)
    """Until then (from the world's start) it plays and is deaf to triggers."""
    _elements: object = None
    _revision: int = -1

    def watch(self, playback: AwgPlayback, playing: bool) -> None:
        """Start at line 1 again after a stop or a new table.

        While rounds are playing, a change that leaves table and run state alone (an amplitude, an output switch)
        leaves the sequencer where it is.
        """
        ready = playback.running and playback.sequence_mode and playback.hardware_sequencer and playback.elements
        if not ready:
            self.line, self._elements, self._revision = None, None, playback.revision
            self.busy_until_ps = -(1 << 62)
            return
        # Lines compare by identity: an instrument keeps those that were not touched.
        same_table = self._elements == playback.elements
        if not same_table or (not playing and playback.revision != self._revision):
            # A first line that does not wait runs away by itself, aligned with nothing: no effect in any round.
            self.line = 1 if playback.elements[0].wait_for_trigger else None
            self._elements = playback.elements
            self.busy_until_ps = -(1 << 62)
        self._revision = playback.revision


@dataclass(frozen=True, eq=False)
class Jump:
    """An event that an AWG obeyed; times count from its trigger."""

    segment: Segment
    """What was playing."""
    loop: int
    """The pass of it in which the event came: the last one."""
    at_ps: int
    """Start of the branch."""
    branch: LinePath


@dataclass(frozen=True, eq=False)
class Shot:
    """One readout within a path."""

    at_ps: int
    """Start of the light, from the path's start."""
    light_ps: int
    operations: tuple[Operation, ...]
    """Since the last readout (or the path's start), times from there."""
    wait_ps: int
    """From there to this readout."""


class NodePlayer:
    """One node with its AWG, from one evaluation of the rack on.

    Args:
        name: of the node.
        truth: its numbers.
        rack: its AWG and wires.
        playback: the AWG's, as it is now.
        drive: light and carrier, as they are now.
        state: of the AWG's sequencer.
        trigger_ps: the trigger's edge at the AWG, from a round's nominal start; None: none comes.
        period_ps: of a round.
    """

    def __init__(
        self,
        name: str,
        truth: WorldNode,
        rack: AwgRack,
        playback: AwgPlayback,
        drive: Drive,
        state: AwgState,
        trigger_ps: int | None,
        period_ps: int,
    ) -> None:
        self.name = name
        self.truth = truth
        self.state = state
        self.trigger_ps = 0 if trigger_ps is None else trigger_ps
        self._playback = playback
        self._drive = drive
        self._triggered = trigger_ps is not None and state.line is not None
        self._rack = rack
        self._spin = SpinModel(truth.spin, drive.carrier_hz)
        self._period_ps = period_ps
        self._paths: dict[int, LinePath] = {}
        self._classes: dict[tuple[object, ...], int] = {}
        self._class_of_line: dict[int, int] = {0: 0}
        self.class_paths: list[LinePath] = [LinePath((), None, ())]
        """Per class a path that stands for it; class 0 plays nothing."""
        self._steady: dict[int, bool] = {}
        self._shots: dict[tuple[object, ...], list[Shot]] = {}
        self._operators: dict[tuple[object, ...], Complex] = {}
        self._before: dict[str, tuple[Complex, int]] = {}

    # --- which lines play ------------------------------------------------------------------------------------------

    def path(self, line: int) -> LinePath:
        """What plays from a line on."""
        if line not in self._paths:
            self._paths[line] = self._rack.path(self._playback, line, self._period_ps, self._drive)
        return self._paths[line]

    def plan(self, base_ps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Play some rounds as if no event came, and move the sequencer on.

        Args:
            base_ps: nominal starts of the rounds, from the world's start.

        Returns:
            Per round the line that its trigger starts (0: none) and the class of that line.
        """
        lines = np.zeros(base_ps.size, dtype=np.int64)
        if not self._triggered:
            return lines, lines
        state = self.state
        for row, base in enumerate(base_ps.tolist()):
            trigger_ps = base + self.trigger_ps
            if state.line is None or trigger_ps < state.busy_until_ps:
                continue
            lines[row] = state.line
            path = self.path(state.line)
            state.line, state.busy_until_ps = path.next_line, trigger_ps + path.stop_ps
        return lines, np.array([self._class(line) for line in lines.tolist()], dtype=np.int64)

    def jumped(self, base_ps: int, jump: Jump) -> None:
        """Move the sequencer to where a jump leaves it."""
        self.state.line = jump.branch.next_line
        self.state.busy_until_ps = base_ps + self.trigger_ps + jump.at_ps + jump.branch.stop_ps

    def steady(self, line: int) -> bool:
        """Whether the next round's line is the same with and without an event, and nothing lasts beyond a round."""
        if line not in self._steady:
            path = self.path(line)
            ends = [path]
            stops = [path.stop_ps]
            for segment in path.segments:
                if segment.jump_to is not None and self._jumps_to(segment.jump_to):
                    branch = self._branch(segment.jump_to)
                    ends.append(branch)
                    stops.append(segment.stop_ps + branch.stop_ps)
            self._steady[line] = (
                all(end.next_line == path.next_line for end in ends) and max(stops) <= self._period_ps
            )
        return self._steady[line]

    def _class(self, line: int) -> int:
        if line not in self._class_of_line:
            path = self.path(line)
            number = self._classes.setdefault(path.key, len(self._classes) + 1)
            if number == len(self.class_paths):
                self.class_paths.append(path)
            self._class_of_line[line] = number
        return self._class_of_line[line]

    # --- the herald line -------------------------------------------------------------------------------------------

    def jump(self, line: int, event_ps: int, level_v: float) -> Jump | None:
        """What an edge at the event input does.

        Args:
            line: that the round's trigger started.
            event_ps: the rising edge at the event input, from the round's nominal start.
            level_v: of the pulse.

        Returns:
            The jump, or None: level or slope, a line without a target, or nothing that plays just now.
        """
        playback = self._playback
        if not line or not crosses(level_v, playback.event_level_v):
            return None
        time_ps = event_ps - self.trigger_ps + (0 if playback.event_rising else HERALD_PULSE_PS)
        segment = self.path(line).segment_at(time_ps)
        if segment is None or segment.jump_to is None or not self._jumps_to(segment.jump_to):
            return None
        loop = segment.loop_at(time_ps)
        if playback.event_timing == "synchronous":
            time_ps = segment.start_ps + segment.waveform.start_ps(loop + 1)
        return Jump(segment, loop, time_ps, self._branch(segment.jump_to))

    def _jumps_to(self, line: int) -> bool:
        return 1 <= line <= len(self._playback.elements)

    def _branch(self, line: int) -> LinePath:
        if self._playback.elements[line - 1].wait_for_trigger:
            return LinePath((), line, ())
        return self.path(line)

    # --- what the spin does ----------------------------------------------------------------------------------------

    def before_pulse(self, waveform: Waveform) -> tuple[Complex, int]:
        """See `SpinModel.before_pulse`; calculated once."""
        if waveform.digest not in self._before:
            self._before[waveform.digest] = self._spin.before_pulse(waveform)
        return self._before[waveform.digest]

    def shots(self, path: LinePath) -> list[Shot]:
        """All readouts of a path, in order."""
        if path.key not in self._shots:
            self._shots[path.key] = _shots(path)
        return self._shots[path.key]

    def operator(self, shot: Shot) -> Complex:
        """P(bright at the shot) as an operator on the state after the last readout, or at the path's start."""
        key = ("shot", shot.wait_ps, _key(shot.operations))
        if key not in self._operators:
            self._operators[key] = self._spin.bright_operator(shot.operations, shot.wait_ps)
        return self._operators[key]

    def herald_operator(self, jump: Jump) -> Complex | None:
        """P(bright at the branch's first readout) as an operator on the state right after the optical pulse.

        None: the branch has no readout.
        """
        shots = self.shots(jump.branch)
        if not shots:
            return None
        waveform = jump.segment.waveform
        pulse = waveform.excitation
        offset_ps = jump.at_ps - jump.segment.start_ps - waveform.start_ps(jump.loop)
        key = ("herald", waveform.digest, offset_ps, jump.branch.key)
        if key not in self._operators:
            start_ps = pulse.at_ps if pulse is not None else 0
            after = [op for op in waveform.operations if start_ps < op.at_ps < offset_ps]
            operations = shifted(after, -start_ps) + shifted(shots[0].operations, offset_ps - start_ps)
            before_ps = self.before_pulse(waveform)[1]
            wait_ps = offset_ps - start_ps + shots[0].wait_ps
            self._operators[key] = self._spin.bright_operator(operations, wait_ps, before_ps)
        return self._operators[key]

    def histories(self, waveform: Waveform, first: int | None, second: int | None) -> Complex:
        """See `SpinModel.histories`: the spin right after the last optical pulse, where the last rotation refocuses it.

        The detuning's phase since the last rotation belongs into `herald_weights`. What the rotation before the last
        began, the last one turns back; the state is given as if the pulse came at the end of that.
        """
        key = ("histories", waveform.digest, first, second)
        if key not in self._operators:
            pulses = waveform.excitations
            stop_ps = pulses[-1].at_ps
            operations = waveform.operations[: waveform.operations.index(pulses[-1]) + 1]
            turns = [op.at_ps for op in operations if isinstance(op, Rotation)]
            turned_ps = turns[-1] - turns[-2] if len(turns) > 1 else 0
            frame_ps = turned_ps - (stop_ps - turns[-1]) if turns else 0
            self._operators[key] = self._spin.histories(operations, (first, second), stop_ps, frame_ps)
        return self._operators[key]

    def emission(self, waveform: Waveform, number: int) -> float:
        """P(a photon of one of the optical pulses of a pass), numbered from 0."""
        return float(np.einsum("aabbii->a", self.histories(waveform, number, None)).real[1])

    def herald_weights(self, jump: Jump, first: int | None, second: int | None) -> Complex | None:
        """What the branch's first readout finds, by the photons of two optical pulses of the last pass.

        None: the branch has no readout.

        Args:
            jump: into the branch.
            first: number of the pulse whose light fell into the first window; None: none did.
            second: of the second window.

        Returns:
            (2, 2, 2, 2, 2): "anything is found" and "bright is found"; photons as in `SpinModel.histories`.
        """
        shots = self.shots(jump.branch)
        if not shots:
            return None
        waveform = jump.segment.waveform
        offset_ps = jump.at_ps - jump.segment.start_ps - waveform.start_ps(jump.loop)
        key = ("weights", waveform.digest, offset_ps, jump.branch.key, first, second)
        if key not in self._operators:
            played = [op for op in waveform.operations if op.at_ps < offset_ps]
            operations = played + shifted(shots[0].operations, offset_ps)
            found = self._spin.histories(operations, (first, second), offset_ps + shots[0].wait_ps)
            self._operators[key] = np.stack([np.einsum("abcdii->abcd", found), found[..., 1, 1]])
        return self._operators[key]

    def stale_operator(self, jump: Jump) -> Complex | None:
        """The same for a spin that the click knows nothing of, on the state at the start of the last pass."""
        shots = self.shots(jump.branch)
        if not shots:
            return None
        offset_ps = jump.at_ps - jump.segment.start_ps - jump.segment.waveform.start_ps(jump.loop)
        key = ("stale", jump.segment.waveform.digest, offset_ps, jump.branch.key)
        if key not in self._operators:
            before = [
                op
                for op in jump.segment.waveform.operations
                if op.at_ps < offset_ps and not (isinstance(op, Light) and op.name == "readout_light")
            ]
            operations = before + shifted(shots[0].operations, offset_ps)
            self._operators[key] = self._spin.bright_operator(operations, offset_ps + shots[0].wait_ps)
        return self._operators[key]

    def chain(
        self, shots: Sequence[Shot], first_bright: NDArray[np.bool_], uniform: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Outcomes of all shots, given those of the first one.

        Args:
            shots: of one path.
            first_bright: shape (n,).
            uniform: shape (n, shots); the first column is not used.

        Returns:
            Shape (n, shots), true where bright is found.
        """
        found = np.empty((first_bright.size, len(shots)), dtype=np.bool_)
        found[:, 0] = bright = first_bright
        for number, shot in enumerate(shots[1:], start=1):
            operator = self.operator(shot)
            found[:, number] = bright = uniform[:, number] < np.where(
                bright, operator[1, 1].real, operator[0, 0].real
            )
        return found

    def counts(
        self, shots: Sequence[Shot], bright: NDArray[np.bool_], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Photon counts, shape (n, shots), of outcomes (n, shots)."""
        spin = self.truth.spin
        light = np.broadcast_to(np.array([shot.light_ps for shot in shots]), bright.shape)
        bright_rate, dark_rate = self._drive.scattering, self._drive.resonant
        if (bright_rate, dark_rate) != (1.0, 1.0):
            # A dark spin scatters none of the light; what is counted then grows with its power alone.
            light = light * np.where(bright, bright_rate, dark_rate)
        flat = readout_counts(
            bright.ravel(),
            spin.readout_fidelity_bright,
            spin.readout_fidelity_dark,
            light.ravel(),
            spin.readout_us * 1e6,
            generator,
        )
        return flat.reshape(bright.shape)

    def photon_times(
        self, shots: Sequence[Shot], counts: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(row, time from the path's start) of every photon, spread evenly over its light; rows ascending."""
        rows, numbers = counts.shape
        which = np.repeat(np.arange(rows * numbers), counts.ravel())
        start = np.array([shot.at_ps for shot in shots])[which % numbers]
        light = np.array([shot.light_ps for shot in shots])[which % numbers]
        times = start + (generator.random(which.size) * light).astype(np.int64)
        return which // numbers, times


def _shots(path: LinePath) -> list[Shot]:
    if not any(segment.waveform.readouts for segment in path.segments):
        return []
    shots: list[Shot] = []
    last_ps = 0
    pending: list[Operation] = []
    for segment in path.segments:
        for loop in range(segment.loops):
            start_ps = segment.start_ps + segment.waveform.start_ps(loop)
            for operation in segment.waveform.operations:
                if not (isinstance(operation, Light) and operation.name == "readout_light"):
                    pending += shifted([operation], start_ps - last_ps)
                    continue
                at_ps = start_ps + operation.at_ps
                shots.append(Shot(at_ps, operation.duration_ps, tuple(pending), at_ps - last_ps))
                pending = []
                last_ps = at_ps + operation.duration_ps
    return shots


def _key(operations: Sequence[Operation]) -> tuple[object, ...]:
    """Equal for operations that do the same at the same times."""
    return tuple(
        operation if isinstance(operation, Light) else (operation.at_ps, _content(operation))
        for operation in operations
    )


def _content(operation: Operation) -> object:
    unitary = getattr(operation, "unitary", None)
    return unitary.tobytes() if unitary is not None else operation
