"""Analyses of Parquet archives on more than one core or machine, with the bits of one pass.

The row groups of the files are shared out. Each part is counted with a halo, the tags before it that may still find
partners in it: part = counts(halo and part) - counts(halo). The parts add up to the counts of the whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from qnode.errors import MisuseError
from qnode.tags._arrays import Int64
from qnode.tags._axis import Axis, Histogram
from qnode.tags._backend import Backend
from qnode.tags._block import TagBlock
from qnode.tags._coincide import CoincidenceCounter
from qnode.tags._columns import parquet_gaps, parquet_info, read_parquet
from qnode.tags._correlate import G2, Correlator, G2Counter
from qnode.tags._histogram import RoundCounter, start_multi_stop_counter
from qnode.tags._pieces import refuse_absent

__all__ = ["coincidences_of_files", "correlate_files", "g2_of_files", "start_multi_stop_of_files"]

PART_TAGS = 1 << 22
TASK_TIMEOUT_S = 3600.0
CONNECT_TIMEOUT_S = 10.0
WORKERS_TIMEOUT_S = 30.0
NEED_ALL_CHANNELS = ("g2", "start_multi_stop")
"""Questions that mean nothing without a tag of each channel."""

_Counter = Correlator | G2Counter | CoincidenceCounter | RoundCounter


@dataclass(frozen=True)
class _Group:
    """A row group of a file."""

    path: str
    index: int
    tags: int
    first_ps: int
    last_ps: int


@dataclass(frozen=True)
class _Part:
    """What one task counts."""

    halo: tuple[_Group, ...]
    own: tuple[_Group, ...]
    gaps: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Question:
    """What is asked of the tags; travels to other processes and machines."""

    kind: str
    channels: tuple[Any, ...]
    axis: Axis | None
    window_ps: int
    backend: Backend

    @property
    def reach_ps(self) -> int:
        if self.axis is None:
            return self.window_ps
        return max(abs(self.axis.first_ps), abs(self.axis.end_ps)) + 1

    def count(self, part: _Part) -> list[Int64]:
        """Totals of a part, as integer arrays that add up."""
        counter = self._counter()
        gaps = np.array(part.gaps, np.int64).reshape(-1, 2)
        counter.feed(replace(_read(part.halo), gaps=gaps))
        before = _totals(counter)
        counter.feed(_read(part.own))
        return [after - earlier for after, earlier in zip(_totals(counter), before, strict=True)]

    def _counter(self) -> _Counter:
        if self.axis is None:
            return CoincidenceCounter(self.channels, self.window_ps, backend=self.backend)
        start, stop = self.channels
        if self.kind == "start_multi_stop":
            return start_multi_stop_counter(start, stop, self.axis, backend=self.backend)
        kind = G2Counter if self.kind == "g2" else Correlator
        return kind(start, stop, self.axis, backend=self.backend)


def _totals(counter: _Counter) -> list[Int64]:
    if isinstance(counter, CoincidenceCounter):
        return [counter.counts]
    if isinstance(counter, Correlator):
        return [counter.histogram.counts]
    seen = counter.presence.seen.astype(np.int64)
    if isinstance(counter, RoundCounter):
        return [counter.result.histogram.counts, seen]
    result = counter.result
    return [result.counts, np.array([result.starts, result.stops, result.live_ps], np.int64), seen]


def _read(groups: Iterable[_Group]) -> TagBlock:
    blocks: list[TagBlock] = []
    for path, of_file in groupby(groups, key=lambda group: group.path):
        chosen = list(of_file)
        rows = max(group.tags for group in chosen)
        blocks += read_parquet(Path(path), rows, [group.index for group in chosen])
    return TagBlock.concat(blocks)


def _parts(paths: Sequence[str | Path], reach_ps: int, part_tags: int) -> list[_Part]:
    """Share out the row groups of files that follow each other in time.

    Raises:
        MisuseError: no list of files, no whole Parquet file, or files that overlap in time.
    """
    if isinstance(paths, (str, Path)):
        raise MisuseError(f"paths is {str(paths)!r}, no list of files", hint=f'give ["{paths}"]')
    if not paths:
        raise MisuseError("no files", hint="give one or more Parquet files of tags")
    groups: list[_Group] = []
    gaps: list[tuple[int, int]] = []
    for path in paths:
        absolute = str(Path(path).absolute())
        rows = parquet_info(Path(path))[1]
        groups += [_Group(absolute, *row) for row in rows]
        gaps += [(start, end) for start, end in parquet_gaps(Path(path)).tolist()]
    groups.sort(key=lambda group: (group.first_ps, group.last_ps))
    for earlier, later in pairwise(groups):
        if later.first_ps < earlier.last_ps:
            raise MisuseError(
                f"{later.path} (row group {later.index}) starts at {later.first_ps} ps, before the end of "
                f"{earlier.path} (row group {earlier.index}) at {earlier.last_ps} ps",
                hint="merge files of the same time first: qnode tags convert FILE... -o merged.parquet",
            )
    parts = []
    begin = 0
    while begin < len(groups):
        end, tags = begin, 0
        while end < len(groups) and (end == begin or tags + groups[end].tags <= part_tags):
            tags += groups[end].tags
            end += 1
        # At least one group, so that the live time goes on from the last tag before the part.
        halo = max(begin - 1, 0)
        while halo > 0 and groups[halo - 1].last_ps > groups[begin].first_ps - reach_ps:
            halo -= 1
        near = [gap for gap in gaps if gap[1] > groups[halo].first_ps and gap[0] <= groups[end - 1].last_ps]
        parts.append(_Part(tuple(groups[halo:begin]), tuple(groups[begin:end]), tuple(sorted(near))))
        begin = end
    return parts


class _How(TypedDict, total=False):
    """Options of all analyses of files; see `correlate_files`."""

    scheduler: str | None
    backend: Backend
    part_tags: int


def _ask(
    paths: Sequence[str | Path],
    kind: str,
    channels: tuple[Any, ...],
    *,
    axis: Axis | None = None,
    window_ps: int = 0,
    scheduler: str | None = None,
    backend: Backend = "auto",
    part_tags: int = PART_TAGS,
) -> list[Int64]:
    """Totals over the files, of channels that are there.

    Raises:
        MisuseError: files that can't be read or overlap in time; a scheduler that does not answer; a channel that the
            question needs has no tags.
    """
    question = _Question(kind, channels, axis, window_ps, backend)
    parts = _parts(paths, question.reach_ps, part_tags)
    results = _map(question.count, parts, scheduler)
    if not results:
        totals = [np.zeros_like(total) for total in _totals(question._counter())]
    else:
        totals = [np.sum(columns, axis=0) for columns in zip(*results, strict=True)]
    if kind in NEED_ALL_CHANNELS:
        *totals, seen = totals
        for wanted in channels:
            if not seen[wanted]:
                raise refuse_absent(wanted, seen > 0)
    return totals


def _map(count: Callable[[_Part], list[Int64]], parts: list[_Part], scheduler: str | None) -> list[list[Int64]]:
    """Run all parts: here in threads or processes, or where the scheduler sends them.

    Raises:
        MisuseError: an unknown scheduler, or one that does not answer.
    """
    # imported here: daemons that only decode tags have no use for either
    from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
    from multiprocessing import get_context

    workers = min(os.cpu_count() or 1, max(len(parts), 1))
    executor: Executor
    if scheduler in (None, "threads"):
        executor = ThreadPoolExecutor(workers)
    elif scheduler == "processes":
        executor = ProcessPoolExecutor(workers, get_context("spawn"))
    else:
        return _map_on_cluster(count, parts, str(scheduler))
    with executor:
        return list(executor.map(count, parts, timeout=TASK_TIMEOUT_S))


def _map_on_cluster(count: Callable[[_Part], list[Int64]], parts: list[_Part], address: str) -> list[list[Int64]]:
    if "://" not in address:
        raise MisuseError(f"unknown scheduler {address!r}", hint='give "threads", "processes" or tcp://HOST:PORT')
    try:
        distributed = import_module("distributed")
    except ImportError:
        raise MisuseError("dask.distributed is not installed", hint="pip install 'qnode[cluster]'") from None
    try:
        client = distributed.Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError) as error:
        raise MisuseError(f"no scheduler answers at {address}: {error}") from None
    except ValueError as error:
        raise MisuseError(f"scheduler {address!r}: {error}", hint="give tcp://HOST:PORT") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_TIMEOUT_S)
        except TimeoutError:
            raise MisuseError(
                f"the scheduler at {address} has had no worker for {WORKERS_TIMEOUT_S:g} s",
                hint=f"start some: dask worker {address}",
            ) from None
        futures = client.map(count, parts, pure=False)
        try:
            distributed.wait(futures, timeout=TASK_TIMEOUT_S)
        except TimeoutError:
            raise MisuseError(
                f"the workers of the scheduler at {address} were not done after {TASK_TIMEOUT_S:g} s",
                hint="are they still there? Give it more of them",
            ) from None
        results: list[list[Int64]] = client.gather(futures)
        return results


def correlate_files(paths: Sequence[str | Path], start: int, stop: int, axis: Axis, **how: Unpack[_How]) -> Histogram:
    """`qnode.tags.correlate` of Parquet files that follow each other in time.

    Args:
        paths: the files; with a scheduler elsewhere, under the same names there.
        start: channel of the start tags.
        stop: channel of the stop tags.
        axis: delays to count.
        **how: ``scheduler``, "threads" (the default) or "processes" of this machine, or the address of a
            `dask.distributed` scheduler; ``backend``, see `qnode.tags`; ``part_tags``, tags a task at most, whole row
            groups.

    Raises:
        MisuseError: files that can't be read or overlap in time; a scheduler that does not answer.
    """
    (counts,) = _ask(paths, "correlate", (start, stop), axis=axis, **how)
    return Histogram(axis, counts)


def g2_of_files(paths: Sequence[str | Path], start: int, stop: int, axis: Axis, **how: Unpack[_How]) -> G2:
    """`qnode.tags.g2` of Parquet files that follow each other in time; see `correlate_files`.

    Raises:
        MisuseError: as `correlate_files`; or a channel has no tags.
    """
    counts, numbers = _ask(paths, "g2", (start, stop), axis=axis, **how)
    return G2.from_counts(axis, counts, *numbers.tolist())


def start_multi_stop_of_files(
    paths: Sequence[str | Path], start: int, stop: int, axis: Axis, **how: Unpack[_How]
) -> Histogram:
    """`qnode.tags.start_multi_stop` of Parquet files that follow each other in time; see `correlate_files`.

    Raises:
        MisuseError: as `correlate_files`; or a channel has no tags, or the axis starts below 0.
    """
    (counts,) = _ask(paths, "start_multi_stop", (start, stop), axis=axis, **how)
    return Histogram(axis, counts)


def coincidences_of_files(
    paths: Sequence[str | Path], sets: Sequence[Sequence[int]], window_ps: int, **how: Unpack[_How]
) -> Int64:
    """`qnode.tags.coincidences` of Parquet files that follow each other in time; see `correlate_files`.

    Raises:
        MisuseError: as `correlate_files`, or a bad set or window.
    """
    checked = CoincidenceCounter(sets, window_ps).sets
    (counts,) = _ask(paths, "coincidences", checked, window_ps=window_ps, **how)
    return counts
