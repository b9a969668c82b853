"""The little of HTTP/1.1 that instruments with a web interface speak: POST of a body, and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from simulators.kit.tcp import Serve

__all__ = ["MAX_BODY_BYTES", "post_server"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Two million steps of 9 bytes in base64 fit twice."""

_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
}


def post_server(path: str, answer: Callable[[bytes], bytes | None], content_type: str = "application/json") -> Serve:
    """What to serve a `TcpServer`'s connections with.

    Args:
        path: the one path that is there; others give 404.
        answer: body to body; None gives 204 without one.
        content_type: of the answers.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _read_head(reader):
            status, body, keep = await _handle(head, reader, writer, path, answer)
            writer.write(_response(status, body, content_type, keep))
            await writer.drain()
            if not keep:
                return

    return serve


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


async def _handle(
    head: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    answer: Callable[[bytes], bytes | None],
) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection can go on; it can't where the length of the body is unknown."""
    request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    words = request_line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return 400, b"", False
    method, target, version = words
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        return 411, b"", False
    length_text = headers.get("content-length", "0")
    if not length_text.isdecimal():
        return 400, b"", False
    if int(length_text) > MAX_BODY_BYTES:
        return 413, b"", False
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(length_text))
    connection = headers.get("connection", "keep-alive" if version == "HTTP/1.1" else "close").lower()
    keep = "close" not in connection
    if target.partition("?")[0] != path:
        return 404, b"", keep
    if method != "POST":
        return 405, b"", keep
    reply = answer(body)
    return (204, b"", keep) if reply is None else (200, reply, keep)


def _response(status: int, body: bytes, content_type: str, keep: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Connection: {'keep-alive' if keep else 'close'}",
    ]
    if status != 204:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
