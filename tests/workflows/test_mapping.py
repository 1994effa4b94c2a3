"""The boundary map as workers draw it, and draw it again after they were killed."""

import json
import time
import zlib
from base64 import b64decode

import numpy as np
import pytest
from sqlalchemy import select

from app.curation.packing import from_varints
from app.db.tables import BoundaryMap, MapProjection, Project, Round, RoundItem
from app.ml.artifacts import ArtifactStore
from app.services import maps
from app.workflows import mapping
from tests.factories import make_items
from tests.workflows.loop import ads, answer_all, make_loop, start, wait_for


def drawn(db, round_id: int, side: str) -> BoundaryMap | None:
    with db.read() as session:
        return session.scalar(select(BoundaryMap).where(BoundaryMap.round_id == round_id, BoundaryMap.side == side))


def wait_for_map(db, round_id: int, side: str, state: str = "done") -> dict:
    """The layer, once the side is in ``state``."""
    until = time.monotonic() + 30
    while (row := drawn(db, round_id, side)) is None or row.state != state:
        assert time.monotonic() < until, f"side {side} is {row.state if row else 'not begun'}: {row and row.error}"
        time.sleep(0.02)
    return json.loads(zlib.decompress(row.layer)) if row.layer else {}


def whole_round(db, project_id: int) -> int:
    round_id = start(db, project_id)
    wait_for(db, round_id, "review")
    answer_all(db, round_id)
    wait_for(db, round_id, "done")
    return round_id


def count(layer: dict) -> list[int]:
    return [int(from_varints(b64decode(part)).sum()) for part in layer["density"]]


@pytest.mark.slow
def test_rounds_and_later_imports_share_one_projection(db, worker, settings):
    project_id = make_loop(db, items=30)
    first = whole_round(db, project_id)
    before, after = wait_for_map(db, first, "before"), wait_for_map(db, first, "after")
    assert sum(before["counts"]) == sum(after["counts"]) == 30
    assert count(before) == before["counts"]
    assert before["density"] != after["density"]
    with db.read() as session:
        chosen = set(session.scalars(select(RoundItem.item_id).where(RoundItem.round_id == first)))
    assert {row[0] for row in before["chosen"]} == chosen
    with db.write() as session:
        make_items(session, session.get_one(Project, project_id), ads(30, 40))
    second = whole_round(db, project_id)
    later = wait_for_map(db, second, "after")
    assert sum(later["counts"]) == 40
    assert drawn(db, first, "before").projection_id == drawn(db, second, "after").projection_id
    with db.read() as session:
        assert len(session.scalars(select(MapProjection)).all()) == 1
        facts = session.scalars(select(MapProjection.facts)).one()
    assert facts["landmarks"] == facts["pool"] == 30
    assert all(0 <= region["x"] <= 65535 for region in facts["regions"])
    places = [key for key in ArtifactStore(settings.resolved_artifacts_url).list("maps") if "places-" in key]
    assert [key.rsplit("places-", 1)[1][:10] for key in places] == ["0000000030", "0000000040"]
    stored = [np.load(settings.data_dir / "artifacts" / key) for key in places]
    np.testing.assert_array_equal(stored[0], stored[1][:30])


@pytest.mark.slow
def test_a_map_that_fails_says_why_holds_no_round_up_and_can_be_drawn_again(db, worker, monkeypatch):
    real = mapping.build_layer

    def broken(*_):
        raise ValueError("no such colour")

    monkeypatch.setattr(mapping, "build_layer", broken)
    round_id = whole_round(db, make_loop(db))
    wait_for_map(db, round_id, "before", "failed")
    wait_for_map(db, round_id, "after", "failed")
    assert "no such colour" in drawn(db, round_id, "before").error
    monkeypatch.setattr(mapping, "build_layer", real)
    with db.write() as session:
        maps.redraw(session, session.get_one(Round, round_id), "before")
    assert sum(wait_for_map(db, round_id, "before")["counts"]) == 24
    assert drawn(db, round_id, "after").state == "failed"


@pytest.mark.slow
def test_a_step_that_runs_twice_leaves_one_map(db, worker):
    round_id = start(db, make_loop(db))
    wait_for(db, round_id, "review")
    layer = wait_for_map(db, round_id, "before")
    mapping.place_items(round_id)
    mapping.draw_layer(round_id, "before", 1)
    assert wait_for_map(db, round_id, "before") == layer
    with db.read() as session:
        assert len(session.scalars(select(BoundaryMap)).all()) == 1
