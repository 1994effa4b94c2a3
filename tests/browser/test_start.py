"""The guided start in Chromium: from an empty project to a round, without leaving the page for long."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from app.db.engine import Database
from app.services import accounts, invitations
from tests.browser.site import EXAMPLES, linecall_serve, signed_in, some_ads

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DROP = """([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, { type: "text/csv" }));
  const form = document.querySelector("form[data-drop]");
  form.dispatchEvent(new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true }));
  form.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def empty_site(tmp_path):
    """A running installation with a site admin and nothing else: the admin's sign-in link."""

    def only_an_admin(url: str, base: str) -> dict[str, str]:
        db = Database(url)
        with db.write() as session:
            user = accounts.create_user(session, email="ada@example.org", name="Ada", is_site_admin=True)
            link = f"{base}/sign-in/" + invitations.create_sign_in_link(session, user.id)
        db.dispose()
        return {"ada": link, "base": base}

    with linecall_serve(tmp_path, only_an_admin) as links:
        yield links


def csv(header: str, lines: list[tuple[str, ...]]) -> str:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines]
    return "\n".join([header, *quoted]) + "\n"


def state(page, step: str):
    return page.locator(f"#{step} h2 .pill")


def test_an_admin_gets_from_an_empty_project_to_a_started_round(empty_site, chrome):
    ada = signed_in(chrome, empty_site["ada"])
    ada.goto(empty_site["base"] + "/projects/new")
    ada.fill("#f-name", "Small ads")
    ada.fill("#label-1", "Honest")
    ada.fill("#label-2", "Clickbait")
    ada.get_by_role("button", name="Make the project").click()
    ada.wait_for_url("**/p/small-ads/start")

    write_the_guideline(ada)
    drop_the_pool(ada)
    drop_the_baseline(ada)
    try_the_prelabeller(ada)
    invite_an_expert(ada, chrome)

    expect(state(ada, "round")).to_have_text("ready")
    ada.get_by_role("button", name="Start round 1").click()
    ada.wait_for_url("**/rounds/1")
    assert ada.problems == []


def write_the_guideline(page):
    assert "## Clickbait" in page.input_value("#f-text")  # the template
    expect(state(page, "guideline")).to_have_text("to do")
    page.fill("#f-text", "An ad is **clickbait** when it hides what it sells, so that one must click to find out.")
    page.fill("#examples-1", "\n".join(EXAMPLES["Honest"]))
    page.fill("#examples-2", "\n".join(EXAMPLES["Clickbait"]))
    page.get_by_role("button", name="Publish the guideline").click()
    expect(state(page, "guideline")).to_have_text("done")


def drop_the_pool(page):
    page.evaluate(DROP, ["ads.csv", csv("ref,ad", [(str(n), row["text"]) for n, row in enumerate(some_ads())])])
    page.wait_for_url("**/pool/uploads/*")
    expect(page.get_by_label("The text")).to_have_value("ad")
    page.get_by_label("Your own id").select_option("ref")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name=re.compile("What is in the pool"))).to_be_visible(timeout=120_000)
    assert "English" in page.inner_text("main")
    page.get_by_role("link", name="Back to the guided start").or_(
        page.get_by_role("button", name="Back to the guided start")
    ).click()
    expect(state(page, "pool")).to_have_text("done")


def drop_the_baseline(page):
    page.get_by_role("link", name="Upload labels").click()
    crowd = [(str(n), str(int(row["degree"] >= 2))) for n, row in enumerate(some_ads())]
    page.evaluate(DROP, ["crowd.csv", csv("ref,verdict", [*crowd, ("999", "1")])])
    page.wait_for_url("**/baseline/uploads/*")
    page.get_by_label("Find the item by").select_option("id")
    page.get_by_label("The text or the id").select_option("ref")
    expect(page.get_by_label("Other names for the labels")).to_have_value("0 = Honest\n1 = Clickbait")
    page.get_by_role("button", name="Match the labels").click()
    expect(page.get_by_text("No item of the pool has this id.")).to_be_visible(timeout=120_000)
    page.get_by_role("button", name="Back to the guided start").click()
    expect(page.locator("#baseline .guide-summary")).to_have_text("80 items from crowd.csv")


def try_the_prelabeller(page):
    page.get_by_role("button", name="Try it on 20 items").click()
    page.wait_for_url("**/dry-runs/*")
    expect(page.locator("#dry-run h2 .pill").first).to_have_text("done", timeout=300_000)
    assert page.locator(".dry-run tbody tr").count() == 20
    assert page.locator(".dry-run tbody .pill").count() == 20
    page.get_by_role("link", name="Guided start").click()
    expect(state(page, "prelabel")).to_have_text("done")


def invite_an_expert(page, browser):
    page.locator("#round summary").click()
    page.fill("#f-overlap", "1")
    page.fill("#f-round_size", "16")
    page.get_by_role("button", name="Save the settings").click()
    page.fill("#experts #f-name", "Ben")
    page.get_by_role("button", name="Make an invitation link").click()
    link = page.input_value("#secret")
    ben = browser.new_context().new_page()
    ben.goto(page.url.partition("/p/")[0] + urlsplit(link).path)
    for field, value in (("name", "Ben"), ("email", "ben@example.org"), ("password", "correct horse battery")):
        ben.fill(f"#f-{field}", value)
    ben.get_by_role("button", name="Make the account and join").click()
    ben.wait_for_url("**/p/small-ads**")
    ben.context.close()
    page.goto(page.url.partition("/people")[0] + "/start")
    expect(page.locator("#experts .guide-summary")).to_contain_text("1 of at least 1")
