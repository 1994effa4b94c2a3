"""The pages on which disagreements are decided, as lead, expert, viewer and outsider."""

import pytest

from app.db.tables import ConsensusLabel, Project, Round
from app.services import accounts
from tests.factories import make_items, make_member
from tests.services.review_factories import add_round
from tests.web.conftest import PASSWORD
from tests.web.test_rounds import HOSTILE


@pytest.fixture
def tied(scene):
    """A round that waits for a decision on one hostile text; Second is an expert too."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        second = accounts.create_user(session, email="second@example.org", name="Second", password=PASSWORD)
        make_member(session, project, second)
        (item,) = make_items(session, project, [HOSTILE])
        round_ = add_round(session, project, [item.id], overlap=2)
        round_.state = "adjudicating"
        round_.settings = round_.settings | {"adjudicators": "two_experts"}
        session.add(ConsensusLabel(round_id=round_.id, item_id=item.id, source="tie", votes=2))
        return item.id


def decide(browser, scene, item, **form):
    return browser.post(scene.path(f"/rounds/1/ties/{item}"), form)


def test_two_experts_settle_it_and_everybody_can_read_why(scene, tied):
    first, second = scene.browser("expert"), scene.browser("second")
    page = first.get(scene.path("/rounds/1/ties")).text
    assert HOSTILE not in page
    assert "Second" not in page, "no colleague's name"
    assert scene.path("/rounds/1/ties") in first.get(scene.path("")).text
    assert (
        f'<p id="to-votes"><a role="button" href="{scene.path("/rounds/1/ties")}"'
        in first.get(scene.path("/label")).text
    )
    assert first.get(scene.path("/label/next")).json()["empty"]["votes"] == 1
    wrong = decide(first, scene, tied, label=1, reason=" ")
    assert (wrong.status_code, "Say why" in wrong.text) == (422, True)
    assert decide(first, scene, tied, label=1, reason="It hides the price.").status_code == 303
    assert "It hides the price." not in second.get(scene.path("/rounds/1/ties")).text, (
        "a vote is secret until it counts"
    )
    assert decide(second, scene, tied, label=1, reason="<b>Rule</b> two.").headers["location"] == scene.path("")
    found = first.get(scene.path("/rulings?q=hides")).text
    assert "It hides the price." in found
    assert "&lt;b&gt;" in found
    assert HOSTILE not in found
    assert "Nothing found" in first.get(scene.path("/rulings?q=nowhere")).text
    assert decide(first, scene, tied, label=0, reason="too late").status_code == 403


def test_where_a_lead_decides_experts_see_no_answers(scene, tied):
    with scene.db.write() as session:
        round_ = session.query(Round).one()
        round_.settings = round_.settings | {"adjudicators": "lead"}
    expert = scene.browser("expert")
    assert expert.get(scene.path("/rounds/1/ties")).status_code == 403
    assert decide(expert, scene, tied, label=1, reason="x").status_code == 403


def test_experts_see_no_answers_while_the_review_is_open(scene, tied):
    with scene.db.write() as session:
        session.query(Round).one().state = "review"
    assert scene.browser("expert").get(scene.path("/rounds/1/ties")).status_code == 403


def test_a_lead_decides_with_a_reason_and_makes_it_an_example(scene, tied):
    admin = scene.browser("admin")
    assert "Say why" in decide(admin, scene, tied, label=1).text
    assert decide(admin, scene, tied, label=1, reason="It hides the price.").headers["location"].endswith("/rounds/1")
    assert admin.post(scene.path(f"/rulings/{tied}/example")).status_code == 303
    assert "It hides the price." in admin.get(scene.path("/rounds/1/ties")).text
    assert admin.post(scene.path(f"/rulings/{tied}/example")).status_code == 409
    assert scene.browser("expert").post(scene.path(f"/rulings/{tied}/example")).status_code == 403


@pytest.mark.parametrize(("who", "status"), [("outsider", 404), (None, 303)])
def test_others_get_nothing(scene, tied, who, status):
    browser = scene.browser(who)
    assert browser.get(scene.path("/rulings")).status_code == status
    assert browser.get(scene.path("/rounds/1/ties")).status_code == status
