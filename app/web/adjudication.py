"""Ties: what the experts answered, side by side, and a person who decides."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from app.db.tables import Round
from app.services import overview, projects, rounds
from app.web.deps import LeadAccess, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.render import redirect, render

router = APIRouter(prefix="/p/{slug}/rounds/{number}/ties")


@router.get("", name="ties")
def page(request: Request, number: int, access: ViewerAccess, session: ReadSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    guideline = projects.current_guideline(session, access.project.id)
    found = overview.ties(session, round_)
    return render(request, "ties.html", round=round_, ties=found, guideline=guideline)


@router.post("/{item_id}", name="decide_tie")
def decide(
    request: Request,
    number: int,
    item_id: int,
    access: LeadAccess,
    session: WriteSession,
    label: Annotated[int, Form()],
    reason: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    labels, by = access.project.labels, access.user.id
    left = rounds.adjudicate(session, round_, item_id, label, n_labels=len(labels), reason=reason, user_id=by)
    return _onward(request, access, round_, left, f"Decided: {labels[label]}.")


@router.post("", name="leave_ties_out")
def leave_out(request: Request, number: int, access: LeadAccess, session: WriteSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.leave_ties_out(session, round_, user_id=access.user.id)
    return _onward(request, access, round_, 0, "The undecided items are left out.")


def _onward(request: Request, access: ProjectAccess, round_: Round, left: int, flash: str) -> Response:
    """To the next tie, or to the round when none is left."""
    name = "ties" if left else "round"
    url = request.app.url_path_for(name, slug=access.project.slug, number=round_.number)
    return redirect(request, str(url), flash=flash if left else f"{flash} The round goes on.")
