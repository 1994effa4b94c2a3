"""Deleting a project, and undoing it from the first page."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.services import deletion, projects
from app.web.deps import AdminAccess, AppSettings, SignedIn, WriteSession
from app.web.render import form_errors, redirect, render

router = APIRouter()


@router.get("/p/{slug}/delete", name="ask_to_delete")
def ask(request: Request, settings: AppSettings, _: AdminAccess) -> Response:
    return _page(request, settings)


def _page(request: Request, settings: AppSettings, **context: Any) -> Response:
    return render(request, "project_delete.html", days=settings.deleted_project_days, **context)


@router.post("/p/{slug}/delete", name="delete_project")
def delete(
    request: Request,
    settings: AppSettings,
    access: AdminAccess,
    session: WriteSession,
    confirm: Annotated[str, Form()] = "",
) -> Response:
    with form_errors(lambda errors: _page(request, settings, errors=errors, values={"confirm": confirm})):
        project = projects.get_project(session, access.project.slug)
        deletion.delete_project(session, project, confirm=confirm, user_id=access.user.id)
    flash = "The project is deleted. It can be brought back from this page."
    return redirect(request, str(request.app.url_path_for("home")), flash=flash)


@router.post("/deleted/{deleted}/undo", name="undo_deletion")
def undo(
    request: Request, deleted: str, settings: AppSettings, access: SignedIn, session: WriteSession
) -> Response:  # fmt: skip
    project = deletion.undo_by(session, access.user, deleted, settings.deleted_project_days)
    flash = "The project is back. A round that was open is paused until you resume it."
    return redirect(request, str(request.app.url_path_for("project", slug=project.slug)), flash=flash)
