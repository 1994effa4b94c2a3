"""Whatever is sent, no answer is a 5xx, on both databases; and what is refused is refused in JSON."""

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.db.base import utcnow
from app.db.tables import Assignment, ConsensusLabel, PracticeItem, Project, Round
from app.services import accounts
from tests.factories import make_items
from tests.web.api.test_projects import NEW
from tests.web.api.test_rounds import make_startable

IN_A_SHARED_WORLD = settings(max_examples=60, suppress_health_check=list(HealthCheck))

KINDS = ["application/json", "text/plain", "multipart/form-data; boundary=x", ""]
TWO_ROUTES = [("site", "/api/v1/projects"), ("expert", "/api/v1/projects/ads/annotations")]

odd_text = st.text(st.characters(), max_size=12) | st.sampled_from(["\0", "\ud800", "a\0b", "\udfff" * 9, "🙂" * 9, ""])
numbers = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, 10**400, -1, 0, 1e308])
scalars = st.none() | st.booleans() | numbers | odd_text
odd = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3))


few = st.lists(odd_text, max_size=3) | st.dictionaries(odd_text, st.lists(odd_text, max_size=2), max_size=2)


def body(**fields):
    """Sound bodies with one odd field, others with many odd, missing or unknown ones, and what is no body at all."""
    one = st.sampled_from(sorted(fields)).flatmap(
        lambda name: st.builds(lambda value: fields | {name: value}, odd_text | few | odd)
    )
    mixed = st.fixed_dictionaries({}, optional={name: st.just(good) | odd for name, good in fields.items()})
    alien = st.dictionaries(odd_text, odd, max_size=1)
    return one | one | st.builds(lambda known, unknown: unknown | known, mixed, alien) | odd | st.just(fields)


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request) -> str:
    return request.param


def post(client, path: str, value) -> None:
    text = json.dumps(value)
    response = client.post(path, content=text.encode(), headers={"Content-Type": "application/json"})
    assert response.status_code < 500, (response.status_code, response.text, text)
    assert response.status_code < 400 or {"error", "detail"} == set(response.json())


@IN_A_SHARED_WORLD
@given(body(**NEW, slug="my-ads"))
def test_new_projects(world, value):
    post(world.api("site"), "/api/v1/projects", value)


numbers_of_settings = st.integers(1, 9) | st.sampled_from([2**31 - 1, 2**31, 10**12, -1, 0.5, "x"])
settings_values = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("overlap", "round_size", "control_share", "seed", "lease_minutes"), numbers_of_settings),
        "encoder": odd_text,
        "engine_config": st.dictionaries(odd_text, odd, max_size=2),
        "prelabel": st.dictionaries(odd_text, odd, max_size=2).map(lambda more: {"provider": "few_shot"} | more),
    },
)


@IN_A_SHARED_WORLD
@example({"seed": 2**31 - 1})
@example({"lease_minutes": 10**12})
@given(settings_values | settings_values.map(lambda values: dict(list(values.items())[:1])))
def test_a_round_and_a_claim_under_any_settings_that_are_taken(world, values):
    content = json.dumps(NEW | {"settings": values})
    site = world.api("site")
    made = site.post("/api/v1/projects", content=content, headers={"Content-Type": "application/json"})
    assert made.status_code in (201, 422), made.text
    if made.status_code == 422:
        return
    path = f"/api/v1/projects/{made.json()['slug']}"
    with world.db.write() as session:
        project = session.query(Project).filter_by(slug=made.json()["slug"]).one()
        items = make_items(session, project, 12)
        accounts.add_member(session, project.id, world.users["expert"], "expert")
        first, project_id = items[0].id, project.id
        project.settings = project.settings | {"overlap": 1}
    assert site.post(f"{path}/rounds").status_code == 201
    with world.db.write() as session:
        round_ = session.query(Round).filter_by(project_id=project_id).one()
        round_.state = "review"
        session.add(Assignment(round_id=round_.id, item_id=first, slot=0, position=0))
    assert world.api("expert").post(f"{path}/next").json()["task"] is not None
    assert site.get(f"{path}/rounds/1").status_code == 200
    assert site.get(path).status_code == 200


@IN_A_SHARED_WORLD
@given(body(assignment_id=1, label=1, key="a-good-key", flagged=True, note="x", seconds=1.0))
def test_annotations(reviewed, value):
    post(reviewed.api("expert"), reviewed.path("/annotations"), value)


@IN_A_SHARED_WORLD
@given(body(assignment_id=1, reason="x"))
def test_skips(reviewed, value):
    post(reviewed.api("expert"), reviewed.path("/skip"), value)


