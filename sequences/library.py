"""Rounds that are ready to play: heralding by single or double click, the midpoint's gates, readout calibration.

Conventions (they bind everything that interprets outcomes):

- 1 = bright, 0 = dark, Z = |0><0| - |1><1|. A node's raw outcome is +1 for bright and -1 for dark: it is -Z.
- A microwave pulse of phase phi and angle theta is R = exp(-i theta/2 (cos(phi) X + sin(phi) Y)), in the frame that
  rotates with the microwave; the alpha rotation has phase 0. Both nodes play it with the same phase, so that the
  state after a herald is psi+- = (|01> +- |10>)/sqrt2 whatever that phase is.
- X is read by R(pi/2, 90 deg) and Y by R(pi/2, 180 deg) before the readout: R^+ Z R is -X and -Y there, so the raw
  outcome is +X and +Y of the state in front of the rotation. Z is read without rotation: the raw outcome is -Z.
- The echo R(pi, 0) = -i X turns (X, Y, Z) into (X, -Y, -Z). Seen from the state before the echo the raw outcomes are
  therefore +X, -Y and +Z; without the echo they are +X, +Y and -Z. `NodeRound.signs` holds these signs: raw outcome
  times sign = Pauli eigenvalue of the state right after the herald.
- "D" and "E" are (Z + X)/sqrt2 and (Z - X)/sqrt2, the second node's settings of a Bell test. They are read by
  R(45 deg, 90 deg) and R(45 deg, 270 deg) behind the echo: R^+ Z R = Z cos(theta) - X sin(theta) about phase 90 deg, and
  the echo has turned Z over, so the raw outcomes are +D and +E. Without the echo the two rotations change places and
  the raw outcomes are -D and -E.
- Double click flips the spin inside the attempt, between its optical pulses. "Right after the herald" is behind that
  flip, so the signs are those of single click. Labels from before the first optical pulse are the other way round:
  joint flips keep psi+ and psi-, and exchange the populations of 00 and 11.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from drivers.roles import AwgLimits
from qnode.errors import MisuseError
from sequences._placed import Limits, grid_ps
from sequences.language import Round, Section, Train, ns
from sequences.shapes import Gaussian, Square
from sequences.wiring import Wiring

__all__ = [
    "BASES",
    "MidpointRound",
    "NodeRound",
    "NodeRoundParameters",
    "ReadoutCalibration",
    "RoundTiming",
    "ShotWindows",
    "heralding_node",
    "midpoint_round",
    "readout_calibration",
]

TRIGGER_PS = 100 * ns
CHARGE_GUARD_PS = 1_000 * ns
"""Dark time at the end of the charge slot: the modulator closes and the last fluorescence is out."""
PUMP_START_PS = 10 * ns
"""Not 0: the AWG holds the first sample of a line while it waits for the trigger, and that must be dark."""
PUMP_STOP_PS = 2_000 * ns
ENVELOPE = Gaussian(100 * ns, 20 * ns)
ROTATION_PS = 2_500 * ns
GATE_START_PS, GATE_STOP_PS = 2_980 * ns, 3_022 * ns
OPTICAL_PS = 3_000 * ns
OPTICAL = Square(2 * ns)
ECHO_PS = 100 * ns
"""Start of the echo's envelope in the branch."""
SWITCH_GUARD_PS = 20 * ns
"""The microwave switch is closed for so long before and after each envelope."""
READOUT_GAP_PS = 100 * ns
SMALLEST_SPACING_PS = 184 * ns
"""Two optical pulses further apart than this have room for an envelope with its switch between their gates."""
SHOT_READOUT_PS = ROTATION_PS + ENVELOPE.length_ps + READOUT_GAP_PS
SHOT_TAIL_PS = 300 * ns

