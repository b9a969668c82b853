"""Bodies of ``qnode tags``: every file is read in blocks, so that it may be larger than the memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from qnode.cli._exit import say
from qnode.errors import MisuseError
from qnode.tags import (
    G2,
    Axis,
    ClockModel,
    Counts,
    Delay,
    G2Counter,
    Histogram,
    PpsClock,
    RateCounter,
    RoundCounter,
    TagBlock,
    TagFile,
    apply_clock,
    g2_of_files,
    merge_files,
    open_tags,
    require_picture,
    start_multi_stop_counter,
    start_multi_stop_of_files,
    write_tags,
)

__all__ = ["Source", "convert", "info", "plot"]


@dataclass(frozen=True)
class Source:
    """What the names of the files don't say."""

    format: str | None = None
    channel: int | None = None
    ref_period_ps: int | None = None


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield progress


def _watched(file: TagFile, progress: Progress) -> Iterator[TagBlock]:
    task = progress.add_task(file.path.name, total=file.size_bytes)
    for block in file:
        progress.update(task, completed=file.done_bytes)
        yield block
    progress.update(task, completed=file.size_bytes)


def _end_marked(file: TagFile, blocks: Iterable[TagBlock]) -> Iterator[TagBlock]:
    """The blocks of a file; of a truncated one its end is a gap, so that what is made of it does not look whole."""
    after_ps = 0
    for block in blocks:
        if len(block):
            after_ps = int(block.t_ps[-1]) + 1
        yield block
    if file.truncation:
        yield TagBlock.from_arrays([], [], gaps=[(after_ps, 2**63 - 1)])


def _open(files: list[Path], source: Source) -> list[TagFile]:
    return [
        open_tags(path, source.format, channel=source.channel, ref_period_ps=source.ref_period_ps) for path in files
    ]


def _refuse_also_read(out: Path, files: list[Path]) -> None:
    """Refuse to write over what is read.

    Raises:
        MisuseError: the file to write is one of those.
    """
    if out.exists() and any(out.samefile(path) for path in files):
        raise MisuseError(f"{out} is also read", hint="write to another name")


def _report_truncated(files: Iterable[TagFile]) -> None:
    for file in files:
        if file.truncation:
            say(f"{file.path}: truncated, {file.truncation}")


@dataclass
class _Summary:
    """What `info` says of one file."""

    tags: int = 0
    first_ps: int | None = None
    last_ps: int = 0
    went_back: int | None = None
    overflow: bool = False
    gaps: list[list[int]] = field(default_factory=list)
    by_channel: Any = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, block: TagBlock) -> None:
        self.gaps += block.gaps.tolist()
        self.overflow |= block.overflow
        if not len(block):
            return
        back = np.flatnonzero(np.diff(block.t_ps, prepend=self.last_ps if self.tags else block.t_ps[0]) < 0)
        if back.size and self.went_back is None:
            self.went_back = self.tags + int(back[0])
        self.first_ps = int(block.t_ps[0]) if self.first_ps is None else self.first_ps
        self.last_ps = int(block.t_ps[-1])
        self.tags += len(block)
        self.by_channel += np.bincount(block.channel, minlength=256)

    def document(self, file: TagFile) -> dict[str, Any]:
        duration = self.last_ps - self.first_ps if self.first_ps is not None else 0
        channels = np.flatnonzero(self.by_channel).tolist()
        return {
            "file": str(file.path),
            "format": file.format,
            "bytes": file.size_bytes,
            "tags": self.tags,
            "first_ps": self.first_ps,
            "last_ps": self.last_ps if self.tags else None,
            "channels": {
                str(channel): {
                    "tags": int(self.by_channel[channel]),
                    "rate_hz": float(self.by_channel[channel] * 1e12 / duration) if duration > 0 else None,
                }
                for channel in channels
            },
            "gaps": self.gaps,
            "overflow": self.overflow,
            "truncated": file.truncation or None,
            "truncated_bytes": file.truncated_bytes,
            "time_goes_back_at": self.went_back,
        }


def info(files: list[Path], source: Source, as_json: bool) -> None:
    """Read every file once and say what is in it."""
    documents = []
    with _progress() as progress:
        for file in _open(files, source):
            summary = _Summary()
            for block in _watched(file, progress):
                summary.add(block)
            documents.append(summary.document(file))
    if as_json:
        sys.stdout.write(json.dumps({"files": documents}) + "\n")
        return
    for document in documents:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    duration_s = ((document["last_ps"] or 0) - (document["first_ps"] or 0)) / 1e12
    console = Console()
    # on its own line, whole: a path that is wrapped can't be copied
    console.print(document["file"], soft_wrap=True, highlight=False, markup=False)
    table = Table(
        title=f"{document['format']}, {document['tags']} tags, {duration_s:.6g} s",
        title_justify="left",
    )
    for column in ("channel", "tags", "rate (1/s)"):
        table.add_column(column, justify="right")
    for channel, row in document["channels"].items():
        rate = "" if row["rate_hz"] is None else f"{row['rate_hz']:.6g}"
        table.add_row(channel, str(row["tags"]), rate)
    console.print(table)
    for start_ps, end_ps in document["gaps"]:
        say(f"gap from {start_ps} to {end_ps if end_ps < 2**63 - 1 else 'the end'} ps")
    if document["overflow"]:
        say("the instrument reported an overflow")
    if document["truncated"]:
        say(f"truncated: {document['truncated']}")
    if document["time_goes_back_at"] is not None:
        say(f"not sorted: time goes back at tag {document['time_goes_back_at']}")


