"""Rounds: start one, watch where it stands, stop or mend it, and see what it chose."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.tables import Project, Round
from app.services import automation, overview, rounds, workers
from app.web.deps import AdminAccess, AppSettings, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.render import redirect, render

router = APIRouter(prefix="/p/{slug}/rounds")

STATE_WORDS = {
    "preparing": ("preparing", "info"),
    "review": ("in review", "accent"),
    "adjudicating": ("ties to decide", "warn"),
    "concluding": ("learning", "info"),
    "done": ("done", "good"),
    "failed": ("failed", "bad"),
    "cancelled": ("cancelled", "neutral"),
}
STAGE_WORDS = {
    "embed": ("Embed", "Turn every new text into a vector"),
    "prelabel": ("Pre-label", "Label the pool with the current model"),
    "mine": ("Mine", "Choose the items that experts will see"),
    "review": ("Review", "Experts answer, each alone and blind"),
    "decide": ("Decide", "Consensus labels and the split"),
    "train": ("Fine-tune", "Learn from the fine-tuning labels"),
    "predict": ("Predict", "Label the pool again with the new model"),
    "evaluate": ("Evaluate", "Compare model and experts, and advise"),
}
LINE_WORDS = {
    "waiting": ("waiting", "neutral"),
    "running": ("running", "info"),
    "paused": ("paused", "warn"),
    "done": ("done", "good"),
    "failed": ("failed", "bad"),
    "cancelled": ("cancelled", "neutral"),
}
POLL_SECONDS = {"preparing": 2, "concluding": 2, "review": 10}
WORKED_ON = ("preparing", "concluding")  # states in which only a worker can take a round further
_PAGE = 50


@router.get("", name="rounds")
def list_page(request: Request, access: ViewerAccess, session: ReadSession, settings: AppSettings) -> Response:
    listed = rounds.list_rounds(session, access.project.id)
    return render(
        request,
        "rounds.html",
        fragment="_rounds.html",
        rounds=listed[::-1],
        obstacles=rounds.obstacles(session, access.project),
        outlook=automation.outlook(session, access.project),
        state_words=STATE_WORDS,
        no_worker=no_worker(session, settings),
        poll=next((POLL_SECONDS[r.state] for r in listed if r.state in POLL_SECONDS), None),
    )


def no_worker(session: Session, settings: Settings) -> bool:
    return not workers.alive(session, timedelta(seconds=settings.worker_dead_after_seconds))


@router.post("", name="start_round")
def start(request: Request, access: AdminAccess, session: WriteSession) -> Response:
    round_ = rounds.start_round(session, access.project, user_id=access.user.id)
    return _to_round(request, access, round_.number, f"Round {round_.number} has started.")


def _to_round(request: Request, access: ProjectAccess, number: int, flash: str) -> Response:
    return redirect(
        request, str(request.app.url_path_for("round", slug=access.project.slug, number=number)), flash=flash
    )


@router.get("/{number}", name="round")
def round_page(
    request: Request, number: int, access: ViewerAccess, session: ReadSession, settings: AppSettings
) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    return render(
        request, "round.html", fragment="_round.html", **_round_context(session, access.project, round_, settings)
    )


def _round_context(session: Session, project: Project, round_: Round, settings: Settings) -> dict[str, Any]:
    lines = overview.stage_lines(session, round_)
    return {
        "round": round_,
        "lines": lines,
        "failed": next((line for line in lines if line.state == "failed"), None),
        "review": overview.review_progress(session, round_) if round_.review_opened_at else None,
        "reasons": overview.reasons(session, round_.id),
        "log": overview.round_log(session, round_),
        "to_retry": rounds.stages_to_retry(session, round_) if round_.state == "failed" else [],
        "outlook": automation.outlook(session, project),
        "ties": rounds.ties_left(session, round_),
        "no_worker": round_.state in WORKED_ON and no_worker(session, settings),
        "poll": POLL_SECONDS.get(round_.state),
        "state_words": STATE_WORDS,
        "stage_words": STAGE_WORDS,
        "line_words": LINE_WORDS,
        "duration": duration,
        "pace_words": pace_words,
    }


def pace_words(rate: float) -> str:
    """From how many a second: 1,200 a second, 34 a minute, 5 an hour."""
    for factor, unit in ((1, "a second"), (60, "a minute"), (3600, "an hour")):
        if rate * factor >= 1 or unit == "an hour":
            break
    return f"{rate * factor:,.0f} {unit}" if rate * factor >= 1 else "less than one an hour"


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min, 2 h 5 min, 3 days."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{hours / 24:.0f} days"


@router.get("/{number}/items", name="round_items")
def items_page(
    request: Request,
    number: int,
    access: ViewerAccess,
    session: ReadSession,
    after: Annotated[int, Query(ge=-1)] = -1,
    reason: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    items = overview.chosen_items(session, round_, after_position=after, reason=reason, limit=_PAGE)
    found = overview.reasons(session, round_.id)
    more = items[-1].position if len(items) == _PAGE else None
    return render(
        request, "round_items.html", round=round_, items=items, reasons=found, reason=reason, more=more, after=after
    )


@router.post("/{number}/close", name="close_review")
def close_review(request: Request, number: int, access: AdminAccess, session: WriteSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.close_review(session, round_, user_id=access.user.id)
    return _to_round(request, access, number, "The review is closed. The round goes on with the answers given.")


@router.post("/{number}/cancel", name="cancel_round")
def cancel(request: Request, number: int, access: AdminAccess, session: WriteSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.cancel(session, round_, user_id=access.user.id)
    return _to_round(request, access, number, f"Round {number} is cancelled.")


@router.post("/{number}/retry", name="retry_round")
def retry(
    request: Request,
    number: int,
    access: AdminAccess,
    session: WriteSession,
    from_stage: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.retry(session, round_, from_stage=from_stage or None, user_id=access.user.id)
    return _to_round(request, access, number, f"Round {number} goes on.")


@router.post("/{number}/pause", name="pause_round")
def pause(request: Request, number: int, access: AdminAccess, session: WriteSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.pause(session, round_, user_id=access.user.id)
    return _to_round(request, access, number, f"Round {number} is paused.")


@router.post("/{number}/resume", name="resume_round")
def resume(request: Request, number: int, access: AdminAccess, session: WriteSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.resume(session, round_, user_id=access.user.id)
    return _to_round(request, access, number, f"Round {number} goes on.")