BASES = "XYZDE"
"""Letters of the observables that a branch can read: D = (Z + X)/sqrt2, E = (Z - X)/sqrt2."""
_TURNS_WITH_ECHO = MappingProxyType({
    "X": (math.pi / 2, math.pi / 2),
    "Y": (math.pi / 2, math.pi),
    "D": (math.pi / 4, math.pi / 2),
    "E": (math.pi / 4, 3 * math.pi / 2),
})  # fmt: skip
"""Basis to angle and phase of its rotation; Z has none."""
_TURNS_WITHOUT_ECHO = MappingProxyType({
    **_TURNS_WITH_ECHO, "D": _TURNS_WITH_ECHO["E"], "E": _TURNS_WITH_ECHO["D"],
})  # fmt: skip
_SIGNS_WITH_ECHO = MappingProxyType({"X": 1, "Y": -1, "Z": 1, "D": 1, "E": 1})
_SIGNS_WITHOUT_ECHO = MappingProxyType({"X": 1, "Y": 1, "Z": -1, "D": -1, "E": -1})


@dataclass(frozen=True, slots=True)
class RoundTiming:
    """The slots of a round, in order: lead, charge, phase, attempts, branch, and a dark tail up to the period."""

    lead_ps: int
    """Dark time at the start; the daemon shifts a node's photons in time with it."""
    charge_ps: int
    phase_ps: int
    attempts: int
    attempt_period_ps: int
    branch_ps: int
    round_period_ps: int

    def __post_init__(self) -> None:
        """Refuse slots that don't fit."""
        slots = (self.lead_ps, self.charge_ps, self.phase_ps, self.branch_ps)
        if min(slots) < 0 or self.attempts < 1 or self.attempt_period_ps < 1:
            raise MisuseError(
                f"a slot of the round has a length below 0, or there is no attempt: {self}", hint="correct it"
            )
        if self.tail_ps < 0:
            raise MisuseError(
                f"the slots of the round need {self.round_period_ps - self.tail_ps} ps, but its period is "
                f"{self.round_period_ps} ps",
                hint=f"the smallest legal period is {self.round_period_ps - self.tail_ps} ps",
            )

    @property
    def train_start_ps(self) -> int:
        """Where attempt 0 starts in the round."""
        return self.lead_ps + self.charge_ps + self.phase_ps

    @property
    def tail_ps(self) -> int:
        """Dark time at the end."""
        return self.round_period_ps - self.train_start_ps - self.attempts * self.attempt_period_ps - self.branch_ps


@dataclass(frozen=True)
class NodeRoundParameters:
    """What a node's round is made from."""

    timing: RoundTiming
    bases: Sequence[str]
    """One of `BASES` for round 0, 1, ...; repeated from the start after the last one."""
    alpha: float
    """Bright-state population that each attempt prepares, from a bright start."""
    rabi_mhz_per_volt: float
    optical_pi_volt: float
    wiring: Wiring
    limits: Mapping[str, Limits]
    """Instrument to the limits of its model."""
    echo: bool = True
    """False leaves the echo out and everything else where it is; D and E then turn the other way."""
    optical_spacing_ps: int = 0
    """0: one optical pulse an attempt (single click). Else double click: a second one so much later, and a microwave
    pi in the middle between the two; whole nanoseconds, even."""
    repump_ps: int = 0
    """Repump light at the start of the charge slot, before the charge light."""
    readout_ps: int = 3_700 * ns


@dataclass(frozen=True)
class NodeRound:
    """A node's round, and what its daemon must know of time.

    Times are picoseconds after the rising edge of the round trigger at the pulser's output, unless they say
    otherwise, and hold for where things act: the wires to the qubit are in them, the wires from the
    qubit to a tagger are not.
    """

    round: Round
    bases: tuple[str, ...]
    signs: Mapping[str, int]
    """Basis to the factor that makes a raw outcome (bright +1, dark -1) a Pauli eigenvalue right after the herald."""
    trigger_edge_ps: int
    """The edge itself, after the start of the round at the pulser's output."""
    optical_centres_ps: tuple[int, ...]
    """Centre of each optical pulse of attempt 0, at the qubit. Attempt j: j attempt periods later."""
    attempt_end_ps: int
    """End of attempt 0 at the qubit. Attempt j: j attempt periods later."""
    charge_window_ps: tuple[int, int] | None
    """Start and stop of the charge light at the qubit: negative. None: the charge slot is empty."""
    readout_window_ps: tuple[int, int]
    """Start and stop of the readout light at the qubit, after the end of the attempt in which the herald came."""
    herald_earliest_ps: int
    """First moment at which the herald of attempt 0 may reach the AWG's event input (its waveform plays)."""
    herald_latest_ps: int
    """Last moment for that; later, the jump comes one attempt too late. Attempt j: j attempt periods later."""

    @property
    def optical_centre_ps(self) -> int:
        """Centre of the first optical pulse of attempt 0, at the qubit."""
        return self.optical_centres_ps[0]


