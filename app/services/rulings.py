"""Rulings: what people decide where experts disagree, alone or by two votes, and what the guideline learns of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markdown_it import MarkdownIt
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import AdjudicationVote, ConsensusLabel, GuidelineVersion, Item, Project, Round, User
from app.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.services import audit, projects, rounds

AGREEING = 2  # experts whose votes settle an item


@dataclass(frozen=True)
class Ruling:
    """A decided item. ``experts_label`` is not here: a ruling is read for its reason, not for who was wrong."""

    round_number: int
    item_id: int
    text: str
    label: int
    reason: str
    clause: str | None
    decided_by: str | None
    decided_at: datetime


@dataclass(frozen=True)
class MyVote:
    label: int
    reason: str


def clauses_of(guideline: str) -> list[str]:
    """The headings of a guideline in Markdown, in order: what a decision can be said to rest on."""
    tokens = MarkdownIt("commonmark").parse(guideline)
    titles = (tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open")
    return list(dict.fromkeys(title.strip() for title in titles if title.strip()))


def require_experts_may_vote(round_: Round) -> None:
    """Raises Forbidden: until the review is closed, nobody's answers are shown to an expert."""
    if round_.settings.get("adjudicators") != "two_experts":
        raise Forbidden("In this project a lead decides where experts disagree.")
    if round_.state != "adjudicating":
        raise Forbidden("This round is not waiting for decisions.")


def vote(
    session: Session,
    round_: Round,
    item_id: int,
    label: int,
    *,
    n_labels: int,
    reason: str,
    user_id: int,
    clause: str = "",
    now: datetime | None = None,
) -> bool:
    """An expert's vote on a contested item; voting again changes it. True if the item is settled by it, because two
    experts agree. Raises what rounds.adjudicate raises, and Forbidden where a lead decides."""
    session.refresh(round_, with_for_update=True)
    require_experts_may_vote(round_)
    row = rounds.disputed(session, round_, item_id)
    if row.source not in rounds.waiting_sources(round_):
        raise Conflict("This item is decided already.")
    if not 0 <= label < n_labels:
        raise InvalidInput("There is no such label.", field="label")
    if not reason.strip():
        raise InvalidInput("Say why: the decision is kept with its reason.", field="reason")
    mine = _votes(session, round_.id, [item_id], user_id)
    cast = mine[0] if mine else AdjudicationVote(round_id=round_.id, item_id=item_id, user_id=user_id)
    cast.label, cast.reason, cast.clause, cast.created_at = (
        label,
        reason.strip(),
        clause.strip() or None,
        now or utcnow(),
    )
    session.add(cast)
    session.flush()
    audit.record(
        session,
        "vote.cast",
        user_id=user_id,
        project_id=round_.project_id,
        subject=f"round {round_.number}, item {item_id}",
        label=session.get_one(Project, round_.project_id).labels[label],
    )
    agreeing = [other for other in _votes(session, round_.id, [item_id]) if other.label == label]
    if len(agreeing) < AGREEING:
        return False
    rounds.adjudicate(
        session,
        round_,
        item_id,
        label,
        n_labels=n_labels,
        reason="\n".join(dict.fromkeys(other.reason for other in agreeing)),
        clause=next((other.clause for other in agreeing if other.clause), ""),
        user_id=user_id,
        now=now,
    )
    return True


def votes_by(session: Session, round_: Round, user_id: int) -> dict[int, MyVote]:
    """This person's own votes of the round, by item."""
    rows = session.scalars(
        select(AdjudicationVote).where(AdjudicationVote.round_id == round_.id, AdjudicationVote.user_id == user_id)
    )
    return {row.item_id: MyVote(row.label, row.reason) for row in rows}


def waits_for_votes(session: Session, project_id: int) -> Round | None:
    """The round on which experts may vote now."""
    round_ = session.scalar(select(Round).where(Round.project_id == project_id, Round.state == "adjudicating"))
    return round_ if round_ is not None and round_.settings.get("adjudicators") == "two_experts" else None


def _votes(
    session: Session, round_id: int, item_ids: Sequence[int], user_id: int | None = None
) -> list[AdjudicationVote]:
    query = select(AdjudicationVote).where(
        AdjudicationVote.round_id == round_id, AdjudicationVote.item_id.in_(item_ids)
    )
    if user_id is not None:
        query = query.where(AdjudicationVote.user_id == user_id)
    return list(session.scalars(query.order_by(AdjudicationVote.id)))


def rulings(session: Session, project_id: int, *, search: str = "", limit: int = 200) -> list[Ruling]:
    """Decided items, the newest first; ``search`` in text, reason and clause, letter case aside."""
    query = (
        select(ConsensusLabel, Round.number, Item.text, User.name)
        .join(Round, Round.id == ConsensusLabel.round_id)
        .join(Item, Item.id == ConsensusLabel.item_id)
        .outerjoin(User, User.id == ConsensusLabel.decided_by_id)
        .where(Round.project_id == project_id, ConsensusLabel.source == "adjudicated")
        .order_by(ConsensusLabel.decided_at.desc(), ConsensusLabel.id.desc())
        .limit(limit)
    )
    if words := search.strip():
        columns = (Item.text, ConsensusLabel.reason, ConsensusLabel.clause)
        query = query.where(or_(*(column.icontains(words, autoescape=True) for column in columns)))
    return [
        Ruling(number, row.item_id, text, row.label or 0, row.reason or "", row.clause, name, row.decided_at)
        for row, number, text, name in session.execute(query)
    ]


def make_example(session: Session, project: Project, item_id: int, *, user_id: int) -> GuidelineVersion:
    """Publish the guideline anew with a decided item among the examples of its label.

    Raises NotFound for an item that is not there, Conflict if nobody has decided it or it is an example already.
    """
    session.refresh(project, with_for_update=True)
    row = session.execute(
        select(ConsensusLabel.label, Item.text)
        .join(Round, Round.id == ConsensusLabel.round_id)
        .join(Item, Item.id == ConsensusLabel.item_id)
        .where(
            Round.project_id == project.id,
            ConsensusLabel.item_id == item_id,
            ConsensusLabel.source == "adjudicated",
        )
    ).first()
    if row is None and session.scalar(select(Item.id).where(Item.id == item_id, Item.project_id == project.id)) is None:
        raise NotFound("There is no such item.")
    if row is None:
        raise Conflict("Nobody has decided that item.")
    return projects.publish_example(session, project, row.text, row.label, user_id=user_id)
