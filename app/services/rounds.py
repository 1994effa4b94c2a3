"""What admins do with rounds. These functions write intent; a worker sees it and carries it out."""

from datetime import datetime

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import (
    Annotation,
    Assignment,
    ConsensusLabel,
    Import,
    Membership,
    ModelVersion,
    Prediction,
    Project,
    Round,
    StageRun,
)
from app.errors import Conflict, InvalidInput, NotFound
from app.services import audit, model_sources, webhooks
from app.services.projects import current_guideline, settings_of

STAGES = ("embed", "prelabel", "mine", "review", "decide", "train", "predict", "evaluate")
OPEN_STATES = ("preparing", "review", "adjudicating", "concluding", "failed")
PHASES = {"preparing": STAGES[:3], "concluding": STAGES[4:]}
_SMALLEST_POOL = 10
# What a stage reads of the project's settings. A retry reads them again for the stages that are not done yet.
_READ_BY = {
    "embed": ("encoder",),
    "prelabel": ("prelabel",),
    "mine": ("round_size", "control_share", "strategy"),
    "decide": ("evaluation_share", "split_mode"),
    "train": ("engine", "engine_config"),
}


def get_round(session: Session, project_id: int, number: int) -> Round:
    found = session.scalar(select(Round).where(Round.project_id == project_id, Round.number == number))
    if found is None:
        raise NotFound("There is no such round.")
    return found


def list_rounds(session: Session, project_id: int) -> list[Round]:
    return list(session.scalars(select(Round).where(Round.project_id == project_id).order_by(Round.number)))


def open_round(session: Session, project_id: int) -> Round | None:
    return session.scalar(select(Round).where(Round.project_id == project_id, Round.state.in_(OPEN_STATES)))


def obstacles(session: Session, project: Project) -> list[str]:
    """Why a round can't start now, each in a sentence; empty when it can."""
    found = []
    if open_round(session, project.id) is not None:
        found.append("A round is open already. Finish or cancel it first.")
    if project.item_count < _SMALLEST_POOL:
        found.append(f"The pool has {project.item_count} items; a round needs at least {_SMALLEST_POOL}.")
    if session.scalar(select(exists().where(Import.project_id == project.id, Import.state.in_(("queued", "running"))))):
        found.append("An import is still running.")
    experts = expert_count(session, project.id)
    overlap = settings_of(project).overlap
    if experts < overlap:
        found.append(
            f"Each item is to be answered by {overlap} experts, but the project has {experts}. "
            "Invite more, or lower 'Experts per item'."
        )
    found.extend(_missing_examples(session, project))
    found.extend(_missing_model(session, project))
    return found


def expert_count(session: Session, project_id: int) -> int:
    return (
        session.scalar(
            select(func.count()).where(
                Membership.project_id == project_id, Membership.role == "expert", Membership.removed_at.is_(None)
            )
        )
        or 0
    )


def _missing_examples(session: Session, project: Project) -> list[str]:
    if settings_of(project).prelabel.get("provider") != "few_shot" or current_model(session, project.id) is not None:
        return []
    examples = current_guideline(session, project.id).examples
    missing = [label for label in project.labels if not examples.get(label)]
    return [
        f"The pre-labeller works from examples, and the guideline has none for '{label}'. Add at least one."
        for label in missing
    ]


def _missing_model(session: Session, project: Project) -> list[str]:
    """The model that is to pre-label may have gone, or the labels may have changed since it was chosen."""
    if current_model(session, project.id) is not None:
        return []
    try:
        model_sources.check(session, project.labels, settings_of(project).prelabel, None)
    except InvalidInput as error:
        return [f"The pre-labeller can't be used. {error.message}"]
    return []


def current_model(session: Session, project_id: int) -> ModelVersion | None:
    """The newest model version that has labelled the pool; one that a cancelled round has trained is never used."""
    return session.scalar(
        select(ModelVersion)
        .outerjoin(Round, Round.id == ModelVersion.round_id)
        .where(
            ModelVersion.project_id == project_id,
            ModelVersion.state == "ready",
            Round.id.is_(None) | (Round.state == "done"),
        )
        .order_by(ModelVersion.version.desc())
        .limit(1)
    )


def start_round(
    session: Session, project: Project, *, base_version: int | None = None, user_id: int | None = None
) -> Round:
    """A new round, in the state ``preparing``. It mines the labels of the newest model, or of ``base_version``.

    Raises Conflict with the first obstacle, NotFound for a version that is not there or never finished its round.
    """
    problems = obstacles(session, project)
    if problems:
        raise Conflict(problems[0], obstacles=problems)
    number = 1 + (session.scalar(select(func.max(Round.number)).where(Round.project_id == project.id)) or 0)
    settings = settings_of(project)
    round_ = Round(
        project_id=project.id,
        number=number,
        settings=settings.model_dump(),
        seed=settings.seed + number,
        guideline_version_id=current_guideline(session, project.id).id,
        base_model_id=None if base_version is None else _ready_model(session, project.id, base_version).id,
        created_by_id=user_id,
    )
    session.add(round_)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict("A round is open already. Finish or cancel it first.") from error
    chosen = {} if base_version is None else {"base_version": base_version}
    audit.record_turn(session, "round.started", round_, user_id=user_id, **chosen)
    webhooks.tell(session, round_, "round.started")
    return round_


