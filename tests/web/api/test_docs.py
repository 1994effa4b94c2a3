"""docs/api.md: its commands are carried out, and it names every route; the OpenAPI document is whole."""

import copy
import json
import re
import shlex
from datetime import datetime
from pathlib import Path

import pytest
from fastapi import params
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from pydantic import TypeAdapter
from sqlalchemy import select

from app.db.base import utcnow
from app.db.tables import (
    Annotation,
    Assignment,
    BoundaryPair,
    ConsensusLabel,
    ModelVersion,
    PairView,
    PracticeItem,
    PredictRequest,
    Project,
    Round,
    User,
)
from app.ml.artifacts import ArtifactStore
from app.services import accounts
from app.web import printing
from app.web.api import ROUTERS
from app.web.api.examples import EXAMPLES
from app.web.main import create_app
from tests.factories import make_project
from tests.services.map_factories import draw_map
from tests.web.api.test_access import routes

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
CSV = b"ref,headline,source\n1,Oat milk,shop\n"
BASE = "$LINECALL"


def commands() -> list[list[str]]:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL))
    return [shlex.split(found) for found in re.findall(r"^curl (?:[^'\n]|'[^']*')*$", blocks, flags=re.MULTILINE)]


def parse(words: list[str]) -> dict:
    """What curl would send: a dict of TestClient.request's arguments, and who sends it."""
    rest, found = iter(words[1:]), {"method": None, "headers": {}, "data": {}, "files": {}}
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(": ")
            found["headers"][name] = value
        elif word == "-X":
            found["method"] = next(rest)
        elif word == "-d":
            found["content"] = next(rest)
        elif word == "-F":
            name, _, value = next(rest).partition("=")
            found["files" if value.startswith("@") else "data"][name] = ("ads.csv", CSV) if value[0] == "@" else value
        elif word == "-o":
            next(rest)
        else:
            found["url"] = word.replace(BASE, "/api/v1")
    found["method"] = found["method"] or ("POST" if found.get("content") or found["files"] else "GET")
    return found


def who(found: dict, path: str) -> str:
    if found["headers"].pop("Authorization") == "Bearer $EXPERT":
        return "expert"
    made = path == "/api/v1/projects" and found["method"] == "POST"
    return "site" if made or path == "/api/v1/service" or path.startswith("/api/v1/audit") else "admin"


@pytest.mark.parametrize("words", commands(), ids=lambda words: next(w for w in words if w.startswith(BASE))[:60])
def test_every_command_is_understood(world, words):
    world.open_round(4)
    with world.db.write() as session:
        session.get_one(Project, world.project_id).labels = ["fine", "clickbait"]
    assert world.api("expert").post(world.path("/next")).json()["task"]["assignment_id"] == 1
    assert world.api("admin").post(world.path("/imports"), **IMPORT).json()["id"] == 1
    world.api("expert").post(world.path("/suggestions"), json=QUESTION)
    hook = {"url": "https://example.org/told"}
    assert world.api("admin").post(world.path("/webhooks"), json=hook).json()["id"] == 1
    with world.db.write() as session:
        gone = make_project(session, admin=session.get_one(User, world.users["admin"]))
        gone.slug, gone.deleted_at = "gone", utcnow()
        draw_map(session, session.scalars(select(Round)).one())
        round_id = session.scalars(select(Round.id)).one()
        model = ModelVersion(
            project_id=world.project_id, round_id=round_id, version=1, kind="trained", engine="linear", config={}
        )
        model.state = "ready"
        session.add(model)
        session.flush()
        asked = {"model_version_id": model.id, "created_by_id": world.users["admin"], "texts": ["Oat milk"]}
        session.add(PredictRequest(project_id=world.project_id, **asked))
    invited = world.api("admin").post(world.path("/people/invitations"), json={"name": "Grace"}).json()
    assert world.api("admin").post(world.path("/dry-runs")).json()["id"] == 1
    assert world.api("admin").post(world.path("/baselines"), **BASELINE).json()["id"] == 1
    assert world.api("admin").post(world.path("/practice/items"), json={"text": "Oat", "label": 0}).json()["id"] == 1
    store = ArtifactStore(world.app.state.settings.resolved_artifacts_url)
    store.put_bytes(f"imports/{world.project_id}/{UPLOADED}/csv/ads.csv", CSV)
    found = parse(words)
    found["url"] = found["url"].replace("$INVITATION", invited["link"].rpartition("/")[2])
    with world.db.write() as session:
        an_experts_day(session, world, votes="/votes" in found["url"])
    response = world.api(who(found, found["url"])).request(**found)
    # The world stands at one moment of the story: what comes earlier or later in it is refused for that reason alone.
    expected = (200, 201, 202, 204, 409)
    if found["url"].endswith("/report/pdf") and printing.browser() is None:
        expected = (503,)
    assert response.status_code in expected, response.text


