"""A subscriber in a process of its own, to be killed: records items in a journal until it has item ``until``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from qnode.bus import JournalPositions, Keyring, StreamSubscriber
from qnode.runs import Journal


async def main(endpoint: str, lab: str, journal_path: str, until: int) -> None:
    with Journal(Path(journal_path)) as journal:
        positions = JournalPositions(journal)
        async with StreamSubscriber(endpoint, "midpoint", "alice", Keyring(Path(lab)), positions) as stream:
            async for item in stream:
                positions.record(item, item.payload)
                if item.seq >= until:
                    stream.done()
                    return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
