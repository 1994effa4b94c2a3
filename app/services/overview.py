"""What admins look at while a round moves: its stages, its review, the items it chose, the ties that wait."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import permutations
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import (
    Assignment,
    AuditEvent,
    ConsensusLabel,
    GuidelineVersion,
    Item,
    Membership,
    ModelVersion,
    Project,
    Round,
    RoundItem,
    StageRun,
    User,
)
from app.services.answers import effective_answers
from app.services.queue import pace
from app.services.rounds import PHASES, STAGES, waiting_sources

_ENOUGH_ANSWERS = 5  # before a review's rate is told


@dataclass(frozen=True)
class StageLine:
    """One stage of a round: its latest attempt, or its place in the order if it has not begun.

    ``state`` is waiting, running, paused, done, failed or cancelled. ``seconds`` is how long it took or has taken so
    far; ``rate`` is how much of ``total`` was done in a second, ``seconds_left`` an estimate from the share done; None
    where nothing can be said. ``cost`` is what the pre-labeller's server has charged for it so far.
    """

    stage: str
    state: str
    done: int = 0
    total: int = 0
    message: str = ""
    attempt: int = 1
    started_at: datetime | None = None
    seconds: float | None = None
    seconds_left: float | None = None
    rate: float | None = None
    cost: float | None = None


def stage_lines(session: Session, round_: Round, *, now: datetime | None = None) -> list[StageLine]:
    """The eight stages in order."""
    runs = session.scalars(select(StageRun).where(StageRun.round_id == round_.id).order_by(StageRun.id))
    latest = {run.stage: run for run in runs}
    now = now or utcnow()
    lines = [
        _review_line(session, round_, now) if stage == "review" else _line(stage, latest.get(stage), round_, now)
        for stage in STAGES
    ]
    cost = _prelabel_cost(session, round_)
    lines = [replace(line, cost=cost) if line.stage == "prelabel" else line for line in lines]
    return _with_failure(round_, lines)


def _prelabel_cost(session: Session, round_: Round) -> float | None:
    """None for a round that begins with a trained model or with what an earlier round has paid for, and where no
    server was asked."""
    model = session.get(ModelVersion, round_.base_model_id) if round_.base_model_id else None
    if model is None or model.kind != "prelabel":
        return None
    earlier = select(Round.id).where(Round.base_model_id == model.id, Round.number < round_.number)
    if session.scalar(earlier.limit(1)) is not None:
        return None
    usage = model.metrics.get("usage", {})
    return float(usage.get("cost", 0.0)) if usage.get("calls") else None


def _line(stage: str, run: StageRun | None, round_: Round, now: datetime) -> StageLine:
    if run is None:
        return StageLine(stage, "waiting")
    seconds = ((run.finished_at or now) - run.started_at).total_seconds()
    left = None
    if run.state == "running" and 0 < run.progress_done < run.progress_total:
        left = seconds * (run.progress_total - run.progress_done) / run.progress_done
    waits = stage == "decide" and round_.state == "adjudicating"
    state = "waiting" if waits or (run.state == "running" and round_.state == "failed") else run.state
    if round_.paused_at is not None and state == "cancelled":
        state = "paused"
    rate = run.progress_done / seconds if state in ("running", "done") and run.progress_done and seconds > 0 else None
    known = (run.progress_done, run.progress_total, run.message, run.attempt, run.started_at)
    return StageLine(stage, state, *known, seconds, left, rate)


def _review_line(session: Session, round_: Round, now: datetime) -> StageLine:
    if round_.review_opened_at is None:
        return StageLine("review", "waiting")
    done, left = slot_counts(session, round_.id)
    state = "running" if round_.state == "review" else "done" if round_.review_closed_at else "cancelled"
    if state == "running" and round_.paused_at is not None:
        state = "paused"
    seconds = ((round_.review_closed_at or round_.finished_at or now) - round_.review_opened_at).total_seconds()
    known = done >= _ENOUGH_ANSWERS and seconds > 0
    left_at_this_rate = left * seconds / done if known and left and state == "running" else None
    closed = _closed_slots(session, round_.id)
    message = f"{done:,} answers" + (f"; {closed:,} were closed unanswered." if closed else ".") if done else ""
    return StageLine(
        "review",
        state,
        done,
        done + left,
        message,
        1,
        round_.review_opened_at,
        seconds,
        left_at_this_rate,
        done / seconds if known else None,
    )


def _with_failure(round_: Round, lines: list[StageLine]) -> list[StageLine]:
    """A round may fail before its stage has a row of its own: then the phase's first unfinished stage is the one."""
    if round_.state != "failed" or any(line.state == "failed" for line in lines):
        return lines
    phase = PHASES.get(round_.failed_state or "", STAGES)
    stage = next((line.stage for line in lines if line.stage in phase and line.state != "done"), None)
    return [
        StageLine(line.stage, "failed", message=round_.error or "") if line.stage == stage else line for line in lines
    ]


