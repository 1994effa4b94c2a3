"""Promises of the experts' pages, each as a story that a person would recognise.

tests/browser/test_desk.py has those of the network and the server, tests/browser/test_guidance.py those of the
guideline."""

import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from sqlalchemy import select, update

from app.db.base import utcnow
from app.db.tables import Annotation, Assignment, BoundaryPair, ConsensusLabel, Item, Project, Round, User
from app.services import accounts, annotations, invitations, passwords, practice, queue
from app.services.annotations import Answer
from tests.browser.site import TEXTS, all_sent, contrast_card, shown

pytestmark = [pytest.mark.browser]
PASSWORD = "several words of mine"


def colleague(site, name: str = "Cleo") -> tuple[int, dict[str, str]]:
    """Another expert of the project, and the cookie that signs them in."""
    with site.db.write() as session:
        user = accounts.create_user(session, email=f"{name.lower()}@example.org", name=name)
        accounts.add_member(session, session.scalars(select(Project.id)).one(), user.id, "expert")
        token = accounts.start_session(session, user.id, days=1)
    return user.id, {"name": "linecall", "value": token, "url": site.base}


def change_project(site, **settings) -> None:
    with site.db.write() as session:
        project, round_ = session.scalars(select(Project)).one(), session.scalars(select(Round)).one()
        project.settings, round_.settings = project.settings | settings, round_.settings | settings


def add_pair(site, left: int, right: int) -> None:
    with site.db.write() as session:
        pair = {"left_item_id": site.items[left], "right_item_id": site.items[right], "similarity": 0.9}
        labels = {"left_label": 0, "right_label": 1, "left_cluster": 0, "right_cluster": 0}
        session.add(BoundaryPair(round_id=site.round_id, rank=0, **pair, **labels))