@dataclass(frozen=True, slots=True)
class ShotWindows:
    """Readout windows of shots that repeat: shot m is read from ``start_ps + m * spacing_ps`` for ``length_ps``."""

    start_ps: int
    """After the rising edge of the round trigger at the pulser's output, at the qubit."""
    length_ps: int
    spacing_ps: int
    shots: int


@dataclass(frozen=True)
class ReadoutCalibration:
    """A round that measures the readout: pumped spins first, then pumped and flipped ones."""

    round: Round
    trigger_edge_ps: int
    bright: ShotWindows
    """[pump, readout]"""
    dark: ShotWindows
    """[pump, microwave pi, readout]"""


@dataclass(frozen=True)
class MidpointRound:
    """The midpoint's round. Times are picoseconds after the edge of the round trigger at the pulser's output."""

    round: Round
    trigger_edge_ps: int
    """The edge itself, after the start of the round at the pulser's output."""
    gates_ps: tuple[int, ...]
    """Where each gate really opens at the herald logic: as asked for, or less than a tick earlier."""
    width_ps: int


def heralding_node(parameters: NodeRoundParameters) -> NodeRound:
    """Heralding at a node, by single click or (``optical_spacing_ps``) by double click.

    Attempt: spin pump, alpha rotation, excitation gate, optical pulse, then the wait for the herald line. Double click
    has a microwave pi and a second gated optical pulse before the wait. Branch, from the end of the attempt in which
    the herald came: echo, basis rotation, readout light.

    A constant detuning must leave no phase at the basis rotation. Single click: the echo lies in the middle between
    alpha rotation and basis rotation. Double click, with the rotation at t0, the pi at t1, the echo at t2: the phase
    (t1 - t0) - (t2 - t1) + (t3 - t2) is zero for a basis rotation at t3 = 2 t2 - 2 t1 + t0 (centres).

    Raises:
        MisuseError: alpha outside (0, 1], an unknown basis, optical pulses too close together for the microwave pi, an
            attempt or branch that is too short (with the smallest legal one).
    """
    timing, wiring = parameters.timing, parameters.wiring
    _check_parameters(parameters)
    attempt = _attempt(parameters)
    branches = {basis: _branch(parameters, basis) for basis in dict.fromkeys(parameters.bases)}
    trains = tuple((Train(attempt, timing.attempts, branches[basis]),) for basis in parameters.bases)
    awg = wiring.output("optical_pulse").instrument
    limits = parameters.limits[awg]
    setup_ps = limits.event_to_output_ps if isinstance(limits, AwgLimits) else 0
    start_ps = wiring.trigger_delay_ps(awg)
    readout_ps = _readout_start_ps(parameters)
    first_ps = start_ps + wiring.reach_ps(awg)
    lag_ps = _acts_ps(parameters, "readout_light") - first_ps
    return NodeRound(
        round=Round(
            f"{'double' if parameters.optical_spacing_ps else 'single'}-click heralding",
            _timeline(parameters),
            "round_trigger",
            trains,
        ),
        bases=tuple(parameters.bases),
        signs=_SIGNS_WITH_ECHO if parameters.echo else _SIGNS_WITHOUT_ECHO,
        trigger_edge_ps=_trigger_edge_ps(parameters),
        optical_centres_ps=tuple(
            _acts_ps(parameters, "optical_pulse") + at_ps + OPTICAL.length_ps // 2
            for at_ps in _optical_ps(parameters)
        ),
        attempt_end_ps=first_ps + timing.attempt_period_ps,
        charge_window_ps=_charge_window_ps(parameters),
        readout_window_ps=(readout_ps + lag_ps, readout_ps + lag_ps + parameters.readout_ps),
        herald_earliest_ps=start_ps,
        herald_latest_ps=start_ps + timing.attempt_period_ps - setup_ps,
    )