def _delays(texts: list[str]) -> dict[int, int]:
    delays = {}
    for text in texts:
        channel, found, shift = text.partition("=")
        try:
            delays[int(channel)] = int(shift)
        except ValueError:
            found = ""
        if not found:
            raise MisuseError(f"--delay {text!r} is not CHANNEL=PS", hint="for example --delay 2=-1500")
    return delays


def _clock(offset_ps: int, skew: float, pps: int | None) -> ClockModel | PpsClock | None:
    if pps is not None and (offset_ps or skew):
        raise MisuseError("--pps takes no --offset-ps and no --skew", hint="the pulses give both")
    if pps is not None:
        return PpsClock(pps)
    return ClockModel(offset_ps, skew) if offset_ps or skew else None


def convert(
    files: list[Path],
    out: Path,
    source: Source,
    to: str | None,
    keep: list[int],
    delays: list[str],
    clock: tuple[int, float, int | None],
    lossy: bool,
    as_json: bool,
) -> None:
    """Merge, put on another clock, shift, choose, write."""
    sources = _open(files, source)
    _refuse_also_read(out, files)
    chosen_tags = gaps = 0

    def chosen(blocks: Iterable[TagBlock]) -> Iterator[TagBlock]:
        nonlocal chosen_tags, gaps
        for block in blocks:
            gaps += len(block.gaps)
            kept = block
            if keep:
                inside = np.isin(block.channel, keep)
                kept = TagBlock(block.t_ps[inside], block.channel[inside], block.gaps, block.overflow)
            chosen_tags += len(kept)
            yield kept

    shift = Delay(_delays(delays))

    def shifted(blocks: Iterable[TagBlock]) -> Iterator[TagBlock]:
        for block in blocks:
            yield shift.feed(block)
        yield shift.finish()

    with _progress() as progress:
        watched = [_end_marked(file, _watched(file, progress)) for file in sources]
        blocks = merge_files(watched) if len(watched) > 1 else watched[0]
        model = _clock(*clock)
        if model is not None:
            blocks = apply_clock(blocks, model)
        try:
            written = write_tags(out, chosen(shifted(blocks) if delays else blocks), to, lossy=lossy)
        except OSError as error:
            raise MisuseError(f"{out} can't be written: {error.strerror or error}") from None
    _report_truncated(sources)
    left_out = chosen_tags - written
    if lossy and (gaps or left_out):
        say(f"{out}: {gaps} gaps; left out {left_out} tags (inside gaps, or in one unit with one of their channel)")
    if isinstance(model, PpsClock) and model.refused:
        say(f"{out}: {model.refused} pulses of channel {clock[2]} fitted no second and were not used")
    if as_json:
        document = {
            "file": str(out),
            "tags": written,
            "left_out": left_out,
            "gaps": gaps,
            "bytes": out.stat().st_size,
        }
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        say(f"{out}: {written} tags, {out.stat().st_size} bytes")


def plot(
    files: list[Path],
    out: Path,
    g2: tuple[int, int] | None,
    lifetime: tuple[int, int] | None,
    reach_ps: int,
    bins: int,
    every_ps: int,
    scheduler: str | None,
    source: Source,
    as_json: bool,
) -> None:
    """Count in blocks, or in parts where a scheduler says; draw once."""
    if g2 and lifetime:
        raise MisuseError("--g2 and --lifetime are two plots", hint="ask for one of them")
    if lifetime and reach_ps % bins:
        raise MisuseError(f"{reach_ps} ps in {bins} bins is no whole number of picoseconds a bin")
    kind = "g2" if g2 else "lifetime" if lifetime else "rates"
    sources = _open(files, source)
    _refuse_also_read(out, files)
    require_picture(out)
    result: G2 | Histogram | Counts
    if scheduler is not None:
        if kind == "rates" or any(file.format != "parquet" for file in sources):
            raise MisuseError(
                "--scheduler is for --g2 and --lifetime of Parquet files", hint="convert them: qnode tags convert"
            )
        if g2:
            result = g2_of_files(files, *g2, Axis.symmetric(reach_ps, bins), scheduler=scheduler)
        else:
            axis = Axis(0, reach_ps // bins, bins)
            result = start_multi_stop_of_files(files, *(lifetime or (1, 2)), axis, scheduler=scheduler)
    elif g2:
        pairs = G2Counter(*g2, Axis.symmetric(reach_ps, bins))
        _count(sources, pairs)
        result = pairs.finish()
    elif lifetime:
        delays = start_multi_stop_counter(*lifetime, Axis(0, reach_ps // bins, bins))
        _count(sources, delays)
        result = delays.finish().histogram
    else:
        rates = RateCounter(every_ps)
        _count(sources, rates)
        result = rates.result
    result.plot(out)
    total = int(result.counts.sum())
    if as_json:
        sys.stdout.write(json.dumps({"file": str(out), "plot": kind, "counts": total}) + "\n")
    else:
        say(f"{out}: {kind}, {total} counts")


def _count(sources: list[TagFile], counter: G2Counter | RoundCounter | RateCounter) -> None:
    with _progress() as progress:
        watched = [_watched(file, progress) for file in sources]
        for block in merge_files(watched) if len(watched) > 1 else watched[0]:
            counter.feed(block)
    _report_truncated(sources)
