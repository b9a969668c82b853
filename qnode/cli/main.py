"""``qnode``: the commands and their options. Bodies live in one module a command and are imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qnode.cli._usage import OneLineGroup
from qnode.cli.tags import app as tags_app

app = typer.Typer(
    name="qnode",
    cls=OneLineGroup,
    help="Control stack for quantum-network nodes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
run_app = typer.Typer(help="Run an experiment on a lab; a simulated lab is brought up for it.", no_args_is_help=True)
keys_app = typer.Typer(help="Keys of the bus; a lab that is all on loopback makes its own.", no_args_is_help=True)
app.add_typer(run_app, name="run")
app.add_typer(keys_app, name="keys")
app.add_typer(tags_app, name="tags")

LabFile = Annotated[Path, typer.Argument(metavar="LAB", help="Lab file.")]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Data folder instead of the lab file's.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the simulated world, instead of the lab file's.", min=0)]
Speed = Annotated[str | None, typer.Option(help="1: real time; max: as fast as the computer; any factor.")]
Lifeline = Annotated[int | None, typer.Option("--lifeline-fd", hidden=True)]
Notify = Annotated[int | None, typer.Option("--notify-fd", hidden=True)]
Gate = Annotated[int | None, typer.Option("--gate-fd", hidden=True)]


def _guard(command: Any, *args: Any, **kwargs: Any) -> None:
    from qnode.cli._exit import run_command

    run_command(command, *args, **kwargs)


@app.command()
def demo(
    lab: Annotated[
        Path | None, typer.Argument(metavar="[LAB]", help="Lab file in place of the one that comes along.")
    ] = None,
    heralds: Annotated[int, typer.Option(help="Settled heralds wanted.", min=1)] = 800,
    seed: Seed = None,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """A whole simulated lab, entangled pairs in real time, a report: nothing to prepare."""
    from qnode.cli import _demo

    _guard(_demo.demo, lab, heralds, seed, data, json)


@app.command()
def new(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to.")],
    example: Annotated[str, typer.Option(help="Which of the lab files that come along.")] = "two_nodes",
) -> None:
    """Copy a lab file that comes along, to be changed."""
    from qnode.cli import _examples

    _guard(_examples.new, path, example)


@run_app.command()
def heralding(
    lab: LabFile,
    heralds: Annotated[int, typer.Option(help="Settled heralds wanted.", min=1)] = 500,
    link: Annotated[str | None, typer.Option(help="Link; needed where the lab has several.")] = None,
    seed: Seed = None,
    speed: Speed = None,
    credit: Annotated[int, typer.Option(help="Rounds that simulated lab time may run ahead.", min=1)] = 1024,
    echo: Annotated[bool, typer.Option(help="Leave the echo out of the branch with --no-echo.")] = True,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Herald entanglement on a link and measure its fidelity."""
    from qnode.cli import _run

    _guard(_run.heralding, lab, heralds, link, seed, speed, credit, echo, data, json)


