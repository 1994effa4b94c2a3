"""Rounds: start one, see where it stands, steer it."""

from typing import Annotated

from fastapi import Query, status
from sqlalchemy.orm import Session

from app.db.tables import Round
from app.services import overview, rounds
from app.web.api import schemas
from app.web.api.common import Number, api_router, errors
from app.web.deps import AdminAccess, ReadSession, ViewerAccess, WriteSession

router = api_router("Rounds")


@router.get("/rounds", summary="All rounds", response_model=list[schemas.RoundLine])
def list_rounds(access: ViewerAccess, session: ReadSession) -> list[Round]:
    return rounds.list_rounds(session, access.project.id)


@router.post(
    "/rounds",
    summary="Start a round",
    status_code=status.HTTP_201_CREATED,
    response_model=schemas.RoundLine,
    responses=errors(409),
)
def start_round(access: AdminAccess, session: WriteSession) -> Round:
    """A worker prepares it. 409 names in `detail.obstacles` everything that stands in the way."""
    return rounds.start_round(session, access.project, user_id=access.user.id)


@router.get("/rounds/{number}", summary="One round, with its stages")
def show_round(access: ViewerAccess, session: ReadSession, number: Number) -> schemas.RoundDetail:
    return detail(session, rounds.get_round(session, access.project.id, number))


@router.post("/rounds/{number}/close-review", summary="Go on with the answers given so far", responses=errors(409))
def close_review(access: AdminAccess, session: WriteSession, number: Number) -> schemas.RoundDetail:
    """What is unanswered is closed."""
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.close_review(session, round_, user_id=access.user.id)
    return detail(session, round_)


@router.post("/rounds/{number}/cancel", summary="Stop a round for good", responses=errors(409))
def cancel(access: AdminAccess, session: WriteSession, number: Number) -> schemas.RoundDetail:
    """Its answers stay in the record; they are not used."""
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.cancel(session, round_, user_id=access.user.id)
    return detail(session, round_)


@router.post("/rounds/{number}/retry", summary="Take a failed round up again", responses=errors(409))
def retry(
    access: AdminAccess,
    session: WriteSession,
    number: Number,
    from_stage: Annotated[str | None, Query(max_length=20, description="Of the same phase; not later.")] = None,
) -> schemas.RoundDetail:
    """At the stage that failed, or from an earlier one; what was finished before it is kept."""
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.retry(session, round_, from_stage=from_stage, user_id=access.user.id)
    return detail(session, round_)


@router.post("/rounds/{number}/pause", summary="Pause a round", responses=errors(409))
def pause(access: AdminAccess, session: WriteSession, number: Number) -> schemas.RoundDetail:
    """Experts get no more items, and a worker stops at its next report."""
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.pause(session, round_, user_id=access.user.id)
    return detail(session, round_)


@router.post("/rounds/{number}/resume", summary="Go on with a paused round", responses=errors(409))
def resume(access: AdminAccess, session: WriteSession, number: Number) -> schemas.RoundDetail:
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.resume(session, round_, user_id=access.user.id)
    return detail(session, round_)


def detail(session: Session, round_: Round) -> schemas.RoundDetail:
    line = schemas.RoundLine.model_validate(round_)
    return schemas.RoundDetail(
        **line.model_dump(),
        settings=round_.settings,
        ties_left=rounds.ties_left(session, round_),
        stages=overview.stage_lines(session, round_),
        review=overview.review_progress(session, round_) if round_.review_opened_at else None,
        can_retry_from=rounds.stages_to_retry(session, round_) if round_.state == "failed" else [],
    )
