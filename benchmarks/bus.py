"""The bus against plain pyzmq, both in one run: ratios, not absolutes.

Two processes, the same 200-byte payloads. Run it with ``python benchmarks/bus.py [--items N] [--calls N]``.

* items: our stream (CURVE, journal written before each send, acks, every item handed on once and in order) against a
  plain DEALER/ROUTER pair with a blocking receiver, with and without CURVE, and against ``zmq.asyncio``;
* calls: one after the other, our `Client`/`Server` against a plain DEALER that is echoed by a blocking ROUTER;
* journal: appends and group syncs against bare ``os.write`` and ``os.fdatasync``.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio

from qnode.bus import Client, FilePositions, Keyring, Server, StreamPublisher, StreamSubscriber
from qnode.runs import Journal

PAYLOAD = b"x" * 200
ADDRESS = "tcp://127.0.43.200"
ROUNDS = 3


@contextmanager
def other_process(target: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """Run ``target(pipe, *args)`` in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    near, far = spawn.Pipe()
    process = spawn.Process(target=target, args=(far, *args))
    process.start()
    try:
        yield near
    finally:
        process.join(60)


def plain_sender(pipe: Connection, endpoint: str, n: int, folder: str | None) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.sndhwm = 100_000
    if folder is not None:
        keyring = Keyring(folder)
        socket.curve_publickey, socket.curve_secretkey = keyring.pair("alice")
        socket.curve_serverkey = keyring.public("midpoint")
    socket.connect(endpoint)
    socket.send(b"ready")
    pipe.recv()
    for _ in range(n):
        socket.send(PAYLOAD)
    socket.close()
    context.term()


def plain_items(n: int, keyring: Keyring | None) -> float:
    """Items per second into a blocking ROUTER."""
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.rcvhwm = 100_000
    if keyring is not None:
        socket.curve_server = True
        socket.curve_secretkey = keyring.pair("midpoint").secret
    port = socket.bind_to_random_port(ADDRESS)
    folder = None if keyring is None else str(keyring.folder.parent)
    with other_process(plain_sender, f"{ADDRESS}:{port}", n, folder) as pipe:
        socket.recv_multipart()
        begun = time.perf_counter()
        pipe.send("go")
        for _ in range(n):
            socket.recv_multipart()
        rate = n / (time.perf_counter() - begun)
    socket.close()
    context.term()
    return rate


def zmq_asyncio_items(n: int) -> float:
    """Items per second into ``zmq.asyncio``."""

    async def work() -> float:
        context = zmq.asyncio.Context()
        socket = context.socket(zmq.ROUTER)
        socket.rcvhwm = 100_000
        port = socket.bind_to_random_port(ADDRESS)
        with other_process(plain_sender, f"{ADDRESS}:{port}", n, None) as pipe:
            await socket.recv_multipart()
            begun = time.perf_counter()
            pipe.send("go")
            for _ in range(n):
                await socket.recv_multipart()
            rate = n / (time.perf_counter() - begun)
        socket.close()
        context.term()
        return rate

    return asyncio.run(work())


def stream_publisher(pipe: Connection, folder: str, n: int) -> None:
    async def work() -> None:
        with Journal(Path(folder) / f"bench-{os.getpid()}.journal") as journal:
            async with StreamPublisher(f"{ADDRESS}:0", "midpoint", Keyring(folder), journal) as publisher:
                pipe.send(publisher.endpoint)
                while not pipe.poll():
                    await asyncio.sleep(0.01)
                for number in range(n):
                    publisher.publish(PAYLOAD)
                    if number % 64 == 0:
                        await asyncio.sleep(0)
                await publisher.wait_acked("alice", n, timeout_s=60.0)

    asyncio.run(work())


def stream_items(n: int, keyring: Keyring) -> float:
    """Items per second through our stream, dealt with and kept."""

    async def work(pipe: Connection, folder: Path) -> float:
        positions = FilePositions(folder / f"bench-{time.monotonic_ns()}.position")
        async with StreamSubscriber(pipe.recv(), "midpoint", "alice", keyring, positions) as stream:
            await stream.wait_connected()
            begun = time.perf_counter()
            pipe.send("go")
            async for item in stream:
                if item.seq == n:
                    stream.done()
                    break
            rate = n / (time.perf_counter() - begun)
            counters = stream.counters
            if (counters.delivered, counters.duplicates) != (n, 0):
                raise SystemExit(f"wrong: {counters}")
            await asyncio.sleep(0)
            return rate

    folder = keyring.folder.parent
    with other_process(stream_publisher, str(folder), n) as pipe:
        return asyncio.run(work(pipe, folder))