def _ready_model(session: Session, project_id: int, number: int) -> ModelVersion:
    model = session.scalar(
        select(ModelVersion)
        .outerjoin(Round, Round.id == ModelVersion.round_id)
        .where(ModelVersion.project_id == project_id, ModelVersion.version == number, ModelVersion.state == "ready")
        .where(Round.id.is_(None) | (Round.state == "done"))
    )
    if model is None:
        raise NotFound("There is no such model version, or its round never came to its end.")
    return model


def close_review(session: Session, round_: Round, *, user_id: int | None = None, now: datetime | None = None) -> None:
    """Go on with the answers given so far; what is unanswered is closed."""
    _lock(session, round_)
    if round_.state != "review":
        raise Conflict("This round is not in review.")
    if not session.scalar(select(exists().where(Annotation.round_id == round_.id, Annotation.kind == "blind"))):
        raise Conflict("Nobody has answered anything yet, so there is nothing to go on with.")
    _close_slots(session, round_.id)
    round_.state = "concluding"
    round_.review_closed_at = now or utcnow()
    audit.record_turn(session, "round.review_closed_early", round_, user_id=user_id)
    webhooks.tell(session, round_, "review.finished", early=True)


def cancel(session: Session, round_: Round, *, user_id: int | None = None, now: datetime | None = None) -> None:
    """Stop the round for good. Its answers stay in the record; they are not used."""
    _lock(session, round_)
    if round_.state not in OPEN_STATES:
        raise Conflict("This round is over already.")
    _close_slots(session, round_.id)
    session.execute(
        update(StageRun)
        .where(StageRun.round_id == round_.id, StageRun.state == "running")
        .values(state="cancelled", finished_at=now or utcnow())
    )
    round_.state, round_.paused_at = "cancelled", None
    round_.finished_at = now or utcnow()
    audit.record_turn(session, "round.cancelled", round_, user_id=user_id)
    webhooks.tell(session, round_, "round.cancelled")


def retry(session: Session, round_: Round, *, from_stage: str | None = None, user_id: int | None = None) -> None:
    """Take a failed round up again at the stage that failed, or at an earlier one of the same phase; what was finished
    before that stage is kept.

    Stages that are not done read the project's settings again, so that a wrong one can be mended without losing what
    the experts have answered.
    """
    _lock(session, round_)
    if round_.state != "failed" or round_.failed_state is None:
        raise Conflict("Only a failed round can be retried.")
    if from_stage is not None:
        _begin_anew(session, round_, from_stage)
    _read_settings_again(session, round_)
    round_.state, round_.failed_state, round_.error = round_.failed_state, None, None
    round_.attempt += 1
    audit.record_turn(session, "round.retried", round_, user_id=user_id)


_PAUSABLE = ("preparing", "review", "concluding")


def pause(session: Session, round_: Round, *, user_id: int | None = None, now: datetime | None = None) -> None:
    """Experts get no more items, and a worker stops at its next report; what is done is kept."""
    _lock(session, round_)
    if round_.state not in _PAUSABLE:
        raise Conflict("This round has nothing under way that could be paused.")
    if round_.paused_at is None:
        round_.paused_at = now or utcnow()
        audit.record_turn(session, "round.paused", round_, user_id=user_id)
        webhooks.tell(session, round_, "round.paused")


def resume(session: Session, round_: Round, *, user_id: int | None = None) -> None:
    """Go on where the round was paused. Raises Conflict while a worker has not yet let go of its stage."""
    _lock(session, round_)
    if round_.paused_at is None:
        raise Conflict("This round is not paused.")
    if session.scalar(select(exists().where(StageRun.round_id == round_.id, StageRun.state == "running"))):
        raise Conflict("The worker has not stopped yet. Try again in a moment.")
    round_.paused_at = None
    if round_.state != "review":
        round_.attempt += 1  # the workflow that was paused has ended; this makes the next one's id
    audit.record_turn(session, "round.resumed", round_, user_id=user_id)
    webhooks.tell(session, round_, "round.resumed")


def stages_to_retry(session: Session, round_: Round) -> list[str]:
    """Where a failed round may be taken up again, in order: the stages of its phase as far as it has come."""
    phase = PHASES.get(round_.failed_state or "", ())
    done = set(session.scalars(select(StageRun.stage).where(StageRun.round_id == round_.id, StageRun.state == "done")))
    reached = [stage for stage in phase if stage in done]
    return [*reached, *[stage for stage in phase if stage not in done][:1]]


