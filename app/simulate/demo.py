"""The demo project, made by the same services that people use: accounts, guideline, import, first round."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import migrate
from app.db.engine import Database
from app.db.tables import Project, Round, User
from app.errors import LinecallError, NotFound
from app.ml.artifacts import ArtifactStore
from app.services import accounts, invitations, pool, projects, rounds
from app.simulate import sample
from app.simulate.experts import panel

SLUG = "clickbait-ads"
ADMIN = ("Alma", "alma@example.org")


@dataclass(frozen=True)
class Demo:
    """``experts`` are (user id, name), in the order of the simulated panel."""

    project_id: int
    admin_id: int
    experts: tuple[tuple[int, str], ...]


def expert_email(name: str) -> str:
    return f"{name.lower()}@example.org"


def make_demo(
    settings: Settings,
    db: Database,
    *,
    project_settings: projects.ProjectSettings,
    ads: Sequence[sample.Ad] | None = None,
) -> Demo:
    """Bring the database up to date, make people and project, and import the pool (``ads``: the whole sample)."""
    migrate.upgrade(settings.resolved_database_url)
    demo = db.run_write(partial(_make_people_and_project, project_settings))
    _import(settings, db, demo, ads)
    return demo


def find_demo(db: Database) -> Demo:
    """Raises NotFound if this database has no demo, or if someone has taken it apart."""
    with db.read() as session:
        project = projects.get_project(session, SLUG)
        people = [_require_user(session, email) for email in (ADMIN[1], *(expert_email(e.name) for e in panel(0)))]
        return Demo(project.id, people[0].id, tuple((user.id, user.name) for user in people[1:]))


def _require_user(session: Session, email: str) -> User:
    user = accounts.find_user(session, email)
    if user is None:
        raise NotFound(f"The demo's account {email} is not there.")
    return user


def _make_people_and_project(project_settings: projects.ProjectSettings, session: Session) -> Demo:
    admin = accounts.create_user(session, email=ADMIN[1], name=ADMIN[0], is_site_admin=True)
    project = projects.create_project(
        session,
        name=sample.NAME,
        slug=SLUG,
        labels=sample.LABELS,
        guideline=sample.guideline(),
        examples=sample.EXAMPLES,
        settings=project_settings,
        user_id=admin.id,
    )
    accounts.add_member(session, project.id, admin.id, "admin", by_user_id=admin.id)
    experts = []
    for expert in panel(0):
        user = accounts.create_user(session, email=expert_email(expert.name), name=expert.name)
        accounts.add_member(session, project.id, user.id, "expert", by_user_id=admin.id)
        experts.append((user.id, user.name))
    return Demo(project.id, admin.id, tuple(experts))


def _import(settings: Settings, db: Database, demo: Demo, ads: Sequence[sample.Ad] | None) -> None:
    store = ArtifactStore(settings.resolved_artifacts_url)
    with tempfile.TemporaryDirectory(prefix="linecall-demo-") as folder:
        path = sample.POOL_FILE if ads is None else _written(ads, Path(folder) / "ads.jsonl")
        with path.open("rb") as stream:
            upload = pool.store_upload(store, demo.project_id, path.name, stream)
    import_id = db.run_write(
        lambda session: pool.register_import(session, upload, sample.COLUMNS, user_id=demo.admin_id).id
    )
    job = pool.run_import(db, store, import_id)
    if job.state != "done":
        raise LinecallError(f"The sample could not be imported: {job.errors[0]['message']}")


def _written(ads: Sequence[sample.Ad], path: Path) -> Path:
    path.write_text("".join(json.dumps(vars(ad), ensure_ascii=False) + "\n" for ad in ads), encoding="utf-8")
    return path


def ensure_open_round(db: Database, demo: Demo) -> int:
    """The number of the open round; one is started where none is open."""

    def work(session: Session) -> int:
        round_ = rounds.open_round(session, demo.project_id)
        if round_ is None:
            round_ = rounds.start_round(session, session.get_one(Project, demo.project_id), user_id=demo.admin_id)
        return round_.number

    return db.run_write(work)


def sign_in_links(db: Database, demo: Demo, base_url: str) -> list[tuple[str, str, str]]:
    """(name, role, one-time link) for the admin and each expert."""
    people = [(demo.admin_id, ADMIN[0], "admin"), *((id_, name, "expert") for id_, name in demo.experts)]

    def work(session: Session) -> list[tuple[str, str, str]]:
        return [
            (
                name,
                role,
                f"{base_url}/sign-in/{invitations.create_sign_in_link(session, id_, by_user_id=demo.admin_id)}",
            )
            for id_, name, role in people
        ]

    return db.run_write(work)


def newest_round(session: Session, project_id: int) -> Round | None:
    return session.scalar(select(Round).where(Round.project_id == project_id).order_by(Round.number.desc()).limit(1))