def plain_echo(pipe: Connection, n: int) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    pipe.send(socket.bind_to_random_port(ADDRESS))
    for _ in range(n):
        socket.send_multipart(socket.recv_multipart())
    socket.close()
    context.term()


def plain_calls(n: int) -> list[float]:
    """Seconds of each round trip."""
    with other_process(plain_echo, n) as pipe:
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.connect(f"{ADDRESS}:{pipe.recv()}")
        times = []
        for _ in range(n):
            begun = time.perf_counter()
            socket.send(PAYLOAD)
            socket.recv()
            times.append(time.perf_counter() - begun)
        socket.close()
        context.term()
    return times


def server(pipe: Connection, folder: str) -> None:
    async def echo(params: Any) -> Any:
        return params

    async def work() -> None:
        async with Server(f"{ADDRESS}:0", "midpoint", Keyring(folder), {"echo": echo}) as bound:
            pipe.send(bound.endpoint)
            while not pipe.poll():
                await asyncio.sleep(0.05)

    asyncio.run(work())


def our_calls(n: int, keyring: Keyring) -> list[float]:
    """Seconds of each call."""

    async def work(endpoint: str) -> list[float]:
        async with Client(endpoint, "midpoint", "alice", keyring) as client:
            await client.wait_connected()
            times = []
            for _ in range(n):
                begun = time.perf_counter()
                await client.call("echo", PAYLOAD)
                times.append(time.perf_counter() - begun)
            return times

    with other_process(server, str(keyring.folder.parent)) as pipe:
        times = asyncio.run(work(pipe.recv()))
        pipe.send("stop")
    return times


def journal_rates(folder: Path, n: int) -> tuple[float, float, float]:
    """Bare writes, appends (both per second), and seconds of a sync of 64 records over a bare fdatasync."""
    with (folder / "bare").open("wb", buffering=0) as file:
        begun = time.perf_counter()
        for _ in range(n):
            file.write(PAYLOAD)
        bare = n / (time.perf_counter() - begun)
        os.fdatasync(file.fileno())
        begun = time.perf_counter()
        for _ in range(20):
            for _ in range(64):
                file.write(PAYLOAD)
            os.fdatasync(file.fileno())
        bare_sync_s = time.perf_counter() - begun
    with Journal(folder / "ours") as journal:
        begun = time.perf_counter()
        for _ in range(n):
            journal.append(PAYLOAD)
        ours = n / (time.perf_counter() - begun)
        journal.sync_now()

        async def groups() -> None:
            for _ in range(20):
                for _ in range(64):
                    journal.append(PAYLOAD)
                await journal.sync()

        begun = time.perf_counter()
        asyncio.run(groups())
        sync_s = time.perf_counter() - begun
    return bare, ours, sync_s / bare_sync_s


def percentile(times: list[float], p: float) -> float:
    return sorted(times)[min(int(len(times) * p), len(times) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--calls", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keyring = Keyring(folder, make=True)
        for identity in ("alice", "midpoint"):
            keyring.pair(identity)
        rows: dict[str, Callable[[], float]] = {
            "plain pyzmq, blocking": lambda: plain_items(options.items, None),
            "plain pyzmq with CURVE, blocking": lambda: plain_items(options.items, keyring),
            "zmq.asyncio, plain": lambda: zmq_asyncio_items(options.items // 4),
            "our stream: CURVE, journal, acks": lambda: stream_items(options.items, keyring),
        }
        # Interleaved, so that a neighbour's load falls on all alike.
        measured: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(ROUNDS):
            for name, measure in rows.items():
                measured[name].append(measure())
        ours = statistics.median(measured["our stream: CURVE, journal, acks"])
        print(f"items of {len(PAYLOAD)} B, median of {ROUNDS}")
        for name, rates in measured.items():
            rate = statistics.median(rates)
            print(f"  {name:34s} {rate / 1e3:8.1f} k/s   ours / this {ours / rate:6.2f}")
        plain, called = plain_calls(options.calls), our_calls(options.calls, keyring)
        print("calls, one after the other, us")
        for p in (0.5, 0.99):
            a, b = percentile(plain, p) * 1e6, percentile(called, p) * 1e6
            print(f"  p{p * 100:<4g} plain echo {a:8.0f}   our call {b:8.0f}   ratio {b / a:6.2f}")
        bare, appends, sync_ratio = journal_rates(Path(folder), options.items)
        print("journal")
        print(f"  bare write {bare / 1e3:.0f} k/s, append {appends / 1e3:.0f} k/s, ratio {appends / bare:.2f}")
        print(f"  64 records made durable: ours / bare {sync_ratio:.2f}")


if __name__ == "__main__":
    main()
