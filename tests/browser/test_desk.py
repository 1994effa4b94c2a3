"""The labelling page as an expert lives with it: no network, a dead server, two tabs, an expired sign-in, a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from sqlalchemy import delete, func, select

from app.db.tables import Annotation, Assignment, BoundaryPair, Project, UserSession
from app.services import accounts, invitations
from tests.browser.site import HOSTILE, LONG, TEXTS, all_sent, contrast_card, shown

pytestmark = [pytest.mark.browser]


@pytest.mark.slow
def test_answers_given_without_a_network_are_kept_and_sent_once_and_in_order(desk, browser, site):
    desk.keyboard.press("1")
    all_sent(desk)
    browser.set_offline(True)
    for key in "2121":
        desk.keyboard.press(key)
    desk.get_by_text("4 answers wait to be sent").wait_for()
    assert shown(desk) != TEXTS[1]
    browser.set_offline(False)
    all_sent(desk)
    assert desk.locator("#trouble").is_hidden()
    assert site.answers() == [(0, "blind", 0), (1, "blind", 1), (2, "blind", 0), (3, "blind", 1), (4, "blind", 0)]


def test_answers_survive_a_killed_server_and_a_closed_browser_tab(desk, browser, site):
    desk.keyboard.press("2")
    all_sent(desk)
    site.kill()
    desk.keyboard.press("1")
    desk.keyboard.press("2")
    desk.get_by_text("2 answers wait to be sent").wait_for()
    desk.close()
    site.start()
    again = browser.new_page()
    again.goto(site.desk)
    all_sent(again)
    assert site.answers() == [(0, "blind", 1), (1, "blind", 0), (2, "blind", 1)]
    assert shown(again) == TEXTS[3]


def test_a_page_goes_on_by_itself_when_the_server_is_back(desk, site):
    desk.keyboard.press("2")
    all_sent(desk)
    site.kill()
    desk.keyboard.press("1")
    desk.get_by_text("One answer waits to be sent").wait_for()
    site.start()
    desk.keyboard.press("2")
    all_sent(desk)
    desk.locator("#trouble").wait_for(state="hidden")
    desk.keyboard.press("1")
    all_sent(desk)
    assert [label for _, _, label in site.answers()] == [1, 0, 1, 0]


def test_a_sign_in_that_expired_asks_for_a_new_one_and_loses_nothing(desk, browser, site):
    with site.db.write() as session:
        session.execute(delete(UserSession))
    desk.keyboard.press("2")
    desk.get_by_text("You have been signed out").wait_for()
    assert desk.locator("#trouble a").get_attribute("href").startswith("/sign-in?next=")
    assert site.answers() == []
    browser.add_cookies([site.cookie()])
    desk.goto(site.desk)
    all_sent(desk)
    assert site.answers() == [(0, "blind", 1)]


@pytest.mark.slow
def test_two_tabs_do_not_fight_over_an_item(desk, browser, site):
    other = browser.new_page()
    other.goto(site.desk)
    assert shown(other) == shown(desk) == TEXTS[0]
    desk.keyboard.press("1")
    other.get_by_text("You answered that text in another tab").wait_for()
    assert shown(other) == TEXTS[1]
    other.keyboard.press("2")
    all_sent(other)
    assert site.answers() == [(0, "blind", 0), (1, "blind", 1)]


@pytest.mark.slow
def test_undo_is_instant_goes_back_twice_and_works_on_a_fresh_page(desk, browser, site):
    for key in "12":
        desk.keyboard.press(key)
    desk.keyboard.press("u")
    assert shown(desk) == TEXTS[1]
    desk.keyboard.press("1")
    all_sent(desk)
    desk.reload()
    desk.keyboard.press("u")
    desk.get_by_text("Your answer is taken back").wait_for()
    desk.wait_for_function("text => document.querySelector('#item').textContent === text", arg=TEXTS[1])
    all_sent(desk)
    desk.keyboard.press("u")
    desk.wait_for_function("text => document.querySelector('#item').textContent === text", arg=TEXTS[0])
    all_sent(desk)
    kinds = [kind for _, kind, _ in site.answers()]
    assert kinds == ["blind", "blind", "undone", "blind", "undone", "undone"]


def test_the_next_text_is_there_at_once_and_saved_is_said_only_when_the_server_has_said_so(desk, site):
    held = []
    desk.route("**/label/noted", lambda route: held.append(route))
    desk.keyboard.press("1")
    assert shown(desk) == TEXTS[1]
    desk.locator("#receipt").get_by_text("Saving…").wait_for()
    assert site.answers() == []
    assert "Saved" not in desk.inner_text("#receipt")
    held[0].continue_()
    desk.get_by_role("status").filter(has_text="Saved: Honest").wait_for()
    assert site.answers() == [(0, "blind", 0)]


@pytest.mark.slow
def test_two_undos_at_once_bring_no_text_between_and_give_back_note_and_flag(desk, browser, site):
    for key, note in (("1", "first note"), ("2", "second note")):
        desk.keyboard.press("n")
        desk.keyboard.type(note)
        desk.keyboard.press("Escape")
        desk.keyboard.press("f")
        desk.keyboard.press(key)
    all_sent(desk)
    browser.set_offline(True)
    desk.keyboard.press("u")
    desk.keyboard.press("u")
    assert shown(desk) == TEXTS[0]
    desk.evaluate("""() => {
      window.changes = 0;
      new MutationObserver(() => changes++).observe(document.querySelector(".item-frame"), { childList: true });
    }""")
    browser.set_offline(False)
    all_sent(desk)
    assert desk.evaluate("changes") == 0, "a key pressed now must not answer another text"
    for note in ("first note", "second note"):
        assert (desk.input_value("#answer textarea"), desk.is_checked("#answer [name=flagged]")) == (note, True)
        desk.keyboard.press("2")
        all_sent(desk)
    assert site.answers()[2:] == [(1, "undone", None), (0, "undone", None), (0, "blind", 1), (1, "blind", 1)]
    assert (shown(desk), desk.input_value("#answer textarea")) == (TEXTS[2], "")


def test_skip_asks_why_a_note_and_a_flag_travel_and_keys_can_be_changed(desk, site):
    desk.keyboard.press("s")
    desk.keyboard.press("2")
    desk.get_by_text("Skipped.").wait_for()
    with site.db.read() as session:
        assert session.scalars(select(Assignment.skip_reason).where(Assignment.state == "skipped")).one() == (
            "Outside my field"
        )
    desk.keyboard.press("n")
    desk.keyboard.type("odd 1 2")
    desk.keyboard.press("Escape")
    desk.keyboard.press("f")
    desk.keyboard.press("?")
    desk.locator("[data-remap=label2]").click()
    desk.keyboard.press("j")
    desk.get_by_text("Your keys are saved").wait_for()
    desk.keyboard.press("Escape")
    desk.keyboard.press("j")
    all_sent(desk)
    with site.db.read() as session:
        row = session.scalars(select(Annotation).where(Annotation.kind == "blind")).one()
    assert (row.label, row.note, row.flagged) == (1, "odd 1 2", True)


@pytest.mark.slow
def test_a_long_text_unfolds_and_the_answers_never_leave_the_screen(desk):
    for _ in range(8):
        desk.keyboard.press("1")
        all_sent(desk)
    desk.wait_for_function("() => document.querySelector('#item').textContent.startsWith('A long clause')")
    for _ in range(2):
        box = desk.locator(".label-button").first.bounding_box()
        assert box["y"] + box["height"] <= desk.viewport_size["height"]
        desk.keyboard.press("e")
    desk.keyboard.press("1")
    assert desk.evaluate("getComputedStyle(document.querySelector('#item')).direction") == "rtl"
    desk.keyboard.press("1")
    assert shown(desk) == HOSTILE, "shown as text"


def test_the_guideline_is_searched_from_the_keyboard(desk):
    desk.keyboard.press("/")
    desk.keyboard.type("BAIT")
    assert desk.locator(".guideline mark.hit").all_inner_texts() == ["bait"]
    assert desk.inner_text("#guideline-found") == "1 / 1"
    desk.keyboard.press("Escape")
    assert desk.locator(".guideline mark.hit").count() == 0
    desk.keyboard.press("1")
    all_sent(desk)
    assert shown(desk) == TEXTS[1]


@pytest.mark.slow
def test_both_sides_of_a_pair_are_shown_together_after_both_answers(desk, site):
    with site.db.write() as session:
        pair = {"round_id": site.round_id, "rank": 0, "left_item_id": site.items[0], "right_item_id": site.items[1]}
        labels = {"left_label": 0, "right_label": 1, "similarity": 0.9, "left_cluster": 0, "right_cluster": 0}
        session.add(BoundaryPair(**pair, **labels))
    desk.keyboard.press("1")
    desk.keyboard.press("2")
    card = contrast_card(desk)
    assert "Your answer: Honest" in card.inner_text()
    desk.keyboard.press("r")
    desk.keyboard.type("The second sells nothing")
    card.get_by_role("button", name="Bait").click()
    card.wait_for(state="detached")
    assert shown(desk) == TEXTS[2]
    assert site.answers()[-1] == (0, "revised", 1)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_and_nothing_sticks_out(browser, site, scheme, width):
    page = browser.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 740})
    for path in ("label", "answers", "contrast"):
        page.goto(f"{site.base}/p/ads/{path}")
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360), ("light", 320)])
def test_axe_finds_nothing_on_the_way_to_the_desk_nor_where_there_is_nothing(browser, site, scheme, width):
    with site.db.write() as session:
        project_id = session.scalars(select(Project.id)).one()
        token, _ = invitations.invite(
            session, project_id, "expert", days=7, by_user_id=site.user_id, name="Nora", email=""
        )
    signed_in = ("/", "/account", "/p/ads", "/p/ads/label", "/p/ads/answers", "/p/elsewhere/label")
    for cookies, paths in ((True, signed_in), (False, ("/sign-in", f"/invitation/{token}"))):
        if not cookies:
            browser.clear_cookies()
        page = browser.new_page()
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 740})
        for path in paths:
            page.goto(site.base + path)
            found = Axe().run(page).response["violations"]
            assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


OVERLAP = """() => {
  const edge = (selector) => document.querySelector(selector).getBoundingClientRect();
  return edge(".item-frame").bottom - edge(".answer-bar").top;
}"""
ONE_MORE_LABEL = "document.querySelector('.labels').append(document.querySelector('.label-button').cloneNode(true))"


@pytest.mark.parametrize("text", ["A short one", LONG], ids=["short", "long"])
@pytest.mark.parametrize("width", [1280, 481, 360])
def test_the_answers_hide_nothing_of_the_text_on_a_low_screen(desk, width, text):
    """A small laptop under its browser's bars, an old phone: the frame ends above the answers, with more labels too."""
    desk.evaluate("text => { document.querySelector('#item').textContent = text }", text)
    for _ in range(2):
        for height in (800, 740, 680, 640, 600, 560):
            desk.set_viewport_size({"width": width, "height": height})
            desk.wait_for_function(f"innerHeight === {height}")
            desk.evaluate("window.dispatchEvent(new Event('resize'))")
            assert desk.evaluate(OVERLAP) <= 0, height
        desk.evaluate(ONE_MORE_LABEL)