def slot_counts(session: Session, round_id: int) -> tuple[int, int]:
    """Slots answered, and slots that still wait for an answer."""
    counts = _slots_by_state(session, round_id)
    return counts.get("done", 0), counts.get("open", 0) + counts.get("claimed", 0)


def _closed_slots(session: Session, round_id: int) -> int:
    return _slots_by_state(session, round_id).get("closed", 0)


def _slots_by_state(session: Session, round_id: int) -> dict[str, int]:
    rows = session.execute(
        select(Assignment.state, func.count()).where(Assignment.round_id == round_id).group_by(Assignment.state)
    )
    return dict(rows.all())


@dataclass(frozen=True)
class ExpertProgress:
    """``median_seconds`` is by answer, pauses left out, None below five answers. Of ``compared`` comparisons with a
    colleague's answer to the same item, ``same`` were the same answer."""

    expert_id: int
    name: str
    done: int
    skipped: int
    holds: int  # slots reserved for this expert now
    last_answer_at: datetime | None
    present: bool  # False: no longer an expert of the project
    median_seconds: float | None = None
    same: int = 0
    compared: int = 0


@dataclass(frozen=True)
class ReviewProgress:
    """``open`` slots are free to take, ``held`` ones are before an expert now; an item is complete when none of its
    slots waits."""

    experts: list[ExpertProgress]
    done: int
    open: int
    held: int
    items: int
    items_complete: int


def review_progress(session: Session, round_: Round) -> ReviewProgress:
    by_expert: dict[int, dict[str, int]] = defaultdict(dict)
    last: dict[int, datetime] = {}
    rows = session.execute(
        select(Assignment.expert_id, Assignment.state, func.count(), func.max(Assignment.done_at))
        .where(Assignment.round_id == round_.id, Assignment.expert_id.is_not(None))
        .group_by(Assignment.expert_id, Assignment.state)
    )
    for expert_id, state, count, when in rows:
        assert expert_id is not None  # noqa: S101 - the query leaves free slots out
        by_expert[expert_id][state] = count
        if state == "done" and when is not None:
            last[expert_id] = when
    present = _experts(session, round_.project_id)
    names = present | _names(session, set(by_expert) - set(present))
    agreed = _agreement(session, round_.id)
    experts = [
        ExpertProgress(
            expert_id,
            name,
            by_expert[expert_id].get("done", 0),
            by_expert[expert_id].get("skipped", 0),
            by_expert[expert_id].get("claimed", 0),
            last.get(expert_id),
            expert_id in present,
            pace(session, expert_id, round_.project_id, round_id=round_.id),
            *agreed.get(expert_id, (0, 0)),
        )
        for expert_id, name in names.items()
    ]
    counts = _slots_by_state(session, round_.id)
    waiting = select(Assignment.item_id).where(
        Assignment.round_id == round_.id, Assignment.state.in_(("open", "claimed"))
    )
    items = select(func.count()).select_from(RoundItem).where(RoundItem.round_id == round_.id)
    return ReviewProgress(
        sorted(experts, key=lambda expert: expert.name.casefold()),
        counts.get("done", 0),
        counts.get("open", 0),
        counts.get("claimed", 0),
        session.scalar(items) or 0,
        session.scalar(items.where(RoundItem.item_id.not_in(waiting))) or 0,
    )


