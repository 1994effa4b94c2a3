"""Items on which a round's experts are split, with what each of them said: for the admin who decides."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import ConsensusLabel, Item, Project, Round, User
from app.services.answers import effective_answers


@dataclass(frozen=True)
class Vote:
    expert: str  # a name
    label: str
    flagged: bool
    note: str | None


@dataclass(frozen=True)
class Tie:
    item_id: int
    text: str
    votes: list[Vote]


def list_ties(session: Session, project: Project, round_: Round) -> list[Tie]:
    """Those that wait for a decision, in the order of the pool."""
    texts = session.execute(
        select(Item.id, Item.text)
        .join(ConsensusLabel, ConsensusLabel.item_id == Item.id)
        .where(ConsensusLabel.round_id == round_.id, ConsensusLabel.source == "tie")
        .order_by(Item.ordinal)
    ).tuples()
    ties = {item_id: Tie(item_id, text, []) for item_id, text in texts}
    answers = effective_answers(session, [round_.id], item_ids=list(ties))
    names = _names(session, {answer.expert_id for answer in answers})
    for answer in answers:
        label = project.labels[answer.final_label]
        ties[answer.item_id].votes.append(Vote(names[answer.expert_id], label, answer.flagged, answer.note))
    return list(ties.values())


def _names(session: Session, user_ids: set[int]) -> dict[int, str]:
    return dict(session.execute(select(User.id, User.name).where(User.id.in_(user_ids))).tuples().all())
