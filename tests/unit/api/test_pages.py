from typing import Any

from sammoe.api.pages import page

DOCUMENT: dict[str, Any] = {
    "info": {"title": "<T>", "version": "1", "description": "a & b"},
    "components": {"responses": {"Problem404": {"description": "Not Found", "content": {"p": 1}}}},
    "paths": {
        "/x/{y}": {
            "post": {
                "operationId": "doX",
                "description": "Does <x>.",
                "parameters": [
                    {"in": "path", "name": "y"},
                    {"in": "header", "name": "Key", "description": "once"},
                ],
                "requestBody": {"content": {"json": {"examples": {"e": {"value": {"a": "<b>"}}}}}},
                "responses": {
                    "200": {"description": "done", "content": {"text/plain": {}}},
                    "404": {"$ref": "#/components/responses/Problem404"},
                },
            }
        }
    },
}


def test_everything_is_told_and_escaped() -> None:
    html = page(DOCUMENT)
    assert "<h1>&lt;T&gt; 1</h1>" in html
    assert "a &amp; b" in html
    assert '<h2 id="doX"><code>POST /x/{y}</code></h2>' in html
    assert "Does &lt;x&gt;." in html
    assert "&quot;a&quot;: &quot;&lt;b&gt;&quot;" in html
    assert "<th>Key</th><td>once</td>" in html
    assert "<th>y</th>" not in html
    assert "<th>200</th><td>done, text/plain</td>" in html
    assert "<th>404</th><td>Not Found, p</td>" in html
