"""JSON-RPC 2.0 as the specification of 2013 has it: single calls, notifications, batches."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["RefusedError", "answer"]

Method = Callable[..., object]


class RefusedError(Exception):
    """The instrument does not do this, or not now; its text goes to the caller."""


def answer(request: bytes, methods: Mapping[str, Method]) -> bytes | None:
    """The reply to ``request``; None where it holds notifications only."""
    try:
        message = json.loads(request)
    except ValueError:
        return json.dumps(_error(None, -32700, "Parse error")).encode()
    if isinstance(message, list) and message:
        replies = [reply for reply in (_answer_one(one, methods) for one in message) if reply is not None]
        return json.dumps(replies).encode() if replies else None
    reply = _answer_one(message, methods)
    return None if reply is None else json.dumps(reply).encode()


def _answer_one(message: object, methods: Mapping[str, Method]) -> dict[str, Any] | None:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        return _error(None, -32600, "Invalid Request")
    identity = message.get("id")
    reply = _call(identity, methods.get(message["method"]), message.get("params", []))
    return reply if "id" in message else None


def _call(identity: object, method: Method | None, params: object) -> dict[str, Any]:
    if method is None:
        return _error(identity, -32601, "Method not found")
    if not isinstance(params, list | dict):
        return _error(identity, -32602, "Invalid params")
    positional, named = (params, {}) if isinstance(params, list) else ([], params)
    try:
        inspect.signature(method).bind(*positional, **named)
    except TypeError as error:
        return _error(identity, -32602, f"Invalid params: {error}")
    try:
        result = method(*positional, **named)
    except (ValueError, TypeError) as error:
        return _error(identity, -32602, f"Invalid params: {error}")
    except RefusedError as error:
        return _error(identity, -32000, str(error))
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def _error(identity: object, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}
