"""Items on which the experts are split: a person decides them, or the round goes on without."""

from typing import Annotated

from fastapi import Query

from app.services import overview, projects, rounds, rulings
from app.web.api import schemas
from app.web.api.common import Id, Number, api_router, errors, label_index
from app.web.api.rounds import detail
from app.web.deps import ExpertAccess, LeadAccess, ReadSession, ViewerAccess, WriteSession

router = api_router("Ties")


@router.get("/rounds/{number}/ties", summary="Ties that wait for a decision")
def list_ties(access: ViewerAccess, session: ReadSession, number: Number) -> list[schemas.Tie]:
    found = overview.ties(session, rounds.get_round(session, access.project.id, number))
    return [_tie(tie, access.project.labels) for tie in found.waiting]


def _tie(tie: overview.Tie, labels: list[str]) -> schemas.Tie:
    votes = [
        schemas.Vote(
            expert=opinion.expert,
            label=labels[opinion.final_label],
            blind_label=None if opinion.blind_label is None else labels[opinion.blind_label],
            flagged=opinion.flagged,
            note=opinion.note,
        )
        for opinion in tie.opinions
    ]
    return schemas.Tie(item_id=tie.item_id, text=tie.text, votes=votes)


@router.post("/rounds/{number}/ties/{item_id}", summary="Decide a tie", responses=errors(409))
def decide_tie(
    access: LeadAccess, session: WriteSession, number: Number, item_id: Id, body: schemas.Decision
) -> schemas.Decided:
    """The experts' own answers stay as they are."""
    round_ = rounds.get_round(session, access.project.id, number)
    left = rounds.adjudicate(
        session,
        round_,
        item_id,
        label_index(access.project.labels, body.label),
        n_labels=len(access.project.labels),
        reason=body.reason,
        clause=body.clause,
        user_id=access.user.id,
    )
    return schemas.Decided(ties_left=left)


@router.post("/rounds/{number}/leave-ties-out", summary="Go on without the undecided items", responses=errors(409))
def leave_ties_out(access: LeadAccess, session: WriteSession, number: Number) -> schemas.RoundDetail:
    """They train nothing, and still count for agreement."""
    round_ = rounds.get_round(session, access.project.id, number)
    rounds.leave_ties_out(session, round_, user_id=access.user.id)
    return detail(session, round_)


@router.get("/rulings", summary="What was decided where experts disagreed")
def list_rulings(
    access: ExpertAccess, session: ReadSession, search: Annotated[str, Query(max_length=200)] = ""
) -> list[schemas.Ruling]:
    found = rulings.rulings(session, access.project.id, search=search)
    return [
        schemas.Ruling(
            round_number=ruling.round_number,
            item_id=ruling.item_id,
            text=ruling.text,
            label=access.project.labels[ruling.label],
            reason=ruling.reason,
            clause=ruling.clause,
            decided_at=ruling.decided_at,
        )
        for ruling in found
    ]


@router.post("/rulings/{item_id}/example", summary="Make a decided item an example", responses=errors(409))
def make_example(access: LeadAccess, session: WriteSession, item_id: Id) -> schemas.Guideline:
    """Publishes a new version of the guideline."""
    project = projects.get_project(session, access.project.slug)
    return schemas.Guideline.model_validate(rulings.make_example(session, project, item_id, user_id=access.user.id))
