"""The boundary map as an admin, an expert and an outsider meet it, page, fragment, file and API."""

import csv
import io
import xml.etree.ElementTree as ET
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.curation.packing import varints
from app.db.base import utcnow
from app.db.tables import AuditEvent, BoundaryMap, ConsensusLabel, Project, Round
from app.services import maps
from app.web.map_picture import CELLS, LEVELS, _coarser, _shades, _unpack
from tests.factories import make_items
from tests.services.map_factories import draw_map
from tests.services.review_factories import add_round

HOSTILE = "<script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn(scene):
    """A round of 46 items in review whose map before is drawn; the experts contradict the model on its first item."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, [HOSTILE, "=1+1", *(f"text {n}" for n in range(58))])
        round_ = add_round(session, project, [item.id for item in items[:46]], overlap=1)
        round_.review_opened_at = utcnow()
        session.add(ConsensusLabel(round_id=round_.id, item_id=items[0].id, label=1, source="single", votes=1))
        session.flush()
        draw_map(session, round_, pairs=23)
        return round_.id


def test_the_page_draws_every_item_of_the_round_and_lists_its_pairs(scene, drawn):
    page = scene.browser("admin").get(scene.path("/map")).text
    assert page.count('class="map-dot') == 46
    assert page.count("<line ") == 23
    assert page.count("map-overruled") == 1
    assert "25\u202f% are among its 10 nearest here" in page or "25% are among" in page.replace("\u202f", "")
    assert "n = 30" in page
    assert "&lt;b&gt;refund&lt;/b&gt;, flight" in page
    assert HOSTILE not in page
    assert "<b>refund" not in page
    assert "no word stands out" in page
    assert "after=19" in page
    later = scene.browser("admin").get(scene.path("/map?round=1&after=19"), headers={"HX-Request": "true"}).text
    assert "<html" not in later
    assert later.count('<td class="number">0.90</td>') == 3


def test_there_is_nothing_to_draw_before_the_first_review(scene):
    assert "There is nothing to draw yet" in scene.browser("admin").get(scene.path("/map")).text


def test_a_side_that_cannot_be_drawn_yet_says_so_and_one_that_is_wanted_asks_again(scene, drawn):
    browser = scene.browser("admin")
    assert "has not been finished" not in browser.get(scene.path("/map?round=1&side=after")).text, (
        "the other side is shown"
    )
    with scene.db.write() as session:
        session.get_one(Round, drawn).state = "done"
    waiting = browser.get(scene.path("/map?round=1&side=after")).text
    assert "The map is being drawn" in waiting
    assert 'hx-trigger="every 3s"' in waiting
    assert browser.get(scene.path("/map?round=7")).status_code == 404


def test_a_map_that_failed_says_why_and_only_an_admin_has_it_drawn_again(scene, drawn):
    with scene.db.write() as session:
        row = session.query(BoundaryMap).one()
        row.state, row.error = "failed", "no <space> left"
    page = scene.browser("admin").get(scene.path("/map?round=1")).text
    assert "no &lt;space&gt; left" in page
    assert scene.browser("expert").post(scene.path("/map/1/before/redraw")).status_code == 403
    assert scene.browser("admin").post(scene.path("/map/1/before/redraw")).status_code == 303
    with scene.db.read() as session:
        assert [wanted.attempt for wanted in maps.pending(session)] == [2]
        assert session.query(AuditEvent).filter_by(action="map.redrawn").count() == 1
    assert scene.browser("admin").post(scene.path("/map/1/before/redraw")).status_code == 409


def test_files_hold_the_round_and_no_formula(scene, drawn):
    browser = scene.browser("admin")
    with scene.db.write() as session:
        session.get_one(Project, scene.project_id).labels = ["=fine()", HOSTILE]
    rows = list(csv.DictReader(io.StringIO(browser.get(scene.path("/map/1/before.csv")).text)))
    assert len(rows) == 46
    assert {row["model_label"] for row in rows} == {"'=fine()", HOSTILE}
    assert sum(row["expert_label"] == HOSTILE for row in rows) == 1
    assert all(row["pair_id"] for row in rows)
    answer = browser.get(scene.path("/map/1/before.svg?theme=dark"))
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ET.fromstring(answer.content)  # noqa: S314 - our own file
    assert len(root.findall(f".//{SVG}line")) == 23
    assert not root.findall(f".//{SVG}script")
    assert browser.get(scene.path("/map/1/before.json")).json()["counts"] == [30, 30, 0]
    assert browser.get(scene.path("/map/1/after.svg")).status_code == 404
    assert browser.get(scene.path("/map/1/sideways.svg")).status_code in (404, 422)


def test_texts_are_told_of_this_project_only(scene, drawn):
    browser = scene.browser("admin")
    with scene.db.read() as session:
        drawn_map = maps.round_map(session, session.get_one(Project, scene.project_id), 1)
    first = drawn_map.chosen[0].id
    assert browser.get(scene.path(f"/map/texts?id={first}&id=99999")).json() == {str(first): HOSTILE}
    assert browser.get(scene.path("/map/texts?id=x")).status_code == 422


def test_an_expert_and_an_outsider_see_no_map(scene, drawn):
    for path in ("/map", "/map/1/before.json", "/map/1/before.svg", "/map/1/before.csv", "/map/texts?id=1"):
        assert scene.browser("expert").get(scene.path(path)).status_code == 403
        assert scene.browser("outsider").get(scene.path(path)).status_code == 404


def test_the_api_tells_the_same(scene, drawn):
    browser, base = scene.browser("admin"), f"/api/v1/projects/{scene.slug}"
    assert browser.get(f"{base}/maps").json()[0]["states"] == {"before": "done", "after": ""}
    told = browser.get(f"{base}/rounds/1/map").json()
    assert len(told["chosen"]) == 46
    assert told["kept"] == 0.25
    assert browser.get(f"{base}/rounds/1/map?side=after").status_code == 404
    assert browser.get(f"{base}/rounds/9/map").status_code == 404


@given(st.lists(st.integers(0, 100_000), max_size=300))
def test_numbers_are_unpacked_as_the_workers_pack_them(numbers):
    assert list(_unpack(varints(numbers))) == numbers


@given(st.dictionaries(st.integers(0, 256 * 256 - 1), st.integers(1, 5000), max_size=60))
def test_shades_cover_each_cell_that_holds_something_once(counts):
    numbers = [counts.get(at, 0) for at in range(256 * 256)]
    covered = []
    for shade in _shades(0, b64encode(varints(numbers)).decode(), 256):
        assert 1 <= shade.level <= LEVELS
        for run in shade.path.split("z")[:-1]:
            place, width = run[1:].split("v")[0].split("h")
            column, row = map(int, place.split())
            covered += [row * CELLS + column + step for step in range(int(width))]
    assert sorted(covered) == sorted(_coarser(numbers, 256))
