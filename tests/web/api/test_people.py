"""People, settings and the audit log by API."""

from app.db.tables import Project


def test_an_admin_invites_withdraws_and_reads_it_in_the_record(world):
    admin = world.api("admin")
    made = admin.post(world.path("/people/invitations"), json={"name": "Grace", "email": "grace@example.org"})
    assert made.status_code == 201, made.text
    page = admin.get(made.json()["link"].removeprefix("http://testserver"))
    assert page.status_code == 200
    assert "Sign out and open the link again" in page.text
    listed = admin.get(world.path("/people")).json()["invitations"]
    assert [row["name"] for row in listed] == ["Grace"]
    left = admin.post(world.path(f"/people/invitations/{listed[0]['id']}/withdraw"))
    assert left.json()["invitations"] == []
    record = admin.get(world.path("/audit"), params={"limit": 1}).json()
    assert len(record["entries"]) == 1
    assert record["next_before"] == record["entries"][0]["id"]


def test_roles_change_and_the_last_admin_stays(world):
    admin, expert, me = world.api("admin"), world.users["expert"], world.users["admin"]
    changed = admin.post(world.path(f"/people/{expert}/role"), json={"role": "lead"}).json()
    assert {row["user_id"]: row["role"] for row in changed["members"]}[expert] == "lead"
    assert admin.post(world.path(f"/people/{me}/remove")).status_code == 409
    gone = admin.post(world.path(f"/people/{expert}/remove")).json()
    assert expert not in {row["user_id"] for row in gone["members"]}


def test_settings_change_alone_and_bad_ones_change_nothing(world):
    admin = world.api("admin")
    before = admin.get(world.path("")).json()["settings"]
    after = admin.post(world.path("/settings"), json={"settings": {"round_size": 60}}).json()
    assert after == before | {"round_size": 60}
    assert admin.post(world.path("/settings"), json={"settings": {"round_size": 1}}).status_code == 422
    with world.db.read() as session:
        assert session.get_one(Project, world.project_id).settings["round_size"] == 60
