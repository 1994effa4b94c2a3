"""Labelling by API: an expert's next item, answers, skips and undo, one write transaction each."""

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy.orm import Session

from app.services import annotations, contrast, queue
from app.services.annotations import Answer, Receipt
from app.services.queue import EmptyQueue, Progress, Task
from app.web.api import schemas
from app.web.api.common import api_router, errors, label_index
from app.web.contrast import are_shown
from app.web.deps import AppSettings, Db
from app.web.label import EMPTY_WORDS, Labeller, contrast_is_due

router = api_router("Review", writes="label")


@dataclass(frozen=True)
class _Desk:
    """The expert, their project and lease: what every transaction here needs."""

    project_id: int
    expert_id: int
    lease: timedelta
    shows_pairs: bool


@dataclass(frozen=True)
class _Found:
    task: Task | None
    empty: EmptyQueue | None
    progress: Progress
    contrast: bool


@router.post("/next", summary="Claim your next item")
def claim_next(access: Labeller, db: Db, settings: AppSettings) -> schemas.Next:
    """An item that you hold already comes again. Without one, `empty` says why."""
    desk = _desk(access, settings)
    return _next(db.run_write(lambda session: _claim(session, desk)))


@router.post("/annotations", summary="Answer an item, and get the next one", responses=errors(409))
def annotate(access: Labeller, db: Db, settings: AppSettings, body: schemas.NewAnnotation) -> schemas.Answered:
    """409 with `detail.reason` (`taken`, `closed`, `answered`): the answer is not wanted any more; ask for the next."""
    desk, labels = _desk(access, settings), access.project.labels
    label = label_index(labels, body.label)
    answer = Answer(body.assignment_id, label, body.key, body.flagged, body.note, body.seconds)

    def work(session: Session) -> tuple[Receipt, _Found]:
        receipt = annotations.submit(
            session, project_id=desk.project_id, expert_id=desk.expert_id, n_labels=len(labels), answer=answer
        )
        found = _go_on(session, desk, receipt.round_id)
        return receipt, replace(found, contrast=found.contrast or contrast_is_due(session, access, receipt))

    receipt, found = db.run_write(work)
    saved = schemas.Saved(annotation_id=receipt.annotation_id, label=labels[label], replayed=receipt.replayed)
    return schemas.Answered(saved=saved, next=_next(found))


@router.post("/skip", summary="Pass an item to a colleague, and get the next one", responses=errors(409))
def skip(access: Labeller, db: Db, settings: AppSettings, body: schemas.NewSkip) -> schemas.Next:
    """A skip is not an answer, and the item does not come again."""
    desk = _desk(access, settings)

    def work(session: Session) -> _Found:
        round_id = annotations.skip(
            session,
            project_id=desk.project_id,
            expert_id=desk.expert_id,
            assignment_id=body.assignment_id,
            reason=body.reason,
        )
        return _go_on(session, desk, round_id)

    return _next(db.run_write(work))


@router.post("/undo", summary="Take your last answer back", responses=errors(409))
def undo(access: Labeller, db: Db, settings: AppSettings, body: schemas.NewUndo) -> schemas.Undone:
    """Its item is your next one again. Undo once more, with a new key, for the answer before. 409 with
    `detail.reason` `seen`: you have seen it beside its contrast, so it can only be changed."""
    desk = _desk(access, settings)

    def work(session: Session) -> tuple[bool, _Found]:
        undone = annotations.undo(
            session,
            project_id=desk.project_id,
            expert_id=desk.expert_id,
            key=body.key,
            lease=desk.lease,
            assignment_id=body.assignment_id,
        )
        return undone is not None, _claim(session, desk)

    undone, found = db.run_write(work)
    return schemas.Undone(undone=undone, next=_next(found))


def _desk(access: Labeller, settings: AppSettings) -> _Desk:
    lease = queue.lease_for(access.project.settings, settings.lease_minutes)
    return _Desk(access.project.id, access.user.id, lease, are_shown(access))


def _claim(session: Session, desk: _Desk) -> _Found:
    task = queue.claim(session, desk.project_id, desk.expert_id, lease=desk.lease)
    empty = None if task else queue.explain_empty(session, desk.project_id)
    pairs_wait = task is None and desk.shows_pairs and contrast.waiting(session, desk.project_id, desk.expert_id) > 0
    return _Found(task, empty, queue.progress(session, desk.project_id, desk.expert_id), pairs_wait)


def _go_on(session: Session, desk: _Desk, round_id: int) -> _Found:
    """The next item; when that was the last answer that the round waited for, its review closes."""
    found = _claim(session, desk)
    if found.task is None and queue.close_if_answered(session, round_id):
        return _claim(session, desk)
    return found


def _next(found: _Found) -> schemas.Next:
    return schemas.Next(
        task=None if found.task is None else schemas.Task.model_validate(found.task),
        empty=None if found.empty is None else _empty(found.empty),
        progress=schemas.Progress.model_validate(found.progress),
        contrast=found.contrast,
    )


def _empty(why: EmptyQueue) -> schemas.Empty:
    message = ". ".join(EMPTY_WORDS[why.reason])
    return schemas.Empty.model_validate({"reason": why.reason, "message": message, "round_number": why.round_number})
