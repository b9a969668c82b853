"""Heralds sampled from the programs that are uploaded right now, with ideal readout: the world's prediction."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from qnode.errors import MisuseError
from qnode.labfile import Link
from simulators.world.link import ClickMaps
from simulators.world.node_player import AwgState
from simulators.world.sampling import skip_to_heralds
from simulators.world.stage import Member, Stage
from simulators.world.world_context import WorldContext

__all__ = ["Estimate", "sample_link"]

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
    skips, patterns = _heralds(maps, heralds, rng)
    attempts = float(skips.sum()) + heralds
    p_herald = heralds / attempts
    plus = 1 if _psi_plus(context, link) == "det1" else 2
    correlators: dict[str, tuple[float, float]] = {}
    populations: dict[str, Estimate] = {}
    for number, basis in enumerate("XYZ"):
        part = slice(number * heralds // 3, (number + 1) * heralds // 3)
        outcomes, heralded = _measure(maps, patterns[part], basis, rng)
        product = np.where((outcomes == 0) | (outcomes == 3), 1.0, -1.0)
        if basis != "Z":
            product *= np.where(heralded == plus, 1.0, -1.0)
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


def _maps(context: WorldContext, link: Link) -> tuple[ClickMaps, bool]:
    """The maps of the first gate, with the programs as they are; and whether the link's first node is at input 2."""
    members = {
        name: Member.started(sim, playback, 0)
        for name, sim in context.instruments.pulsers.items()
        if (playback := sim.playback).duration_ps.size and playback.state != "off"
    }
    station = next((s for s in context.stations if s.site == link.via), None)
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
    maps = gated.maps_at(gated.gates // 2)
    if maps.probability[1] + maps.probability[2] <= 0:
        raise MisuseError(
            f"link {link.name}: the uploaded programs never herald", hint="check light, gates and wires"
        )
    first = station.ports[0]
    return maps, first is not None and first.node != link.between[0]


def _psi_plus(context: WorldContext, link: Link) -> str:
    return next(s.psi_plus_on for s in context.stations if s.site == link.via)


def _heralds(maps: ClickMaps, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Attempts that failed before each herald, vetoed ones (both detectors) counted as failed; and the patterns."""
    skips = np.zeros(0)
    patterns = np.zeros(0, dtype=np.uint8)
    carried = 0.0
    while patterns.size < count:
        skip, pattern = skip_to_heralds(maps.probability, count - patterns.size + 16, rng)
        total = np.cumsum(skip + 1.0) + carried
        single = pattern != 3
        ends = total[single]
        between = np.diff(np.concatenate([[0.0], ends])) - 1 if ends.size else np.zeros(0)
        carried = float(total[-1] - (ends[-1] if ends.size else 0.0))
        skips = np.concatenate([skips, between])
        patterns = np.concatenate([patterns, pattern[single]])
    return skips[:count], patterns[:count]


def _measure(
    maps: ClickMaps, patterns: NDArray[np.uint8], basis: str, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """One outcome a herald, 0..3, first qubit's digit first; in basis Z the digits are dark (0) and bright (1).

    And the patterns, since a phase that is known now may change which of the two detectors clicked.
    """
    _, vectors = np.linalg.eigh(-PAULI[basis])
    bras = np.kron(vectors, vectors)
    # <a| rho |a> as one matrix product: projectors, transposed and flattened.
    projectors = np.einsum("ja,ia->ija", bras, bras.conj()).reshape(16, 4)
    outcomes = np.empty(patterns.size, dtype=np.int64)
    clicked = np.empty_like(patterns)
    for start in range(0, patterns.size, CHUNK):
        part = patterns[start : start + CHUNK]
        phase = rng.normal(0.0, maps.phase_rms_rad, part.size)
        part = maps.pattern_given_phase(part, phase, rng.random(part.size))
        chances = (maps.post_state(part, phase).reshape(part.size, 16) @ projectors).real
        total = np.cumsum(chances, axis=1)
        uniform = rng.random(part.size) * total[:, -1]
        outcomes[start : start + CHUNK] = (uniform[:, np.newaxis] >= total[:, :3]).sum(axis=1)
        clicked[start : start + CHUNK] = part
    return outcomes, clicked


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
