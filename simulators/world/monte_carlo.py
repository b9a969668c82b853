"""Heralds sampled from the programs that are uploaded right now, with ideal readout: the world's prediction."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from qnode.errors import MisuseError
from qnode.labfile import Link
from simulators.world.double_click import PATTERNS, DoubleClickMaps
from simulators.world.link import ClickMaps
from simulators.world.node_player import AwgState
from simulators.world.sampling import skip_to_heralds
from simulators.world.stage import Member, Stage
from simulators.world.world_context import WorldContext

__all__ = ["Estimate", "sample_link"]

Complex = NDArray[np.complex128]

CHUNK = 50_000
"""States in memory at once."""

Estimate = dict[str, float]
"""``value`` and ``error``, one standard error."""

PAULI = {
    "X": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "Y": np.array([[0, -1j], [1j, 0]], dtype=np.complex128),
    "Z": np.array([[1, 0], [0, -1]], dtype=np.complex128),
}


def sample_link(context: WorldContext, link: Link, heralds: int, rng: np.random.Generator) -> dict[str, object]:
    """Sample heralds of one link: click by click, the pair's state at a drawn phase, one Born-rule outcome each.

    A third of the heralds is measured in each of the bases X, Y and Z, in the pair's state right after the click.

    Args:
        context: a context of its own, with the running instruments: its sequencers are at line 1.
        link: which link.
        heralds: how many, at least 300.
        rng: generator.

    Returns:
        ``p_herald``, ``fidelity``, ``chsh_s``, ``chsh_s_max`` and ``populations`` (by ``00``.. ``11``), each with
        ``value`` and ``error``.

    Raises:
        MisuseError: too few heralds, or programs that never herald.
    """
    if heralds < 300:
        raise MisuseError(f"{heralds} heralds are too few for an estimate in three bases", hint="ask for 300 or more")
    maps, swapped = _maps(context, link)
    clicks = _DoubleClick(maps) if isinstance(maps, DoubleClickMaps) else _SingleClick(maps, _psi_plus(context, link))
    if clicks.chances[1] + clicks.chances[2] <= 0:
        raise MisuseError(
            f"link {link.name}: the uploaded programs never herald", hint="check light, gates and wires"
        )
    skips, patterns = _heralds(clicks.chances, heralds, rng)
    attempts = float(skips.sum()) + heralds
    p_herald = heralds / attempts
    correlators: dict[str, tuple[float, float]] = {}
    populations: dict[str, Estimate] = {}
    for number, basis in enumerate("XYZ"):
        part = slice(number * heralds // 3, (number + 1) * heralds // 3)
        outcomes, plus = _measure(clicks, patterns[part], basis, rng)
        product = np.where((outcomes == 0) | (outcomes == 3), 1.0, -1.0)
        if basis != "Z":
            product *= np.where(plus, 1.0, -1.0)
        else:
            populations = _populations(outcomes, swapped)
        mean = float(product.mean())
        correlators[basis] = (mean, sqrt(max(1 - mean**2, 0.0) / product.size))
    return {
        "p_herald": {"value": p_herald, "error": p_herald * sqrt((1 - p_herald) / heralds)},
        "populations": populations,
        "fidelity": _fidelity(correlators),
        "chsh_s": _chsh(correlators, ("X", "Z"), sqrt(2)),
        "chsh_s_max": _chsh_max(correlators),
    }


class _SingleClick:
    """Heralds of a single click: pattern 1 or 2; 3 is vetoed."""

    def __init__(self, maps: ClickMaps, psi_plus_on: str) -> None:
        self._maps = maps
        self._plus = 1 if psi_plus_on == "det1" else 2
        self.chances = maps.probability
        """(4,): of none, of the two kinds of heralds, of a vetoed pattern, in one attempt."""

    def states(self, kind: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Complex, NDArray[np.bool_]]:
        """(n, 4, 4) states of heralds of the kinds 1 and 2 at drawn phases, and which of them herald psi+.

        A phase that is known now may change which of the two detectors clicked.
        """
        phase = rng.normal(0.0, self._maps.phase_rms_rad, kind.size)
        pattern = self._maps.pattern_given_phase(kind, phase, rng.random(kind.size))
        return self._maps.post_state(pattern, phase), pattern == self._plus


class _DoubleClick:
    """Heralds of a double click: kind 1 the same detector twice (psi+), 2 different ones; 3 is vetoed."""

    _members = np.array([[0, 0], [0b0101, 0b1010], [0b0110, 0b1001]], dtype=np.uint8)

    def __init__(self, maps: DoubleClickMaps) -> None:
        self._maps = maps
        patterns = np.arange(PATTERNS)
        both = maps.probability[(patterns & 3 > 0) & (patterns >> 2 > 0)].sum()
        same, other = (float(maps.probability[members].sum()) for members in self._members[1:])
        self.chances = np.array([1 - both, same, other, max(both - same - other, 0.0)])
        """See `_SingleClick.chances`; a click in one window only counts as none."""

    def states(self, kind: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Complex, NDArray[np.bool_]]:
        """See `_SingleClick.states`."""
        pair = self._members[kind]
        chance = self._maps.probability[pair]
        second = rng.random(kind.size) * chance.sum(axis=1) >= chance[:, 0]
        pattern = np.where(second, pair[:, 1], pair[:, 0])
        normal = rng.normal(0.0, self._maps.phase_rms_rad, (kind.size, 2))
        kept = self._maps.phase_correlation
        normal[:, 1] = kept * normal[:, 0] + sqrt(1 - kept**2) * normal[:, 1]
        pattern = self._maps.pattern_given_phase(pattern, normal, rng.random(kind.size))
        return self._maps.post_state(pattern, normal), np.isin(pattern, self._members[1])


def _maps(context: WorldContext, link: Link) -> tuple[ClickMaps | DoubleClickMaps, bool]:
    """The maps of the middle gate or pair, with the programs as they are; whether the link's first node is at input 2."""
    members = {
        name: Member.started(sim, playback, 0)
        for name, sim in context.instruments.pulsers.items()
        if (playback := sim.playback).duration_ps.size and playback.state != "off"
    }
    station = next((s for s in context.supplies.now().stations if s.site == link.via), None)
    if not members or station is None:
        raise MisuseError(f"link {link.name}: no program is uploaded", hint="upload the sequences first")
    for name, awg in context.instruments.awgs.items():
        context.awg_states[name] = AwgState()
        context.awg_states[name].watch(awg.playback, False)
    # Each pulser starts where its own PPS wire lets it.
    for name, member in members.items():
        source = context.wiring.source(f"{name}.trigger")
        member.start_ps = source[1] if source is not None else 0
    stage = Stage(context, members, 0, 0)
    classes = [0, 0]
    for port, channel in enumerate(station.ports):
        player = stage.nodes.get(channel.node) if channel is not None else None
        if player is not None:
            classes[port] = int(player.plan(np.zeros(1, dtype=np.int64))[1][0])
    gated = stage.link(station, (classes[0], classes[1]))
    if not gated.gates:
        raise MisuseError(f"link {link.name}: no gate opens at {link.via}", hint="upload the midpoint's sequence")
    maps = gated.maps_at(gated.tries // 2)
    first = station.ports[0]
    return maps, first is not None and first.node != link.between[0]


def _psi_plus(context: WorldContext, link: Link) -> str:
    return next(s.psi_plus_on for s in context.supplies.now().stations if s.site == link.via)


def _heralds(
    chances: NDArray[np.float64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Attempts that failed before each herald, vetoed ones counted as failed; and the kinds of the heralds."""
    skips = np.zeros(0)
    patterns = np.zeros(0, dtype=np.uint8)
    carried = 0.0
    while patterns.size < count:
        skip, pattern = skip_to_heralds(chances, count - patterns.size + 16, rng)
        total = np.cumsum(skip + 1.0) + carried
        single = pattern != 3
        ends = total[single]
        between = np.diff(np.concatenate([[0.0], ends])) - 1 if ends.size else np.zeros(0)
        carried = float(total[-1] - (ends[-1] if ends.size else 0.0))
        skips = np.concatenate([skips, between])
        patterns = np.concatenate([patterns, pattern[single]])
    return skips[:count], patterns[:count]


def _measure(
    clicks: _SingleClick | _DoubleClick, kinds: NDArray[np.uint8], basis: str, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """One outcome a herald, 0..3, first qubit's digit first; in basis Z the digits are dark (0) and bright (1).

    And which of the heralds announce psi+.
    """
    _, vectors = np.linalg.eigh(-PAULI[basis])
    bras = np.kron(vectors, vectors)
    # <a| rho |a> as one matrix product: projectors, transposed and flattened.
    projectors = np.einsum("ja,ia->ija", bras, bras.conj()).reshape(16, 4)
    outcomes = np.empty(kinds.size, dtype=np.int64)
    plus = np.empty(kinds.size, dtype=np.bool_)
    for start in range(0, kinds.size, CHUNK):
        part = kinds[start : start + CHUNK]
        states, plus[start : start + CHUNK] = clicks.states(part, rng)
        chances = (states.reshape(part.size, 16) @ projectors).real
        total = np.cumsum(chances, axis=1)
        uniform = rng.random(part.size) * total[:, -1]
        outcomes[start : start + CHUNK] = (uniform[:, np.newaxis] >= total[:, :3]).sum(axis=1)
    return outcomes, plus


def _populations(outcomes: NDArray[np.int64], swapped: bool) -> dict[str, Estimate]:
    counts = np.bincount(outcomes, minlength=4)
    names = ("00", "10", "01", "11") if swapped else ("00", "01", "10", "11")
    return {name: _share(int(count), outcomes.size) for name, count in sorted(zip(names, counts, strict=True))}


def _share(count: int, total: int) -> Estimate:
    """A share with its error; one count is added on each side, so that no count at all is not taken for certain."""
    likely = (count + 1) / (total + 2)
    return {"value": count / total, "error": sqrt(likely * (1 - likely) / total)}


def _fidelity(correlators: dict[str, tuple[float, float]]) -> Estimate:
    """F = (1 + XX + YY - ZZ) / 4, XX and YY with the herald's sign."""
    (xx, error_x), (yy, error_y), (zz, error_z) = (correlators[basis] for basis in "XYZ")
    return {"value": (1 + xx + yy - zz) / 4, "error": sqrt(error_x**2 + error_y**2 + error_z**2) / 4}


def _chsh(correlators: dict[str, tuple[float, float]], bases: tuple[str, str], scale: float) -> Estimate:
    """S at fixed settings: Z and X against (Z +- X) / sqrt(2)."""
    values = [correlators[basis] for basis in bases]
    return {
        "value": scale * sum(abs(value) for value, _ in values),
        "error": scale * sqrt(sum(error**2 for _, error in values)),
    }


def _chsh_max(correlators: dict[str, tuple[float, float]]) -> Estimate:
    """The largest S over all settings: 2 sqrt(c1^2 + c2^2) with the two largest correlators (Horodecki 1995).

    Single-click states have a correlation matrix that is diagonal in X, Y, Z.
    """
    (a, error_a), (b, error_b) = sorted(correlators.values(), key=lambda c: -abs(c[0]))[:2]
    size = sqrt(a**2 + b**2)
    return {"value": 2 * size, "error": 2 * sqrt((a * error_a) ** 2 + (b * error_b) ** 2) / max(size, 1e-12)}
