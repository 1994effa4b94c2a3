"""Writes app/client/schemas.py and app/client/operations.py from the description of the API.

    python scripts/client.py [--check]

``--check`` changes nothing and fails where a file is not what it would write.
"""

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.web.main import create_app

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "app" / "client"
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
Schema = dict[str, Any]

SCHEMAS = '''"""What the API takes and gives. Written by scripts/client.py; do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict
'''
OPERATIONS = '''"""One method for each operation of the API. Written by scripts/client.py; do not edit."""

import json
from typing import Any, Literal, Unpack, cast

from app.client.schemas import ({names})
from app.client.transport import Download, Transport, Upload, segment


class Operations:
    """What is left out of a call is left out of the request."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
'''


def class_name(component: str) -> str:
    """Two components of one name are told apart by their modules in the description, and by the last of them here."""
    last = "_".join(component.split("__")[-2:]).replace("-", "_")
    return "".join(part[0].upper() + part[1:] for part in last.split("_"))


def referred(schema: Schema) -> str:
    return class_name(schema["$ref"].rpartition("/")[2])


def type_of(schema: Schema) -> str:
    """As Python writes it; what JSON Schema says beyond that is the server's to check."""
    if "$ref" in schema:
        return referred(schema)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(json.dumps(value, ensure_ascii=False) for value in values)}]"
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(part) for part in schema["anyOf"]))
    kind = schema.get("type")
    if kind == "array":
        return f"list[{type_of(schema.get('items', {}))}]"
    if kind == "object":
        values = schema.get("additionalProperties", True)
        return f"dict[str, {type_of(values) if isinstance(values, dict) else 'Any'}]"
    return PLAIN.get(kind or "", "Any")


def typed_dict(component: str, schema: Schema) -> str:
    required = schema.get("required", [])
    lines = [f"class {class_name(component)}(TypedDict):"]
    if said := schema.get("description"):
        lines.append(f'    """{docstring(said)}"""\n')
    for name, field in schema["properties"].items():
        kind = type_of(field)
        lines.append(f"    {name}: {kind if name in required else f'NotRequired[{kind}]'}")
    return "\n".join(lines)


def docstring(said: str) -> str:
    """Its first paragraph."""
    lines = textwrap.wrap(said.partition("\n\n")[0].replace("\\", "\\\\"), 110)
    return "\n    ".join(lines) + ("\n    " if len(lines) > 1 else "")


def schemas_file(components: dict[str, Schema]) -> str:
    names = [class_name(component) for component in components]
    if len(set(names)) != len(names):
        raise SystemExit(f"Two schemas of one name: {sorted(name for name in names if names.count(name) > 1)}")
    classes = [typed_dict(component, components[component]) for component in sorted(components, key=class_name)]
    return "\n\n\n".join([SCHEMAS, *classes]) + "\n"


def operations_file(description: Schema) -> str:
    methods = [
        Method(description["components"]["schemas"], path, verb, operation)
        for path, verbs in description["paths"].items()
        for verb, operation in verbs.items()
    ]
    body = "\n".join(method.code() for method in methods)
    names = map(class_name, description["components"]["schemas"])  # ruff takes out those that no method needs
    return OPERATIONS.replace("{names}", ", ".join(names)) + "\n" + body


