"""Projects: which there are, what one is, and a new one."""

from fastapi import status
from sqlalchemy.orm import Session

from app.db.tables import GuidelineVersion, Project
from app.errors import NotFound
from app.services import accounts, projects
from app.services.accounts import Role
from app.web.api import schemas
from app.web.api.common import api_router
from app.web.deps import ExpertAccess, ReadSession, SignedIn, SiteAdmin, WriteSession

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
