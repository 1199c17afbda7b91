"""`/docs`: the OpenAPI document as one plain page, without scripts and without other people's servers."""

from html import escape
from typing import Any

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:70rem;padding:1rem 2rem;color:#1c2430}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #ccd3dd}
details{border:1px solid #ccd3dd;border-radius:6px;margin:.5rem 0;padding:.3rem .8rem}
summary{cursor:pointer}code{font:13px/1.4 ui-monospace,monospace}
.m{display:inline-block;min-width:4.2rem;font-weight:700}.p{float:right;color:#4a5568}
pre{background:#f3f5f8;padding:.6rem;overflow:auto;border-radius:4px}table{border-collapse:collapse}
td,th{border-bottom:1px solid #dde3ea;padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
"""
DEPTH_MAX = 5
METHODS = ("get", "post", "put", "patch", "delete")


def page(document: dict[str, Any]) -> str:
    """HTML of every operation: method, path, permission, what goes in, what comes out, which refusals."""
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                tag = (operation.get("tags") or ["other"])[0]
                by_tag.setdefault(tag, []).append(_operation(document, path, method, operation))
    title = escape(document["info"]["title"])
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(rows)}" for tag, rows in sorted(by_tag.items()))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title} {escape(document['info']['version'])}</h1><p>The machine-readable form is "
        f'<a href="/openapi.json">/openapi.json</a>.</p>{sections}</html>'
    )


def _operation(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"<p>{escape(operation.get('description', ''))}</p>", _parameters(operation)]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        parts.append(f"<h4>Body</h4><pre>{escape(_shape(document, body))}</pre>")
    for status, response in operation.get("responses", {}).items():
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        shape = f"<pre>{escape(_shape(document, schema))}</pre>" if schema else ""
        parts.append(f"<h4>{escape(status)}</h4><p>{escape(response.get('description', ''))}</p>{shape}")
    return (
        f'<details><summary><span class="m">{method.upper()}</span><code>{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}"
        f'<span class="p">{escape(operation.get("x-permission", ""))}</span></summary>'
        f"{''.join(parts)}</details>"
    )


def _parameters(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{'required' if each.get('required') else ''}</td>"
        f"<td>{escape(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", [])
    )
    return f"<table>{rows}</table>" if rows else ""


def _shape(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> str:
    """A schema as the JSON it describes."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if depth >= DEPTH_MAX:
            return name
        return _shape(document, document["components"]["schemas"][name], depth)
    pad = "  " * (depth + 1)
    if "properties" in schema:
        required = set(schema.get("required", ()))
        lines = [
            f"{pad}{name}{'' if name in required else '?'}: {_shape(document, inner, depth + 1)}"
            for name, inner in schema["properties"].items()
        ]
        return "{\n" + "\n".join(lines) + "\n" + "  " * depth + "}"
    if schema.get("type") == "array":
        return f"[{_shape(document, schema.get('items', {}), depth)}]"
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_shape(document, inner, depth) for inner in schema["anyOf"])
    bounds = [f"{word} {schema[key]}" for key, word in BOUNDS if key in schema]
    return " ".join([str(schema.get("format") or schema.get("type", "any")), *bounds])


BOUNDS = (("minimum", "≥"), ("maximum", "≤"), ("minLength", "≥ chars"), ("maxLength", "≤ chars"))