@run_app.command()
def bell(
    lab: LabFile,
    trials: Annotated[int, typer.Option(help="Heralds that count, fixed beforehand.", min=1)] = 500,
    link: Annotated[str | None, typer.Option(help="Link; needed where the lab has several.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the nodes' bases and of the simulated world.", min=0)
    ] = None,
    speed: Speed = None,
    credit: Annotated[int, typer.Option(help="Rounds that simulated lab time may run ahead.", min=1)] = 1024,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Bell test on a link: CHSH with bases that each node draws for itself."""
    from qnode.cli import _bell

    _guard(_bell.bell, lab, trials, link, seed, speed, credit, data, json)


@app.command()
def check(
    lab: LabFile,
    online: Annotated[bool, typer.Option("--online", help="Also ask the instruments and daemons.")] = False,
    draw: Annotated[
        Path | None, typer.Option(help="Draw one round, decoded from what is uploaded (PNG, SVG).")
    ] = None,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """Check a lab before switching on: schema, wires, sequences, loop timing."""
    from qnode.cli import _check

    _guard(_check.check, lab, online, draw, data, json)


@app.command()
def predict(
    lab: LabFile,
    monte_carlo: Annotated[int, typer.Option(help="Also sample N heralds from the uploaded programs.", min=0)] = 0,
    seed: Seed = None,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """What the physics says of each link."""
    from qnode.cli import _predict

    _guard(_predict.predict, lab, monte_carlo, seed, data, json)


@app.command()
def simulate(
    lab: LabFile,
    seed: Seed = None,
    speed: Speed = None,
    only: Annotated[
        str | None, typer.Option(help="SITE.INSTRUMENT: this one alone, as if it were real; slow roles.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Where it listens, instead of the lab file's address.")] = None,
    data: DataFolder = None,
    lifeline_fd: Lifeline = None,
    notify_fd: Notify = None,
    gate_fd: Gate = None,
) -> None:
    """Run all simulators of a lab in this process."""
    from qnode.cli import _simulate

    _guard(_simulate.simulate, lab, seed, speed, only, address, data, lifeline_fd, notify_fd, gate_fd)


Peer = Annotated[
    list[str] | None, typer.Option("--via", help="SITE=ADDRESS: reach a site there, e.g. through a tunnel.")
]


@app.command()
def node(
    lab: LabFile,
    name: Annotated[str, typer.Argument(help="Node.")],
    data: DataFolder = None,
    via: Peer = None,
    lifeline_fd: Lifeline = None,
    notify_fd: Notify = None,
    gate_fd: Gate = None,
) -> None:
    """Run the daemon of a node in this process."""
    from qnode.cli import _daemon

    _guard(_daemon.daemon, "node", lab, name, data, via or [], lifeline_fd, notify_fd, gate_fd)


@app.command()
def midpoint(
    lab: LabFile,
    name: Annotated[str, typer.Argument(help="Midpoint.")],
    data: DataFolder = None,
    via: Peer = None,
    lifeline_fd: Lifeline = None,
    notify_fd: Notify = None,
    gate_fd: Gate = None,
) -> None:
    """Run the daemon of a midpoint in this process."""
    from qnode.cli import _daemon

    _guard(_daemon.daemon, "midpoint", lab, name, data, via or [], lifeline_fd, notify_fd, gate_fd)


@app.command(hidden=True)
def guard(
    lab: LabFile,
    site: Annotated[str, typer.Argument(help="Node or midpoint.")],
    words_fd: Annotated[int, typer.Option("--words-fd")],
    life_fd: Annotated[int, typer.Option("--life-fd")],
    via: Peer = None,
    data: DataFolder = None,
) -> None:
    """Make a site's instruments safe when its daemon is gone; daemons start it by themselves."""
    from qnode.cli import _guard as _guard_process

    _guard(_guard_process.guard, lab, site, data, words_fd, life_fd, via or [])


@app.command()
def up(
    lab: LabFile,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Come back when all of it is healthy.")] = False,
    seed: Seed = None,
    speed: Speed = None,
    data: DataFolder = None,
    json: Json = False,
    notify_fd: Notify = None,
) -> None:
    """Keep a simulated lab up until Ctrl-C; with -d until `qnode stop`."""
    from qnode.cli import _operate

    _guard(_operate.up, lab, detach, seed, speed, data, json, notify_fd)


@app.command()
def stop(lab: LabFile, data: DataFolder = None, json: Json = False) -> None:
    """Stop all processes of a lab, instruments safe first; returns when they are gone."""
    from qnode.cli import _operate

    _guard(_operate.stop, lab, data, json)


@app.command()
def abort(lab: LabFile, data: DataFolder = None, json: Json = False) -> None:
    """End what a lab plays, whoever started it; returns when all light is off. The lab stays up."""
    from qnode.cli import _abort

    _guard(_abort.abort, lab, data, json)


@app.command()
def status(lab: LabFile, data: DataFolder = None, json: Json = False) -> None:
    """Every process and instrument of a lab: its state, its last answer, who holds it."""
    from qnode.cli import _status

    _guard(_status.status, lab, data, json)


@app.command()
def runs(
    data: Annotated[Path, typer.Option("--data", help="Data folder.")] = Path("qnode-data"), json: Json = False
) -> None:
    """List the runs of a data folder."""
    from qnode.cli import _runs

    _guard(_runs.list_runs, data, json)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Run, or the beginning of its name; `last`.")],
    data: Annotated[Path, typer.Option("--data", help="Data folder.")] = Path("qnode-data"),
    open_it: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report there, not into the run's folder.")] = None,
    json: Json = False,
) -> None:
    """Show a run: result, accounting, report, where its files are."""
    from qnode.cli import _runs

    _guard(_runs.show_run, run, data, json, open_it, html)


@app.command()
def logs(
    lab: LabFile,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    data: DataFolder = None,
    json: Json = False,
) -> None:
    """The log of all processes, merged."""
    from qnode.cli import _logs

    _guard(_logs.logs, lab, follow, data, json)


@app.command()
def fault(
    lab: LabFile,
    instrument: Annotated[str, typer.Argument(help="SITE.INSTRUMENT, simulated.")],
    what: Annotated[str, typer.Argument(metavar="FAULT", help="unplug or plug.")],
) -> None:
    """Do something to a simulated instrument."""
    from qnode.cli import _fault

    _guard(_fault.fault, lab, instrument, what)


@keys_app.command()
def init(lab: LabFile, data: DataFolder = None) -> None:
    """Make the keys of every site and of the operator; those that are there stay."""
    from qnode.cli import _keys

    _guard(_keys.init, lab, data)
