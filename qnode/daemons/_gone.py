"""Whether the process that plays a lab's simulated instruments is gone: then there is nobody to wait for."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

__all__ = ["HOST_TIME", "simulators_gone"]

HOST_TIME = "host"
"""Source of lab time where no simulator gives it."""
LOOKS = 3
LOOK_AGAIN_S = 1.0
LOOK_CLOSELY_S = 0.1
ANSWER_S = 1.0


async def simulators_gone(clock: str) -> None:
    """Return when nobody listens where simulated lab time comes from, at several looks in a row.

    One process plays all simulated instruments of a lab and its time, so none of them will answer either. A computer
    that is slow or a network that is cut refuses no connection: then this does not return.

    Args:
        clock: ``tcp://address:port``, as ``lab_time`` in the lab file; ``host``, where no simulator gives it, never is gone.
    """
    if clock == HOST_TIME:
        await asyncio.Event().wait()
    place = urlsplit(clock)
    refused = 0
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                _, writer = await asyncio.open_connection(place.hostname, place.port)
        except ConnectionRefusedError:
            refused += 1
            if refused == LOOKS:
                return
        except (OSError, TimeoutError):
            refused = 0
        else:
            refused = 0
            writer.close()
        await asyncio.sleep(LOOK_CLOSELY_S if refused else LOOK_AGAIN_S)
