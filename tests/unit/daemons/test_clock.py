"""A daemon's source of lab time, at an endpoint that breaks."""

import asyncio
import json

import pytest

from qnode.clock import ClockError
from qnode.daemons._clock import RenewedClock


class Endpoint:
    """The clock endpoint's wire, version 1; lab time is the number of the connection."""

    def __init__(self):
        self.parties = []
        self.connections = []

    async def serve(self, reader, writer):
        self.connections.append(writer)
        number = len(self.connections)
        while line := await reader.readline():
            request = json.loads(line)
            if request["op"] == "hello":
                self.parties.append(request["party"])
                answer = {"op": "hello", "version": 1, "now_ps": number}
            else:
                answer = {"id": request["id"], "now_ps": number}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    def cut(self):
        self.connections[-1].transport.abort()


def run(body):
    async def whole():
        endpoint = Endpoint()
        server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        clock = RenewedClock(f"tcp://{host}:{port}", "alice")
        try:
            await body(clock, endpoint, server)
        finally:
            await clock.close()
            server.close()
            await server.wait_closed()

    asyncio.run(whole())


def test_the_call_that_meets_the_loss_fails_and_the_next_one_connects_anew():
    async def body(clock, endpoint, _server):
        assert await clock.now_ps() == 1
        assert await clock.wait_until(1) == 1
        endpoint.cut()
        with pytest.raises(ClockError, match=r"closed the connection|connection lost"):
            await clock.now_ps()
        assert await clock.now_ps() == 2
        assert endpoint.parties == ["alice", "alice"]

    run(body)


def test_calls_that_fail_together_connect_anew_once():
    async def body(clock, endpoint, _server):
        await clock.now_ps()
        endpoint.cut()
        failed = await asyncio.gather(*(clock.now_ps() for _ in range(5)), return_exceptions=True)
        assert all(isinstance(error, ClockError) for error in failed)
        assert await asyncio.gather(*(clock.now_ps() for _ in range(5))) == [2] * 5

    run(body)


def test_an_endpoint_that_is_gone_is_an_error_at_each_call():
    async def body(clock, endpoint, server):
        await clock.release(5)
        server.close()
        endpoint.cut()
        for _ in range(2):
            with pytest.raises(ClockError):
                await clock.idle()

    run(body)
