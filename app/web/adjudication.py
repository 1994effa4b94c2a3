"""Where experts disagree: their answers side by side, and a lead, or two experts who agree, who decide."""

from typing import Annotated, Any, TypedDict

from fastapi import APIRouter, Form, Query, Request, Response

from app.db.tables import Round
from app.errors import Forbidden
from app.services import overview, projects, rounds, rulings
from app.web.deps import Db, ExpertAccess, LeadAccess, ProjectAccess, ReadSession, WriteSession
from app.web.i18n import _
from app.web.render import form_errors, redirect, render

router = APIRouter(prefix="/p/{slug}")
Words = Annotated[str, Form(max_length=4000)]


class Ground(TypedDict):
    """What a decision rests on, as it was typed."""

    reason: str
    clause: str


@router.get("/rounds/{number}/ties", name="ties")
def page(request: Request, number: int, access: ExpertAccess, db: Db) -> Response:
    return _page(request, db, access, number)


def _page(request: Request, db: Db, access: ProjectAccess, number: int, **context: Any) -> Response:
    """For an expert: no names, and only while their votes are wanted."""
    with db.read() as session:
        round_ = rounds.get_round(session, access.project.id, number)
        votes: dict[int, rulings.MyVote] = {}
        if access.role == "expert":
            rulings.require_experts_may_vote(round_)
            votes = rulings.votes_by(session, round_, access.user.id)
        guideline = projects.current_guideline(session, access.project.id)
        values = {"round": round_, "ties": overview.ties(session, round_), "guideline": guideline, "votes": votes}
    clauses = rulings.clauses_of(guideline.text)
    template = "ties_vote.html" if access.role == "expert" else "ties.html"
    return render(request, template, clauses=clauses, **{"wrong_item": None, **values, **context})


@router.post("/rounds/{number}/ties/{item_id}", name="decide_tie")
def decide(
    request: Request,
    number: int,
    item_id: int,
    access: ExpertAccess,
    db: Db,
    session: WriteSession,
    label: Annotated[int, Form()],
    reason: Words = "",
    clause: Words = "",
) -> Response:
    typed = Ground(reason=reason, clause=clause)
    work = _vote if access.role == "expert" else _decide

    def again(errors: dict[str, str]) -> Response:
        return _page(request, db, access, number, errors=errors, values=typed, wrong_item=item_id)

    if access.role == "viewer":
        raise Forbidden("Only a lead, an admin or an expert can decide.")
    with form_errors(again):
        round_ = rounds.get_round(session, access.project.id, number)
        return work(request, access, session, round_, item_id, label, typed)


def _decide(
    request: Request,
    access: ProjectAccess,
    session: WriteSession,
    round_: Round,
    item_id: int,
    label: int,
    typed: Ground,
) -> Response:
    labels, by = access.project.labels, access.user.id
    left = rounds.adjudicate(session, round_, item_id, label, n_labels=len(labels), user_id=by, **typed)
    return _onward(request, access, round_, left, f"Decided: {labels[label]}.")


def _vote(
    request: Request,
    access: ProjectAccess,
    session: WriteSession,
    round_: Round,
    item_id: int,
    label: int,
    typed: Ground,
) -> Response:
    labels, by = access.project.labels, access.user.id
    settled = rulings.vote(session, round_, item_id, label, n_labels=len(labels), user_id=by, **typed)
    flash = _("Two experts agree: it is settled.") if settled else _("Your vote is saved.")
    name = "ties" if round_.state == "adjudicating" else "project"
    values = {"number": round_.number} if name == "ties" else {}
    return redirect(request, str(request.app.url_path_for(name, slug=access.project.slug, **values)), flash=flash)


@router.post("/rounds/{number}/ties", name="leave_ties_out")
def leave_out(request: Request, number: int, access: LeadAccess, session: WriteSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.leave_ties_out(session, round_, user_id=access.user.id)
    return _onward(request, access, round_, 0, "Ties that nobody decided are left out; majorities stand.")


def _onward(request: Request, access: ProjectAccess, round_: Round, left: int, flash: str) -> Response:
    """To the next one, or to the round when none is left."""
    name = "ties" if left else "round"
    url = request.app.url_path_for(name, slug=access.project.slug, number=round_.number)
    return redirect(request, str(url), flash=flash if left else f"{flash} The round goes on.")


@router.get("/rulings", name="rulings")
def rulings_page(
    request: Request, access: ExpertAccess, session: ReadSession, q: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Every member may read them: they are how the guideline is meant."""
    found = rulings.rulings(session, access.project.id, search=q)
    return render(request, "rulings.html", rulings=found, search=q)


@router.post("/rulings/{item_id}/example", name="make_example")
def make_example(request: Request, item_id: int, access: LeadAccess, session: WriteSession) -> Response:
    project = projects.get_project(session, access.project.slug)
    version = rulings.make_example(session, project, item_id, user_id=access.user.id)
    url = str(request.app.url_path_for("rulings", slug=access.project.slug))
    return redirect(request, url, flash=f"The guideline's version {version.version} has it as an example.")
