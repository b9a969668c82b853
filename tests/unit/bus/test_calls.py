from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from _faultnet import FaultProxy

from qnode.bus import (
    CallTimeoutError,
    Client,
    Keyring,
    PeerRestartedError,
    RefusedError,
    Server,
    SyncClient,
    caller_identity,
)
from qnode.errors import InstrumentError, MisuseError, NetworkError, QnodeError

ANY = "tcp://127.0.43.1:0"
Go = Callable[[Any], Any]


class LaserTrippedError(InstrumentError):
    code = "laser-tripped"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has tripped", hint="reset its key switch", laser=name, path=Path("/dev/x"))


async def echo(params: Any) -> Any:
    return params


class Counting:
    """A handler that counts how often it is carried out, and can be held."""

    def __init__(self) -> None:
        self.runs = 0
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, params: Any) -> int:
        self.runs += 1
        self.begun.set()
        await self.free.wait()
        return self.runs


@pytest.mark.parametrize(
    "value", [None, 1, 2**63, -1.5, "Ψ-", b"\0\xff", [1, [2]], {"a": {"b": [True, None]}}, {}, "x" * 3_000_000]
)
def test_what_is_sent_comes_back(keyring: Keyring, go: Go, value: Any) -> None:
    async def work() -> None:
        async with (
            Server(ANY, "alice", keyring, {"echo": echo}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            assert await client.call("echo", value) == value

    go(work())


def test_a_struct_travels_as_its_fields(keyring: Keyring, go: Go) -> None:
    class Power(msgspec.Struct):
        power_mw: float

    async def work() -> None:
        async with (
            Server(ANY, "alice", keyring, {"echo": echo}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            assert await client.call("echo", Power(0.25)) == {"power_mw": 0.25}
            with pytest.raises(MisuseError, match="parameters of echo can't travel"):
                await client.call("echo", object())

    go(work())


def test_an_error_keeps_class_code_hint_and_context(keyring: Keyring, go: Go) -> None:
    async def trip(params: Any) -> None:
        raise LaserTrippedError("alice.red")

    async def work() -> None:
        async with (
            Server(ANY, "alice", keyring, {"trip": trip}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            with pytest.raises(LaserTrippedError) as caught:
                await client.call("trip")
        error = caught.value
        assert (error.message, error.hint) == ("alice.red has tripped", "reset its key switch")
        assert error.context["laser"] == "alice.red"
        assert "/dev/x" in error.context["path"]

    go(work())


def test_an_error_of_an_unknown_class_comes_in_its_family(keyring: Keyring, go: Go) -> None:
    async def fail(params: Any) -> None:
        # A class that this process forgets again stands for one that it never had.
        raise type("GoneError", (MisuseError,), {"code": "gone"})("no such basis", hint="X, Y or Z", basis="Q")

    async def work() -> None:
        async with (
            Server(ANY, "alice", keyring, {"fail": fail}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            with pytest.raises(MisuseError, match="no such basis - X, Y or Z") as caught:
                await client.call("fail")
        assert caught.value.code == "gone"
        assert caught.value.context == {"basis": "Q"}

    go(work())


def test_a_fault_in_a_handler_is_told_with_its_traceback(keyring: Keyring, go: Go) -> None:
    async def divide(params: Any) -> float:
        return 1 / params

    async def work() -> None:
        async with (
            Server(ANY, "alice", keyring, {"divide": divide}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            with pytest.raises(QnodeError, match="divide of alice failed: ZeroDivisionError") as caught:
                await client.call("divide", 0)
            assert await client.call("divide", 2) == 0.5
        assert "return 1 / params" in str(caught.value.context["traceback"])

    go(work())


def test_an_unknown_name_is_answered_with_the_known_ones(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with (
            Server(ANY, "alice", keyring, {"echo": echo, "arm": echo}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            with pytest.raises(MisuseError, match=r"alice has no call 'fire' - it has arm, echo"):
                await client.call("fire")

    go(work())


def test_the_handler_knows_who_calls_and_names_can_be_kept_for_some(keyring: Keyring, go: Go) -> None:
    async def who(params: Any) -> str:
        return caller_identity()

    async def work() -> None:
        allowed = {"arm": ["operator"]}
        async with (
            Server(ANY, "alice", keyring, {"who": who, "arm": who}, allowed=allowed) as server,
            Client(server.endpoint, "alice", "operator", keyring) as operator,
            Client(server.endpoint, "alice", "bob", keyring) as bob,
        ):
            assert await bob.call("who") == "bob"
            assert await operator.call("arm") == "operator"
            with pytest.raises(RefusedError, match="bob may not call arm of alice - operator may"):
                await bob.call("arm")

    go(work())
    with pytest.raises(MisuseError, match="no call is under way"):
        caller_identity()


def test_a_hung_handler_stops_nobody_else(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        hung = Counting()
        hung.free.clear()
        async with (
            Server(ANY, "alice", keyring, {"hang": hung, "echo": echo}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            hanging = asyncio.create_task(client.call("hang"))
            await hung.begun.wait()
            assert await client.call("echo", 5, timeout_s=2.0) == 5
            assert not hanging.done()
            hung.free.set()
            assert await hanging == 1

    go(work())


def test_many_calls_at_once_each_get_their_own_answer(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with (
            Server(ANY, "alice", keyring, {"echo": echo}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            assert await asyncio.gather(*(client.call("echo", n) for n in range(200))) == list(range(200))

    go(work())


def test_a_call_under_a_key_that_was_used_is_answered_and_not_repeated(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        fire = Counting()
        async with (
            Server(ANY, "alice", keyring, {"fire": fire, "echo": echo}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as first,
            Client(server.endpoint, "alice", "operator", keyring) as second,
            Client(server.endpoint, "alice", "bob", keyring) as bob,
        ):
            assert await first.call("fire", idempotency_key="k") == 1
            assert await first.call("fire", idempotency_key="k") == 1
            assert await second.call("fire", idempotency_key="k") == 1
            assert fire.runs == 1
            # A key is its identity's own: bob can neither read nor spoil the operator's answers.
            assert await bob.call("fire", idempotency_key="k") == 2
            with pytest.raises(MisuseError, match="'k' was used for fire, now for echo"):
                await first.call("echo", idempotency_key="k")

    go(work())


def test_a_call_repeated_while_it_runs_waits_for_the_one_answer(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        fire = Counting()
        fire.free.clear()
        async with (
            Server(ANY, "alice", keyring, {"fire": fire, "echo": echo}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            calls = [asyncio.create_task(client.call("fire", idempotency_key="k")) for _ in range(2)]
            await fire.begun.wait()
            await client.call("echo")  # the second call arrived before this one
            fire.free.set()
            assert await asyncio.gather(*calls) == [1, 1]

    go(work())


def test_a_failure_is_remembered_like_a_result(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        runs = 0

        async def fail(params: Any) -> None:
            nonlocal runs
            runs += 1
            raise InstrumentError("no light")

        async with (
            Server(ANY, "alice", keyring, {"fail": fail}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            for _ in range(2):
                with pytest.raises(InstrumentError, match="no light"):
                    await client.call("fail", idempotency_key="k")
        assert runs == 1

    go(work())


def test_a_call_that_arrives_after_its_deadline_is_not_begun(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        fire = Counting()
        async with Server(ANY, "alice", keyring, {"fire": fire, "echo": echo}) as server:
            with FaultProxy(server.endpoint) as proxy:
                async with Client(proxy.endpoint, "alice", "operator", keyring) as client:
                    assert await client.call("echo", 1) == 1
                    proxy.delay("up", 0.3)
                    with pytest.raises(CallTimeoutError):
                        await client.call("fire", timeout_s=0.1)
                    # Sent behind the late one on the same connection, so the late one has arrived by now.
                    assert await client.call("echo", 2, timeout_s=5.0) == 2
                    assert fire.runs == 0

    go(work())


def test_a_time_out_says_who_where_what_how_long_and_what_to_do(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        hung = Counting()
        hung.free.clear()
        async with (
            Server(ANY, "alice", keyring, {"hang": hung}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            await client.wait_connected()
            with pytest.raises(CallTimeoutError) as caught:
                await client.call("hang", timeout_s=0.2)
            text = str(caught.value)
            for part in ("alice", server.endpoint, "hang", "0.2 s", "it is connected", "qnode logs"):
                assert part in text

    go(work())


def test_nobody_there_is_said_in_time(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with Client("tcp://127.0.43.1:9", "alice", "operator", keyring) as client:
            begun = time.monotonic()
            with pytest.raises(CallTimeoutError, match=r"nothing answers there.*it was not sent.*qnode status"):
                await client.call("echo", timeout_s=0.2)
            assert 0.2 <= time.monotonic() - begun < 20.0
            with pytest.raises(CallTimeoutError, match=r"did not give the connection within 0\.1 s"):
                await client.wait_connected(0.1)

    go(work())


def test_a_suspended_process_is_told_from_a_wrong_key(
    keyring: Keyring, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a process that does not run the kernel still takes connections."""
    monkeypatch.setattr("qnode.bus._sockets._HANDSHAKE_MS", 100)

    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as suspended:
            endpoint = f"tcp://127.0.0.1:{suspended.getsockname()[1]}"
            async with Client(endpoint, "alice", "operator", keyring) as client:
                with pytest.raises(CallTimeoutError) as caught:
                    await client.call("echo", timeout_s=3.0)
        assert "it takes connections and says nothing: its process is suspended, or far too busy" in str(caught.value)
        assert caught.value.hint == "`kill -CONT` it where `ps` shows state T; else see `qnode logs` of alice"

    go(work())


def test_an_unknown_key_is_refused_until_it_is_known(keyring: Keyring, tmp_path: Path, go: Go) -> None:
    async def work() -> None:
        stranger = Keyring(tmp_path / "elsewhere", make=True)
        public = stranger.pair("mallory").public
        (stranger.folder / "alice.pub").write_bytes(keyring.pair("alice").public)
        fire = Counting()
        async with (
            Server(ANY, "alice", keyring, {"fire": fire}) as server,
            Client(server.endpoint, "alice", "mallory", stranger) as client,
        ):
            with pytest.raises(RefusedError, match=r"alice at .* does not know the key of mallory.*mallory\.pub"):
                await client.call("fire", timeout_s=5.0)
            assert fire.runs == 0
            (keyring.folder / "mallory.pub").write_bytes(public)
            for _ in range(50):
                try:
                    await client.wait_connected(0.5)
                    break
                except (RefusedError, CallTimeoutError):
                    await asyncio.sleep(0.05)
            assert await client.call("fire") == 1

    go(work())


def test_a_key_that_is_taken_away_ends_its_sessions(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        fire = Counting()
        async with (
            Server(ANY, "alice", keyring, {"fire": fire}) as server,
            Client(server.endpoint, "alice", "bob", keyring) as client,
        ):
            assert await client.call("fire") == 1
            (keyring.folder / "bob.pub").unlink()

            async def fire_on() -> None:
                for _ in range(100):
                    await client.call("fire")
                    await asyncio.sleep(0.05)

            with pytest.raises(RefusedError, match="no longer knows the key of bob"):
                await fire_on()

    go(work())


def test_a_server_with_another_key_times_out_with_a_clear_text(keyring: Keyring, tmp_path: Path, go: Go) -> None:
    async def work() -> None:
        other = Keyring(tmp_path / "impostor", make=True)
        other.pair("alice")
        (other.folder / "operator.pub").write_bytes(keyring.pair("operator").public)
        fire = Counting()
        async with (
            Server(ANY, "alice", other, {"fire": fire}) as impostor,
            Client(impostor.endpoint, "alice", "operator", keyring) as client,
        ):
            with pytest.raises(CallTimeoutError, match="may not hold the key of alice"):
                await client.call("fire", timeout_s=2.0)
        assert fire.runs == 0

    go(work())


@pytest.mark.parametrize(("version", "features", "why"), [(99, ["call"], "wire version 1"), (1, ["warp"], "warp")])
def test_an_unknown_version_or_feature_is_refused_aloud(
    keyring: Keyring, go: Go, version: int, features: list[str], why: str
) -> None:
    async def work() -> None:
        own, server_key = keyring.pair("operator"), keyring.public("alice")
        async with Server(ANY, "alice", keyring, {"echo": echo}) as server:
            with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
                socket.linger = 0
                socket.curve_publickey, socket.curve_secretkey = own
                socket.curve_serverkey = server_key
                socket.connect(server.endpoint)
                socket.send_multipart([b"", msgspec.msgpack.encode(["hello", version, features, 0, b"", 0])])
                while not socket.poll(0):
                    await asyncio.sleep(0.01)
                kind, error = msgspec.msgpack.decode(socket.recv_multipart()[-1])
                assert kind == "refused"
                assert error[:2] == ["network", "refused"]
                assert re.search(why, error[2])

    go(work())


def test_a_peer_without_curve_or_with_a_strange_token_gets_nothing(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        fire = Counting()
        call = msgspec.msgpack.encode(["call", 1, "fire", "k", 2**62, None])
        own, server_key = keyring.pair("operator"), keyring.public("alice")
        async with Server(ANY, "alice", keyring, {"fire": fire}) as server:
            with zmq.Context() as context, context.socket(zmq.DEALER) as plain, context.socket(zmq.DEALER) as keyed:
                plain.linger = keyed.linger = 0
                keyed.curve_publickey, keyed.curve_secretkey = own
                keyed.curve_serverkey = server_key
                for socket in (plain, keyed):
                    socket.connect(server.endpoint)
                    socket.send_multipart([b"t" * 16, call])
                while not keyed.poll(0):
                    await asyncio.sleep(0.01)
                assert msgspec.msgpack.decode(keyed.recv_multipart()[-1]) == ["strange"]
                assert not plain.poll(0)
        assert fire.runs == 0

    go(work())


def test_a_token_is_good_on_its_own_connection_only(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        fire = Counting()
        own, server_key = keyring.pair("bob"), keyring.public("alice")
        async with (
            Server(ANY, "alice", keyring, {"fire": fire}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            await client.wait_connected()
            (token,) = server._hub.sessions
            with zmq.Context() as context, context.socket(zmq.DEALER) as bob:
                bob.linger = 0
                bob.curve_publickey, bob.curve_secretkey = own
                bob.curve_serverkey = server_key
                bob.connect(server.endpoint)
                bob.send_multipart([token, msgspec.msgpack.encode(["call", 1, "fire", "k", 2**62, None])])
                while not bob.poll(0):
                    await asyncio.sleep(0.01)
                assert msgspec.msgpack.decode(bob.recv_multipart()[-1]) == ["strange"]
        assert fire.runs == 0

    go(work())


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_call_open_over_a_cut_is_carried_out_once_and_answered(keyring: Keyring, go: Go, way: Any) -> None:
    async def work() -> None:
        fire = Counting()
        async with Server(ANY, "alice", keyring, {"fire": fire, "echo": echo}) as server:
            with FaultProxy(server.endpoint) as proxy:
                async with Client(proxy.endpoint, "alice", "operator", keyring) as client:
                    await client.call("echo")
                    proxy.stall(way)
                    call = asyncio.create_task(client.call("fire", timeout_s=15.0))
                    if way == "down":
                        await fire.begun.wait()
                    while client.connected:  # until the heartbeat has noticed
                        await asyncio.sleep(0.01)
                    proxy.cut()
                    proxy.heal()
                    assert await call == 1
                    assert fire.runs == 1

    go(work())


def test_calls_made_during_a_cut_go_out_when_it_is_healed(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        async with Server(ANY, "alice", keyring, {"echo": echo}) as server:
            with FaultProxy(server.endpoint) as proxy:
                async with Client(proxy.endpoint, "alice", "operator", keyring) as client:
                    await client.call("echo")
                    proxy.cut()
                    while client.connected:
                        await asyncio.sleep(0.01)
                    with pytest.raises(CallTimeoutError, match=r"the link is cut, for \d+\.\d s.*it was not sent"):
                        await client.call("echo", timeout_s=0.2)
                    calls = [asyncio.create_task(client.call("echo", n, timeout_s=15.0)) for n in range(50)]
                    await asyncio.sleep(0)
                    proxy.heal()
                    assert await asyncio.gather(*calls) == list(range(50))

    go(work())


def test_a_restart_of_the_server_ends_open_calls_and_takes_new_ones(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        hung = Counting()
        hung.free.clear()
        async with Server(ANY, "alice", keyring, {"hang": hung}) as server:
            endpoint = server.endpoint
            client = Client(endpoint, "alice", "operator", keyring)
            call = asyncio.create_task(client.call("hang", timeout_s=20.0))
            await hung.begun.wait()
        async with Server(endpoint, "alice", keyring, {"echo": echo}), client:
            with pytest.raises(PeerRestartedError, match="may or may not have been carried out"):
                await call
            assert await client.call("echo", 3) == 3

    go(work())


def test_a_session_that_the_server_has_forgotten_begins_anew(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        fire = Counting()
        async with (
            Server(ANY, "alice", keyring, {"fire": fire}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            assert await client.call("fire") == 1
            server._hub.sessions.clear()
            assert await asyncio.gather(*(client.call("fire") for _ in range(5))) == [2, 3, 4, 5, 6]

    go(work())


def test_replies_are_forgotten_beyond_their_number(keyring: Keyring, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qnode.bus._server._KEEP_REPLIES", 3)

    async def work() -> None:
        fire, hung = Counting(), Counting()
        hung.free.clear()
        async with (
            Server(ANY, "alice", keyring, {"fire": fire, "hang": hung}) as server,
            Client(server.endpoint, "alice", "operator", keyring) as client,
        ):
            hanging = asyncio.create_task(client.call("hang", idempotency_key="h"))
            await hung.begun.wait()
            for key in ("a", "b", "c", "d"):
                await client.call("fire", idempotency_key=key)
            assert await client.call("fire", idempotency_key="d") == 4
            assert await client.call("fire", idempotency_key="a") == 5  # forgotten, so carried out again
            again = asyncio.create_task(client.call("hang", idempotency_key="h"))  # under way: never forgotten
            await client.call("fire")
            hung.free.set()
            assert await hanging == await again == 1

    go(work())


def test_closing_ends_open_calls(keyring: Keyring, go: Go) -> None:
    async def work() -> None:
        hung = Counting()
        hung.free.clear()
        async with Server(ANY, "alice", keyring, {"hang": hung}) as server:
            client = Client(server.endpoint, "alice", "operator", keyring)
            call = asyncio.create_task(client.call("hang"))
            await hung.begun.wait()
            await client.close()
            with pytest.raises(NetworkError, match="closed with hang under way"):
                await call
            with pytest.raises(NetworkError, match="is closed - make a new one"):
                await client.call("hang")

    go(work())


def test_an_address_in_use_is_named(keyring: Keyring, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qnode.bus._hub._BIND_FOR_S", 0.05)

    async def work() -> None:
        async with Server(ANY, "alice", keyring, {}) as server:
            with pytest.raises(NetworkError, match=f"bob can't bind {server.endpoint}.*another process has it"):
                await Server(server.endpoint, "bob", keyring, {}).start()
        with pytest.raises(NetworkError, match="check the address in the lab file"):
            await Server("tcp://198.51.100.1:5700", "bob", keyring, {}).start()

    go(work())


def test_the_synchronous_client_works_inside_a_loop_and_from_threads(keyring: Keyring) -> None:
    ready, stop = threading.Event(), threading.Event()
    endpoint = ""

    async def serve() -> None:
        nonlocal endpoint
        async with Server(ANY, "alice", keyring, {"echo": echo}) as server:
            endpoint = server.endpoint
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        answers: dict[int, list[int]] = {}
        with SyncClient(endpoint, "alice", "operator", keyring) as client:

            def ask(who: int) -> None:
                answers[who] = [client.call("echo", who * 1000 + n) for n in range(50)]

            async def inside() -> int:
                return int(client.call("echo", 7))

            assert asyncio.run(inside()) == 7
            callers = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join(20)
            assert answers == {who: [who * 1000 + n for n in range(50)] for who in range(4)}
            with pytest.raises(MisuseError, match="has no call"):
                client.call("nothing")
        client.close()
        with pytest.raises(NetworkError, match="the connection to alice is closed - make a new one"):
            client.call("echo")
    finally:
        stop.set()
        thread.join(10)
