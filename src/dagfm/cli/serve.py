"""``dagfm serve``: bundles behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DAY = 86_400.0


def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]PATH...", help="Bundle, run that holds one, or folder of versions (1, 2, ...)."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; about one a processor.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds the token that clients must send as bearer.")
    ] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Listen beyond this machine without a token.")
    ] = False,
    allow_patches: Annotated[
        bool, typer.Option("--allow-patches", help="Take patches from clients without a token, too.")
    ] = False,
    max_body: Annotated[str, typer.Option(metavar="SIZE", help="Largest body, also decompressed.")] = "64MiB",
    max_rows: Annotated[int, typer.Option(min=1, help="Most rows or candidates of a request.")] = 100_000,
    max_patch: Annotated[str, typer.Option(metavar="SIZE", help="Largest patch that clients may send.")] = "1GiB",
    timeout: Annotated[
        float, typer.Option(min=0.1, max=DAY, help="Seconds a request may take to arrive or wait.")
    ] = 30.0,
    drain: Annotated[float, typer.Option(min=0.0, max=DAY, help="Seconds from SIGTERM to the end of listening.")] = 5.0,
    poll: Annotated[
        float, typer.Option(min=0.0, max=DAY, help="Seconds between looks for new bundles; 0 for never.")
    ] = 2.0,
    no_copy: Annotated[
        bool, typer.Option("--no-copy", help="Serve bundles where they lie; nobody may write into their files then.")
    ] = False,
    no_access_log: Annotated[bool, typer.Option("--no-access-log", help="No line for each request.")] = False,
) -> None:
    """Serve bundles over HTTP: the Open Inference Protocol v2, and plain JSON.

    A bundle that is replaced, or a version that is added, is loaded, checked and switched to without losing a request.

    \b
    dagfm serve ratings=runs/demo
    curl localhost:8000/v1/models/ratings:predict -d '{"rows": [{"user_id": 7, "item_id": 3}]}'
    """
    import logging
    import os

    from dagfm.cli.options import parse_size
    from dagfm.errors import DagfmError, InputError, needs

    if not hasattr(os, "fork"):
        raise DagfmError(
            "dagfm serve runs on Linux and macOS; elsewhere a server of your choice runs dagfm.server.app.application"
        )
    try:
        from dagfm.server.listening import bind, check_exposure, url
        from dagfm.server.settings import Limits, Settings
        from dagfm.server.sources import parse_models
        from dagfm.server.supervisor import Supervisor
    except ImportError as error:
        raise needs("dagfm serve", "serve", error) from None

    log = logging.getLogger(__name__)
    token = None
    if token_file is not None and not (token := token_file.read_text().strip()):
        raise InputError(f"{token_file}: is empty, expected a token")
    check_exposure(host, token, allow_anonymous)
    sources = parse_models(models)
    body = parse_size(max_body, least=1024)
    patch = parse_size(max_patch, least=1024)
    limits = Limits(body=body, rows=max_rows, seconds=timeout, pending=4 * body, patch=patch)
    # Who may patch decides what is served; and behind a proxy the whole network comes from this machine.
    patches = token is not None or allow_patches
    access_log = not no_access_log and log.isEnabledFor(logging.INFO)
    settings = Settings(sources, limits, token, access_log, drain, patches=patches)
    listening = bind(host, port)
    place = url(listening)

    def started() -> None:
        log.info("serving %s at %s with %d worker%s", ", ".join(sources), place, workers, "s" if workers > 1 else "")

    Supervisor(settings, listening, workers=workers, poll=poll, copy=not no_copy, started=started).run()