def _agreement(session: Session, round_id: int) -> dict[int, tuple[int, int]]:
    """Per expert: how many of their blind answers were a colleague's too, of how many comparisons."""
    by_item: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for answer in effective_answers(session, [round_id]):
        if answer.blind_label is not None:
            by_item[answer.item_id].append((answer.expert_id, answer.blind_label))
    found: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for answers in by_item.values():
        for (expert, label), (_, other) in permutations(answers, 2):
            same, compared = found[expert]
            found[expert] = (same + (label == other), compared + 1)
    return dict(found)


def _experts(session: Session, project_id: int) -> dict[int, str]:
    rows = session.execute(
        select(User.id, User.name)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project_id, Membership.role == "expert", Membership.removed_at.is_(None))
    )
    return dict(rows.all())


def _names(session: Session, ids: set[int]) -> dict[int, str]:
    return dict(session.execute(select(User.id, User.name).where(User.id.in_(ids))).all())


@dataclass(frozen=True)
class ChosenItem:
    """An item of a round and why it is there. ``partner`` is the text on the other side of its boundary pair."""

    position: int
    item_id: int
    text: str
    reason: str
    detail: dict[str, Any]
    partner: str | None
    model_label: int
    model_score: float
    propensity: float | None
    split: str | None
    consensus: int | None
    source: str | None


def chosen_items(
    session: Session, round_: Round, *, after_position: int = -1, reason: str = "", limit: int = 50
) -> list[ChosenItem]:
    """The next items in the order in which experts see them; ``reason`` narrows them to 'control', say."""
    query = (
        select(RoundItem, Item.text, ConsensusLabel.label, ConsensusLabel.source)
        .join(Item, Item.id == RoundItem.item_id)
        .outerjoin(
            ConsensusLabel,
            (ConsensusLabel.round_id == RoundItem.round_id) & (ConsensusLabel.item_id == RoundItem.item_id),
        )
        .where(RoundItem.round_id == round_.id, RoundItem.position > after_position)
        .order_by(RoundItem.position)
        .limit(limit)
    )
    rows = session.execute(query.where(RoundItem.reason == reason) if reason else query).all()
    partners = _texts_by_ordinal(session, round_.project_id, [row[0].reason_detail.get("partner") for row in rows])
    return [
        ChosenItem(
            position=chosen.position,
            item_id=chosen.item_id,
            text=text,
            reason=chosen.reason,
            detail=chosen.reason_detail,
            partner=partners.get(chosen.reason_detail.get("partner")),
            model_label=chosen.model_label,
            model_score=chosen.model_score,
            propensity=chosen.propensity,
            split=chosen.split,
            consensus=label,
            source=source,
        )
        for chosen, text, label, source in rows
    ]


def _texts_by_ordinal(session: Session, project_id: int, ordinals: Sequence[int | None]) -> dict[int | None, str]:
    wanted = [ordinal for ordinal in ordinals if ordinal is not None]
    rows = session.execute(
        select(Item.ordinal, Item.text).where(Item.project_id == project_id, Item.ordinal.in_(wanted))
    )
    return dict(rows.all())


@dataclass(frozen=True)
class LogLine:
    """Something that happened to a round: ``who`` is a person's name, or "" for the worker."""

    when: datetime
    text: str
    who: str = ""


_EVENT_WORDS = {
    "round.started": "The round was started.",
    "round.started_by_itself": "It started by itself: the advice was to go on.",
    "round.paused": "The round was paused.",
    "round.resumed": "The round was resumed.",
    "round.retried": "The round was taken up again.",
    "round.cancelled": "The round was cancelled.",
    "round.review_closed_early": "The review was closed early.",
    "ties.left_out": "The undecided items were left out.",
}


def round_log(session: Session, round_: Round) -> list[LogLine]:
    """What people and workers did with the round, oldest first."""
    subject = f"round {round_.number}"
    events = session.execute(
        select(AuditEvent.created_at, AuditEvent.action, User.name)
        .outerjoin(User, User.id == AuditEvent.user_id)
        .where(
            AuditEvent.project_id == round_.project_id,
            AuditEvent.subject == subject,
            AuditEvent.action.in_(_EVENT_WORDS),
        )
        .order_by(AuditEvent.id)
    )
    lines = [LogLine(when, _EVENT_WORDS[action], name or "") for when, action, name in events]
    if round_.review_opened_at is not None:
        lines.append(LogLine(round_.review_opened_at, "The review opened."))
    if round_.review_closed_at is not None:
        lines.append(LogLine(round_.review_closed_at, "The review closed."))
    for run in session.scalars(select(StageRun).where(StageRun.round_id == round_.id).order_by(StageRun.id)):
        attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
        lines.append(LogLine(run.started_at, f"{run.stage.capitalize()} began{attempt}."))
        if run.finished_at is not None:
            lines.append(
                LogLine(run.finished_at, f"{run.stage.capitalize()} {_ENDED[run.state]}. {run.message}".strip())
            )
    return sorted(lines, key=lambda line: line.when)


