"""The monitoring line of a DLC pro: a client adds parameters and is told when they change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from simulators.instruments.toptica._controller import Controller
from simulators.instruments.toptica._decof import (
    NOT_FOUND,
    SYNTAX,
    WRONG_TYPE,
    Call,
    DecofError,
    Name,
    Node,
    Quoted,
    Value,
    parse,
    show,
)

__all__ = ["Subscription", "serve_monitoring_line"]

_LOOK_EVERY_S = 1.0
"""For what changes by itself, the uptime for one."""


@dataclass
class Subscription:
    """One parameter that a client wants to know about.

    Args:
        path: of the parameter.
        interval_s: shortest time between two reports; 0: each change is told.
        threshold: of a number, the smallest change that is told.
    """

    path: str
    interval_s: float = 0.0
    threshold: float = 0.0
    told: Value | None = None
    told_at_s: float = float("-inf")

    def is_news(self, value: Value) -> bool:
        """Whether ``value`` is to be told after what was told last."""
        numbers = isinstance(value, int | float) and isinstance(self.told, int | float)
        if numbers and not isinstance(value, bool) and self.threshold > 0:
            assert isinstance(value, int | float)
            assert isinstance(self.told, int | float)
            return abs(value - self.told) >= self.threshold
        return value != self.told

    def due_s(self) -> float:
        """When it may be told again."""
        return self.told_at_s + self.interval_s


async def serve_monitoring_line(
    controller: Controller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Talk to one client until it hangs up."""
    line = _MonitoringLine(controller, writer)
    controller.watchers.add(line.woken)
    controller.connections["monitoring line"] += 1
    teller = asyncio.create_task(line.tell_for_ever())
    try:
        while data := await reader.readline():
            line.obey(data.decode("utf-8", "replace"))
    finally:
        controller.watchers.discard(line.woken)
        controller.connections["monitoring line"] -= 1
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)


class _MonitoringLine:
    def __init__(self, controller: Controller, writer: asyncio.StreamWriter) -> None:
        self._controller = controller
        self._writer = writer
        self._subscriptions: dict[str, Subscription] = {}
        self.woken = asyncio.Event()

    def obey(self, text: str) -> None:
        """Carry out a line; what is wrong with it is told like the error of a parameter [K]."""
        try:
            nodes = parse(text)
        except DecofError as error:
            self._tell_error("", error)
            return
        for node in nodes:
            path = ""
            try:
                operation, path, arguments = _read(node)
                self._do(operation, path, arguments)
            except DecofError as error:
                self._tell_error(path, error)

    def _do(self, operation: str, path: str, arguments: tuple[Node, ...]) -> None:
        if operation == "add":
            interval, threshold = (*(_number(node) for node in arguments), 0.0, 0.0)[:2]
            self._controller.get(path)
            self._subscriptions[path] = Subscription(path, interval / 1000, threshold)
            self._tell_news()
        elif operation == "remove":
            self._subscriptions.pop(path, None)
        elif operation != "change-ul":
            # The level changes nothing here: all that can be added can be read at any level.
            raise DecofError(NOT_FOUND, operation)

    async def tell_for_ever(self) -> None:
        """Tell what changes, until cancelled or the client is gone."""
        while True:
            wait_s = self._tell_news()
            await self._writer.drain()
            try:
                await asyncio.wait_for(self.woken.wait(), wait_s)
            except TimeoutError:
                continue
            self.woken.clear()

    def _tell_news(self) -> float:
        """Tell what is news and due; the time to the next look."""
        now_s = asyncio.get_running_loop().time()
        wait_s = _LOOK_EVERY_S
        for subscription in self._subscriptions.values():
            value = self._controller.get(subscription.path)
            if not subscription.is_news(value):
                continue
            if subscription.due_s() > now_s:
                wait_s = min(wait_s, subscription.due_s() - now_s)
                continue
            subscription.told, subscription.told_at_s = value, now_s
            self._write(f"({self._controller.timestamp()} '{subscription.path} {show(value)})")
        return wait_s

    def _tell_error(self, path: str, error: DecofError) -> None:
        self._write(f"(Error: {error.code} ({self._controller.timestamp()} '{path}) {error})")

    def _write(self, line: str) -> None:
        self._writer.write(f"{line}\n".encode())


def _read(node: Node) -> tuple[str, str, tuple[Node, ...]]:
    """Operation, path, further arguments of ``(add 'path 100)``."""
    if not isinstance(node, Call) or not node.nodes or not isinstance(node.nodes[0], Name):
        raise DecofError(SYNTAX, "no operation")
    operation, rest = node.nodes[0].text, node.nodes[1:]
    if operation == "change-ul":
        return operation, "", rest
    if not rest or not isinstance(rest[0], Quoted) or not isinstance(rest[0].node, Name):
        raise DecofError(SYNTAX, "a name in quotes was expected")
    return operation, rest[0].node.text, rest[1:]


def _number(node: Node) -> float:
    if isinstance(node, bool) or not isinstance(node, int | float):
        raise DecofError(WRONG_TYPE, "a number was expected")
    return float(node)
