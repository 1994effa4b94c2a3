"""A round's items, pairs, log and map files by API."""

import csv
import io

from sqlalchemy import select

from app.db.tables import Round
from tests.services.map_factories import draw_map


def test_its_items_come_page_by_page_with_the_reason(world):
    ids = world.open_round(5, label=1)
    admin, path = world.api("admin"), world.path("/rounds/1/items")
    first = admin.get(path, params={"limit": 2}).json()
    second = admin.get(path, params={"limit": 3, "after": first["next_after"]}).json()
    assert first["reasons"] == {"boundary": 5}
    assert [item["item_id"] for item in first["items"] + second["items"]] == ids
    assert second["next_after"] is None
    item = first["items"][0]
    assert (item["reason"], item["detail"]) == ("boundary", {"why": "boundary-1"})
    assert (item["model_label"], item["model_score"], item["consensus"]) == ("clickbait", 0.875, None)
    assert admin.get(path, params={"reason": "control"}).json()["items"] == []
    assert admin.get(path, params={"reason": "a b"}).status_code == 422


def test_its_pairs_have_both_texts(world):
    left, right, *_ = world.open_round(4)
    with world.db.write() as session:
        draw_map(session, session.scalars(select(Round)).one(), pairs=2)
    admin, path = world.api("admin"), world.path("/rounds/1/pairs")
    first = admin.get(path, params={"limit": 1}).json()
    assert len(first["pairs"]) == 1
    rest = admin.get(path, params={"after": first["next_after"]}).json()
    found = {(pair["left"]["item_id"], pair["right"]["item_id"]) for pair in first["pairs"] + rest["pairs"]}
    assert (left, right) in found
    assert rest["next_after"] is None
    pair = first["pairs"][0]
    assert pair["left"]["text"].startswith("text number")
    assert {pair["left"]["label"], pair["right"]["label"]} == {"benign", "clickbait"}


def test_its_log_says_who_did_what(world):
    world.open_round()
    admin = world.api("admin")
    admin.post(world.path("/rounds/1/pause"))
    admin.post(world.path("/rounds/1/resume"))
    lines = admin.get(world.path("/rounds/1/log")).json()
    assert [(line["text"], line["who"]) for line in lines][-2:] == [
        ("The round was paused.", "Admin"),
        ("The round was resumed.", "Admin"),
    ]


def test_its_map_is_a_picture_and_a_table(world):
    ids = world.open_round(4)
    admin = world.api("admin")
    assert admin.get(world.path("/rounds/1/map/picture")).status_code == 404
    with world.db.write() as session:
        draw_map(session, session.scalars(select(Round)).one())
    light = admin.get(world.path("/rounds/1/map/picture"))
    dark = admin.get(world.path("/rounds/1/map/picture"), params={"theme": "dark"})
    assert light.headers["content-type"].startswith("image/svg+xml")
    assert "<script" not in light.text
    assert light.text != dark.text
    rows = list(csv.DictReader(io.StringIO(admin.get(world.path("/rounds/1/map/items")).text)))
    assert [int(row["item_id"]) for row in rows] == ids


def test_nobody_else_sees_why_an_item_was_chosen(world):
    world.open_round()
    for who, status in (("expert", 403), ("outsider", 404), (None, 401)):
        for rest in ("/log", "/items", "/pairs", "/map/picture", "/map/items"):
            assert world.api(who).get(world.path(f"/rounds/1{rest}")).status_code == status, (who, rest)
