"""Experts' votes where they disagree, in projects in which two of them decide instead of a lead."""

from pydantic import BaseModel, Field

from app.services import overview, projects, rounds, rulings
from app.services.overview import Tie
from app.services.rulings import MyVote
from app.web.api.common import Id, Number, api_router, errors, label_index
from app.web.api.schemas import Decision
from app.web.deps import ReadSession, WriteSession
from app.web.label import OnlyExpert

router = api_router("Ties", writes="label")


class Opinion(BaseModel):
    label: str
    note: str | None


class OwnVote(BaseModel):
    label: str
    reason: str


class ContestedItem(BaseModel):
    item_id: int
    text: str
    opinions: list[Opinion] = Field(description="Your colleagues' answers and your own, by label and without names.")
    vote: OwnVote | None = Field(description="Yours; nobody sees another's before it counts.")


class Contested(BaseModel):
    items: list[ContestedItem]
    clauses: list[str] = Field(description="The guideline's headings, on one of which a vote may rest.")


class Voted(BaseModel):
    settled: bool = Field(description="Two experts agree now, so it is decided.")


@router.get("/rounds/{number}/votes", summary="Items on which experts disagree and vote")
def list_contested(access: OnlyExpert, session: ReadSession, number: Number) -> Contested:
    """403 unless the round waits for it (`empty.reason` is `votes_wanted`): until the review has closed, nobody's
    answers are shown to an expert."""
    round_ = rounds.get_round(session, access.project.id, number)
    rulings.require_experts_may_vote(round_)
    mine = rulings.votes_by(session, round_, access.user.id)
    guideline = projects.current_guideline(session, access.project.id)
    return Contested(
        items=[
            _contested(tie, mine.get(tie.item_id), access.project.labels)
            for tie in overview.ties(session, round_).waiting
        ],
        clauses=rulings.clauses_of(guideline.text),
    )


def _contested(tie: Tie, vote: MyVote | None, labels: list[str]) -> ContestedItem:
    by_label = sorted(tie.opinions, key=lambda opinion: opinion.final_label)
    return ContestedItem(
        item_id=tie.item_id,
        text=tie.text,
        opinions=[Opinion(label=labels[opinion.final_label], note=opinion.note) for opinion in by_label],
        vote=None if vote is None else OwnVote(label=labels[vote.label], reason=vote.reason),
    )


@router.post("/rounds/{number}/votes/{item_id}", summary="Vote on an item", responses=errors(409))
def cast_vote(access: OnlyExpert, session: WriteSession, number: Number, item_id: Id, body: Decision) -> Voted:
    """Voting again changes your vote. The answers of before stay as they are."""
    settled = rulings.vote(
        session,
        rounds.get_round(session, access.project.id, number),
        item_id,
        label_index(access.project.labels, body.label),
        n_labels=len(access.project.labels),
        reason=body.reason,
        clause=body.clause,
        user_id=access.user.id,
    )
    return Voted(settled=settled)