def readout_calibration(parameters: NodeRoundParameters, shots: int | None = None) -> ReadoutCalibration:
    """Measure the readout: per round ``shots`` times [pump, readout], then as often [pump, microwave pi, readout].

    Args:
        parameters: the node's, as for heralding; the pulser plays the same, so that charge checks mean the same.
        shots: of each kind in a round; None: as many as fit in the place of attempts and branch.

    Raises:
        MisuseError: the shots don't fit, or there is none.
    """
    timing = parameters.timing
    shot_ps = SHOT_READOUT_PS + parameters.readout_ps + SHOT_TAIL_PS
    room = (timing.attempts * timing.attempt_period_ps + timing.branch_ps) // (2 * shot_ps)
    shots = room if shots is None else shots
    if not 1 <= shots <= room:
        raise MisuseError(
            f"a round has room for {room} calibration shots of each kind, not for {shots}",
            hint=f"ask for 1 to {room} shots" if room else f"make the attempt train longer than {2 * shot_ps} ps",
        )
    trains = tuple(
        Train(_shot(parameters, name, shot_ps, flip=flip), shots)
        for name, flip in (("bright", False), ("dark", True))
    )
    start_ps = _acts_ps(parameters, "readout_light") + SHOT_READOUT_PS
    windows = [ShotWindows(start_ps + first * shot_ps, parameters.readout_ps, shot_ps, shots) for first in (0, shots)]
    return ReadoutCalibration(
        round=Round("readout calibration", _timeline(parameters), "round_trigger", (trains,)),
        trigger_edge_ps=_trigger_edge_ps(parameters),
        bright=windows[0],
        dark=windows[1],
    )


def midpoint_round(
    timing: RoundTiming, wiring: Wiring, limits: Mapping[str, Limits], offsets_ps: Sequence[int], width_ps: int
) -> MidpointRound:
    """The midpoint's pulser: the round trigger (START of the time controller), and the gates.

    Args:
        timing: only the lead, charge and phase slot (which place the trigger) and the period are used.
        wiring: with the signals ``round_trigger`` and ``herald_gate``.
        limits: instrument to the limits of its model.
        offsets_ps: when each gate opens at the herald logic, after the trigger's edge at the pulser's output.
        width_ps: how long each gate is open.

    Raises:
        MisuseError: a gate that does not lie in the round.
    """
    tick_ps = grid_ps(limits[wiring.output("herald_gate").instrument])
    timeline = Section("round", timing.round_period_ps)
    timeline.on("round_trigger", at_ps=timing.train_start_ps, length_ps=TRIGGER_PS, name="round trigger")
    edge_ps = timing.train_start_ps + wiring.shift_ps("round_trigger", tick_ps)
    late_ps = wiring.shift_ps("herald_gate", tick_ps) + wiring.output("herald_gate").delay_ps
    gates_ps = []
    for number, offset_ps in enumerate(offsets_ps):
        at_ps = (edge_ps + offset_ps - late_ps) // tick_ps * tick_ps
        timeline.on("herald_gate", at_ps=at_ps, length_ps=width_ps, name=f"gate {number}")
        gates_ps.append(at_ps + late_ps - edge_ps)
    return MidpointRound(Round("herald gates", timeline), edge_ps, tuple(gates_ps), width_ps)


