"""What a round chose and why, its pairs, and what has happened to it, in plain words."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

from app.services import maps, overview, rounds
from app.services.maps import PairTexts
from app.services.overview import ChosenItem
from app.web.api import schemas
from app.web.api.common import Number, api_router
from app.web.deps import ReadSession, ViewerAccess

router = api_router("Rounds")
Limit = Annotated[int, Query(ge=1, le=200)]


class LogEntry(schemas.Given):
    when: datetime
    text: str
    who: str = Field(description="A person's name; empty: a worker.")


class RoundItemLine(BaseModel):
    position: int = Field(description="The place in the order in which experts see them.")
    item_id: int
    text: str
    reason: str = Field(description="`boundary`, `control`, …")
    detail: dict[str, Any]
    partner: str | None = Field(description="The text on the other side of its boundary pair.")
    model_label: str | None = Field(description="What the round's model said before it.")
    model_score: float
    propensity: float | None = Field(description="Of one drawn at random, the chance that it had.")
    split: str | None = Field(description="`train` or `evaluation`, once that is decided.")
    consensus: str | None
    source: str | None = Field(description="`unanimous`, `majority`, `single`, `adjudicated` or `tie`.")


class RoundItems(BaseModel):
    reasons: dict[str, int] = Field(description="How many items the round chose, by reason.")
    items: list[RoundItemLine]
    next_after: int | None = Field(description="Send it as `after` for the next page; null on the last one.")


class PairedItem(BaseModel):
    item_id: int
    text: str
    label: str = Field(description="The model's, before the round.")
    consensus: str | None


class RoundPair(BaseModel):
    id: int
    rank: int = Field(description="The order in which the round chose them.")
    similarity: float
    left: PairedItem
    right: PairedItem


class RoundPairs(BaseModel):
    pairs: list[RoundPair]
    next_after: int | None = Field(description="Send it as `after` for the next page; null on the last one.")


@router.get("/rounds/{number}/log", summary="What has happened to a round, in plain words, oldest first")
def show_round_log(access: ViewerAccess, session: ReadSession, number: Number) -> list[LogEntry]:
    found = overview.round_log(session, rounds.get_round(session, access.project.id, number))
    return [LogEntry.model_validate(line) for line in found]


@router.get("/rounds/{number}/items", summary="The items that a round chose, and why")
def list_round_items(
    access: ViewerAccess,
    session: ReadSession,
    number: Number,
    reason: Annotated[str, Query(max_length=20, pattern="^[a-z_]*$", description="Only those chosen so.")] = "",
    after: Annotated[int, Query(ge=-1, le=schemas.LARGEST_ID, description="The last position you have seen.")] = -1,
    limit: Limit = 50,
) -> RoundItems:
    round_, names = rounds.get_round(session, access.project.id, number), access.project.labels
    found = overview.chosen_items(session, round_, after_position=after, reason=reason, limit=limit + 1)
    return RoundItems(
        reasons=overview.reasons(session, round_.id),
        items=[_line(item, names) for item in found[:limit]],
        next_after=found[limit - 1].position if len(found) > limit else None,
    )


def _line(item: ChosenItem, names: list[str]) -> RoundItemLine:
    named = {"model_label": _name(item.model_label, names), "consensus": _name(item.consensus, names)}
    return RoundItemLine(**vars(item) | named)


def _name(label: int | None, names: list[str]) -> str | None:
    return None if label is None or label < 0 else names[label]


@router.get("/rounds/{number}/pairs", summary="A round's boundary pairs, with their texts")
def list_round_pairs(
    access: ViewerAccess,
    session: ReadSession,
    number: Number,
    after: Annotated[int, Query(ge=-1, le=schemas.LARGEST_ID, description="The last rank you have seen.")] = -1,
    limit: Limit = 20,
) -> RoundPairs:
    """Two items near each other to which the model gave different labels."""
    round_ = rounds.get_round(session, access.project.id, number)
    found = maps.pair_texts(session, round_, after=after, limit=limit + 1)
    pairs = [_pair(pair, access.project.labels) for pair in found[:limit]]
    return RoundPairs(pairs=pairs, next_after=pairs[-1].rank if len(found) > limit else None)


def _pair(pair: PairTexts, names: list[str]) -> RoundPair:
    left, right = (
        PairedItem(item_id=item, text=text, label=names[label], consensus=_name(consensus, names))
        for item, text, label, consensus in zip(pair.items, pair.texts, pair.labels, pair.consensus, strict=True)
    )
    return RoundPair(id=pair.id, rank=pair.rank, similarity=pair.similarity, left=left, right=right)
