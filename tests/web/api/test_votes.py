"""Two experts decide by API where they disagree."""

import pytest
from sqlalchemy import select

from app.db.tables import ConsensusLabel, Project, Round
from app.services import accounts, decisions
from tests.factories import make_member, make_user
from tests.web.api.test_desk import answer_all

REASON = "The price is named."


@pytest.fixture
def contested(world):
    """Both texts are ties; the review is closed, and votes are wanted."""
    world.open_round(2)
    answer_all(world, "expert", 0)
    answer_all(world, "second", 1)
    with world.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        assert decisions.decide(session, round_, 2) == 2
        round_.state, round_.settings = "adjudicating", {"adjudicators": "two_experts"}
    return world


def vote(world, who: str, item: int, label, reason: str = REASON):
    return world.api(who).post(world.path(f"/rounds/1/votes/{item}"), json={"label": label, "reason": reason})


def test_an_expert_is_told_where_their_votes_are_wanted_and_sees_no_names(contested):
    api = contested.api("expert")
    empty = api.post(contested.path("/next")).json()["empty"]
    assert (empty["reason"], empty["round_number"]) == ("votes_wanted", 1)
    response = api.get(contested.path("/rounds/1/votes"))
    (first, _) = response.json()["items"]
    assert [opinion["label"] for opinion in first["opinions"]] == ["benign", "clickbait"]
    assert first["vote"] is None
    for name in ("Second", "second@", "score", "boundary"):
        assert name not in response.text


def test_two_votes_for_one_label_settle_it_and_nobody_sees_the_first(contested):
    item = contested.api("expert").get(contested.path("/rounds/1/votes")).json()["items"][0]["item_id"]
    assert vote(contested, "expert", item, "benign").json() == {"settled": False}
    mine, theirs = (
        contested.api(who).get(contested.path("/rounds/1/votes")).json()["items"][0]["vote"]
        for who in ("expert", "second")
    )
    assert (mine, theirs) == ({"label": "benign", "reason": REASON}, None)
    assert vote(contested, "second", item, "clickbait").json() == {"settled": False}
    assert vote(contested, "second", item, "benign", "It is so.").json() == {"settled": True}
    assert vote(contested, "second", item, "benign").status_code == 409
    with contested.db.read() as session:
        row = session.scalars(select(ConsensusLabel).where(ConsensusLabel.item_id == item)).one()
        assert (row.label, row.source) == (0, "adjudicated")
        assert REASON in row.reason


def test_a_vote_needs_its_reason_and_a_known_item(contested):
    item = contested.api("expert").get(contested.path("/rounds/1/votes")).json()["items"][0]["item_id"]
    assert vote(contested, "expert", item, "benign", " ").status_code == 422
    assert vote(contested, "expert", 9999, "benign").status_code == 404


def test_nobody_but_the_projects_experts_votes(contested):
    with contested.db.write() as session:
        lead = make_user(session, "Lead")
        make_member(session, session.get_one(Project, contested.project_id), lead, "lead")
        contested.tokens["lead"] = accounts.create_api_token(session, lead.id, "test")[0]
    for who, status in (("admin", 403), ("lead", 403), ("site", 403), ("outsider", 404)):
        assert contested.api(who).get(contested.path("/rounds/1/votes")).status_code == status
        assert vote(contested, who, 1, "benign").status_code == status


def test_where_a_lead_decides_and_before_the_review_has_closed_experts_see_nothing(contested):
    for state, settings in (("adjudicating", {}), ("review", {"adjudicators": "two_experts"})):
        with contested.db.write() as session:
            round_ = session.scalars(select(Round)).one()
            round_.state, round_.settings = state, settings
        assert contested.api("expert").get(contested.path("/rounds/1/votes")).status_code == 403
        assert vote(contested, "expert", 1, "benign").status_code == 403
