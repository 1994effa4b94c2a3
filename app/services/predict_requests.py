"""Texts that somebody wants labelled by a trained model.

The web writes the row; a worker, which alone loads models, fills it in. Texts and answers are a person's own: nobody
else reads them, and they are gone after a day, or as soon as they have been handed over to who waited for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import ModelVersion, PredictRequest, Project
from app.errors import InvalidInput, NotFound, TooManyRequests
from app.services.models import Registered

MOST_TEXTS = 100
MOST_CHARACTERS = 20_000
MOST_WAITING = 20  # requests of one project
KEPT = timedelta(days=1)
_LOST_AFTER = timedelta(minutes=10)  # a worker that has said nothing for so long has died over it
_MOST_ATTEMPTS = 2
UNFINISHED = ("queued", "running")


def request(
    session: Session, project: Project, model: Registered, texts: Sequence[str], *, user_id: int
) -> PredictRequest:
    """Not in the audit log: it changes nothing of the project, and a program may ask thousands of times.

    Raises InvalidInput naming the text, or TooManyRequests.
    """
    kept = _checked(texts)
    waiting = select(func.count()).where(PredictRequest.project_id == project.id, PredictRequest.state.in_(UNFINISHED))
    if (session.scalar(waiting) or 0) >= MOST_WAITING:
        raise TooManyRequests(f"{MOST_WAITING} requests of this project wait for a worker already. Try again later.")
    asked = PredictRequest(project_id=project.id, model_version_id=model.id, texts=kept, created_by_id=user_id)
    session.add(asked)
    session.flush()
    return asked


def _checked(texts: Sequence[str]) -> list[str]:
    if not texts:
        raise InvalidInput("Give at least one text.", field="texts")
    if len(texts) > MOST_TEXTS:
        raise InvalidInput(f"At most {MOST_TEXTS} texts at once; there are {len(texts)}.", field="texts")
    for row, text in enumerate(texts):
        if not text.strip():
            raise InvalidInput(f"Text {row + 1} is empty.", field="texts", row=row)
        if len(text) > MOST_CHARACTERS:
            said = f"Text {row + 1} has {len(text):,} characters; {MOST_CHARACTERS:,} are the most."
            raise InvalidInput(said, field="texts", row=row)
        if "\0" in text or not _is_unicode(text):
            raise InvalidInput(f"Text {row + 1} holds a character that can't be stored.", field="texts", row=row)
    return list(texts)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def get_request(session: Session, project_id: int, user_id: int, request_id: int) -> PredictRequest:
    """Raises NotFound, also for another person's."""
    found = session.scalar(
        select(PredictRequest).where(
            PredictRequest.id == request_id,
            PredictRequest.project_id == project_id,
            PredictRequest.created_by_id == user_id,
        )
    )
    if found is None:
        raise NotFound("There is no such request, or it is more than a day old.")
    return found


def newest_request(session: Session, model_version_id: int, user_id: int) -> PredictRequest | None:
    """The newest that this person has made of this version."""
    mine = PredictRequest.created_by_id == user_id, PredictRequest.model_version_id == model_version_id
    return session.scalar(select(PredictRequest).where(*mine).order_by(PredictRequest.id.desc()).limit(1))


class Answer(NamedTuple):
    """``score`` is that of ``label``; ``scores`` are by label, in the project's order."""

    label: str
    score: float
    scores: dict[str, float]


def answers(request: PredictRequest, labels: Sequence[str]) -> list[Answer]:
    """In the order of the texts; empty until it is done."""
    return [
        Answer(labels[row["label"]], row["scores"][row["label"]], dict(zip(labels, row["scores"], strict=True)))
        for row in request.answers
    ]


def version_number(session: Session, request: PredictRequest) -> int:
    return session.get_one(ModelVersion, request.model_version_id).version


def forget(session: Session, request_id: int) -> None:
    session.execute(delete(PredictRequest).where(PredictRequest.id == request_id))


# --- what workers do -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claimed:
    id: int
    model_version_id: int
    texts: list[str]


def claim(session: Session, *, now: datetime | None = None) -> Claimed | None:
    """The oldest that waits, for this worker alone; or one whose worker has died over it."""
    now = now or utcnow()
    lost = (PredictRequest.state == "running") & (PredictRequest.started_at < now - _LOST_AFTER)
    row = session.scalar(
        select(PredictRequest)
        .where((PredictRequest.state == "queued") | lost)
        .order_by(PredictRequest.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if row is None:
        return None
    if row.attempts >= _MOST_ATTEMPTS:
        _end(row, "failed", "Two workers have stopped over this: its model may need more memory than they have.")
        return None
    row.state, row.started_at, row.attempts = "running", now, row.attempts + 1
    return Claimed(row.id, row.model_version_id, list(row.texts))


def is_waiting(session: Session, *, now: datetime | None = None) -> bool:
    """Whether there is anything to claim or to sweep: a look that takes no lock."""
    now = now or utcnow()
    old, lost = PredictRequest.created_at < now - KEPT, PredictRequest.started_at < now - _LOST_AFTER
    wanted = (PredictRequest.state == "queued") | ((PredictRequest.state == "running") & lost) | old
    return session.scalar(select(PredictRequest.id).where(wanted).limit(1)) is not None


def finish(session: Session, request_id: int, answers: list[dict[str, Any]]) -> None:
    """Does nothing for a request that is there no more."""
    if (row := _running(session, request_id)) is not None:
        row.answers = answers
        _end(row, "done", None)


def fail(session: Session, request_id: int, message: str) -> None:
    if (row := _running(session, request_id)) is not None:
        _end(row, "failed", message)


def sweep(session: Session, *, now: datetime | None = None) -> None:
    """Forget what is a day old, answered or not."""
    session.execute(delete(PredictRequest).where(PredictRequest.created_at < (now or utcnow()) - KEPT))


def version_of(session: Session, claimed: Claimed) -> ModelVersion:
    return session.get_one(ModelVersion, claimed.model_version_id)


def _running(session: Session, request_id: int) -> PredictRequest | None:
    row = session.get(PredictRequest, request_id, with_for_update=True, populate_existing=True)
    return row if row is not None and row.state == "running" else None


def _end(row: PredictRequest, state: str, error: str | None) -> None:
    row.state, row.error, row.finished_at = state, error, utcnow()
