"""Deleting a project and undoing it, as admin, and that nobody else does."""

import pytest

from app.db.tables import Project


def name_of(scene) -> str:
    with scene.db.read() as session:
        return session.get_one(Project, scene.project_id).name


def test_an_admin_types_its_name_and_undoes_it_from_the_first_page(scene):
    admin, name = scene.browser("admin"), name_of(scene)
    assert scene.path("/delete") in admin.get(scene.path("/settings")).text
    wrong = admin.post(scene.path("/delete"), {"confirm": "ads?"})
    assert wrong.status_code == 422
    assert "Type the project" in wrong.text
    assert admin.post(scene.path("/delete"), {"confirm": name}).status_code == 303
    assert admin.get(scene.path()).status_code == 404
    assert "Deleted projects" not in scene.browser("expert").get("/").text
    assert "Deleted projects" in admin.get("/").text
    assert scene.browser("expert").post(f"/deleted/{scene.slug}/undo").status_code == 404
    assert admin.post(f"/deleted/{scene.slug}/undo").status_code == 303
    assert admin.get(scene.path()).status_code == 200


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not(scene, who, status):
    assert scene.browser(who).post(scene.path("/delete"), {"confirm": name_of(scene)}).status_code == status
