"""The configuration described: a JSON Schema for editors, and the reference for people. Both from the sections."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from backstay.config import Address, ClientIds, Config
from backstay.config_sections import Section

_Schema = Mapping[str, Any]

INTRODUCTION = """# Configuration

Written by `python -m backstay.config_reference` from [`config_sections.py`](../src/backstay/config_sections.py).

`backstay run` reads the file named by `--config`, else by `BACKSTAY_CONFIG`, else `backstay.toml` in this folder.
`backstay check FILE` judges one without running it: an unknown key or a bad value is refused with its place, key and
the reason, all problems at once. Paths are relative to the file.

Every key can be overridden by the environment: `BACKSTAY_PULSE__IDLE_SECONDS=3`, or
`BACKSTAY_RELAYS__PAPER__READ_ONLY=true`, with two underscores between the parts. Lists are items with commas between
them. A whole section is JSON. Paths in the environment are relative to the current folder.
"""


def json_schema() -> dict[str, Any]:
    """JSON Schema of `backstay.toml`, for editors and checkers."""
    schema = Config.model_json_schema(schema_generator=_SchemaWithText)
    for kind in Section.__subclasses__():
        properties = schema["$defs"].get(kind.__name__, {}).get("properties", {})
        for key, meaning in _meanings(kind).items():
            if key in properties:
                properties[key]["description"] = meaning
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}


def reference() -> str:
    """The reference as Markdown: a table of keys for each section."""
    schema = json_schema()
    parts = [INTRODUCTION]
    for section, declared in schema["properties"].items():
        named = "additionalProperties" in declared or "patternProperties" in declared
        model = _model_of(schema, declared)
        title = f"[{section}.NAME]" if named else f"[{section}]"
        parts.append(f"## `{title}`\n\n{model['description']}\n")
        required = model.get("required", [])
        parts.append("| key | value | default | meaning |\n|---|---|---|---|")
        parts += (_row(key, one, required=key in required) for key, one in model["properties"].items())
        parts.append("")
    return "\n".join(parts)


class _SchemaWithText(GenerateJsonSchema):
    """Defaults of the values that a file gives as text are text here too."""

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Address | ClientIds) else super().encode_default(dft)


def _meanings(kind: type[Section]) -> dict[str, str]:
    """The text below each key of a section."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101  # the source of a class is a class
    found: dict[str, str] = {}
    for key, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(key, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(key.target)] = str(text.value.value)
    return found


def _model_of(schema: _Schema, declared: _Schema) -> _Schema:
    inner = declared.get("additionalProperties") or next(iter(declared.get("patternProperties", {}).values()), declared)
    model: _Schema = schema["$defs"][inner["$ref"].rpartition("/")[2]]
    return model


def _row(key: str, one: _Schema, *, required: bool) -> str:
    given = one.get("default")
    default = "required" if required else "none" if given is None else f"`{_toml(given)}`"
    return f"| `{key}` | {_value(one)} | {default} | {one['description']} |"


def _value(one: _Schema) -> str:
    if "anyOf" in one:  # something, or nothing
        return _value(next(other for other in one["anyOf"] if other["type"] != "null"))
    if "enum" in one:
        return " or ".join(f'`"{choice}"`' for choice in one["enum"])
    name = {
        "array": "list of text",
        "boolean": "true, false",
        "integer": "whole number",
        "string": "text",
        "object": "table",
    }.get(one["type"], one["type"])
    return f"{name}{''.join(_bounds(one))}"


def _bounds(one: _Schema) -> Iterator[str]:
    low, high = one.get("minimum"), one.get("maximum")
    if "exclusiveMinimum" in one:
        yield f" above {one['exclusiveMinimum']:g}, at most {high:g}"
    elif low is not None and high is not None:
        yield f" {low:g} to {high}" if isinstance(high, int) else f" {low:g} to {high:g}"


def _toml(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return f'"{default}"'
    return f"{default:g}" if isinstance(default, float) else str(default)


if __name__ == "__main__":
    sys.stdout.write(reference())
