"""The generated part of the client is what scripts/client.py would write now, and has every operation."""

import importlib.util
import inspect
from pathlib import Path

import pytest

from app.client.operations import Operations
from app.web.main import create_app

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("client_generator", ROOT / "scripts" / "client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_up_to_date(generator):
    for path, code in generator.written().items():
        assert path.read_text(encoding="utf-8") == code, f"{path.name} is not up to date: make client"


def test_every_operation_has_a_method_with_its_summary():
    found = {
        operation["operationId"]: operation["summary"]
        for verbs in create_app().openapi()["paths"].values()
        for operation in verbs.values()
    }
    methods = {name: inspect.getdoc(method) for name, method in inspect.getmembers(Operations, inspect.isfunction)}
    methods.pop("__init__")
    assert {name: f"{summary}." for name, summary in found.items()} == methods


def test_operations_have_names_of_their_own():
    names = [one["operationId"] for verbs in create_app().openapi()["paths"].values() for one in verbs.values()]
    assert len(names) == len(set(names)) >= 60


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "str"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int | None"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Item"}}, "list[Item]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "dict[str, float]"),
        ({"type": "object", "additionalProperties": True}, "dict[str, Any]"),
        ({"enum": ["before", "after"], "type": "string"}, 'Literal["before", "after"]'),
        ({"$ref": "#/components/schemas/app__web__api__people__Member"}, "PeopleMember"),
        ({}, "Any"),
    ],
)
def test_types(generator, schema, kind):
    assert generator.type_of(schema) == kind
