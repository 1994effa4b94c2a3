"""Projects: which there are, what one is, and a new one."""

from typing import Annotated

from fastapi import Path, Query, status
from sqlalchemy.orm import Session

from app.db.tables import GuidelineVersion, Project
from app.errors import NotFound
from app.services import accounts, deletion, projects
from app.services.accounts import Role
from app.web.api import schemas
from app.web.api.common import api_router
from app.web.deps import AdminAccess, AppSettings, ExpertAccess, ReadSession, SignedIn, SiteAdmin, WriteSession

router = api_router("Projects", "/projects")


@router.get("", summary="Your projects")
def list_projects(access: SignedIn, session: ReadSession) -> list[schemas.ProjectLine]:
    return [
        schemas.ProjectLine(slug=project.slug, name=project.name, role=role, labels=project.labels)
        for project, role in accounts.projects_of(session, access.user)
    ]


@router.post("", summary="Create a project (site admins)", status_code=status.HTTP_201_CREATED)
def create_project(body: schemas.NewProject, user: SiteAdmin, session: WriteSession) -> schemas.ProjectDetail:
    """The project with the first version of its guideline; you become its admin."""
    from app.ml.prelabel.configs import parse_config

    parse_config(body.settings.prelabel)
    project = projects.create_project(
        session,
        name=body.name,
        labels=body.labels,
        guideline=body.guideline,
        examples=body.examples,
        settings=body.settings,
        slug=body.slug,
        user_id=user.id,
    )
    accounts.add_member(session, project.id, user.id, "admin", by_user_id=user.id)
    return _detail(session, project, "admin")


@router.get("/{slug}", summary="One project, with its guideline")
def show_project(access: ExpertAccess, session: ReadSession) -> schemas.ProjectDetail:
    return _detail(session, access.project, access.role)


@router.delete("/{slug}", summary="Delete a project, so that it can be undone", status_code=status.HTTP_204_NO_CONTENT)
def delete_project(
    access: AdminAccess,
    session: WriteSession,
    confirm: Annotated[str, Query(max_length=200, description="The project's name, as a confirmation.")],
) -> None:
    """Nobody can open it any more; an open round is paused."""
    project = projects.get_project(session, access.project.slug)
    deletion.delete_project(session, project, confirm=confirm, user_id=access.user.id)


deleted_router = api_router("Projects", "/deleted-projects")


@deleted_router.get("", summary="Deleted projects that you may bring back")
def list_deleted(access: SignedIn, session: ReadSession, settings: AppSettings) -> list[schemas.DeletedProject]:
    found = deletion.deleted_projects(session, access.user, settings.deleted_project_days)
    return [schemas.DeletedProject.model_validate(project) for project in found]


@deleted_router.post("/{deleted}/undo", summary="Bring one back")
def undo_deletion(
    access: SignedIn,
    session: WriteSession,
    settings: AppSettings,
    deleted: Annotated[str, Path(pattern="^[a-z0-9-]{1,80}$", description="Its slug.")],
) -> schemas.ProjectDetail:
    """Its round stays paused until an admin resumes it."""
    project = deletion.undo_by(session, access.user, deleted, settings.deleted_project_days)
    return _detail(session, project, "admin")


def _detail(session: Session, project: Project, role: Role) -> schemas.ProjectDetail:
    guideline = _guideline(session, project.id)
    return schemas.ProjectDetail(
        slug=project.slug,
        name=project.name,
        role=role,
        labels=project.labels,
        item_count=project.item_count,
        guideline=None if guideline is None else schemas.Guideline.model_validate(guideline),
        settings=projects.settings_of(project) if role != "expert" else None,
    )


def _guideline(session: Session, project_id: int) -> GuidelineVersion | None:
    try:
        return projects.current_guideline(session, project_id)
    except NotFound:
        return None