def _check_parameters(parameters: NodeRoundParameters) -> None:
    if not 0 < parameters.alpha <= 1:
        raise MisuseError(f"a bright-state population of {parameters.alpha}", hint="it lies above 0 and at most at 1")
    if not parameters.bases:
        raise MisuseError("a round without bases", hint="give a basis for at least one round")
    for number, basis in enumerate(parameters.bases):
        if basis not in _SIGNS_WITH_ECHO:
            hint = f"a basis is one of {', '.join(BASES)}"
            raise MisuseError(f"round {number} is to be read in basis {basis!r}", hint=hint)
    spacing_ps = parameters.optical_spacing_ps
    if spacing_ps and (spacing_ps < SMALLEST_SPACING_PS or spacing_ps % (2 * ns)):
        raise MisuseError(
            f"optical pulses {spacing_ps} ps apart leave no place for the microwave pi between them",
            hint=f"give at least {SMALLEST_SPACING_PS} ps, an even number of nanoseconds",
        )
    shortest_ps = GATE_STOP_PS + spacing_ps
    if parameters.timing.attempt_period_ps < shortest_ps:
        raise MisuseError(
            f"an attempt of {parameters.timing.attempt_period_ps} ps ends before its optical pulse is over",
            hint=f"the smallest legal attempt period is {shortest_ps} ps",
        )
    needed_ps = _readout_start_ps(parameters) + parameters.readout_ps
    if needed_ps > parameters.timing.branch_ps:
        raise MisuseError(
            f"echo, basis rotation and readout need a branch of {needed_ps} ps, but it is "
            f"{parameters.timing.branch_ps} ps long",
            hint=f"the smallest legal branch is {needed_ps} ps; it grows with the attempt period",
        )


def _timeline(parameters: NodeRoundParameters) -> Section:
    timing = parameters.timing
    timeline = Section("round", timing.round_period_ps)
    at_ps, light_ps = _charge_light_ps(parameters)
    if parameters.repump_ps:
        timeline.on("repump_light", at_ps=timing.lead_ps, length_ps=parameters.repump_ps, name="repump")
    if light_ps:
        timeline.on("charge_light", at_ps=at_ps, length_ps=light_ps, name="charge check")
    timeline.on("round_trigger", at_ps=timing.train_start_ps, length_ps=TRIGGER_PS, name="round trigger")
    return timeline


def _charge_light_ps(parameters: NodeRoundParameters) -> tuple[int, int]:
    """Start in the round and length of the charge light."""
    timing = parameters.timing
    if timing.charge_ps == 0:
        return timing.lead_ps, 0
    light_ps = timing.charge_ps - CHARGE_GUARD_PS - parameters.repump_ps
    if light_ps <= 0:
        needed_ps = CHARGE_GUARD_PS + parameters.repump_ps
        raise MisuseError(
            f"a charge slot of {timing.charge_ps} ps leaves no time for the charge light",
            hint=f"make it longer than {needed_ps} ps, or 0 to leave the charge check out",
        )
    return timing.lead_ps + parameters.repump_ps, light_ps


def _attempt(parameters: NodeRoundParameters) -> Section:
    attempt = Section("attempt", parameters.timing.attempt_period_ps)
    _pump(attempt)
    angle_rad = 2 * math.acos(math.sqrt(parameters.alpha))
    _rotate(attempt, parameters, "alpha rotation", ROTATION_PS, angle_rad, 0.0)
    for number, at_ps in enumerate(_optical_ps(parameters)):
        later_ps, again = at_ps - OPTICAL_PS, " 2" if number else ""
        attempt.on(
            "excitation_gate",
            at_ps=GATE_START_PS + later_ps,
            length_ps=GATE_STOP_PS - GATE_START_PS,
            name=f"excitation gate{again}",
        )
        attempt.play(
            "optical_pulse",
            OPTICAL,
            at_ps=at_ps,
            amplitude_v=parameters.optical_pi_volt,
            name=f"optical pulse{again}",
        )
    if parameters.optical_spacing_ps:
        _rotate(attempt, parameters, "microwave pi", _flip_ps(parameters), math.pi, 0.0)
    return attempt


def _optical_ps(parameters: NodeRoundParameters) -> tuple[int, ...]:
    """Start of each optical pulse in the attempt."""
    spacing_ps = parameters.optical_spacing_ps
    return (OPTICAL_PS, OPTICAL_PS + spacing_ps) if spacing_ps else (OPTICAL_PS,)


