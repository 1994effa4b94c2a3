"""The guideline in a real browser: asking, practising, deciding; and no barrier on any page."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from sqlalchemy import select

from app.db.tables import Annotation, ConsensusLabel, Project, Round, Suggestion
from app.services import accounts, practice, projects
from tests.browser.site import TEXTS, all_sent, shown

pytestmark = [pytest.mark.browser]


def publish(site, summary):
    with site.db.write() as session:
        project = session.scalars(select(Project)).one()
        projects.publish_guideline(session, project, text="# Bait\n\nPrices count.", examples={}, summary=summary)


@pytest.mark.slow
def test_an_expert_asks_about_the_text_in_hand_without_leaving_it(desk, site):
    desk.keyboard.press("1")
    all_sent(desk)
    desk.get_by_text("Ask or propose").click()
    desk.get_by_label("In your words").fill("Does 1 or 2 count?")
    desk.get_by_role("button", name="Send").click()
    desk.get_by_text("Sent. You find the answer").wait_for()
    desk.wait_for_function("document.activeElement.id === 'item'")
    assert shown(desk) == TEXTS[1], "digits typed into the question answer nothing"
    with site.db.read() as session:
        asked = session.scalars(select(Suggestion)).one()
        assert (asked.item_id, asked.text) == (site.items[1], "Does 1 or 2 count?")
        assert len(session.scalars(select(Annotation)).all()) == 1


@pytest.mark.slow
def test_a_changed_guideline_is_announced_until_it_is_read(desk, site):
    desk.keyboard.press("1")
    all_sent(desk)
    publish(site, "Prices count now.")
    desk.reload()
    desk.get_by_text("Prices count now.").wait_for()
    with desk.expect_response("**/guideline/seen"):
        desk.get_by_role("button", name="I have read it").click()
    desk.keyboard.press("2")
    all_sent(desk)
    desk.reload()
    desk.locator("#show-keys").wait_for()
    assert desk.get_by_text("Prices count now.").count() == 0


def test_the_guideline_beside_the_text_shows_examples_of_each_label(browser, site):
    with site.db.write() as session:
        project = session.scalars(select(Project)).one()
        examples = {"Honest": ["Oat milk, 2 euros"], "Bait": ["You won't believe it"]}
        projects.publish_guideline(session, project, text="# Bait", examples=examples, summary="Examples.")
    page = browser.new_page()
    page.goto(site.desk)
    beside = page.get_by_role("region", name="Guideline")
    for label, (text,) in examples.items():
        beside.get_by_role("heading", name=f"Examples of “{label}”").wait_for()
        beside.get_by_role("listitem").filter(has_text=text).wait_for()


@pytest.mark.slow
def test_a_newcomer_practises_with_the_keys_of_the_desk(browser, site):
    with site.db.write() as session:
        project = session.scalars(select(Project)).one()
        for label in (0, 1):
            practice.add(session, project, f"practice {label}", label, f"Rule {label}.", user_id=site.user_id)
    page = browser.new_page()
    page.goto(site.desk)
    page.get_by_text("practice 0").wait_for()
    for place, word in enumerate(("Right: Honest", "The guideline says: Bait")):
        page.get_by_role("group", name="Your answer").wait_for()
        assert page.inner_text("#item") == f"practice {place}"
        page.keyboard.press("1")
        page.get_by_text(word).wait_for()
        page.keyboard.press("Enter")
    page.get_by_text("1 of 2 right").wait_for()
    page.get_by_role("main").get_by_role("button", name="Label").click()
    page.locator("#show-keys").wait_for()


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_on_the_pages_of_guideline_and_rulings(browser, site, scheme, width):
    with site.db.write() as session:
        project = session.scalars(select(Project)).one()
        admin = accounts.create_user(session, email="ada@example.org", name="Ada")
        accounts.add_member(session, project.id, admin.id, "admin")
        practice.add(session, project, "practice", 0, "Rule.", user_id=admin.id)
        round_ = session.scalars(select(Round)).one()
        round_.state, round_.settings = "adjudicating", round_.settings | {"adjudicators": "two_experts"}
        for place, source, label in ((0, "tie", None), (1, "adjudicated", 1)):
            values = {"reason": "Rule.", "clause": "Bait", "decided_by_id": admin.id} if label else {}
            item = site.items[place]
            session.add(ConsensusLabel(round_id=round_.id, item_id=item, source=source, label=label, votes=2, **values))
        lead = accounts.start_session(session, admin.id, days=1)
    publish(site, "Prices count now.")
    page = browser.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 740})
    expert_pages = ("rounds/1/ties", "rulings", "suggestions", "guideline/versions", "practice")
    pages = [(None, path) for path in expert_pages]
    pages += [(lead, path) for path in (*expert_pages, "people", "guideline", "audit", "start", "pool")]
    for cookie, path in pages:
        if cookie:
            browser.add_cookies([{"name": "linecall", "value": cookie, "url": site.base}])
        page.goto(f"{site.base}/p/ads/{path}")
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
