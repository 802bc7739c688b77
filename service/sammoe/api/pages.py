"""``/docs``: the API for people, one plain page made from the OpenAPI document.

No script and nothing from elsewhere, so it works in a hospital's closed network.
"""

import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, Final

_METHODS: Final = ("get", "post", "delete")

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 55rem }}
body {{ margin: 2rem auto; padding: 0 1rem }}
h2 {{ font-size: 1.1rem; border-top: 1px solid #999; padding-top: 1rem }}
code, pre {{ font: .85rem/1.4 ui-monospace, monospace }}
pre {{ background: #8881; padding: .7rem; overflow-x: auto }}
th, td {{ text-align: left; vertical-align: top; padding: .1rem 1rem .1rem 0 }}
:root {{ color-scheme: light dark }}
</style></head><body>
<h1>{title} {version}</h1>
<p>{description}</p>
<p><a href="/openapi.json">openapi.json</a></p>
"""


def page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document: each operation with its example and its answers."""
    info = {key: escape(str(document["info"][key])) for key in ("title", "version", "description")}
    return "".join([_HEAD.format(**info), *_operations(document), "</body></html>\n"])


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                answers = [
                    (status, _answer(document, answer))
                    for status, answer in item[method]["responses"].items()
                ]
                yield from _operation(f"{method.upper()} {path}", item[method])
                yield _table(answers)


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{escape(operation["operationId"])}"><code>{escape(name)}</code></h2>\n'
    yield f"<p>{escape(operation['description'])}</p>\n"
    parameters = [p for p in operation.get("parameters", ()) if p["in"] != "path"]
    if parameters:
        rows = ((p["name"], p.get("description", "")) for p in parameters)
        yield _table(rows)
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(media_type)}</code></p>\n"
        for example in content.get("examples", {}).values():
            yield f"<pre>{escape(json.dumps(example['value'], indent=1))}</pre>\n"


def _answer(document: dict[str, Any], answer: dict[str, Any]) -> str:
    """An answer's description and media types; shared ones are looked up."""
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return ", ".join([answer["description"], *answer.get("content", {})])


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(cells)}</table>\n"