def _flip_ps(parameters: NodeRoundParameters) -> int:
    """Start of double click's microwave pi in the attempt."""
    return OPTICAL_PS + (parameters.optical_spacing_ps - ENVELOPE.length_ps) // 2


def _branch(parameters: NodeRoundParameters, basis: str) -> Section:
    branch = Section(f"branch {basis}", parameters.timing.branch_ps)
    if parameters.echo:
        _rotate(branch, parameters, "echo", ECHO_PS, math.pi, 0.0)
    turns = _TURNS_WITH_ECHO if parameters.echo else _TURNS_WITHOUT_ECHO
    if basis in turns:
        _rotate(branch, parameters, f"basis {basis}", _basis_ps(parameters), *turns[basis])
    branch.on(
        "readout_light", at_ps=_readout_start_ps(parameters), length_ps=parameters.readout_ps, name="readout light"
    )
    return branch


def _shot(parameters: NodeRoundParameters, name: str, length_ps: int, *, flip: bool) -> Section:
    shot = Section(f"{name} shot", length_ps)
    _pump(shot)
    if flip:
        _rotate(shot, parameters, "flip", ROTATION_PS, math.pi, 0.0)
    shot.on("readout_light", at_ps=SHOT_READOUT_PS, length_ps=parameters.readout_ps, name="readout light")
    return shot


def _pump(section: Section) -> None:
    section.on("spin_pump", at_ps=PUMP_START_PS, length_ps=PUMP_STOP_PS - PUMP_START_PS, name="spin pump")


def _rotate(
    section: Section, parameters: NodeRoundParameters, name: str, at_ps: int, angle_rad: float, phase_rad: float
) -> None:
    section.rotate(
        "microwave",
        angle_rad,
        at_ps=at_ps,
        shape=ENVELOPE,
        rabi_mhz_per_volt=parameters.rabi_mhz_per_volt,
        phase_rad=phase_rad,
        name=name,
    )
    section.on(
        "microwave_switch",
        at_ps=at_ps - SWITCH_GUARD_PS,
        length_ps=ENVELOPE.length_ps + 2 * SWITCH_GUARD_PS,
        name=f"switch for {name}",
    )


def _basis_ps(parameters: NodeRoundParameters) -> int:
    """Start of the basis rotation in the branch: where a constant detuning has left no phase (`heralding_node`)."""
    period_ps = parameters.timing.attempt_period_ps
    if parameters.optical_spacing_ps:
        return 2 * ECHO_PS + period_ps - 2 * _flip_ps(parameters) + ROTATION_PS
    return 2 * ECHO_PS + period_ps - ROTATION_PS


def _readout_start_ps(parameters: NodeRoundParameters) -> int:
    return _basis_ps(parameters) + ENVELOPE.length_ps + READOUT_GAP_PS


def _grid_ps(parameters: NodeRoundParameters, signal: str) -> int:
    return grid_ps(parameters.limits[parameters.wiring.output(signal).instrument])


def _trigger_edge_ps(parameters: NodeRoundParameters) -> int:
    shift_ps = parameters.wiring.shift_ps("round_trigger", _grid_ps(parameters, "round_trigger"))
    return parameters.timing.train_start_ps + shift_ps


def _acts_ps(parameters: NodeRoundParameters, signal: str) -> int:
    """When what a train's section has at 0 on a signal acts, after the trigger's edge at the pulser's output."""
    output = parameters.wiring.output(signal)
    shift_ps = parameters.wiring.shift_ps(signal, _grid_ps(parameters, signal))
    return parameters.wiring.trigger_delay_ps(output.instrument) + shift_ps + output.delay_ps


def _charge_window_ps(parameters: NodeRoundParameters) -> tuple[int, int] | None:
    at_ps, light_ps = _charge_light_ps(parameters)
    if not light_ps:
        return None
    shift_ps = parameters.wiring.shift_ps("charge_light", _grid_ps(parameters, "charge_light"))
    delay_ps = parameters.wiring.output("charge_light").delay_ps
    start_ps = at_ps + shift_ps + delay_ps - _trigger_edge_ps(parameters)
    return start_ps, start_ps + light_ps
