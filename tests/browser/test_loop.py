"""The whole loop as people go through it, in Chromium: an admin starts a round, two experts finish it, the chart shows
a point."""

import re

import pytest

from app.db.engine import Database
from app.services import accounts, invitations, projects
from app.services.projects import ProjectSettings
from tests.browser.site import EXAMPLES, all_sent, contrast_card, linecall_serve, shown, signed_in, some_ads
from tests.factories import make_items

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def site(tmp_path):
    """A running installation with a small pool, an admin and two experts: its address and a sign-in link for each."""
    with linecall_serve(tmp_path, people_and_pool) as links:
        yield links


def people_and_pool(url: str, base: str) -> dict[str, str]:
    db = Database(url)
    with db.write() as session:
        project = projects.create_project(
            session,
            name="Small ads",
            labels=["Honest", "Clickbait"],
            guideline="An ad is **clickbait** when it hides what it sells.",
            examples=EXAMPLES,
            settings=ProjectSettings(round_size=16),
        )
        make_items(session, project, [ad["text"] for ad in some_ads()])
        links = {}
        for name, role in (("ada", "admin"), ("ben", "expert"), ("cleo", "expert")):
            user = accounts.create_user(session, email=f"{name}@example.org", name=name.title())
            accounts.add_member(session, project.id, user.id, role)
            links[name] = f"{base}/sign-in/" + invitations.create_sign_in_link(session, user.id)
        links["project"] = f"{base}/p/{project.slug}"
    db.dispose()
    return links


def label_everything(page, project: str) -> int:
    """Answer with the keyboard until the queue is empty, by a rule that a person could follow; every contrast card is
    confirmed by its key."""
    page.goto(f"{project}/label")
    answered: set[str] = set()  # a key that a contrast card swallowed is pressed again
    for _ in range(100):
        page.locator("#item:visible, #empty:visible, #contrast:visible").first.wait_for()
        if page.locator("#contrast").count():
            card = contrast_card(page)
            page.keyboard.press("Enter")
            card.wait_for(state="detached")
            continue
        if not page.locator("#work").is_visible():
            return len(answered)
        text = shown(page)
        page.keyboard.press("1" if re.search(r"[£€$]\s?\d", text) else "2")
        answered.add(text)
        all_sent(page)
    raise AssertionError("the queue does not end")


def test_an_admin_starts_a_round_two_experts_finish_it_and_the_chart_shows_a_point(site, chrome):
    admin = signed_in(chrome, site["ada"])
    admin.goto(site["project"] + "/rounds")
    admin.get_by_role("button", name=re.compile("Start")).first.click()
    admin.wait_for_url("**/rounds/1")
    admin.get_by_text(re.compile("review", re.I)).first.wait_for()

    ben = signed_in(chrome, site["ben"])
    ben.goto(site["project"] + "/label")
    ben.locator("#answer").wait_for(
        state="visible", timeout=300_000
    )  # the queue fills by itself when the round is ready
    assert label_everything(ben, site["project"]) == 16

    cleo = signed_in(chrome, site["cleo"])
    assert label_everything(cleo, site["project"]) == 16

    admin.locator("h1 .pill", has_text=re.compile("done|failed")).wait_for(
        timeout=300_000
    )  # its page follows the round
    admin.goto(site["project"] + "/alignment")
    admin.locator(".vega-embed .marks").first.wait_for(timeout=120_000)
    assert "Model–human alignment" in admin.inner_text("main")
    assert re.search(r"n = \d+", admin.inner_text("main"))
    assert [ben.problems, cleo.problems, admin.problems] == [[], [], []]