class Method:
    """One operation as a method."""

    def __init__(self, components: dict[str, Schema], path: str, verb: str, operation: Schema) -> None:
        self.components, self.path, self.verb, self.operation = components, path, verb, operation
        self.parameters = operation.get("parameters", [])
        content = operation.get("requestBody", {}).get("content", {})
        self.form = content.get("multipart/form-data", {}).get("schema")
        self.body = content.get("application/json", {}).get("schema")
        answers = [answer for status, answer in operation["responses"].items() if status < "300"]
        self.answer: Schema = answers[0].get("content", {})

    def code(self) -> str:
        head = f"    def {self.operation['operationId']}({', '.join(self.arguments())}) -> {self.gives()}:"
        return f'{head}\n        """{docstring(self.operation["summary"])}."""\n        {self.does()}\n'

    def arguments(self) -> Iterator[str]:
        """Those of the path by position only, so that a body may have a field of the same name."""
        yield "self"
        yield from (f"{name}: {kind}" for name, kind in self.places().items())
        yield "/"
        named = [*self.query(), *self.form_fields()]
        if named:
            yield "*"
        yield from (argument(p) for p in named)
        if self.body is not None:
            yield f"**body: Unpack[{referred(self.body)}]"

    def places(self) -> dict[str, str]:
        """What the path holds, in its order. A project's slug is checked before the route and so not described."""
        known = {p["name"]: type_of(p["schema"]) for p in self.parameters if p["in"] == "path"}
        return {name: known.get(name, "str") for name in re.findall(r"{(\w+)}", self.path)}

    def query(self) -> list[Schema]:
        return [p for p in self.parameters if p["in"] == "query"]

    def form_fields(self) -> list[Schema]:
        if self.form is None:
            return []
        form = self.components[self.form["$ref"].rpartition("/")[2]]
        return [
            {"name": name, "required": name in form["required"], "schema": field}
            for name, field in form["properties"].items()
        ]

    def is_file(self) -> bool:
        return bool(self.answer) and "application/json" not in self.answer and not self.is_text()

    def is_text(self) -> bool:
        return bool(self.answer) and all(kind.startswith("text/") for kind in self.answer)

    def gives(self) -> str:
        if self.is_file():
            return "Download"
        if self.is_text():
            return "str"
        schema = self.answer.get("application/json", {}).get("schema")
        return type_of(schema) if schema else "None"

    def does(self) -> str:
        path = self.path
        for name in self.places():
            path = path.replace("{" + name + "}", "{segment(" + name + ")}")
        arguments = [f'{"f" if path != self.path else ""}"{path}"']
        if query := self.query():
            arguments.append("query={" + ", ".join(f'"{p["name"]}": {p["name"]}' for p in query) + "}")
        if self.is_file():
            return f"return self._transport.download({', '.join(arguments)})"
        if self.form is not None:
            call = f"self._transport.upload({', '.join([*arguments, *self.sent_fields()])})"
        else:
            call = f"self._transport.call({', '.join([repr(self.verb.upper()), *arguments, *self.sent()])})"
        return call if self.gives() == "None" else f"return cast({self.gives()}, {call})"

    def sent(self) -> Iterator[str]:
        if self.body is not None:
            yield "body=body"
        if self.verb == "get" or self.has_key():
            yield "again=True"

    def sent_fields(self) -> Iterator[str]:
        yield "file=file"
        plain = [p["name"] for p in self.form_fields() if p["name"] != "file"]
        yield "fields={" + ", ".join(f'"{name}": json.dumps({name})' for name in plain) + "}"

    def has_key(self) -> bool:
        """Whether it carries a key of the caller's, under which the server does it once."""
        if self.body is None:
            return False
        schema = self.components[self.body["$ref"].rpartition("/")[2]]
        return any(schema["properties"][name].get("x-idempotency-key") for name in schema.get("required", []))


def argument(parameter: Schema) -> str:
    schema = parameter["schema"]
    kind = type_of(schema)
    if schema.get("contentMediaType") == "application/octet-stream":
        kind = "Upload"
    elif "contentSchema" in schema:
        kind = type_of(schema["contentSchema"])
    if parameter.get("required"):
        return f"{parameter['name']}: {kind}"
    default = schema.get("default")
    if default == []:  # a list in a signature would be shared by all calls; None is not sent either
        return f"{parameter['name']}: {kind} | None = None"
    return f"{parameter['name']}: {kind} = {default!r}"


def written() -> dict[Path, str]:
    """Each file with what belongs in it."""
    description = create_app().openapi()
    files = {
        CLIENT / "schemas.py": schemas_file(description["components"]["schemas"]),
        CLIENT / "operations.py": operations_file(description),
    }
    return {path: formatted(path, code) for path, code in files.items()}


def formatted(path: Path, code: str) -> str:
    for command in (["format", "--quiet"], ["check", "--fix", "--quiet"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        done = subprocess.run(ruff, input=code, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        code = done.stdout
    return code


def main() -> int:
    files = written()
    if "--check" not in sys.argv[1:]:
        for path, code in files.items():
            path.write_text(code, encoding="utf-8")
        return 0
    stale = [path for path, code in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != code]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is not up to date: make client", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
