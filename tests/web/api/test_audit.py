"""The record as a file."""

import csv
import io


def test_it_is_all_that_the_search_finds_and_safe_in_a_sheet(world):
    admin = world.api("admin")
    admin.post(world.path("/people/invitations"), json={"name": "=1+1"})
    admin.post(world.path("/settings"), json={"settings": {"round_size": 60}})
    rows = list(csv.DictReader(io.StringIO(admin.get(world.path("/audit/file")).text)))
    listed = admin.get(world.path("/audit")).json()["entries"]
    assert [int(row["id"]) for row in rows] == [entry["id"] for entry in listed]
    assert len(rows) >= 2
    assert not any(value.startswith("=") for row in rows for value in row.values())
    found = list(csv.DictReader(io.StringIO(admin.get(world.path("/audit/file"), params={"search": "project"}).text)))
    assert 0 < len(found) < len(rows)


def test_nobody_else_gets_it(world):
    for who, status in (("expert", 403), ("outsider", 404), (None, 401)):
        assert world.api(who).get(world.path("/audit/file")).status_code == status
