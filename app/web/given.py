"""One's own answers: what an expert has answered lately, and a way to change it while the review is open."""

import secrets
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from app.db.base import utcnow
from app.services import annotations
from app.services.annotations import Answer
from app.web.deps import Db, ReadSession
from app.web.i18n import _
from app.web.label import Labeller
from app.web.render import form_errors, redirect, render

router = APIRouter(prefix="/p/{slug}/answers")
_SHOWN = timedelta(hours=24)


@router.get("", name="given")
def page(request: Request, access: Labeller, session: ReadSession) -> Response:
    since = utcnow() - _SHOWN
    found = annotations.given_since(session, project_id=access.project.id, expert_id=access.user.id, since=since)
    return render(request, "given.html", given=found, key=lambda: secrets.token_hex(16))


@router.post("/{assignment_id}", name="change_given")
def change(
    request: Request,
    assignment_id: int,
    access: Labeller,
    db: Db,
    label: Annotated[int, Form()],
    key: Annotated[str, Form()],
    note: Annotated[str, Form()] = "",
    flagged: Annotated[bool, Form()] = False,
) -> Response:
    project, expert = access.project, access.user

    def again(errors: dict[str, str]) -> Response:
        message = next(iter(errors.values()))
        return redirect(request, f"{url}#answer-{assignment_id}", flash=message, kind="error")

    url = request.url_for("given", slug=project.slug).path
    with form_errors(again):
        db.run_write(
            lambda session: annotations.change(
                session,
                project_id=project.id,
                expert_id=expert.id,
                n_labels=len(project.labels),
                answer=Answer(assignment_id, label, key, flagged, note),
            )
        )
    return redirect(request, url, flash=_("Saved: %(label)s", label=project.labels[label]))