def _begin_anew(session: Session, round_: Round, from_stage: str) -> None:
    """Forget that this stage and those after it were done. What the round's own model version (one that has never
    been used) has said of the pool goes too; an LLM's answers stay in the cache."""
    possible = stages_to_retry(session, round_)
    if from_stage not in possible:
        raise InvalidInput(f"The round can be taken up at: {', '.join(possible)}.", field="from_stage")
    phase = PHASES[round_.failed_state or ""]
    session.execute(
        update(StageRun)
        .where(StageRun.round_id == round_.id, StageRun.stage.in_(phase[phase.index(from_stage) :]))
        .where(StageRun.state == "done")
        .values(state="cancelled", message="Done again.")
    )
    of_round = ModelVersion.round_id == round_.id
    if from_stage in ("embed", "prelabel"):
        of_round = (ModelVersion.project_id == round_.project_id) & (ModelVersion.kind == "prelabel")
    unused = select(ModelVersion.id).where(of_round, ModelVersion.state == "building")
    session.execute(delete(Prediction).where(Prediction.model_version_id.in_(unused)))


def _read_settings_again(session: Session, round_: Round) -> None:
    done = set(session.scalars(select(StageRun.stage).where(StageRun.round_id == round_.id, StageRun.state == "done")))
    current = settings_of(session.get_one(Project, round_.project_id)).model_dump()
    names = [name for stage, names in _READ_BY.items() if stage not in done for name in names]
    round_.settings = {**round_.settings, **{name: current[name] for name in names}}
    if "prelabel" not in done:
        round_.guideline_version_id = current_guideline(session, round_.project_id).id


def _lock(session: Session, round_: Round) -> None:
    """Read the round again under a row lock, so that two admins (or an admin and a worker) take turns. Experts' answers
    go on meanwhile: who closes a review waits for the slots that are being answered, and these must not wait for it.
    """
    session.refresh(round_, with_for_update={"key_share": True})


def _close_slots(session: Session, round_id: int) -> None:
    session.execute(
        update(Assignment)
        .where(Assignment.round_id == round_id, Assignment.state.in_(("open", "claimed")))
        .values(state="closed", lease_expires_at=None)
        .execution_options(synchronize_session=False)
    )


def adjudicate(
    session: Session,
    round_: Round,
    item_id: int,
    label: int,
    *,
    n_labels: int,
    reason: str,
    clause: str = "",
    user_id: int | None = None,
    now: datetime | None = None,
) -> int:
    """Decide an item on which the experts disagree: a tie, or a majority that is overruled or confirmed. The experts'
    own answers stay as they are. Returns how many items still wait; after the last one the round goes on.

    Raises Conflict when the round is not waiting for decisions, NotFound where nobody disagrees, InvalidInput without
    a reason.
    """
    _lock(session, round_)
    row = disputed(session, round_, item_id)
    if not 0 <= label < n_labels:
        raise InvalidInput("There is no such label.", field="label")
    if not reason.strip():
        raise InvalidInput("Say why: the decision is kept with its reason.", field="reason")
    row.label, row.source, row.reason, row.clause = label, "adjudicated", reason.strip(), clause.strip() or None
    row.decided_by_id, row.decided_at = user_id, now or utcnow()
    session.flush()
    audit.record(
        session,
        "tie.decided",
        user_id=user_id,
        project_id=round_.project_id,
        subject=f"round {round_.number}, item {item_id}",
        label=session.get_one(Project, round_.project_id).labels[label],
    )
    left = ties_left(session, round_)
    if left == 0:
        _conclude_again(round_)
    return left


def disputed(session: Session, round_: Round, item_id: int) -> ConsensusLabel:
    """What the experts' answers to a contested item amount to. Raises Conflict or NotFound."""
    if round_.state != "adjudicating":
        raise Conflict("This round is not waiting for decisions.")
    row = session.scalar(
        select(ConsensusLabel).where(ConsensusLabel.round_id == round_.id, ConsensusLabel.item_id == item_id)
    )
    if row is None or row.source not in ("tie", "majority", "adjudicated"):
        raise NotFound("The experts do not disagree on this item.")
    return row


def leave_ties_out(session: Session, round_: Round, *, user_id: int | None = None) -> None:
    """Go on without a consensus on the undecided items: they train nothing, and still count for agreement."""
    _lock(session, round_)
    if round_.state != "adjudicating":
        raise Conflict("This round is not waiting for decisions.")
    round_.ties_left_out = True
    _conclude_again(round_)
    audit.record_turn(session, "ties.left_out", round_, user_id=user_id)


def _conclude_again(round_: Round) -> None:
    round_.state = "concluding"
    round_.attempt += 1  # the workflow that found the ties has ended; this makes the next one's id


def waiting_sources(round_: Round) -> tuple[str, ...]:
    """Which outcomes of the experts' answers wait for a person, by the round's settings."""
    return ("tie", "majority") if round_.settings.get("adjudicate") == "disagreements" else ("tie",)


def ties_left(session: Session, round_: Round) -> int:
    """Items that wait for a person's decision."""
    waiting = ConsensusLabel.source.in_(waiting_sources(round_))
    return session.scalar(select(func.count()).where(ConsensusLabel.round_id == round_.id, waiting)) or 0
