"""Whether a request carries the server's token."""

from __future__ import annotations

import base64
import binascii
import hmac

from dagfm.server.answers import RefusedError
from dagfm.server.call import Call

_BEARER = b"Bearer "
_BASIC = b"Basic "
_READING = ("GET", "HEAD")


def check(call: Call, token: bytes) -> None:
    """Raises RefusedError (401) unless the call carries ``token``: as ``Bearer``, or, where it only reads, as the
    password of any name, which is what a browser asks a person for.

    Not where it does more: a browser sends a password that it knows also for pages of others.
    """
    given = call.headers.get(b"authorization", b"")
    reads = call.method in _READING
    found = given.removeprefix(_BEARER) if given.startswith(_BEARER) else _password(given) if reads else b""
    if not hmac.compare_digest(found, token):
        ways = [b"Bearer", b'Basic realm="dagfm: any name, and the token as password"'][: 1 + reads]
        raise RefusedError(
            401, "this needs 'Authorization: Bearer TOKEN'", headers=[(b"www-authenticate", way) for way in ways]
        )


def _password(given: bytes) -> bytes:
    if not given.startswith(_BASIC):
        return b""
    try:
        return base64.b64decode(given.removeprefix(_BASIC)).partition(b":")[2]
    except binascii.Error:
        return b""