def test_every_answer_counts_once_through_a_whole_round(desk, site):
    for _ in range(len(TEXTS)):
        desk.locator("#work").wait_for()
        desk.keyboard.press("1")
    desk.get_by_text("The round is answered").wait_for()
    with site.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Annotation)) == len(TEXTS)


FULL = """() => {
  let chunk = "x".repeat(1 << 20);
  while (chunk) {
    try { localStorage["junk" + localStorage.length] = chunk; } catch { chunk = chunk.slice(0, chunk.length >> 1); }
  }
}"""
FORBIDDEN = """for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("forbidden", "SecurityError"); } });
}"""


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["full", "forbidden"])
def test_a_browser_that_can_store_nothing_loses_no_answer_and_says_to_stay(browser, site, storage):
    if storage == "forbidden":
        browser.add_init_script(FORBIDDEN)
    page = browser.new_page()
    page.goto(site.desk)
    page.locator("#show-keys").wait_for()
    if storage == "full":
        page.evaluate(FULL)
    page.keyboard.press("1")
    page.get_by_text("Saved: Honest").wait_for()
    browser.set_offline(True)
    page.keyboard.press("2")
    page.get_by_text("Leave this page open until it has been sent").wait_for()
    page.keyboard.press("1")
    browser.set_offline(False)
    page.locator("#trouble").wait_for(state="hidden")
    assert site.answers() == [(0, "blind", 0), (1, "blind", 1), (2, "blind", 0)]


