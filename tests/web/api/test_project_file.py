"""The project as one document, by API."""

import pytest

from app.db.tables import Project


def test_the_document_goes_back_as_it_came_and_changes_nothing(world):
    document = world.api("admin").get(world.path("/file")).json()
    assert document["slug"] == "ads"
    assert {member["role"] for member in document["members"]} == {"admin", "expert"}
    assert world.api("admin").post(world.path("/file"), json=document).json() == {"dry_run": False, "changes": []}


def test_a_dry_run_says_what_the_real_one_then_does(world):
    body = {"name": "Advertisements", "settings": {"round_size": 60}}
    tried = world.api("admin").post(world.path("/file?dry_run=true"), json=body).json()
    assert [change["field"] for change in tried["changes"]] == ["name", "settings.round_size"]
    with world.db.read() as session:
        assert session.get_one(Project, world.project_id).name != "Advertisements"
    assert world.api("admin").post(world.path("/file"), json=body).json()["changes"] == tried["changes"]
    assert world.api("admin").get(world.path()).json()["settings"]["round_size"] == 60


def test_an_address_does_not_reach_another_project_by_its_slug(world):
    answer = world.api("admin").post(world.path("/file"), json={"slug": "other", "name": "Still ads"})
    assert answer.json()["changes"][0]["field"] == "name"
    assert world.api("admin").get(world.path("/file")).json()["slug"] == "ads"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"settings": {"overlap": 0}}, 422, "settings.overlap"),
        ({"prelabel": {"provider": "oracle"}}, 422, "prelabel.provider"),
        ({"members": [{"email": "new@example.org", "role": "expert"}]}, 403, "members.0"),
        ({"colour": "red"}, 422, None),
    ],
)
def test_a_refusal_names_its_field(world, body, status, field):
    answer = world.api("admin").post(world.path("/file"), json=body)
    assert answer.status_code == status
    if field:
        assert answer.json()["detail"]["field"] == field
