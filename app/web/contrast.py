"""The contrast card of the labelling page; a page of its own without JavaScript."""

import json
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.db.engine import Database
from app.services import contrast, projects
from app.services.annotations import Answer
from app.services.contrast import Contrast
from app.web.deps import Db, ProjectAccess
from app.web.differing import marked
from app.web.i18n import _
from app.web.label import Labeller
from app.web.render import form_errors, is_htmx, redirect, render

router = APIRouter(prefix="/p/{slug}/contrast")


@router.get("", name="contrast")
def page(request: Request, access: Labeller, db: Db) -> Response:
    return _show(request, access, db)


def _show(request: Request, access: Labeller, db: Db, **context: Any) -> Response:
    """The pair that is due. With none, htmx gets nothing, which closes the card, and a browser goes on labelling."""
    found = show_due(db, access)
    if found is None:
        label = request.url_for("label", slug=access.project.slug).path
        return Response("", media_type="text/html") if is_htmx(request) else redirect(request, label)
    texts = marked(found.left.text, found.right.text)
    values: dict[str, Any] = {"contrast": found, "texts": texts, "key": secrets.token_hex(16)} | context
    return render(request, "contrast.html", fragment="_contrast.html", **values)


def are_shown(access: ProjectAccess) -> bool:
    return projects.settings_of(access.project).reveal != "off"


def show_due(db: Database, access: ProjectAccess) -> Contrast | None:
    """The pair that is due; from now on the expert's blind answers to it are fixed."""
    if not are_shown(access):
        return None
    project_id, expert_id = access.project.id, access.user.id
    return db.run_write(lambda session: contrast.show(session, project_id, expert_id))


@router.post("/{pair_id}/confirm", name="confirm_contrast")
def confirm(request: Request, pair_id: int, access: Labeller, db: Db) -> Response:
    db.run_write(lambda session: contrast.confirm(session, access.project.id, access.user.id, pair_id))
    return _onward(request, access, db, _("Saved: both answers stand"))


@router.post("/{pair_id}/revise", name="revise_contrast")
def revise(
    request: Request,
    pair_id: int,
    access: Labeller,
    db: Db,
    change: Annotated[str, Form(pattern="^[0-9]{1,9}:[0-9]$")],
    key: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "",
) -> Response:
    """``change`` is one of the two texts and its new label, as "assignment:label"."""
    assignment, label = map(int, change.split(":"))
    answer = Answer(assignment, label, key, note=reason)
    project, expert_id = access.project, access.user.id
    n_labels = len(project.labels)
    with form_errors(lambda errors: _show(request, access, db, errors=errors, values={"reason": reason})):
        db.run_write(
            lambda session: contrast.revise(session, project.id, expert_id, pair_id, answer, n_labels=n_labels)
        )
    return _onward(request, access, db, _("Changed to: %(label)s", label=project.labels[label]))


def _onward(request: Request, access: Labeller, db: Db, said: str) -> Response:
    """The next pair or none, and what was saved: the page's script shows it as a receipt."""
    if is_htmx(request):
        response = _show(request, access, db)
        response.headers["HX-Trigger"] = json.dumps({"linecall:said": said})
        return response
    return redirect(request, request.url_for("contrast", slug=access.project.slug).path, flash=said)
