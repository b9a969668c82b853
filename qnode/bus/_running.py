"""What is started in a running loop and closed again."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Self

__all__ = ["Running"]


class Running(abc.ABC):
    """Started and closed by hand, or by ``async with``."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Begin, in the running loop."""

    @abc.abstractmethod
    async def close(self) -> None:
        """End; nothing of it stays behind."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
