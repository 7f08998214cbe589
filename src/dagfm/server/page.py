"""The OpenAPI description for eyes: a page that needs no script and nothing from elsewhere."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from dagfm import __version__

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "code{background:#8882;padding:.1em .3em}pre{background:#8881;padding:.7em;white-space:pre-wrap}"
    "h3{margin-top:2em}.answer{border-left:.3em solid #8884;margin-left:0}"
)


def page(described: Mapping[str, Any], base: str) -> bytes:
    """``described`` as HTML: for every path what it does, a command to try it, and what that answers.

    ``base`` is where clients find the server, such as ``http://localhost:8000``. Paths of single versions are left out:
    they are the model's own with another beginning.
    """
    parts = [
        f"<!doctype html><meta charset=utf-8><title>dagfm</title><style>{_STYLE}</style>",
        f"<h1>dagfm {html.escape(__version__)}</h1><p>The same for programs: <a href=openapi.json>openapi.json</a>, "
        "which also has the paths of single versions: <code>/v1/models/NAME/versions/VERSION:predict</code>. "
        "Where a token is needed, <code>-H 'Authorization: Bearer TOKEN'</code> tells it.</p>",
    ]
    for path, operations in described["paths"].items():
        if "/versions/" in path:
            continue
        for method, operation in operations.items():
            title = f"<code>{method.upper()} {html.escape(path)}</code>"
            title = f'<a href="{html.escape(path[1:])}">{title}</a>' if method == "get" else title
            parts.append(f"<h3>{title}</h3><p>{html.escape(operation['summary'])}</p>")
            if method != "get":
                parts.append(f"<pre>{html.escape(_command(base + path, operation))}</pre>")
            answer = _example(operation["responses"]["200"])
            if answer is not None:
                parts.append(f"<pre class=answer>{html.escape(json.dumps(answer))}</pre>")
    return "\n".join(parts).encode()


def _command(address: str, operation: Mapping[str, Any]) -> str:
    """What a shell takes."""
    body = operation["requestBody"]
    if "application/octet-stream" in body["content"]:
        return f"curl {address} --data-binary @new.patch"
    example = _example(body)
    if example is None:
        return f"curl -X POST {address}"
    quoted = _json(example).replace("'", "'\\''")
    return f"curl {address} -d '{quoted}'"


def _json(body: Mapping[str, Any]) -> str:
    """A line for each row, tensor or other member."""
    lines = []
    for key, value in body.items():
        rows = [f"\n  {json.dumps(row)}" for row in value] if isinstance(value, list) else [json.dumps(value)]
        lines.append(f"{json.dumps(key)}: " + (f"[{','.join(rows)}]" if isinstance(value, list) else rows[0]))
    return "{" + ",\n ".join(lines) + "}"


def _example(part: Mapping[str, Any]) -> Any:
    return part["content"].get("application/json", {}).get("example")