def test_a_clock_that_is_set_back_does_not_send_an_undo_before_its_answer(desk, browser, site):
    browser.set_offline(True)
    desk.keyboard.press("1")
    desk.evaluate("() => { const now = Date.now; Date.now = () => now() - 3600000; }")
    desk.keyboard.press("u")
    desk.keyboard.press("2")
    browser.set_offline(False)
    all_sent(desk)
    assert [kind for _, kind, _ in site.answers()] == ["blind", "undone", "blind"]
    assert site.answers()[-1] == (0, "blind", 1)


@pytest.mark.slow
def test_what_waits_is_never_sent_as_the_answer_of_whoever_signs_in_next(desk, browser, site):
    with site.db.write() as session:
        session.execute(delete(UserSession))
        other = accounts.create_user(session, email="eva@example.org", name="Eva")
        accounts.add_member(session, session.scalar(select(Project.id)), other.id, "expert")
        token = accounts.start_session(session, other.id, days=1)
    desk.keyboard.press("2")
    desk.get_by_text("You have been signed out").wait_for()
    browser.add_cookies([{"name": "linecall", "value": token, "url": site.base}])
    with desk.expect_navigation():  # the page of before has noticed, and is Eva's now
        desk.evaluate("() => window.dispatchEvent(new Event('online'))")
    desk.locator("#show-keys").wait_for()
    assert site.answers() == []
    browser.add_cookies([site.cookie()])
    desk.goto(site.desk)
    all_sent(desk)
    assert site.answers() == [(0, "blind", 1)]
    with site.db.read() as session:
        assert set(session.scalars(select(Annotation.expert_id))) == {site.user_id}
