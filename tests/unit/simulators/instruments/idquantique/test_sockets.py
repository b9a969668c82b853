"""ZeroMQ sockets in the event loop."""

import asyncio
from collections.abc import Coroutine, Iterator

import pytest
import zmq
from _addresses import own_block

from qnode.errors import InstrumentError
from simulators.instruments.idquantique._sockets import ReplySocket, StreamSocket

ENDPOINT = f"tcp://{own_block()}7:4242"


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.destroy(linger=0)


def run(body: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 20))


def test_all_who_ask_at_once_are_answered(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    async def body() -> None:
        replies = ReplySocket(context, "box", ENDPOINT, lambda text: text.upper())
        clients = [context.socket(zmq.REQ) for _ in range(8)]
        for n, client in enumerate(clients):
            client.connect(ENDPOINT)
            client.send_string(f"q{n}")
        assert all(await asyncio.gather(*(asyncio.to_thread(client.poll, 5_000) for client in clients)))
        assert [client.recv() for client in clients] == [f"Q{n}".encode() for n in range(8)]
        for client in clients:
            client.close(0)
        replies.close()

    run(body())


def test_a_stream_waits_for_its_client_and_keeps_the_order(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    async def body() -> None:
        stream = StreamSocket(context, "box", ENDPOINT)
        for n in range(1_000):
            assert stream.send(b"%d" % n)
        stream.flush()
        client = context.socket(zmq.PAIR)
        client.setsockopt(zmq.RCVTIMEO, 5_000)
        client.connect(ENDPOINT)
        got = await asyncio.to_thread(lambda: [client.recv() for _ in range(1_000)])
        assert got == [b"%d" % n for n in range(1_000)]
        client.send(b"words of a client are dropped")
        assert stream.send(b"last")
        stream.close(linger=True)
        assert await asyncio.to_thread(client.recv) == b"last"
        client.close(0)

    run(body())


def test_a_stream_that_nobody_reads_is_bounded(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    async def body() -> None:
        stream = StreamSocket(context, "box", ENDPOINT)
        mebibyte = bytes(1 << 20)
        assert [stream.send(mebibyte) for _ in range(66)] == [True] * 64 + [False] * 2
        stream.close(linger=False)

    run(body())


def test_a_busy_endpoint_is_named(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    async def body() -> None:
        first = StreamSocket(context, "box", ENDPOINT)
        with pytest.raises(InstrumentError, match=f"box: {ENDPOINT} is busy"):
            ReplySocket(context, "box", ENDPOINT, str)
        first.close(linger=False)

    run(body())
