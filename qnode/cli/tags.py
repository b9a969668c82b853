"""``qnode tags info|convert|plot FILE...``: the options; bodies live in `qnode.cli._tags`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Time-tag files: look into them, convert, plot.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tag files of one clock; merged by time.")]
Format = Annotated[str | None, typer.Option("--from", help="Format of the files, when their names don't say it.")]
Channel = Annotated[
    int | None, typer.Option("--channel", help="Input of files that hold one channel (IDQ).", min=1, max=255)
]
RefPeriod = Annotated[
    int | None,
    typer.Option("--ref-period-ps", help="Time from reference to reference, for --from idq_u64_ref.", min=1),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]


def _guard(command: Any, *args: Any) -> None:
    from qnode.cli._exit import run_command

    run_command(command, *args)


@app.command()
def info(
    files: Files,
    from_: Format = None,
    channel: Channel = None,
    ref_period_ps: RefPeriod = None,
    json: Json = False,
) -> None:
    """Format, tags, duration, rates, gaps; what is missing at the end of a truncated file."""
    from qnode.cli import _tags

    _guard(_tags.info, files, _tags.Source(from_, channel, ref_period_ps), json)


@app.command()
def convert(
    files: Files,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; its ending says the format.")],
    from_: Format = None,
    to: Annotated[str | None, typer.Option("--to", help="Format to write, when the ending doesn't say it.")] = None,
    channel: Channel = None,
    keep: Annotated[list[int] | None, typer.Option(help="Write this channel only; may be repeated.")] = None,
    delay: Annotated[list[str] | None, typer.Option(help="CHANNEL=PS: shift a channel; may be repeated.")] = None,
    offset_ps: Annotated[int, typer.Option(help="Add this to all times.")] = 0,
    skew: Annotated[float, typer.Option(help="Lab time runs ahead by this part: 1e-6 is 1 ppm.")] = 0.0,
    pps: Annotated[
        int | None,
        typer.Option(help="Input with a pulse per second: the first one is 0 s of lab time.", min=1, max=255),
    ] = None,
    ref_period_ps: RefPeriod = None,
    lossy: Annotated[
        bool,
        typer.Option(
            "--lossy",
            help="Leave out, and count, what the format can't hold: tags inside gaps, tags of one "
            "channel in one unit of time. Without it they are refused.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Convert to Parquet, Arrow, PTU, IDQ, TDC1 or qcrypto a1; several files are merged by time.

    In this order: merge, clock (--pps, or --offset-ps and --skew), --delay, --keep, write.
    """
    from qnode.cli import _tags

    source, clock = _tags.Source(from_, channel, ref_period_ps), (offset_ps, skew, pps)
    _guard(_tags.convert, files, out, source, to, keep or [], delay or [], clock, lossy, json)


@app.command()
def plot(
    files: Files,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write (PNG, SVG, PDF).")],
    g2: Annotated[
        tuple[int, int] | None, typer.Option(help="START STOP: normalised cross-correlation.", metavar="START STOP")
    ] = None,
    lifetime: Annotated[
        tuple[int, int] | None, typer.Option(help="START STOP: stops after the last start.", metavar="START STOP")
    ] = None,
    reach_ps: Annotated[int, typer.Option(help="Delays from -reach to reach (lifetime: from 0).", min=1)] = 50_000,
    bins: Annotated[int, typer.Option(help="Number of bins.", min=1)] = 500,
    every_ps: Annotated[int, typer.Option(help="Width of a bin of count rates.", min=1)] = 100_000_000_000,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="With --g2 or --lifetime on Parquet files: threads, processes, or the address of a dask scheduler."
        ),
    ] = None,
    from_: Format = None,
    channel: Channel = None,
    ref_period_ps: RefPeriod = None,
    json: Json = False,
) -> None:
    """Plot count rates, or with --g2 or --lifetime a correlation."""
    from qnode.cli import _tags

    source = _tags.Source(from_, channel, ref_period_ps)
    _guard(_tags.plot, files, out, g2, lifetime, reach_ps, bins, every_ps, scheduler, source, json)
