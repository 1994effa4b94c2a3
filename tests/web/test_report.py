"""The report as page, file and card: the numbers of the alignment page, nothing loaded, everything escaped."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from sqlalchemy import select

from app.db.tables import Baseline, Evaluation, Project
from app.services.report import report
from app.web import printing
from tests.services.alignment_factories import make_history


class Loads(HTMLParser):
    """What a file would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("script", "link", "img", "iframe") or attrs.get("src"):
            self.found.append(tag)


@pytest.fixture
def told(scene):
    history = make_history(scene.db, rounds=2, admin=scene.users["admin"])
    with scene.db.write() as session:
        project = session.get_one(Project, history.project_id)
        project.name = "Ads <b>|x"
        session.add(
            Baseline(
                project_id=project.id,
                filename="crowd.csv",
                format="csv",
                storage_key="k",
                mapping={},
                state="done",
                items_labelled=5000,
                counts={project.labels[0]: 4000, project.labels[1]: 1000},
            )
        )
    return history


def test_the_page_and_the_file_say_what_the_alignment_page_says(scene, told):
    browser = scene.browser("admin")
    page = browser.get(f"/p/{told.slug}/report").text
    file = browser.get(f"/p/{told.slug}/report/file.html")
    assert "attachment" in file.headers["content-disposition"]
    for text in (page, file.text):
        value = told.kappa(2, 2, "evaluation")
        assert f"<strong>{value.value:.2f}</strong>" in text
        assert "crowd.csv" in text
        assert "5,000" in text
        assert "Ads &lt;b&gt;" in text
        assert text.count("<circle") == 3, "a point for each version"
        assert "Figure: kappa" in text
    loads = Loads()
    loads.feed(file.text)
    assert loads.found == []
    assert "url(" not in file.text


def test_the_card_is_markdown_that_nothing_breaks_out_of(scene, told):
    card = scene.browser("admin").get(f"/p/{told.slug}/report/dataset-card.md").text
    assert card.lstrip().startswith("# Ads &lt;b>\\|x")
    tables = re.findall(r"^\|.*\|$", card, flags=re.MULTILINE)
    assert len(tables) == 4 + 5, "two label sets and three models, with a head and a rule each"
    assert len({row.replace("\\|", "").count("|") for row in tables[:4]}) == 1


def test_the_reduction_needs_a_baseline_and_a_trained_model(scene, told):
    with scene.db.write() as session:
        project = session.get_one(Project, told.project_id)
        found = report(session, project)
        assert found.reduction == 5000 / found.alignment.newest().training_size
        session.delete(session.scalars(select(Baseline)).one())
        session.flush()
        assert report(session, project).reduction is None


def test_undefined_is_said_in_every_form(scene):
    history = make_history(scene.db, rounds=1, undefined_control="Too few items.", admin=scene.users["admin"])
    with scene.db.write() as session:
        for row in session.scalars(select(Evaluation).where(Evaluation.subject == "experts")):
            row.value = row.low = row.high = None
            row.undefined_reason = "Nobody shares an item."
    browser = scene.browser("admin")
    for path in ("", "/file.html", "/dataset-card.md"):
        text = browser.get(f"/p/{history.slug}/report{path}").text
        assert "Too few items." in text
        assert "Nobody shares an item." in text
        assert "no ceiling to compare with" in text


def test_without_a_round_it_says_so(scene):
    browser = scene.browser("admin")
    for path in ("", "/file.html", "/dataset-card.md"):
        assert "No round has been finished yet" in browser.get(scene.path(f"/report{path}")).text


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not(scene, who, status):
    for path in ("", "/file.html", "/dataset-card.md"):
        assert scene.browser(who).get(scene.path(f"/report{path}")).status_code == status


def test_the_report_is_printed_one_at_a_time_and_only_where_a_browser_is(scene, told, monkeypatch):
    browser = scene.browser("admin")
    monkeypatch.setattr(printing, "browser", lambda: None)
    assert "file.pdf" not in browser.get(f"/p/{told.slug}/report").text
    assert browser.get(f"/p/{told.slug}/report/file.pdf").status_code == 503
    monkeypatch.setattr(printing, "browser", lambda: "/usr/bin/printer")
    seen = []

    def prints(path: str, html: str) -> bytes:
        seen.append((path, html, browser.get(f"/p/{told.slug}/report/file.pdf").status_code))
        return b"%PDF-1"

    monkeypatch.setattr(printing, "_print", prints)
    assert "file.pdf" in browser.get(f"/p/{told.slug}/report").text
    done = browser.get(f"/p/{told.slug}/report/file.pdf")
    assert (done.content, done.headers["content-type"]) == (b"%PDF-1", "application/pdf")
    path, html, meanwhile = seen[0]
    assert path == "/usr/bin/printer"
    assert "Table 2: models and experts" in html
    assert meanwhile == 503, "another one is being printed"
    assert browser.get(f"/p/{told.slug}/report/file.pdf").status_code == 200, "and then it is free again"


def test_the_still_picture_needs_neither_script_nor_style_sheet(scene, told):
    answer = scene.browser("admin").get(f"/p/{told.slug}/alignment/chart.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    root = ElementTree.fromstring(answer.text)  # noqa: S314 - our own
    marks = [node for node in root.iter() if node.tag.endswith("circle")]
    assert len(marks) == 3
    assert all(node.get("fill") == "#1c625d" for node in marks)
    assert "class=" not in answer.text
    n = told.kappa(2, 2, "control").n
    assert answer.text.count(f">control {n:,}<") == 3
    assert 'stroke-dasharray="5 4"' in answer.text, "the pre-labeller's line"


def test_without_a_round_the_still_picture_says_so(scene):
    assert "No round has been finished yet." in scene.browser("admin").get(scene.path("/alignment/chart.svg")).text
