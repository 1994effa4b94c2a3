"""What the server will not have, or what the browser spoiled: it neither vanishes nor holds up the rest."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from sqlalchemy import select, update

from app.db.base import utcnow
from app.db.tables import Assignment, Membership, Project
from tests.browser.site import TEXTS, all_sent, shown
from tests.browser.test_stories import colleague

pytestmark = [pytest.mark.browser]
STATUSES = (400, 403, 409, 413)
SPOILED = {
    "000000000000001": '{"kind": "answer", "lab',
    "000000000000002": "null",
    "000000000000003": '{"kind": "answer"}',
    "000000000000004": "",
    "no-time-at-all": "7",
}


def set_member(site, *, removed) -> None:
    with site.db.write() as session:
        session.execute(update(Membership).values(removed_at=utcnow() if removed else None))


def refuse_next(page, status: int) -> None:
    """The next thing sent is refused once, as by a proxy between the browser and the server."""
    page.route("**/label/noted", lambda route: route.fulfill(status=status, body="no"), times=1)


@pytest.mark.slow
def test_answers_given_while_the_membership_was_withdrawn_are_sent_again_by_hand(desk, site):
    set_member(site, removed=True)
    desk.keyboard.press("2")
    desk.keyboard.press("1")
    desk.get_by_text("2 answers were not stored").wait_for()
    assert site.answers() == []
    set_member(site, removed=False)
    desk.reload()
    desk.get_by_text("2 answers were not stored").click()
    kept = desk.locator("#aside li")
    assert [TEXTS[0] in kept.nth(0).inner_text(), "Bait" in kept.nth(0).inner_text()] == [True, True]
    desk.get_by_role("button", name="Send all again").click()
    all_sent(desk)
    desk.locator("#aside").wait_for(state="hidden")
    assert site.answers() == [(0, "blind", 1), (1, "blind", 0)]
    assert shown(desk) == TEXTS[2], "what has been sent is not asked again"
    assert desk.evaluate("document.activeElement.id") == "item"


@pytest.mark.slow
def test_a_refusal_holds_up_nothing_and_what_was_refused_stays_on_a_fresh_page(desk, browser, site):
    refusals = iter(STATUSES)

    def refuse(route) -> None:
        status = next(refusals, None)
        route.fallback() if status is None else route.fulfill(status=status, body="no")

    browser.set_offline(True)
    desk.keyboard.press("n")
    desk.keyboard.type("the price is missing")
    desk.keyboard.press("Escape")
    for key in "22221":
        desk.keyboard.press(key)
    desk.get_by_text("5 answers wait to be sent").wait_for()
    for _ in range(4):  # each look at the page is an attempt that fails, and the waits between attempts grow
        with desk.expect_event("requestfailed"):
            desk.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page_of_a_proxy = {"status": 200, "content_type": "application/json", "body": "{}"}
    desk.route("**/label/noted", refuse)
    desk.route("**/label/noted", lambda route: route.fulfill(**page_of_a_proxy), times=1)
    browser.set_offline(False)
    all_sent(desk)
    assert site.answers() == [(len(STATUSES), "blind", 0)]
    desk.reload()
    desk.get_by_text(f"{len(STATUSES)} answers were not stored").click()
    lines = desk.locator("#aside li")
    for place, status in enumerate(STATUSES):
        told = lines.nth(place).inner_text()
        assert [word in told for word in ("Bait", TEXTS[place], str(status))] == [True] * 3
    assert "the price is missing" in lines.first.inner_text()
    desk.on("dialog", lambda dialog: dialog.accept())
    for left in reversed(range(len(STATUSES))):
        desk.get_by_role("button", name="Throw away").first.click()
        assert desk.evaluate("document.activeElement.tagName") == ("SUMMARY" if left else "ARTICLE")
    desk.reload()
    desk.locator("#show-keys").wait_for()
    assert desk.locator("#aside").is_hidden()


@pytest.mark.slow
def test_an_undo_takes_back_an_answer_that_was_refused(desk, site):
    refuse_next(desk, 413)
    desk.keyboard.press("2")
    desk.get_by_text("One answer was not stored").wait_for()
    desk.keyboard.press("u")
    desk.locator("#aside").wait_for(state="hidden")
    assert shown(desk) == TEXTS[0]
    desk.keyboard.press("1")
    all_sent(desk)
    assert site.answers() == [(0, "blind", 0)]


@pytest.mark.slow
def test_a_new_answer_to_the_text_stands_in_place_of_the_refused_one(desk, site):
    with site.db.write() as session:
        session.scalars(select(Project)).one().labels = ["Honest"]
    desk.keyboard.press("2")
    desk.get_by_text("One answer was not stored").wait_for()
    desk.reload()
    desk.locator("#aside").wait_for()
    assert shown(desk) == TEXTS[0], "it comes again, since it has no answer"
    desk.keyboard.press("1")
    all_sent(desk)
    desk.locator("#aside").wait_for(state="hidden")
    assert site.answers() == [(0, "blind", 0)]


def test_an_answer_that_came_too_late_can_still_be_read(desk, site):
    other, _ = colleague(site)
    with site.db.write() as session:
        session.execute(update(Assignment).where(Assignment.position == 0).values(expert_id=other, state="done"))
    desk.keyboard.press("2")
    desk.get_by_text("One answer was not stored").click()
    line = desk.locator("#aside li").inner_text()
    assert "Bait" in line
    assert "Colleagues have answered this text in the meantime" in line
    assert desk.locator("#aside").get_by_role("button", name="Send").locator("visible=true").count() == 0
    desk.keyboard.press("1")
    all_sent(desk)
    assert site.answers() == [(1, "blind", 0)]


def test_entries_that_cannot_be_read_are_set_aside_and_the_rest_is_sent(desk, browser, site):
    browser.set_offline(True)
    desk.keyboard.press("1")
    desk.get_by_text("One answer waits to be sent").wait_for()
    for place, text in SPOILED.items():
        where = f"linecall:outbox:{site.user_id}:ads:{place}"
        desk.evaluate("([place, text]) => localStorage.setItem(place, text)", [where, text])
    desk.keyboard.press("2")
    browser.set_offline(False)
    all_sent(desk)
    assert site.answers() == [(0, "blind", 0), (1, "blind", 1)]
    desk.get_by_text(f"{len(SPOILED)} answers were not stored").click()
    told = desk.locator("#aside li").all_inner_texts()
    assert [line.split("\n")[0].strip() for line in told] == [f"Not readable {t}".strip() for t in SPOILED.values()]


def test_the_list_is_copied_even_where_the_browser_has_no_clipboard(desk, site):
    refuse_next(desk, 410)
    desk.keyboard.press("2")
    desk.get_by_text("One answer was not stored").click()
    desk.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    desk.get_by_role("button", name="Copy the list").click()
    desk.get_by_text("Marked: copy it with Ctrl+C").wait_for()
    marked = desk.evaluate("getSelection().toString()")
    assert "Bait" in marked
    assert TEXTS[0] in marked


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_in_the_list_and_the_buttons_stay_on_the_screen(desk, scheme, width):
    desk.emulate_media(color_scheme=scheme)
    desk.set_viewport_size({"width": width, "height": 740})
    refuse_next(desk, 409)
    desk.keyboard.press("2")
    desk.get_by_text("One answer was not stored").click()
    assert Axe().run(desk).response["violations"] == []
    assert desk.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = desk.locator(".label-button").first.bounding_box()
    assert box["y"] + box["height"] <= 740
