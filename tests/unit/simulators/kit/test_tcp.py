import asyncio
import contextlib
import socket

import pytest

from qnode.errors import InstrumentError
from simulators.kit.http import MAX_BODY_BYTES, post_server
from simulators.kit.tcp import TcpServer
from simulators.kit.testing import BackgroundLoop, wait_for

HOST = "127.0.40.9"


@contextlib.contextmanager
def listening(serve):
    background = BackgroundLoop()
    server = TcpServer("alice.box", HOST, 0, serve)
    try:
        background.call(server.open())
        yield server, background
    finally:
        background.call(server.close())
        background.close()


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()


def connect(server):
    return socket.create_connection((HOST, server.port), timeout=5)


def test_two_clients_at_once():
    with listening(echo) as (server, _), connect(server) as one, connect(server) as two:
        one.sendall(b"1")
        two.sendall(b"2")
        assert two.recv(1) == b"2"
        assert one.recv(1) == b"1"


def test_close_resets_and_frees_the_port():
    with listening(echo) as (server, background), connect(server) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        background.call(server.close())
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        background.call(server.open())
        with connect(server) as again:
            again.sendall(b"y")
            assert again.recv(1) == b"y"


def test_reset_of_connections_keeps_listening():
    with listening(echo) as (server, background), connect(server) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        background.loop.call_soon_threadsafe(server.reset_connections)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        connect(server).close()


def test_taken_port_says_who_where_and_what_to_do():
    with listening(echo) as (server, background):
        second = TcpServer("bob.box", HOST, server.port, echo)
        with pytest.raises(InstrumentError, match=rf"bob\.box: .*{HOST} port {server.port}, it is taken - stop"):
            background.call(second.open())


def test_a_handler_that_fails_ends_its_connection_only(caplog):
    async def fail(reader, writer):
        if await reader.read(1) == b"!":
            raise RuntimeError("a bug")
        await echo(reader, writer)

    with listening(fail) as (server, _), connect(server) as bad, connect(server) as good:
        bad.sendall(b"!")
        with pytest.raises(ConnectionResetError):
            bad.recv(1)
        good.sendall(b".x")
        assert good.recv(1) == b"x"
    assert "alice.box: a connection to port" in caplog.text


def test_client_that_leaves_is_forgotten():
    left = asyncio.Event()

    async def serve(reader, writer):
        await reader.read(1)
        left.set()

    with listening(serve) as (server, _):
        connect(server).close()
        wait_for(left.is_set, "the end of the connection")
        wait_for(lambda: not server._connections, "the connection to be forgotten")


def ask(request: bytes) -> bytes:
    with listening(post_server("/box", lambda body: body[::-1] or None)) as (server, _), connect(server) as client:
        client.sendall(request)
        reply = b""
        while piece := client.recv(1000):
            reply += piece
        return reply


def test_http_keeps_the_connection_as_the_client_wishes():
    first = b"POST /box HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    last = b"POST /box HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nxy"
    reply = ask(first + last)
    assert reply.count(b"HTTP/1.1 200 OK") == 2
    assert reply.index(b"cba") < reply.index(b"yx")
    assert b"Connection: keep-alive" in reply


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /box HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /box HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /box HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"POST /other HTTP/1.0\r\n\r\n", 404),
        (b"GET /box HTTP/1.0\r\n\r\n", 405),
        (b"POST /box HTTP/1.0\r\n\r\n", 204),
    ],
)
def test_http_status(request_bytes, status):
    assert ask(request_bytes).startswith(b"HTTP/1.1 %d " % status)


def test_http_continue_is_granted():
    reply = ask(
        b"POST /box HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
    )
    assert reply.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
