"""The socket that a server listens on: which addresses are safe, and taking one."""

from __future__ import annotations

import errno
import ipaddress
import socket

from dagfm.errors import InputError


def check_exposure(host: str, token: str | None, anonymous: bool) -> None:
    """Raises InputError where everybody on a network could score, load and unload, and nobody said that they may."""
    if token is None and not anonymous and not _is_loopback(host):
        raise InputError(
            f"--host {host}: others than this machine could use the server; give --token-file, or --allow-anonymous "
            "where something in front of it decides who may"
        )


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening; raises InputError where that cannot be had."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, number)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        hint = "another process listens there; choose another --port" if taken else error.strerror or str(error)
        raise InputError(f"{host}:{port}: {hint}") from None
    return bound


def url(bound: socket.socket) -> str:
    """Where clients find it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
