"""docs/api.md: its commands are carried out, and it names every route; the OpenAPI document is whole."""

import json
import re
import shlex
from pathlib import Path

import pytest
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
from app.services import accounts
from app.web.api import account, answers, contrast, practising, schemas
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
    return "site" if made or path.startswith("/api/v1/audit") else "admin"


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
        session.add(model)
        session.flush()
        asked = {"model_version_id": model.id, "created_by_id": world.users["admin"], "texts": ["Oat milk"]}
        session.add(PredictRequest(project_id=world.project_id, **asked))
    invited = world.api("admin").post(world.path("/people/invitations"), json={"name": "Grace"}).json()
    found = parse(words)
    found["url"] = found["url"].replace("$INVITATION", invited["link"].rpartition("/")[2])
    with world.db.write() as session:
        an_experts_day(session, world, votes="/votes" in found["url"])
    response = world.api(who(found, found["url"])).request(**found)
    # The world stands at one moment of the story: what comes earlier or later in it is refused for that reason alone.
    assert response.status_code in (200, 201, 202, 204, 409), response.text


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
IMPORT = {"files": {"file": ("ads.csv", CSV)}, "data": {"mapping": '{"text": "headline"}'}}


def test_the_document_has_a_command_for_every_route():
    documented = set()
    for words in commands():
        found = parse(words)
        path = re.sub(r"/projects/ads", "/projects/{slug}", found["url"].partition("?")[0])
        path = re.sub(r"/rounds/1", "/rounds/{number}", path)
        path = path.replace("/ties/1", "/ties/{item_id}").replace("/imports/1", "/imports/{import_id}")
        path = path.replace("/items/1", "/items/{item_id}")
        path = path.replace("/models/1", "/models/{version}").replace("/predict/1", "/predict/{request_id}")
        path = path.replace("/rulings/1", "/rulings/{item_id}").replace(
            "/suggestions/1", "/suggestions/{suggestion_id}"
        )
        path = path.replace("/deleted-projects/gone", "/deleted-projects/{deleted}")
        path = path.replace("/webhooks/1", "/webhooks/{webhook_id}")
        path = path.replace("/people/2", "/people/{user_id}").replace("/invitations/1", "/invitations/{invitation_id}")
        path = path.replace("/answers/3", "/answers/{assignment_id}").replace("/contrast/1", "/contrast/{pair_id}")
        path = path.replace("/votes/1", "/votes/{item_id}").replace("/people/3", "/people/{user_id}")
        path = path.replace("/sessions/1", "/sessions/{session_id}").replace("/tokens/2", "/tokens/{token_id}")
        path = path.replace("$INVITATION", "{token}")
        documented.add((found["method"].lower(), path))
    assert documented == set(routes())


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


@pytest.mark.parametrize(
    "model",
    [
        *(schemas.NewProject, schemas.NewAnnotation, schemas.NewSkip, schemas.NewUndo, schemas.Decision),
        *(schemas.Problem, answers.ChangedAnswer, contrast.PairRevision, practising.PracticeAnswer),
        *(account.NewName, account.NewPrefs, account.NewToken),
    ],
)
def test_the_examples_in_the_openapi_document_are_valid(model):
    examples = model.model_json_schema()["examples"]
    assert examples
    for example in examples:
        model.model_validate(json.loads(json.dumps(example)))
