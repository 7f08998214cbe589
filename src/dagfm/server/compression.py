"""Bodies as gzip or deflate, without letting a small one grow beyond the limit."""

from __future__ import annotations

import zlib

from dagfm.server.answers import RefusedError

_WINDOWS = {
    "gzip": (zlib.MAX_WBITS | 16,),
    "x-gzip": (zlib.MAX_WBITS | 16,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
}
"""Of deflate the standard's (in zlib's frame), then what some clients send instead: the bare stream."""

WORTH_IT = 16 << 10
"""Bytes from which an answer is compressed for who asks; many clients ask always."""


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before ``Content-Encoding: encoding``; at most ``limit`` bytes are ever made of it.

    Raises RefusedError: 415 for another encoding, 413 beyond the limit, 400 for what is not in that encoding.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise RefusedError(415, f"Content-Encoding '{encoding}' is not supported; valid: gzip, deflate, identity")
    for window in _WINDOWS[encoding]:
        stream = zlib.decompressobj(window)
        try:
            found = stream.decompress(body, limit + 1)
        except zlib.error:
            continue
        if len(found) > limit:
            raise RefusedError(413, f"the decompressed body is larger than {limit} bytes")
        if not stream.eof or stream.unused_data:
            break
        return found
    raise RefusedError(400, f"the body is not valid {encoding}, as Content-Encoding says it is")


def deflate(body: bytes, accepted: str) -> tuple[bytes, str | None]:
    """The body in the first of gzip and deflate that the client accepts and its encoding; None where it stays plain."""
    if len(body) < WORTH_IT:
        return body, None
    offers = {part.split(";")[0].strip().lower() for part in accepted.split(",") if "q=0" not in part.replace(" ", "")}
    for encoding in ("gzip", "deflate"):
        if encoding in offers:
            stream = zlib.compressobj(1, zlib.DEFLATED, _WINDOWS[encoding][0])
            return stream.compress(body) + stream.flush(), encoding
    return body, None
