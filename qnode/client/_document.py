"""The pairs of a run as a JSON document."""

from __future__ import annotations

from typing import Any

from qnode.client._pairs import Pairs
from qnode.labfile import Link

__all__ = ["pairs_document"]


def pairs_document(result: Pairs, link: Link, simulated: list[str]) -> dict[str, Any]:
    """What is kept of a run as its result, and printed with ``--json``: plain values, see docs/reference/commands.md.

    Args:
        result: the pairs.
        link: where they came from.
        simulated: ``site.instrument`` of all that were simulated.
    """
    sums = {party: dict(answer.get("slots", {})) for party, answer in result.accounting.items()}
    mine = sums.get(link.via, {})
    tried = sum(mine.get(name, 0) for name in ("failed", "heralded", "vetoed"))
    fidelity = result.fidelity
    p = len(result) / tried if tried else 0.0
    return {
        "run": result.run_id,
        "link": result.link,
        "ended": result.ended,
        "heralds": len(result),
        "attempts": tried,
        "rounds": result.rounds,
        "seconds": result.seconds,
        "p_herald": p,
        "p_herald_err": (p * (1 - p) / tried) ** 0.5 if tried else 0.0,
        "rate_hz": result.rate_hz,
        "rate_hz_err": result.rate_hz_err,
        "fidelity": None if fidelity is None else fidelity.value,
        "fidelity_err": None if fidelity is None else fidelity.error,
        "bell_states": {
            bell: {
                "heralds": estimate.heralds,
                "fidelity": None if estimate.fidelity is None else estimate.fidelity.value,
                "fidelity_err": None if estimate.fidelity is None else estimate.fidelity.error,
                "correlators": {
                    name: {"value": c.value, "error": c.error} for name, c in estimate.correlators.items()
                },
                "populations": {
                    label: {"value": p.value, "error": p.error} for label, p in estimate.populations.items()
                },
            }
            for bell, estimate in result.bells().items()
        },
        "readout": {
            readout.node: {
                "bright": {"value": readout.bright.value, "error": readout.bright.error},
                "dark": {"value": readout.dark.value, "error": readout.dark.error},
            }
            for readout in result.readouts() or ()
        },
        "accounting": sums,
        "reasons": {party: answer.get("reasons", {}) for party, answer in result.accounting.items()},
        "tags": {party: answer.get("tags", {}) for party, answer in result.accounting.items()},
        "expired": result.expired,
        "heralds_sha256": result.sha256(),
        "plans": result.accounting.get(link.via, {}).get("plans", []),
        "notes": result.notes,
        "simulated": simulated,
    }