@IN_A_SHARED_WORLD
@given(body(key="a-good-key"), odd)
def test_undos_and_bodies_where_none_is_wanted(reviewed, value, other):
    post(reviewed.api("expert"), reviewed.path("/undo"), value)
    post(reviewed.api("expert"), reviewed.path("/next"), other)


@pytest.mark.slow
@IN_A_SHARED_WORLD
@given(st.integers(), st.integers() | odd_text.filter(lambda text: "/" not in text), body(label="benign", reason="x"))
def test_ties_and_round_actions(reviewed, number, item, value):
    item = str(item).encode("utf-8", "replace").decode()
    api = reviewed.api("admin")
    post(api, reviewed.path(f"/rounds/1/ties/{quote(item, safe='')}"), value)
    for action in ("close-review", "retry", "leave-ties-out", f"ties/{number}"):
        post(api, reviewed.path(f"/rounds/{number}/{action}"), value)


@IN_A_SHARED_WORLD
@given(
    body(label="benign", key="a-good-key", note="x", flagged=True),
    body(assignment_id=1, label="benign", key="another-key", reason="x"),
)
def test_changed_answers_and_revised_pairs(compared, changed, revised):
    post(compared.api("expert"), compared.path("/answers/1"), changed)
    post(compared.api("expert"), compared.path("/contrast/1/revise"), revised)


@IN_A_SHARED_WORLD
@given(body(item_id=1, label="benign", attempt=1), body(label="benign", reason="x", clause="y"))
def test_practice_and_votes(compared, practised, vote):
    post(compared.api("expert"), compared.path("/practice/answers"), practised)
    with compared.db.write() as session:
        session.query(Round).update({"state": "adjudicating", "settings": {"adjudicators": "two_experts"}})
    post(compared.api("expert"), compared.path("/rounds/1/votes/1"), vote)


@pytest.mark.slow
@IN_A_SHARED_WORLD
@given(
    body(name="Grace"),
    body(language="de", keys={"skip": "x"}, break_minutes=45, swipe=True, notify=True, email_when_work=False),
    body(name="a token", days=30, scopes=["read"]),
)
def test_accounts(world, name, preferences, token):
    for path, value in (("name", name), ("preferences", preferences), ("tokens", token)):
        post(world.api("outsider"), f"/api/v1/account/{path}", value)


@IN_A_SHARED_WORLD
@given(st.binary(max_size=40), body(text="text", id=None, meta=["a"]), odd_text, odd_text)
def test_uploads(world, content, mapping, name, skip):
    name, skip = (text.encode("utf-8", "replace").decode() for text in (name, skip))
    data = {"mapping": json.dumps(mapping), "skip_bad_rows": skip}
    response = world.api("admin").post(world.path("/imports"), files={"file": (name, content)}, data=data)
    assert response.status_code in (202, 400, 422), response.text


@IN_A_SHARED_WORLD
@given(
    st.binary(max_size=60), st.sampled_from(["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
)
def test_bytes_that_are_no_json(world, content, kind):
    for who, path in (
        ("site", "/api/v1/projects"),
        ("expert", world.path("/annotations")),
        ("admin", world.path("/imports")),
    ):
        response = world.api(who).post(path, content=content, headers={"Content-Type": kind})
        assert response.status_code < 500
        assert {"error", "detail"} == set(response.json())


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, "9" * 5000, '{"name": 1e999}', "NaN"])
def test_deep_and_huge_json(world, text):
    for who, path in TWO_ROUTES:
        response = world.api(who).post(path, content=text, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 422)


@pytest.fixture
def compared(world):
    """A review of whose pair the expert has answered and seen both sides, a tie in it, and a text to practise."""
    items = world.open_round(4)
    api = world.api("expert")
    for turn in range(2):
        slot = api.post(world.path("/next")).json()["task"]["assignment_id"]
        given = {"assignment_id": slot, "label": turn, "key": f"answer-{slot}"}
        assert api.post(world.path("/annotations"), json=given).status_code == 200
    assert api.post(world.path("/contrast")).json()["pair"]["pair_id"] == 1
    with world.db.write() as session:
        session.add(PracticeItem(project_id=world.project_id, position=0, text="exercise", label=0, explanation=""))
        round_id = session.query(Round.id).scalar()
        session.add(ConsensusLabel(round_id=round_id, item_id=items[0], source="tie", votes=1, decided_at=utcnow()))
    return world


@pytest.fixture
def reviewed(world):
    """A review of which the expert holds the first item."""
    make_startable(world)
    world.open_round(4)
    world.api("expert").post(world.path("/next"))
    return world
