"""The alignment page, its chart and its file have the numbers of the stored rows."""

import csv
import io
import re

import pytest
from sqlalchemy import select, update

from app.db.tables import Evaluation
from app.services.alignment import CONTROL, EVALUATION, Figure
from tests.services.alignment_factories import History, make_history


@pytest.fixture
def history(scene) -> History:
    return make_history(scene.db, rounds=3, admin=scene.users["admin"])


def chart(scene, history, theme="light"):
    response = scene.browser("admin").get(f"/p/{history.slug}/alignment/chart.json?theme={theme}")
    assert response.status_code == 200
    return response.json()


def test_the_chart_has_the_rows_of_the_newest_finished_round(scene, history):
    rows = {(row["slice"], row["model"]): row for row in _values(chart(scene, history))}
    assert len(rows) == 8
    for slice_ in (EVALUATION, CONTROL):
        for version in range(4):
            row, figure = rows[slice_, str(version or "pre-labeller")], history.kappa(3, version, slice_)
            assert (row["kappa"], row["low"], row["high"], row["n"]) == (
                figure.value,
                figure.low,
                figure.high,
                figure.n,
            )


def _values(part) -> list[dict]:
    """Every point in a specification, wherever its data stand."""
    if isinstance(part, dict):
        own = [part] if {"slice", "kappa", "model"} <= set(part) else []
        return own + [row for value in part.values() for row in _values(value)]
    return [row for value in part for row in _values(value)] if isinstance(part, list) else []


def test_the_chart_names_the_experts_band_with_its_n_and_has_two_themes(scene, history):
    light, dark = chart(scene, history), chart(scene, history, "dark")
    assert light["title"]["text"][0] == "Band: experts, 0.82 (evaluation set, n = 126)"
    assert light["background"] != dark["background"]
    assert scene.browser("admin").get(f"/p/{history.slug}/alignment/chart.json?theme=pink").status_code == 422


def test_the_page_says_every_number_with_its_n(scene, history):
    page = " ".join(scene.browser("admin").get(f"/p/{history.slug}/alignment").text.split())
    assert "Advice after round 3." in page
    for text in ("0.82", "n = 126", "0.30", "0.10 to 0.50", "n = 45", "0.66"):
        assert text in page, text
    assert "\u22120.30" in page  # the gap, with a true minus sign


def test_what_one_more_round_may_bring_has_its_interval(scene, history):
    with scene.db.write() as session:
        kappas = select(Evaluation).where(
            Evaluation.project_id == history.project_id,
            Evaluation.slice == EVALUATION,
            Evaluation.measure == "kappa",
            Evaluation.subject.startswith("model:"),
        )
        newest = list(session.scalars(kappas.order_by(Evaluation.id)))[-3:]
        for row, value in zip(newest, (0.3, 0.4, 0.51), strict=True):
            row.value = value
    page = " ".join(scene.browser("admin").get(f"/p/{history.slug}/alignment").text.split())
    assert "<strong>+0.05</strong> kappa, from 186 to 248 fine-tuning labels" in page
    assert "(95 % prediction interval \u22120.48 to +0.49, n = 3 model versions)" in page
    assert "the round may also bring nothing" in page


def test_an_undefined_figure_shows_its_reason_and_noise_is_no_minus_nought(scene):
    history = make_history(
        scene.db, rounds=1, admin=scene.users["admin"], undefined_control="No answers to <compare> yet."
    )
    with scene.db.write() as session:
        session.execute(
            update(Evaluation)
            .where(Evaluation.slice == EVALUATION, Evaluation.measure == "kappa", Evaluation.subject != "experts")
            .values(value=-2.8e-15, low=-2.8e-15, high=0.2)
        )
    page = scene.browser("admin").get(f"/p/{history.slug}/alignment").text
    assert "undefined: No answers to &lt;compare&gt; yet." in page
    assert "\u22120.00" not in page
    assert "-0.00" not in page
    rows = _values(chart(scene, history))
    assert {row["undefined"] for row in rows if row["slice"] == CONTROL} == {"No answers to <compare> yet."}
    zeros = [row["kappa"] for row in rows if row["slice"] == EVALUATION]
    assert [str(value) for value in zeros] == ["0.0", "0.0"]


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.3, 0.1, 0.5, "+0.30 kappa on the evaluation set (+0.10 to +0.50, n = 126: better), +0.30"),
        (0.3, 0.1, 0.5, ", +0.30 kappa on the control slice (+0.10 to +0.50, n = 126: better)."),
        (0.1, -0.1, 0.3, "(\u22120.10 to +0.30, n = 126: no difference shown), +0.10"),
        (-0.2, -0.3, -0.1, "\u22120.20 kappa on the evaluation set (\u22120.30 to \u22120.10, n = 126: worse)"),
        (0.2, None, None, "+0.20 kappa on the evaluation set (n = 126), +0.20"),
        (None, None, None, "undefined on the evaluation set (None &lt;to&gt; compare.)"),
    ],
)
def test_page_and_report_say_whether_the_model_beats_the_pre_labeller(scene, value, low, high, said):
    gain = Figure(value, low, high, 126, "None <to> compare." if value is None else None)
    history = make_history(scene.db, rounds=3, admin=scene.users["admin"], gain_over_prelabeller=gain)
    browser = scene.browser("admin")
    for page in ("alignment", "report", "report/file.html"):
        assert said in browser.get(f"/p/{history.slug}/{page}").text, page


def test_the_file_has_every_figure(scene, history):
    response = scene.browser("admin").get(f"/p/{history.slug}/alignment/figures.csv")
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    kappas = [r for r in rows if r["measure"] == "kappa" and r["subject"] == "model 3" and r["slice"] == EVALUATION]
    figure = history.kappa(3, 3, EVALUATION)
    assert [(float(r["value"]), float(r["low"]), int(r["n"])) for r in kappas] == [(figure.value, figure.low, figure.n)]
    gains = [(r["subject"], r["compared"]) for r in rows if r["measure"] == "kappa_gain" and r["slice"] == CONTROL]
    assert gains == [
        ("model 1", "the model version before"),
        ("model 1", "the pre-labeller"),
        ("model 2", "the model version before"),
        ("model 3", "the model version before"),
        ("model 3", "the pre-labeller"),
    ]
    assert any(re.fullmatch(r"\d+ Noor and \d+ Wei", r["compared"]) for r in rows)


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
@pytest.mark.parametrize("rest", ["", "/chart.json", "/figures.csv"])
def test_only_an_admin_sees_the_figures(scene, who, status, rest):
    assert scene.browser(who).get(scene.path(f"/alignment{rest}")).status_code == status


def test_without_a_finished_round_the_page_says_so(scene):
    browser = scene.browser("admin")
    assert "No round has been finished yet" in browser.get(scene.path("/alignment")).text
    assert browser.get(scene.path("/alignment/chart.json")).status_code == 200