def an_experts_day(session, world, *, votes: bool) -> None:
    """Another text is answered, the pair has been seen, there is a text to practise; or the votes are wanted."""
    expert, now = world.users["expert"], utcnow()
    slot = session.get_one(Assignment, 3)
    slot.state, slot.expert_id, slot.done_at = "done", expert, now
    given = {"round_id": slot.round_id, "item_id": slot.item_id, "guideline_version_id": 1}
    session.add(
        Annotation(assignment_id=3, expert_id=expert, kind="blind", label=0, idempotency_key="an-answer", **given)
    )
    session.add(PairView(pair_id=session.scalar(select(BoundaryPair.id)), expert_id=expert, shown_at=now))
    session.add(PracticeItem(project_id=world.project_id, position=0, text="Oat milk", label=0, explanation=""))
    accounts.start_session(session, world.users["admin"], days=1)
    if votes:
        round_ = session.get_one(Round, slot.round_id)
        round_.state, round_.settings = "adjudicating", {"adjudicators": "two_experts"}
        session.add(ConsensusLabel(round_id=round_.id, item_id=1, source="tie", votes=1, decided_at=now))


QUESTION = {"kind": "question", "text": "Does it count?", "key": "a-first-question"}
UPLOADED = "0f3c9a1b7d2e48a6b5c4d3e2f1a09b8c"
BASELINE = {
    "files": {"file": ("ads.csv", CSV)},
    "data": {"mapping": '{"match": "text", "key": "headline", "label": "source"}'},
}
IMPORT = {"files": {"file": ("ads.csv", CSV)}, "data": {"mapping": '{"text": "headline"}'}}


def route_of(method: str, url: str) -> tuple[str, str]:
    """The one that answers: a part that is written out wins over one that may be anything."""
    parts = url.partition("?")[0].split("/")
    fits = [
        (sum(part == known for part, known in zip(parts, path.split("/"), strict=True)), path)
        for verb, path in routes()
        if verb == method
        and len(parts) == path.count("/") + 1
        and all(known[:1] == "{" or known == part for part, known in zip(parts, path.split("/"), strict=True))
    ]
    assert fits, f"{method} {url} is no route"
    return method, max(fits)[1]


def test_the_document_has_a_command_for_every_route():
    found = [parse(words) for words in commands()]
    assert {route_of(one["method"].lower(), one["url"]) for one in found} == set(routes())


def test_the_openapi_document_names_describes_and_shows(app, scene):
    document = scene.browser().get("/api/openapi.json").json()
    operations = [entry for methods in document["paths"].values() for entry in methods.values()]
    assert len({entry["operationId"] for entry in operations}) == len(operations)
    for entry in operations:
        assert entry["summary"]
        assert len(entry["tags"]) == 1
        assert entry["security"] == [{"API token": []}]
        assert {"401", "403", "404", "422"} <= set(entry["responses"])
        problem = entry["responses"]["422"]["content"]["application/json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
    assert not [path for path in document["paths"] if not path.startswith("/api/v1/")]


# --- examples ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> dict:
    return create_app().openapi()


def all_operations(document: dict) -> dict[str, dict]:
    return {entry["operationId"]: entry for verbs in document["paths"].values() for entry in verbs.values()}


def schema_of(media: dict, document: dict) -> tuple[str, dict]:
    """The component behind a body, or behind each entry of a list: its name ("" for none) and what it is."""
    schema = media["schema"].get("items", media["schema"])
    name = schema.get("$ref", "").rpartition("/")[2]
    return name, document["components"]["schemas"][name] if name else schema


FORMATS = FormatChecker([])


@FORMATS.checks("date-time", raises=ValueError)
def is_a_time(value) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None  # a type is not its business


def check(example, schema: dict, document: dict) -> None:
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole, format_checker=FORMATS).validate(example)


