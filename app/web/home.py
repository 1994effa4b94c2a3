"""The first page: to the project when there is only one, otherwise the list of projects."""

from typing import Any

from fastapi import APIRouter, Request, Response

from app.services import accounts, deletion
from app.web.deps import AppSettings, ReadSession, SignedIn
from app.web.i18n import N_
from app.web.render import project_start, redirect, render

router = APIRouter()
ROLE_NAMES = {"expert": N_("expert"), "viewer": N_("viewer"), "lead": N_("lead"), "admin": N_("admin")}


@router.get("/", name="home")
def home(request: Request, access: SignedIn, session: ReadSession, settings: AppSettings) -> Response:
    projects = accounts.projects_of(session, access.user)
    if len(projects) == 1 and projects[0][1] == "expert":
        project, role = projects[0]
        if (start := project_start(request, project.slug, role)) != "/":
            return redirect(request, start)
    cards = [(project, role, project_start(request, project.slug, role)) for project, role in projects]
    can_create = access.user.is_site_admin and "new_project" in request.app.state.paths
    deleted = deletion.deleted_projects(session, access.user, settings.deleted_project_days)
    more: dict[str, Any] = {"deleted": deleted, "days": settings.deleted_project_days}
    return render(request, "home.html", cards=cards, can_create=can_create, role_names=ROLE_NAMES, **more)
