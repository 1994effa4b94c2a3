"""A project as one document: read it, change it, apply it."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from app.services import project_file, projects
from app.services.project_file import ProjectFile
from app.web.api import schemas
from app.web.api.common import api_router, errors
from app.web.deps import AdminAccess, ReadSession, WriteSession

router = api_router("Projects")


class ProjectFileBody(schemas.Body, ProjectFile):
    """The project as it should be; what is left out, or null, stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Clickbait ads",
                    "guideline": "An ad is clickbait if it hides what it sells.",
                    "examples": {"clickbait": ["You will not believe this little tool"]},
                    "settings": {"round_size": 60, "overlap": 2},
                }
            ]
        },
    )


class FieldChange(BaseModel):
    field: str
    before: Any
    after: Any


class Applied(BaseModel):
    dry_run: bool
    changes: list[FieldChange]


@router.get("/file", summary="The project as one document")
def export_file(access: AdminAccess, session: ReadSession) -> ProjectFile:
    """What `POST` takes: labels, guideline, examples, settings, pre-labeller, practice texts and members."""
    return project_file.export(session, access.project)


@router.post("/file", summary="Make the project what a document says", responses=errors(409))
def apply_file(
    body: ProjectFileBody,
    access: AdminAccess,
    session: WriteSession,
    dry_run: Annotated[bool, Query(description="Change nothing; say what would change.")] = False,
) -> Applied:
    """All or nothing; a second time changes nothing. Members' roles can be changed, nobody can be added: invite them.
    The document's `slug` is not read, the address says which project it is."""
    project = projects.get_project(session, access.project.slug)
    _, changes = project_file.apply(session, body, project, user_id=access.user.id, dry_run=dry_run)
    return Applied(dry_run=dry_run, changes=[FieldChange(**change._asdict()) for change in changes])
