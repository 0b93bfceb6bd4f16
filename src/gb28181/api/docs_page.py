"""The documentation page: plain HTML made from the OpenAPI document, with nothing fetched from elsewhere and no script."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; padding: .3rem 0 }
code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8884; border-radius: 4px }
details { border-bottom: 1px solid #8884 }
details > :not(summary) { margin-left: 1.2rem }
.method { display: inline-block; width: 4.5rem; font-weight: 600 }
table { border-collapse: collapse }
td, th { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top }
"""


def render(document: dict[str, Any]) -> str:
    """The page of a document."""
    info = document["info"]
    schemas = document["components"]["schemas"]
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    models = [
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
        for name, schema in sorted(schemas.items())
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="docs.css"></head><body>'
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1><p>{escape(info['description'])}</p>"
        f'<p>Machine-readable: <a href="openapi.json">openapi.json</a> (OpenAPI {escape(document["openapi"])}).</p>'
        f"<h2>Calls</h2>{''.join(operations)}<h2>Models</h2>{''.join(models)}</body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"<p>{escape(operation['description'])}</p>"]
    if operation.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(entry['name'])}</code><td>{escape(entry['in'])}<td>{escape(entry['description'])}"
            for entry in operation["parameters"]
        )
        parts.append(f"<table><tr><th>parameter<th>in<th>{rows}</table>")
    if "requestBody" in operation:
        parts.append(f"<p>Body: {_model(operation['requestBody'])}</p>")
    rows = "".join(
        f"<tr><td><code>{escape(status)}</code><td>{escape(answer['description'])}<td>{_model(answer)}"
        for status, answer in operation["responses"].items()
    )
    parts.append(f"<table><tr><th>status<th>meaning<th>body{rows}</table>")
    head = f'<span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code> {escape(operation["summary"])}'
    return f"<details><summary>{head}</summary>{''.join(parts)}</details>"


def _model(holder: dict[str, Any]) -> str:
    schema = holder.get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>' if name else ""


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, ensure_ascii=False, indent=2))}</pre>"
