"""The OpenAPI document as a page for people, which works without internet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #1b1f24; background: #fff; }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: #f2f4f7; border-radius: 4px; }
code { padding: 0 .25em; } pre { padding: .75em; overflow-x: auto; } pre code { padding: 0; }
section { border-top: 1px solid #d0d7de; margin-top: 2rem; }
h3 { margin-bottom: .25rem; } .method { font-weight: 700; color: #0a58ca; }
table { border-collapse: collapse; } td { padding: .2em 1em .2em 0; vertical-align: top; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e9ed; background: #14171b; } code, pre { background: #22272e; }
  .method { color: #79b0ff; }
  section { border-color: #3a414b; }
}
"""
_CODE = re.compile(r"`([^`]+)`")


def page(document: Mapping[str, Any], base: str) -> str:
    """The page.

    Args:
        document: as `/openapi.json` has it.
        base: the gateway's own address.
    """
    info = document["info"]
    return "".join(
        (
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>",
            f"<h1>{escape(info['title'])}</h1>{_prose(info['description'])}",
            '<p>The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>',
            *_index(document),
            *(part for route in _routes(document) for part in _route(document, base, *route)),
            "</html>",
        )
    )


def _routes(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            yield path, method.upper(), route


def _index(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<table>"
    for path, method, route in _routes(document):
        place = escape(route["operationId"])
        yield f'<tr><td class="method">{method}<td><a href="#{place}">{escape(path)}</a>'
        yield f"<td>{escape(route['summary'])}</tr>"
    yield "</table>"


def _route(
    document: Mapping[str, Any], base: str, path: str, method: str, route: Mapping[str, Any]
) -> Iterator[str]:
    yield f'<section id="{escape(route["operationId"])}">'
    yield f"<h2>{escape(route['summary'])}</h2>"
    yield f'<p><code><span class="method">{method}</span> {escape(path)}</code></p>'
    yield _prose(route.get("description", ""))
    yield from _proof(document, route)
    yield from _parameters(route)
    yield from _example(base, path, method, route)
    yield "<h3>Answers</h3><table>"
    for status, answer in sorted(route["responses"].items()):
        yield f"<tr><td>{escape(status)}<td>{_inline(answer['description'])}</tr>"
    yield "</table></section>"


def _proof(document: Mapping[str, Any], route: Mapping[str, Any]) -> Iterator[str]:
    known = document["components"]["securitySchemes"]
    named = [known[name]["description"] for each in route.get("security", ()) for name in each]
    if named:
        yield f"<h3>Who may call it</h3>{_prose('; or: '.join(named))}"


def _parameters(route: Mapping[str, Any]) -> Iterator[str]:
    parameters = route.get("parameters", ())
    if parameters:
        yield "<h3>Parameters</h3><table>"
        for each in parameters:
            said = _inline(each.get("description", ""))
            yield f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}<td>{said}</tr>"
        yield "</table>"


def _example(base: str, path: str, method: str, route: Mapping[str, Any]) -> Iterator[str]:
    if "requestBody" not in route:
        return
    [(media, content)] = route["requestBody"]["content"].items()
    shown = json.dumps(content["example"], indent=2, ensure_ascii=False)
    yield f"<h3>Body: {escape(media)}</h3><pre><code>{escape(shown)}</code></pre>"
    if {"gatewayToken": []} in route.get("security", ()):
        call = (
            f"curl -X {method} {base}{path} \\\n"
            '  -H "Authorization: Bearer $(cat .aspora/gateway-token)" \\\n'
            f"  -H 'Content-Type: {media}' -d @body.json"
        )
        yield f"<pre><code>{escape(call)}</code></pre>"


def _prose(text: str) -> str:
    """Paragraphs, `code`, and fenced blocks."""
    parts = re.split(r"```\w*\n(.*?)```", text, flags=re.DOTALL)
    found: list[str] = []
    for number, part in enumerate(parts):
        if number % 2:
            found.append(f"<pre><code>{escape(part)}</code></pre>")
        else:
            found += [f"<p>{_inline(each)}</p>" for each in part.split("\n\n") if each.strip()]
    return "".join(found)


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text.strip()))