_ENDED = {"done": "is done", "failed": "failed", "cancelled": "was stopped"}


def reasons(session: Session, round_id: int) -> dict[str, int]:
    """How many items the round chose, by reason."""
    rows = session.execute(
        select(RoundItem.reason, func.count())
        .where(RoundItem.round_id == round_id)
        .group_by(RoundItem.reason)
        .order_by(RoundItem.reason)
    )
    return dict(rows.all())


@dataclass(frozen=True)
class Opinion:
    """One expert's answer to a tied item, given blind; ``final_label`` differs where they revised it after."""

    expert: str
    blind_label: int | None
    final_label: int
    flagged: bool
    note: str | None


@dataclass(frozen=True)
class Tie:
    item_id: int
    text: str
    opinions: list[Opinion]
    source: str = "tie"
    majority: int | None = None  # the label that most experts gave, where most did
    decided_label: int | None = None
    decided_by: str | None = None
    reason: str | None = None
    clause: str | None = None


@dataclass(frozen=True)
class Ties:
    waiting: list[Tie] = field(default_factory=list)
    majorities: list[Tie] = field(default_factory=list)  # settled by the experts; may be overruled
    decided: list[Tie] = field(default_factory=list)


def ties(session: Session, round_: Round) -> Ties:
    """Items on which the experts disagree, and those that a person has decided. The model's label is not among it: it
    should not sway the decision."""
    rows = session.execute(
        select(ConsensusLabel, Item.text, User.name)
        .join(Item, Item.id == ConsensusLabel.item_id)
        .outerjoin(User, User.id == ConsensusLabel.decided_by_id)
        .where(ConsensusLabel.round_id == round_.id, ConsensusLabel.source.in_(("tie", "majority", "adjudicated")))
        .order_by(ConsensusLabel.item_id)
    ).all()
    opinions = _opinions(session, round_, [row[0].item_id for row in rows])
    found, waiting = Ties(), waiting_sources(round_)
    for row, text, name in rows:
        majority = row.label if row.source == "majority" else None
        decided = row.label if row.source == "adjudicated" else None
        tie = Tie(row.item_id, text, opinions[row.item_id], row.source, majority, decided, name, row.reason, row.clause)
        if row.source == "adjudicated":
            found.decided.append(tie)
        else:
            (found.waiting if row.source in waiting else found.majorities).append(tie)
    return found


def _opinions(session: Session, round_: Round, item_ids: list[int]) -> dict[int, list[Opinion]]:
    answers = effective_answers(session, [round_.id], item_ids=item_ids)
    names = _names(session, {answer.expert_id for answer in answers})
    found: dict[int, list[Opinion]] = defaultdict(list)
    for a in answers:
        name = names.get(a.expert_id, "?")
        found[a.item_id].append(Opinion(name, a.blind_label, a.final_label, a.flagged, a.note))
    return found


@dataclass(frozen=True)
class Setup:
    """What a project has so far; ``examples_missing`` names labels without one."""

    guideline_version: int
    has_guideline: bool
    examples_missing: list[str]
    items: int
    experts: int


def setup(session: Session, project: Project) -> Setup:
    newest = session.scalar(
        select(GuidelineVersion)
        .where(GuidelineVersion.project_id == project.id)
        .order_by(GuidelineVersion.version.desc())
        .limit(1)
    )
    return Setup(
        guideline_version=newest.version if newest else 0,
        has_guideline=bool(newest and newest.text.strip()),
        examples_missing=[label for label in project.labels if not (newest and newest.examples.get(label))],
        items=project.item_count,
        experts=len(_experts(session, project.id)),
    )