def wait_for_text(page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('#item').textContent === text", arg=text)


# --- one text, one key ---------------------------------------------------------------------------------------------


def test_an_answer_of_before_is_found_again_and_changed(desk, site):
    for key in "121":
        desk.keyboard.press(key)
    all_sent(desk)
    desk.keyboard.press("h")
    desk.get_by_text(TEXTS[1]).first.click()
    desk.locator("details[open]").get_by_label("Note").fill("on second thoughts")
    desk.get_by_role("button", name="Honest").first.click()
    desk.get_by_text("Saved: Honest").wait_for()
    assert site.answers()[-2:] == [(1, "undone", None), (1, "blind", 0)]
    desk.get_by_text(TEXTS[1]).first.click()
    desk.get_by_role("button", name="Honest", pressed=True).click()
    desk.get_by_text("Saved: Honest").wait_for()
    with site.db.read() as session:
        assert session.scalars(select(Annotation.note).order_by(Annotation.id)).all()[-1] == "on second thoughts"
    desk.get_by_role("button", name="Back to labelling").click()
    wait_for_text(desk, TEXTS[3])


def test_four_labels_work_as_well_as_two(browser, site):
    with site.db.write() as session:
        session.scalars(select(Project)).one().labels = ["Advert", "News", "Opinion", "Something else altogether"]
    page = browser.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(site.desk)
    page.locator("#show-keys").wait_for()
    assert page.locator(".label-button").all_inner_texts() == [
        *("1\nAdvert", "2\nNews", "3\nOpinion", "4\nSomething else altogether")
    ]
    for key in "43219":
        page.keyboard.press(key)
    all_sent(page)
    assert [label for _, _, label in site.answers()] == [3, 2, 1, 0], "9 is no label here"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("?")
    assert page.locator("#keys .swipe").is_hidden(), "a swipe has two directions"


@pytest.mark.slow
def test_the_buttons_stay_where_they_are_from_one_text_to_the_next(desk, site):
    with site.db.write() as session:
        session.execute(update(Item).where(Item.id == site.items[1]).values(text="Four lines, perhaps. " * 10))
    desk.reload()
    desk.locator("#show-keys").wait_for()
    places = []
    for _ in range(3):
        places.append(desk.locator(".label-button").first.bounding_box())
        desk.keyboard.press("1")
        all_sent(desk)
    assert places[0] == places[1] == places[2], "also when the receipt has come"


@pytest.mark.slow
def test_a_skip_by_mistake_is_taken_back_with_its_note(desk, site):
    desk.keyboard.press("1")
    desk.keyboard.press("n")
    desk.keyboard.type("half a note")
    desk.keyboard.press("Escape")
    desk.keyboard.press("s")
    desk.keyboard.press("3")
    desk.get_by_text("Skipped.").wait_for()
    desk.keyboard.press("u")
    all_sent(desk)
    desk.locator("#receipt").get_by_text("Taken back.").wait_for()
    assert (shown(desk), desk.input_value("#answer textarea")) == (TEXTS[1], "half a note")
    desk.keyboard.press("2")
    all_sent(desk)
    skip_and_its_undo = [(1, "undone", None)] * 2
    assert site.answers() == [(0, "blind", 0), *skip_and_its_undo, (1, "blind", 1)]
    wait_for_text(desk, TEXTS[2])


@pytest.mark.slow
def test_a_tap_that_was_meant_for_the_text_does_not_confirm_the_pair(desk, site):
    add_pair(site, 0, 1)
    desk.evaluate(
        "window.taps = 0; document.addEventListener('htmx:afterSwap', () => {"
        " const button = document.querySelector('#contrast button'); if (button) { taps++; button.click(); } })"
    )
    for key in "12":
        desk.keyboard.press(key)
    card = contrast_card(desk)
    assert desk.evaluate("taps") == 1
    card.get_by_role("button", name="Both answers stand").click()
    card.wait_for(state="detached")


def test_a_reason_of_ones_own_for_a_skip_is_kept_in_ones_words(desk, site):
    desk.keyboard.press("s")
    desk.get_by_label("Another reason").fill("Half of it is missing")
    desk.keyboard.press("Enter")
    desk.get_by_text("Skipped.").wait_for()
    with site.db.read() as session:
        assert session.scalars(select(Assignment.skip_reason).where(Assignment.state == "skipped")).one() == (
            "Half of it is missing"
        )
    assert shown(desk) == TEXTS[1]


@pytest.mark.slow
def test_the_hands_stay_on_the_keyboard_and_the_focus_is_never_lost(desk, site):
    add_pair(site, 0, 1)
    where = "document.activeElement.id"
    desk.keyboard.press("1")
    assert desk.evaluate(where) == "item"
    desk.keyboard.press("2")
    desk.locator("#contrast").wait_for()
    assert desk.evaluate(where) == "contrast"
    contrast_card(desk)
    desk.keyboard.press("Enter")
    desk.get_by_text("Saved: both answers stand").wait_for()
    assert desk.evaluate(where) == "item"
    for opens, closes in (("?", "Escape"), ("s", "Escape"), ("n", "Escape"), ("/", "Escape")):
        desk.keyboard.press(opens)
        desk.keyboard.press(closes)
        assert desk.evaluate(where) in ("item", "show-keys"), opens
    for _ in range(6):
        desk.keyboard.press("Tab")
        assert desk.evaluate("document.activeElement.tagName") != "BODY"


# --- nothing lost --------------------------------------------------------------------------------------------------


def test_a_text_whose_time_ran_out_counts_unless_a_colleague_was_quicker(desk, site):
    other, _ = colleague(site)
    with site.db.write() as session:
        session.execute(update(Assignment).values(lease_expires_at=utcnow() - timedelta(minutes=1)))
        project_id = session.scalars(select(Project.id)).one()
        task = queue.claim(session, project_id, other, lease=timedelta(minutes=5))
        given = Answer(task.assignment_id, 1, "the-colleagues-key")
        annotations.submit(session, project_id=project_id, expert_id=other, n_labels=2, answer=given)
    assert task.text == TEXTS[0] == shown(desk)
    desk.keyboard.press("1")
    desk.locator("#receipt").get_by_text("Colleagues have answered this text in the meantime").wait_for()
    desk.keyboard.press("2")
    desk.get_by_text("Saved: Bait").wait_for()
    assert site.answers() == [(0, "blind", 1), (1, "blind", 1)]


def test_after_signing_out_and_in_again_the_last_two_answers_are_taken_back(desk, site):
    with site.db.write() as session:
        session.get_one(User, site.user_id).password_hash = passwords.hash_password(PASSWORD)
    for key in "121":
        desk.keyboard.press(key)
    all_sent(desk)
    desk.get_by_role("button", name="Sign out").click()
    desk.get_by_label("E-mail address").fill("ben@example.org")
    desk.get_by_label("Password").fill(PASSWORD)
    desk.get_by_role("button", name="Sign in").click()
    desk.wait_for_load_state()
    desk.goto(site.desk)
    wait_for_text(desk, TEXTS[3])
    for place in (2, 1):
        desk.keyboard.press("u")
        wait_for_text(desk, TEXTS[place])
        all_sent(desk)
    desk.keyboard.press("1")
    wait_for_text(desk, TEXTS[2])
    desk.keyboard.press("2")
    all_sent(desk)
    assert site.answers()[3:] == [(2, "undone", None), (1, "undone", None), (1, "blind", 0), (2, "blind", 1)]
    wait_for_text(desk, TEXTS[3])


def test_a_page_loaded_anew_holds_its_texts(desk, site):
    desk.reload()
    desk.locator("#show-keys").wait_for()
    desk.get_by_text("Ask or propose").click()
    desk.get_by_label("In your words").fill("Is it still mine?")
    desk.get_by_role("button", name="Send").click()
    desk.get_by_text("Sent. You find the answer").wait_for()
    with site.db.read() as session:
        assert session.scalar(select(Assignment.state).where(Assignment.item_id == site.items[0])) == "claimed"


# --- blind, then side by side --------------------------------------------------------------------------------------


def test_a_pair_that_was_left_open_comes_up_again_on_a_fresh_page(desk, site):
    add_pair(site, 0, 1)
    for key in "12":
        desk.keyboard.press(key)
    desk.locator("#contrast").wait_for()
    desk.reload()
    contrast_card(desk)
    assert desk.locator("#work").is_hidden()
    desk.keyboard.press("Enter")
    wait_for_text(desk, TEXTS[2])
    desk.reload()
    desk.locator("#show-keys").wait_for()
    assert desk.locator("#contrast").count() == 0


def test_where_a_project_wants_it_pairs_are_shown_once_nothing_is_left(desk, site):
    add_pair(site, 0, 1)
    change_project(site, reveal="end")
    with site.db.write() as session:
        session.execute(update(Assignment).where(Assignment.position > 1).values(state="closed"))
    desk.reload()
    desk.locator("#show-keys").wait_for()
    for key in "12":
        desk.keyboard.press(key)
    card = contrast_card(desk)
    assert "You drew the line between them." in card.inner_text()
    desk.keyboard.press("Enter")
    card.wait_for(state="detached")
    desk.get_by_text("The round is answered").wait_for()


def test_where_a_project_turns_it_off_no_pair_is_ever_shown(desk, site):
    add_pair(site, 0, 1)
    change_project(site, reveal="off")
    for key in "12":
        desk.keyboard.press(key)
    all_sent(desk)
    wait_for_text(desk, TEXTS[2])
    assert desk.locator("#contrast").count() == 0
    desk.goto(f"{site.base}/p/ads/contrast")
    assert desk.url == site.desk


# --- progress that respects people ---------------------------------------------------------------------------------


def test_the_time_left_is_told_at_ones_own_pace(desk, site):
    assert "at your pace" not in desk.inner_text("#progress-text")
    with site.db.write() as session:
        project_id = session.scalars(select(Project.id)).one()
        for n in range(5):
            task = queue.claim(session, project_id, site.user_id, lease=timedelta(minutes=5))
            given = Answer(task.assignment_id, 1, f"answer-number-{n}", seconds=60.0)
            annotations.submit(session, project_id=project_id, expert_id=site.user_id, n_labels=2, answer=given)
    desk.reload()
    desk.get_by_text("5 answered, at most 15 to go · about 15 minutes at your pace").wait_for()


def test_a_break_is_suggested_after_a_long_stretch_and_can_be_turned_off_for_good(desk, site):
    long_ago = "stretch => sessionStorage.setItem('linecall:stretch', JSON.stringify(stretch))"
    began = "({ since: Date.now() - 46 * 60000, last: Date.now() - 1000 })"
    desk.evaluate(f"({long_ago})({began})")
    desk.keyboard.press("1")
    desk.get_by_text("You have been at it for 46 minutes").wait_for()
    desk.keyboard.press("2")
    all_sent(desk)
    assert len(site.answers()) == 2, "it is never in the way"
    with desk.expect_response("**/preferences"):
        desk.get_by_role("button", name="Don't suggest breaks").click()
    desk.reload()
    desk.locator("#show-keys").wait_for()
    desk.evaluate(f"({long_ago})({began})")
    desk.keyboard.press("1")
    all_sent(desk)
    assert desk.locator("#break").is_hidden()


def test_an_empty_queue_says_why_and_tells_when_there_is_work(browser, site):
    with site.db.write() as session:
        session.scalars(select(Round)).one().state = "preparing"
    page = browser.new_page()
    page.add_init_script(
        "window.told = []; window.Notification = class { static permission = 'granted';"
        " static requestPermission = async () => 'granted';"
        " constructor(title, { body }) { told.push([title, body]); } };"
        " Object.defineProperty(document, 'hidden', { get: () => Boolean(window.away) });"
    )
    page.clock.install()
    page.goto(site.desk)
    page.get_by_text("The next round is being prepared").wait_for()
    with page.expect_response("**/preferences"):
        page.get_by_label("Tell me in this browser").check()
    page.evaluate("window.away = true")
    with site.db.write() as session:
        session.scalars(select(Round)).one().state = "review"
    with page.expect_response("**/label/next"):
        page.clock.fast_forward(16_000)
    wait_for_text(page, TEXTS[0])
    assert page.evaluate("told") == [["There is work for you", "A new text waits in Ads."]]


# --- where experts disagree ----------------------------------------------------------------------------------------


def test_two_experts_settle_a_tie_from_the_empty_queue_and_a_lead_makes_it_an_example(browser, site):
    _, cookie = colleague(site)
    with site.db.write() as session:
        round_ = session.scalars(select(Round)).one()
        round_.state, round_.settings = "adjudicating", round_.settings | {"adjudicators": "two_experts"}
        session.add(ConsensusLabel(round_id=round_.id, item_id=site.items[0], source="tie", votes=2))
        lead = accounts.create_user(session, email="lea@example.org", name="Lea")
        accounts.add_member(session, round_.project_id, lead.id, "lead")
        lead_cookie = accounts.start_session(session, lead.id, days=1)
    page = browser.new_page()
    for cookies, last in ((None, False), (cookie, True)):
        if cookies:
            browser.add_cookies([cookies])
        page.goto(site.desk)
        page.get_by_role("button", name="Where experts disagree").click()
        page.get_by_label("Because").fill("It holds the price back." if last else "The price is missing.")
        page.get_by_role("button", name="Bait").click()
        page.get_by_text("Two experts agree: it is settled." if last else "Your vote is saved.").wait_for()
    browser.add_cookies([{"name": "linecall", "value": lead_cookie, "url": site.base}])
    page.goto(f"{site.base}/p/ads/rulings")
    assert "The price is missing." in page.inner_text("main")
    page.get_by_role("button", name="Make it an example").click()
    page.get_by_text("has it as an example").wait_for()


# --- coming in -----------------------------------------------------------------------------------------------------


def test_a_newcomer_gets_from_the_link_over_the_practice_to_the_first_text(browser, site):
    with site.db.write() as session:
        project = session.scalars(select(Project)).one()
        project.settings = project.settings | {"practice_pass_share": 0.5}
        for label in (0, 1):
            practice.add(session, project, f"practice {label}", label, f"Rule {label}.", user_id=site.user_id)
        token, _ = invitations.invite(session, project.id, "expert", days=1, by_user_id=site.user_id, name="Dora")
    browser.clear_cookies()
    page = browser.new_page()
    page.goto(f"{site.base}/invitation/{token}")
    page.get_by_label("E-mail address").fill("dora@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account and join").click()
    page.get_by_text("You begin to label once you have").wait_for()
    page.goto(site.desk)
    page.get_by_text("practice 0").wait_for()
    for _ in range(2):
        page.get_by_role("group", name="Your answer").wait_for()
        page.keyboard.press("1")
        page.get_by_text(re.compile("Rule [01]")).wait_for()
        page.keyboard.press("Enter")
    page.get_by_text("You are ready to label.").wait_for()
    page.get_by_role("main").get_by_role("button", name="Label").click()
    page.locator("#show-keys").wait_for()
    page.keyboard.press("2")
    all_sent(page)
    assert len(site.answers()) == 1


def test_an_outsider_finds_nothing_at_any_of_the_addresses(browser, site):
    with site.db.write() as session:
        outsider = accounts.create_user(session, email="otto@example.org", name="Otto")
        token = accounts.start_session(session, outsider.id, days=1)
    browser.add_cookies([{"name": "linecall", "value": token, "url": site.base}])
    page = browser.new_page()
    for path in ("", "/label", "/answers", "/practice", "/rulings", "/contrast", "/people"):
        page.goto(f"{site.base}/p/ads{path}")
        page.get_by_text("There is no such project, or you are not a member of it.").wait_for()
    assert TEXTS[0] not in page.content()


# --- for everybody -------------------------------------------------------------------------------------------------


def test_on_a_phone_a_swipe_answers_and_shows_beforehand_which_answer(site, browser):
    with site.db.write() as session:
        session.get_one(User, site.user_id).preferences = {"swipe": True}
    phone = browser.browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    phone.add_cookies([site.cookie()])
    page = phone.new_page()
    page.goto(site.desk)
    page.locator("#show-keys").wait_for()
    touch = phone.new_cdp_session(page)

    def swipe(across: int, down: int) -> str:
        """The answer that stands out before the finger is lifted."""
        for step in range(9):
            point = {"x": 180 + across * step / 8, "y": 300 + down * step / 8}
            kind = "touchMove" if step else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        aimed = " ".join(page.locator(".label-button.aimed").all_inner_texts()).strip()
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        all_sent(page)
        return aimed

    assert swipe(-150, 5).endswith("Honest")
    assert swipe(150, 5).endswith("Bait")
    assert swipe(60, 0) == "", "too short"
    assert swipe(-130, -130) == "", "it scrolls"
    assert site.answers() == [(0, "blind", 0), (1, "blind", 1)]
    phone.close()


def test_at_twice_the_size_everything_is_there_and_nothing_sticks_out(site, browser):
    zoomed = browser.browser.new_context(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    zoomed.add_cookies([site.cookie()])
    page = zoomed.new_page()
    page.goto(site.desk)
    page.locator("#show-keys").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for button in page.locator(".label-button").all():
        box = button.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 400
    text = page.locator("#item").bounding_box()
    assert text["y"] >= 0
    assert text["y"] + text["height"] <= box["y"], "the text is not under the buttons"
    zoomed.close()


def test_a_german_browser_gets_german_pages_without_a_barrier(site, browser):
    german = browser.browser.new_context(locale="de-DE")
    german.add_cookies([site.cookie()])
    page = german.new_page()
    page.goto(site.desk)
    page.get_by_role("button", name="Tasten und Einstellungen").wait_for()
    page.keyboard.press("2")
    page.get_by_text("Gespeichert: Bait").wait_for()
    assert page.evaluate("document.documentElement.lang") == "de"
    assert Axe().run(page).response["violations"] == []
    page.keyboard.press("h")
    page.get_by_text("gerade eben").wait_for()
    german.close()
    with site.db.read() as session:
        assert len(session.scalars(select(Annotation)).all()) == 1