def bodies() -> dict[str, type]:
    """The model of every operation's JSON body."""
    found = {}
    for route in [route for router in ROUTERS for route in router.routes]:
        if route.body_field is not None and not isinstance(route.body_field.field_info, params.Form):
            found[route.name] = route.body_field.field_info.annotation
    return found


def test_every_json_body_has_examples_that_its_own_model_takes_whole(document):
    models, asked = bodies(), set()
    for name, entry in all_operations(document).items():
        media = entry.get("requestBody", {}).get("content", {}).get("application/json")
        if media is None:
            continue
        asked.add(name)
        _, schema = schema_of(media, document)
        assert schema.get("examples"), f"{name}: its body has no example"
        for example in schema["examples"]:
            check(example, schema, document)
            read = TypeAdapter(models[name]).validate_json(json.dumps(example))
            assert read.model_dump(mode="json", exclude_unset=True) == example, name
    assert asked == set(models)
    assert len(asked) >= 20


def test_every_field_that_a_form_needs_has_an_example(document):
    forms = 0
    for name, entry in all_operations(document).items():
        media = entry.get("requestBody", {}).get("content", {}).get("multipart/form-data")
        if media is None:
            continue
        forms += 1
        _, schema = schema_of(media, document)
        for field in schema["required"]:
            known = schema["properties"][field]
            if known.get("contentMediaType") == "application/octet-stream":
                continue
            assert known.get("examples"), f"{name}: its field {field} has no example"
            for example in known["examples"]:
                check(json.loads(example), known["contentSchema"], document)
    assert forms >= 3


FREE = {"alignment_chart"}  # whatever Vega-Lite may hold


def test_every_json_answer_has_an_example_with_all_its_fields_and_no_others(document):
    shown = set()
    for name, entry in all_operations(document).items():
        for status, answer in entry["responses"].items():
            media = answer.get("content", {}).get("application/json")
            if media is None or media["schema"] == {} or name in FREE:
                continue
            component, schema = schema_of(media, document)
            assert schema.get("examples"), f"{name}: no example of {component}, which it answers with {status}"
            shown.add(component)
    strict = exact(document)
    for component in shown:
        for example in document["components"]["schemas"][component]["examples"]:
            check(example, strict["components"]["schemas"][component], strict)
    assert len(shown) > 50


def exact(document: dict) -> dict:
    """The description with every object's fields wanted, and none besides: an example may not lag behind."""
    strict = copy.deepcopy(document)
    for schema in strict["components"]["schemas"].values():
        if "properties" in schema:
            schema["required"], schema["additionalProperties"] = list(schema["properties"]), False
    return strict


def test_no_example_is_of_a_model_that_is_gone(document):
    assert set(EXAMPLES) - set(document["components"]["schemas"]) == set()


def test_an_example_that_lags_behind_is_noticed(document):
    """Otherwise the tests above would show nothing."""
    strict = exact(document)
    schema = strict["components"]["schemas"]["RoundDetail"]
    (good,) = document["components"]["schemas"]["RoundDetail"]["examples"]
    lacking = {name: value for name, value in good.items() if name != "stages"}
    for bad in (lacking, good | {"more": 1}, good | {"created_at": "yesterday"}, good | {"stages": [{"stage": "x"}]}):
        with pytest.raises(ValidationError):
            check(bad, schema, strict)
