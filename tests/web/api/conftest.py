"""People with tokens, and a review that is full of what an expert must not see."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient

from app.db.engine import Database
from app.db.tables import BoundaryPair, ModelVersion, Prediction, Project, RoundItem, User
from app.services import accounts
from tests.factories import make_items, make_member, make_project, make_user
from tests.services.review_factories import add_round

PEOPLE = ("site", "admin", "expert", "second", "outsider")


@dataclass
class World:
    app: object
    db: Database
    slug: str
    project_id: int
    users: dict[str, int]
    tokens: dict[str, str]

    def api(self, who: str | None) -> TestClient:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return TestClient(self.app, headers=headers, raise_server_exceptions=False)

    def path(self, rest: str = "") -> str:
        return f"/api/v1/projects/{self.slug}{rest}"

    def open_round(self, items: int = 4, *, overlap: int = 2, **hidden) -> list[int]:
        """A review of that many new items, with a model's labels and pairs behind it; the items' ids."""
        with self.db.write() as session:
            project = session.get_one(Project, self.project_id)
            rows = [row.id for row in make_items(session, project, items)]
            round_ = add_round(session, project, rows, overlap=overlap)
            hide(session, project, round_, rows, **hidden)
            return rows


def hide(session, project, round_, items: Sequence[int], *, label: int = 0, reason: str = "boundary") -> None:
    """What the model thinks of the items, and why they were chosen."""
    version = ModelVersion(project_id=project.id, version=0, kind="prelabel", engine="few_shot", config={})
    session.add(version)
    session.flush()
    for item in items:
        session.add(
            Prediction(model_version_id=version.id, item_id=item, label=label, score=0.75 + label / 8, scores=b"")
        )
    for row in session.query(RoundItem).filter_by(round_id=round_.id):
        row.model_label, row.model_score, row.reason = label, 0.75 + label / 8, reason
        row.reason_detail = {"why": f"{reason}-{label}"}
    session.add(
        BoundaryPair(
            round_id=round_.id,
            rank=1,
            left_item_id=items[label],  # left is the side of the lower label, as mined
            right_item_id=items[1 - label],
            left_label=0,
            right_label=1,
            similarity=0.5 + label / 8,
            left_cluster=label,
            right_cluster=3,
        )
    )
    round_.base_model_id = version.id


def build(app, db: Database) -> World:
    with db.write() as session:
        users: dict[str, User] = {
            name: make_user(session, name.title(), email=f"{name}@example.org", is_site_admin=name == "site")
            for name in PEOPLE
        }
        project = make_project(session, name="Ads", admin=users["admin"], experts=[users["expert"]])
        project.slug = "ads"
        make_member(session, project, users["second"])
        tokens = {name: accounts.create_api_token(session, user.id, "test")[0] for name, user in users.items()}
        return World(app, db, project.slug, project.id, {name: user.id for name, user in users.items()}, tokens)


@pytest.fixture
def world(app, db) -> World:
    """One project with an admin and two experts; an outsider; a site admin, who belongs to no project."""
    return build(app, db)
