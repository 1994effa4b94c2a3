"""The contrast card: two similar texts side by side once an expert has answered both, and what they make of it."""

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app.services import contrast
from app.services.annotations import MAX_NOTE, Answer
from app.services.contrast import Side
from app.web.api.common import Id, api_router, errors, label_index
from app.web.api.schemas import AssignmentId, Body, Key, Label
from app.web.contrast import are_shown, show_due
from app.web.deps import Db, ProjectAccess, ReadSession
from app.web.label import Labeller

router = api_router("Review", writes="label")


class PairsWaiting(BaseModel):
    waiting: int = Field(description="Pairs of which you have answered both texts and settled neither.")


class PairSide(BaseModel):
    assignment_id: int
    text: str
    label: str = Field(description="Your own answer as it stands.")


class ContrastPair(BaseModel):
    pair_id: int
    sides: list[PairSide]


class ShownPair(BaseModel):
    pair: ContrastPair | None = Field(description="Null when none is due.")


class PairRevision(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"assignment_id": 17, "label": "fine", "reason": "Only the other hides it.", "key": "1b7d55c09e3a"}
            ]
        },
    )

    assignment_id: AssignmentId
    label: Label
    reason: str = Field(min_length=1, max_length=MAX_NOTE)
    key: Key


@router.get("/contrast", summary="How many pairs wait to be seen side by side")
def count_pairs(access: Labeller, session: ReadSession) -> PairsWaiting:
    """Not which: you may take an answer back until you have seen its pair, and then no more."""
    return _waiting(session, access)


def _waiting(session: Session, access: ProjectAccess) -> PairsWaiting:
    shown = are_shown(access)
    return PairsWaiting(waiting=contrast.waiting(session, access.project.id, access.user.id) if shown else 0)


@router.post("/contrast", summary="See the pair that is due")
def show_pair(access: Labeller, db: Db) -> ShownPair:
    """From then on your two blind answers are fixed. It comes again until you confirm or revise it. Nothing else is
    shown: no model's label, no colleague's answer."""
    found = show_due(db, access)
    if found is None:
        return ShownPair(pair=None)
    labels = access.project.labels
    return ShownPair(
        pair=ContrastPair(pair_id=found.pair_id, sides=[_side(side, labels) for side in (found.left, found.right)])
    )


def _side(side: Side, labels: list[str]) -> PairSide:
    return PairSide(assignment_id=side.assignment_id, text=side.text, label=labels[side.label])


@router.post("/contrast/{pair_id}/confirm", summary="Both answers stand")
def confirm_pair(access: Labeller, db: Db, pair_id: Id) -> PairsWaiting:
    """Of a pair that you have seen. Confirming again changes nothing."""

    def work(session: Session) -> PairsWaiting:
        contrast.confirm(session, access.project.id, access.user.id, pair_id)
        return _waiting(session, access)

    return db.run_write(work)


@router.post("/contrast/{pair_id}/revise", summary="Change one of the two answers", responses=errors(409))
def revise_pair(access: Labeller, db: Db, pair_id: Id, body: PairRevision) -> PairsWaiting:
    """The blind answer counts for agreement, this one for training. 409 when the review has closed."""
    labels = access.project.labels
    answer = Answer(body.assignment_id, label_index(labels, body.label), body.key, note=body.reason)

    def work(session: Session) -> PairsWaiting:
        contrast.revise(session, access.project.id, access.user.id, pair_id, answer, n_labels=len(labels))
        return _waiting(session, access)

    return db.run_write(work)
