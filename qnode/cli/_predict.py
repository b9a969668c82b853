"""``qnode predict``: the closed forms, and beside them heralds sampled from what the drivers uploaded."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.analysis import herald_rate_hz
from qnode.analysis import predict as closed_forms
from qnode.cli._lab import load
from qnode.clock import connect_clock
from qnode.daemons import upload_programs
from qnode.labfile import Lab, Link, load_world

__all__ = ["predict"]


def predict(lab_path: Path, monte_carlo: int, seed: int | None, data: Path | None, as_json: bool) -> None:
    """Print what the physics says of each link."""
    world = load_world(lab_path)
    lab, folder = load(lab_path, data)
    links = {name: link.as_dict() for name, link in closed_forms(lab, world).items()}
    if monte_carlo:
        for name, sampled in asyncio.run(_sample(lab_path, lab, folder, monte_carlo, seed)).items():
            links[name].update(sampled)
    if as_json:
        sys.stdout.write(json.dumps({"links": links}) + "\n")
        return
    for name, numbers in links.items():
        Console().print(_table(name, numbers))


async def _sample(
    lab_path: Path, lab: Lab, folder: Path, heralds: int, seed: int | None
) -> dict[str, dict[str, Any]]:
    """Start the simulators here, upload over their sockets as the daemons would, and let the world play."""
    from simulators.lab import SimulatedLab, monte_carlo

    simulated = SimulatedLab(lab_path, folder, seed=seed)
    await simulated.start()
    # Lab time stands still meanwhile: a pulse per second would start what was only to be looked at.
    clock = await connect_clock(next(iter(lab.clocks.values())).lab_time, "predict")
    await clock.release(await clock.now_ps())
    try:
        sampled = {}
        for link in lab.links:
            await upload_programs(lab_path, lab, link, folder)
            estimates = await asyncio.to_thread(monte_carlo, simulated, link.name, heralds)
            sampled[link.name] = _flat(link, estimates)
        return sampled
    finally:
        await clock.close()
        await simulated.stop()


def _flat(link: Link, estimates: dict[str, Any]) -> dict[str, Any]:
    """Estimates under the names of the closed form with ``_mc`` and ``_mc_err``; rates follow from p."""
    p, p_err = estimates["p_herald"]["value"], estimates["p_herald"]["error"]
    period_s = link.attempt_period_ps * 1e-12
    per_p = link.round.attempts * (1 - p) ** (link.round.attempts - 1) / (link.round_period_ps * 1e-12)
    flat = {
        "rate_attempting_hz_mc": p / period_s,
        "rate_attempting_hz_mc_err": p_err / period_s,
        "rate_hz_mc": herald_rate_hz(p, link.round.attempts, link.round_period_ps),
        "rate_hz_mc_err": per_p * p_err,
        "populations_mc": {label: one["value"] for label, one in estimates["populations"].items()},
        "populations_mc_err": {label: one["error"] for label, one in estimates["populations"].items()},
    }
    for name in ("p_herald", "fidelity", "chsh_s", "chsh_s_max"):
        flat[f"{name}_mc"] = estimates[name]["value"]
        flat[f"{name}_mc_err"] = estimates[name]["error"]
    return flat


def _table(name: str, numbers: dict[str, Any]) -> Table:
    table = Table(title=name)
    table.add_column("")
    table.add_column("closed form", justify="right")
    sampled = "p_herald_mc" in numbers
    if sampled:
        table.add_column("sampled from the uploaded programs", justify="right")
    flat = {
        key: value
        for key, value in numbers.items()
        if not isinstance(value, dict) and not key.endswith(("_mc", "_err"))
    }
    for key, value in flat.items():
        cells = [f"{value:.6g}"]
        # The state is sampled, not its readout.
        if f"{key}_mc" in numbers:
            cells.append(f"{numbers[f'{key}_mc']:.6g} ± {numbers[f'{key}_mc_err']:.2g}")
        table.add_row(key, *cells)
    for label, value in numbers["populations"].items():
        cells = [f"{value:.6g}"]
        if sampled:
            cells.append(f"{numbers['populations_mc'][label]:.6g} ± {numbers['populations_mc_err'][label]:.2g}")
        table.add_row(f"population {label}", *cells)
    return table
