"""Figures by API are those of the pages: confusion, chart, files, the report."""

import csv
import io
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from app.db.tables import ConsensusLabel, ModelVersion, Prediction, Project, RoundItem
from app.web import printing
from tests.services.alignment_factories import make_history

FILES = {
    "/alignment/figures": ("text/csv", "/alignment/figures.csv"),
    "/alignment/picture": ("image/svg+xml", "/alignment/chart.svg"),
    "/report/dataset-card": ("text/markdown", "/report/dataset-card.md"),
}


@pytest.fixture
def history(world):
    return make_history(world.db, rounds=3, admin=world.users["admin"])


def predict(world) -> None:
    """The newest version has the evaluation items as label 1, 0, 1: one of the three differs from the consensus."""
    with world.db.write() as session:
        newest = session.scalars(select(ModelVersion).order_by(ModelVersion.version.desc())).first()
        decided = (
            select(ConsensusLabel.item_id)
            .join(RoundItem, RoundItem.item_id == ConsensusLabel.item_id)
            .where(RoundItem.split == "evaluation", ConsensusLabel.label.is_not(None))
            .order_by(ConsensusLabel.item_id)
        )
        for item_id, label in zip(session.scalars(decided).all(), (1, 0, 1), strict=True):
            session.add(Prediction(model_version_id=newest.id, item_id=item_id, label=label, score=0.75, scores=b""))


def test_every_cell_leads_to_its_items(world, history):
    predict(world)
    admin, path = world.api("admin"), f"/api/v1/projects/{history.slug}"
    found = admin.get(f"{path}/alignment/confusion").json()
    assert (found["version"], found["n"]) == (3, 3)
    counts = {(cell["experts"], cell["model"]): cell["count"] for cell in found["cells"]}
    assert counts == {
        ("benign", "benign"): 0,
        ("benign", "clickbait"): 0,
        ("clickbait", "benign"): 1,
        ("clickbait", "clickbait"): 2,
    }
    for cell in found["cells"]:
        listed = admin.get(cell["items"])
        assert listed.status_code == 200, listed.text
        assert len(listed.json()["items"]) == cell["count"]
    assert admin.get(f"{path}/alignment").json()["label_names"] == ["benign", "clickbait"]
    clickbait = found["labels"][1]
    assert (clickbait["label"], clickbait["recall"]["hits"], clickbait["recall"]["n"]) == ("clickbait", 2, 3)
    assert clickbait["precision"]["value"] == 1.0
    assert clickbait["f1"] == pytest.approx(0.8)


def test_before_a_round_is_finished_there_is_none(world):
    admin = world.api("admin")
    assert admin.get(world.path("/alignment/confusion")).json() == {"version": None, "n": 0, "cells": [], "labels": []}
    report = admin.get(world.path("/report")).json()
    assert (report["models"], report["alignment"]["round_number"]) == ([], None)


def test_a_label_whose_name_is_no_address_leads_to_its_items_too(world, history):
    predict(world)
    with world.db.write() as session:
        session.get_one(Project, history.project_id).labels = ["a&b=c #1?", "100 % „ja“"]
    admin = world.api("admin")
    cells = admin.get(f"/api/v1/projects/{history.slug}/alignment/confusion").json()["cells"]
    assert [len(admin.get(cell["items"]).json()["items"]) for cell in cells] == [cell["count"] for cell in cells]
    assert all(urlsplit(cell["items"]).fragment == "" for cell in cells)


def test_the_files_are_the_pages_own(world, history):
    admin = world.api("admin")
    for rest, (media_type, page) in FILES.items():
        ours, theirs = admin.get(f"/api/v1/projects/{history.slug}{rest}"), admin.get(f"/p/{history.slug}{page}")
        assert ours.status_code == 200
        assert ours.headers["content-type"].startswith(media_type)
        assert ours.text == theirs.text


def test_the_figures_have_every_pair_of_experts(world, history):
    rows = list(
        csv.DictReader(io.StringIO(world.api("admin").get(f"/api/v1/projects/{history.slug}/alignment/figures").text))
    )
    assert {row["subject"] for row in rows} >= {"experts", "model 0", "model 3"}
    pairs = world.api("admin").get(f"/api/v1/projects/{history.slug}/alignment").json()["pairs"]
    assert {(pair["first"], pair["second"], pair["kappa"]["value"]) for pair in pairs} == {("Noor", "Wei", 0.66)}


def test_the_chart_has_its_data_and_two_themes(world, history):
    admin, path = world.api("admin"), f"/api/v1/projects/{history.slug}/alignment/chart"
    light, dark = admin.get(path).json(), admin.get(path, params={"theme": "dark"}).json()
    assert light["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert light["background"] != dark["background"]
    assert admin.get(path, params={"theme": "pink"}).status_code == 422


def test_the_report_has_the_numbers_of_the_page_and_is_a_file(world, history):
    admin, path = world.api("admin"), f"/api/v1/projects/{history.slug}/report"
    report = admin.get(path).json()
    kappa = history.kappa(3, 3, "evaluation")
    assert report["models"][-1]["evaluation"]["value"] == kappa.value
    assert report["sets"][-1]["size"] == report["alignment"]["labels"]["total"] == 12
    assert report["rounds"][0]["number"] == 1
    assert len(report["limits"]) >= 3
    assert report["settings"]["overlap"] == 2
    html = admin.get(f"{path}/html")
    assert html.headers["content-type"].startswith("text/html")
    assert "<script" not in html.text
    assert f"{kappa.value:.2f}" in html.text


@pytest.mark.skipif(printing.browser() is None, reason="no Chromium")
def test_the_report_is_printed(world, history):
    pdf = world.api("admin").get(f"/api/v1/projects/{history.slug}/report/pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")


def test_without_a_browser_a_pdf_is_refused_in_words(world, history, monkeypatch):
    monkeypatch.setattr(printing, "browser", lambda: None)
    refused = world.api("admin").get(f"/api/v1/projects/{history.slug}/report/pdf")
    assert refused.status_code == 503
    assert "Chromium" in refused.json()["error"]


def test_nobody_else_sees_a_figure(world):
    for who, status in (("expert", 403), ("outsider", 404), (None, 401)):
        for rest in (*FILES, "/alignment/confusion", "/alignment/chart", "/report", "/report/html", "/report/pdf"):
            assert world.api(who).get(world.path(rest)).status_code == status, (who, rest)
