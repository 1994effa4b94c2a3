"""An admin steers rounds and decides ties by API."""

import pytest
from sqlalchemy import select

from app.db.base import utcnow
from app.db.tables import Annotation, Assignment, ConsensusLabel, GuidelineVersion, Project, Round
from app.services import decisions
from tests.factories import make_items


def get_round(session) -> Round:
    return session.scalars(select(Round)).one()


def make_startable(world) -> None:
    with world.db.write() as session:
        make_items(session, session.get_one(Project, world.project_id), 12)
        session.scalars(select(GuidelineVersion)).one().examples = {"benign": ["a fair offer"], "clickbait": ["wow"]}


def answer_all(world, labels: dict[str, list[int]]) -> None:
    for who, given in labels.items():
        desk = world.api(who).post(world.path("/next")).json()
        for turn, label in enumerate(given):
            body = {"assignment_id": desk["task"]["assignment_id"], "label": label, "key": f"{who}-{turn}-key"}
            desk = world.api(who).post(world.path("/annotations"), json=body).json()["next"]


def test_what_stands_in_the_way_of_a_round_is_listed(world):
    refused = world.api("admin").post(world.path("/rounds"))
    assert refused.status_code == 409
    obstacles = refused.json()["detail"]["obstacles"]
    assert refused.json()["error"] == obstacles[0]
    assert len(obstacles) == 3
    assert world.api("admin").get(world.path("/rounds")).json() == []


def test_a_round_is_started_once_seen_and_cancelled(world):
    make_startable(world)
    api = world.api("admin")
    started = api.post(world.path("/rounds"))
    assert started.status_code == 201
    assert (started.json()["number"], started.json()["state"]) == (1, "preparing")
    assert api.post(world.path("/rounds")).status_code == 409
    assert [line["number"] for line in api.get(world.path("/rounds")).json()] == [1]
    seen = api.get(world.path("/rounds/1")).json()
    assert [stage["stage"] for stage in seen["stages"]][:4] == ["embed", "prelabel", "mine", "review"]
    assert seen["review"] is None
    assert seen["settings"]["round_size"] == 100
    cancelled = api.post(world.path("/rounds/1/cancel"))
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert api.post(world.path("/rounds/1/cancel")).status_code == 409
    assert api.get(world.path("/rounds/2")).status_code == 404


def test_closing_the_review_needs_an_answer_and_says_how_far_it_was(world):
    world.open_round(3)
    with world.db.write() as session:
        get_round(session).review_opened_at = utcnow()
    api = world.api("admin")
    assert api.post(world.path("/rounds/1/close-review")).status_code == 409
    answer_all(world, {"expert": [1]})
    seen = api.get(world.path("/rounds/1")).json()["review"]
    assert (seen["done"], seen["items"]) == (1, 3)
    assert api.post(world.path("/rounds/1/close-review")).json()["state"] == "concluding"
    with world.db.read() as session:
        assert set(session.scalars(select(Assignment.state))) == {"done", "closed"}


def test_only_a_failed_round_is_retried(world):
    world.open_round(2)
    api = world.api("admin")
    assert api.post(world.path("/rounds/1/retry")).status_code == 409
    with world.db.write() as session:
        round_ = get_round(session)
        round_.state, round_.failed_state, round_.error = "failed", "preparing", "The disk is full."
    assert api.get(world.path("/rounds/1")).json()["error"] == "The disk is full."
    retried = api.post(world.path("/rounds/1/retry")).json()
    assert (retried["state"], retried["error"]) == ("preparing", None)


@pytest.fixture
def tied(world):
    """Two of three items are ties; the expert says 1 to all, the second 0, 0, 1."""
    world.open_round(3)
    answer_all(world, {"expert": [1, 1, 1], "second": [0, 0, 1]})
    with world.db.write() as session:
        round_ = get_round(session)
        assert decisions.decide(session, round_, 2) == 2
        round_.state = "adjudicating"
    return world


def test_ties_are_listed_with_what_each_expert_said(tied):
    ties = tied.api("admin").get(tied.path("/rounds/1/ties")).json()
    assert [tie["text"] for tie in ties] == ["text number 0", "text number 1"]
    votes = {vote["expert"]: (vote["label"], vote["blind_label"]) for vote in ties[0]["votes"]}
    assert votes == {"Expert": ("clickbait", "clickbait"), "Second": ("benign", "benign")}


def test_the_round_goes_on_after_the_last_tie_is_decided(tied):
    api = tied.api("admin")
    first, second = (tie["item_id"] for tie in api.get(tied.path("/rounds/1/ties")).json())
    one = api.post(tied.path(f"/rounds/1/ties/{first}"), json={"label": "clickbait", "reason": "It hides the price."})
    assert one.json() == {"ties_left": 1}
    assert api.get(tied.path("/rounds/1")).json()["state"] == "adjudicating"
    assert api.post(tied.path(f"/rounds/1/ties/{second}"), json={"label": 0, "reason": "Rule 2."}).json() == {
        "ties_left": 0
    }
    assert api.get(tied.path("/rounds/1")).json()["state"] == "concluding"
    assert api.post(tied.path(f"/rounds/1/ties/{second}"), json={"label": 1, "reason": "Rule 2."}).status_code == 409
    with tied.db.read() as session:
        decided = session.get_one(ConsensusLabel, session.query(ConsensusLabel.id).filter_by(item_id=first).scalar())
        assert (decided.label, decided.source, decided.reason) == (1, "adjudicated", "It hides the price.")
        assert decided.decided_by_id == tied.users["admin"]
        assert session.query(Annotation).count() == 6


def test_an_item_without_a_tie_cannot_be_decided(tied):
    with tied.db.read() as session:
        agreed = session.scalar(select(ConsensusLabel.item_id).where(ConsensusLabel.source == "unanimous"))
    assert (
        tied.api("admin")
        .post(tied.path(f"/rounds/1/ties/{agreed}"), json={"label": 0, "reason": "Rule 2."})
        .status_code
        == 404
    )
    assert (
        tied.api("admin").post(tied.path("/rounds/1/ties/9999"), json={"label": 0, "reason": "Rule 2."}).status_code
        == 404
    )
    wrong = tied.api("admin").post(
        tied.path(f"/rounds/1/ties/{agreed}"), json={"label": "unknown", "reason": "Rule 2."}
    )
    assert wrong.status_code == 422
    assert wrong.json()["detail"] == {"field": "label"}


def test_ties_may_be_left_out(tied):
    left = tied.api("admin").post(tied.path("/rounds/1/leave-ties-out")).json()
    assert (left["state"], left["ties_left_out"], left["ties_left"]) == ("concluding", True, 2)
    assert tied.api("admin").post(tied.path("/rounds/1/leave-ties-out")).status_code == 409
