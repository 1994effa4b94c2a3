"""Deleting a project so that it can be undone, undoing it, and purging it for good."""

from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, Table, and_, false, func, or_, select, update
from sqlalchemy.orm import Session

from app.db.base import Base, utcnow
from app.db.tables import Membership, Message, Project, Round, User
from app.errors import Conflict, InvalidInput, NotFound
from app.ml.artifacts import ArtifactStore
from app.services import audit, rounds


def delete_project(
    session: Session, project: Project, *, confirm: str, user_id: int | None = None, now: datetime | None = None
) -> None:
    """Nobody can open the project any more, and its round is paused; nothing of it is lost. ``confirm`` must be its
    name."""
    now = now or utcnow()
    session.refresh(project, with_for_update={"key_share": True})  # whoever has the round locked may still log it
    if project.deleted_at is not None:
        raise NotFound("There is no such project.")
    if confirm.strip() != project.name:
        raise InvalidInput("Type the project's name, as it stands above, to delete it.", field="confirm")
    open_ = rounds.open_round(session, project.id)
    if open_ is not None and open_.state in ("preparing", "review", "concluding"):
        rounds.pause(session, open_, user_id=user_id, now=now)
    session.execute(
        update(Message)
        .where(Message.project_id == project.id, Message.state == "waiting")
        .values(state="failed", last_error="The project was deleted.")
        .execution_options(synchronize_session=False)
    )
    project.deleted_at = now
    audit.record(session, "project.deleted", user_id=user_id, project_id=project.id, subject=project.slug)


def deleted_projects(session: Session, user: User, days: int, *, now: datetime | None = None) -> list[Project]:
    """Those that this user may bring back: an admin of them, within ``days``. The latest first."""
    mine = and_(
        Membership.project_id == Project.id,
        Membership.user_id == user.id,
        Membership.role == "admin",
        Membership.removed_at.is_(None),
    )
    since = (now or utcnow()) - timedelta(days=days)
    query = select(Project).where(Project.deleted_at >= since).order_by(Project.deleted_at.desc(), Project.id)
    return list(session.scalars(query if user.is_site_admin else query.join(Membership, mine)))


def find_deleted(session: Session, slug: str) -> Project:
    found = session.scalar(select(Project).where(Project.slug == slug, Project.deleted_at.is_not(None)))
    if found is None:
        raise NotFound("There is no deleted project of that name.")
    return found


def undo_by(session: Session, user: User, slug: str, days: int) -> Project:
    """Raises NotFound for whoever may not know that it was there."""
    found = next((project for project in deleted_projects(session, user, days) if project.slug == slug), None)
    if found is None:
        raise NotFound("There is no deleted project of that name.")
    undo(session, found, user_id=user.id)
    return found


def undo(session: Session, project: Project, *, user_id: int | None = None) -> None:
    """All is as it was, except that its round stays paused until an admin resumes it."""
    session.refresh(project, with_for_update=True)
    if project.deleted_at is None:
        raise Conflict("This project is not deleted.")
    project.deleted_at = None
    audit.record(session, "project.restored", user_id=user_id, project_id=project.id, subject=project.slug)


def purge(session: Session, project: Project) -> dict[str, int]:
    """Remove a deleted project's rows for good, its audit log with them; how many by table. Accounts stay. The record
    of the purge itself belongs to no project."""
    if project.deleted_at is None:
        raise Conflict("Only a deleted project can be purged: delete it first.")
    project_id, slug = project.id, project.slug
    session.expunge(project)
    session.execute(update(Round).where(Round.project_id == project_id).values(base_model_id=None))
    gone = {}
    for table in reversed(Base.metadata.sorted_tables):
        rows = table.delete().where(_of_project(table, project_id))
        gone[table.name] = cast(int, session.execute(rows).rowcount)  # type: ignore[attr-defined]
    counted = {name: count for name, count in gone.items() if count}
    audit.record(session, "project.purged", subject=slug, rows=counted)
    return counted


def _of_project(table: Table, project_id: int) -> ColumnElement[bool]:
    """Rows that belong to the project: by their own column, or by a row that they point at."""
    if table.name == "projects":
        return table.c.id == project_id
    if "project_id" in table.c:
        return table.c.project_id == project_id
    owners = [
        column.in_(select(key.column.table.c[key.column.name]).where(_of_project(key.column.table, project_id)))
        for column in table.c
        for key in column.foreign_keys
        if key.column.table.name not in ("users", table.name) and not column.nullable
    ]
    return or_(false(), *owners)


def artifacts_of(store: ArtifactStore, project_id: int) -> list[str]:
    """Keys of the project's models, embeddings, maps and uploads."""
    wanted = str(project_id)
    return [key for key in store.list() if key.split("/")[1:2] in ([wanted], [f"project-{wanted}"])]


def rows_left(session: Session, project_id: int) -> int:
    """How many rows of any table still belong to the project."""
    return sum(
        session.scalar(select(func.count()).select_from(table).where(_of_project(table, project_id))) or 0
        for table in Base.metadata.sorted_tables
    )
