"""Pairs of a plan that is being played: the midpoint's settled heralds joined with both nodes' readouts."""

from __future__ import annotations

import asyncio
import contextlib
import time

import msgspec

from qnode.client._connection import LabConnection
from qnode.client._pair import Pair
from qnode.client._pairs import Pairs
from qnode.errors import NetworkError, QnodeError
from qnode.heralds import Herald, NodeRow
from qnode.labfile import Link

__all__ = ["PairCollector"]

ROWS_S = 3.0
"""Wall time for a node's answer while it may be gone; what it did not give comes with the next question."""
DRAIN_S = 10.0
"""Wall time within which a node must have heard of the last settlement."""
DRAIN_POLL_S = 0.05


class PairCollector:
    """Joins the settled heralds of the midpoint with both nodes' rows of the same rounds.

    Args:
        lab: connections to all daemons.
        link: where.
        plan_id: which plan.
        first_round: number, in the run, of the plan's round 0.
    """

    def __init__(self, lab: LabConnection, link: Link, plan_id: str, first_round: int) -> None:
        self._lab, self._link, self._plan_id, self._first_round = lab, link, plan_id, first_round
        self._joined = 0
        self._heralds: list[Herald] = []
        self._rows: dict[str, list[NodeRow]] = {node: [] for node in link.between}

    async def collect(self) -> list[Pair]:
        """Pairs that all three have by now and that were not given out yet."""
        params = {"plan_id": self._plan_id, "since": len(self._heralds)}
        fresh = await self._lab.call(self._link.via, "heralds", params)
        self._heralds.extend(msgspec.convert(fresh, list[Herald]))
        for node, rows in self._rows.items():
            came = await self._lab.call(
                node, "rows", {"plan_id": self._plan_id, "since": len(rows)}, timeout_s=ROWS_S
            )
            rows.extend(msgspec.convert(came, list[NodeRow]))
        stop = min(len(self._heralds), *(len(rows) for rows in self._rows.values()))
        pairs = [self._pair(index) for index in range(self._joined, stop)]
        self._joined = stop
        return pairs

    async def drain(self, heralds: int, pairs: Pairs) -> None:
        """Collect into ``pairs`` until every one of so many settled heralds has its rows, or a node is gone."""
        deadline = time.monotonic() + DRAIN_S
        while self._joined < heralds and time.monotonic() < deadline:
            with contextlib.suppress(NetworkError):
                pairs.extend(await self.collect())
            if self._joined < heralds:
                await asyncio.sleep(DRAIN_POLL_S)

    def _pair(self, index: int) -> Pair:
        herald = self._heralds[index]
        first, second = (self._rows[node][index] for node in self._link.between)
        same = {(herald.round, herald.attempt), (first.round, first.attempt), (second.round, second.attempt)}
        if len(same) != 1:
            raise QnodeError(f"settled herald {index} of plan {self._plan_id} is another pair at the parties: {same}")
        return Pair(
            round=self._first_round + herald.round,
            attempt=herald.attempt,
            pattern=herald.pattern,
            bell=herald.bell,
            click_ps=herald.click_ps,
            bases=(first.basis, second.basis),
            outcomes=(first.outcome, second.outcome),
            bright=(first.bright, second.bright),
            plan_id=self._plan_id,
        )
