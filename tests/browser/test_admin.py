"""What an admin does in a real browser: reads the figures, follows a count to its items, takes the report away, and
stops and resumes a round."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from sqlalchemy import select

from app.db.base import utcnow
from app.db.tables import ModelVersion, Prediction, Project, Round, RoundItem
from app.services import accounts
from tests.services.alignment_factories import History, make_history
from tests.services.map_factories import draw_map

pytestmark = [pytest.mark.browser]


@pytest.fixture
def history(site) -> History:
    """Two finished rounds; the newest model has labelled what they chose."""
    with site.db.write() as session:
        admin = accounts.create_user(session, email="alma@example.org", name="Alma")
        token = accounts.start_session(session, admin.id, days=1)
        admin_id = admin.id
    site.admin_token = token
    history = make_history(site.db, rounds=2, admin=admin_id)
    with site.db.write() as session:
        version = session.scalars(
            select(ModelVersion).where(ModelVersion.project_id == history.project_id).order_by(ModelVersion.id.desc())
        ).first()
        version.state = "ready"
        chosen = session.scalars(
            select(RoundItem.item_id)
            .join(Round, Round.id == RoundItem.round_id)
            .where(Round.project_id == history.project_id)
        )
        for place, item_id in enumerate(sorted(set(chosen))):
            label = place % 2
            session.add(
                Prediction(model_version_id=version.id, item_id=item_id, label=label, score=0.7, scores=b"\0" * 8)
            )
    return history


@pytest.fixture
def admin(browser, site, history):
    context = browser.browser.new_context(accept_downloads=True)
    context.add_cookies([{"name": "linecall", "value": site.admin_token, "url": site.base}])
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    yield page
    assert page.problems == [], "the browser's console is quiet"
    context.close()


@pytest.mark.slow
def test_the_chart_is_drawn_and_taken_away_as_a_picture(admin, site, history, tmp_path):
    admin.goto(f"{site.base}/p/{history.slug}/alignment")
    admin.locator("[data-chart] canvas").wait_for()
    for kind, magic in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with admin.expect_download() as download:
            admin.get_by_role("button", name=kind).click()
        file = tmp_path / f"chart.{kind.lower()}"
        download.value.save_as(file)
        assert file.read_bytes().startswith(magic)
        assert download.value.suggested_filename == f"{history.slug}-alignment.{kind.lower()}"


@pytest.mark.slow
def test_a_count_leads_to_its_items_and_an_item_to_its_history(admin, site, history):
    admin.goto(f"{site.base}/p/{history.slug}/alignment")
    table = admin.get_by_role("region", name="Confusion of model and consensus")
    link = table.get_by_role("link").first
    count = int(link.inner_text())
    link.click()
    admin.get_by_role("heading", name="Items").wait_for()
    assert admin.locator(".browse-items > li").count() == count
    admin.locator(".browse-items a").first.click()
    admin.get_by_role("heading", name="What models said").wait_for()
    admin.get_by_role("link", name="Items").click()
    admin.get_by_label("Words").fill("number 3*")
    admin.get_by_label("Words").press("Enter")
    assert "text number 3" in admin.locator(".browse-items > li").first.inner_text()


@pytest.mark.slow
def test_the_report_goes_as_one_file_that_loads_nothing(admin, site, history, tmp_path):
    admin.goto(f"{site.base}/p/{history.slug}/report")
    with admin.expect_download() as download:
        admin.get_by_role("button", name="Download as one file").click()
    file: Path = tmp_path / "report.html"
    download.value.save_as(file)
    admin.goto(file.as_uri())
    admin.get_by_role("heading", name="Table 2: models and experts").wait_for()
    assert admin.locator("svg circle").count() == 3
    assert admin.locator("svg circle").first.evaluate("node => getComputedStyle(node).fill") != "rgb(0, 0, 0)"


def test_an_admin_pauses_a_round_and_takes_it_up_again(admin, site):
    with site.db.write() as session:
        project_id = session.scalars(select(Project.id).where(Project.slug == "ads")).one()
        session.scalars(select(Round).where(Round.project_id == project_id)).one().review_opened_at = utcnow()
        user = accounts.create_user(session, email="lee@example.org", name="Lee")
        accounts.add_member(session, project_id, user.id, "admin")
        token = accounts.start_session(session, user.id, days=1)
    admin.context.add_cookies([{"name": "linecall", "value": token, "url": site.base}])
    admin.goto(f"{site.base}/p/ads/rounds/1")
    admin.get_by_role("button", name="Pause").click()
    admin.get_by_text("The round is paused.").wait_for()
    admin.get_by_role("button", name="Resume").click()
    admin.get_by_text("Round 1 goes on.").wait_for()
    admin.get_by_text("What has happened").click()
    admin.get_by_text("The round was resumed. Lee").wait_for()


@pytest.fixture
def mapped(site, history):
    """Both finished rounds are drawn, the second on both sides."""
    with site.db.write() as session:
        for round_ in session.scalars(select(Round).where(Round.project_id == history.project_id)):
            round_.review_opened_at = utcnow()
            session.flush()
            draw_map(session, round_, pairs=2)
            if round_.number == 2:
                draw_map(session, round_, side="after", pairs=2, version=2)


@pytest.mark.slow
def test_the_map_is_walked_by_round_read_with_the_pointer_and_taken_away(admin, site, history, mapped, tmp_path):
    admin.goto(f"{site.base}/p/{history.slug}/alignment")
    admin.get_by_role("link", name="the map", exact=True).click()
    admin.get_by_text("Labels of model version 2.").wait_for()
    admin.wait_for_load_state()
    admin.get_by_role("slider").focus()
    admin.keyboard.press("ArrowLeft")
    admin.get_by_text("The map is being drawn.").wait_for()
    admin.get_by_label("The labels that it mined").check()
    admin.get_by_text("Labels of the pre-labeller.").wait_for()
    assert "round=1" in admin.url
    assert admin.locator("svg.map .map-lines line").count() == 2
    dot = admin.locator("circle.map-dot").first
    dot.hover(force=True)
    tip = admin.locator(".map-tip")
    tip.wait_for()
    assert "text number" in tip.inner_text()
    with admin.expect_download() as download:
        admin.get_by_role("button", name="PNG").click()
    file = tmp_path / "map.png"
    download.value.save_as(file)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert download.value.suggested_filename == f"{history.slug}-map-round-1-before.png"
    dot.click(force=True)
    admin.get_by_role("heading", name="What models said").wait_for()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_and_nothing_sticks_out(admin, site, history, mapped, scheme, width):
    admin.emulate_media(color_scheme=scheme)
    admin.set_viewport_size({"width": width, "height": 900})
    with site.db.read() as session:
        item_id = session.scalars(
            select(RoundItem.item_id).join(Round).where(Round.project_id == history.project_id)
        ).first()
    for path in (
        "alignment",
        "report",
        "rounds",
        "rounds/2",
        "map",
        "models",
        "models/2",
        "webhooks",
        "export",
        "delete",
        "pool",
        "pool/items",
        f"pool/items/{item_id}",
    ):
        admin.goto(f"{site.base}/p/{history.slug}/{path}")
        if path == "alignment":
            admin.locator("[data-chart] canvas").wait_for()
        found = Axe().run(admin)
        assert found.violations_count == 0, (path, found.generate_report())
        assert admin.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
