"""The boundary map of a project's rounds: what workers store of it, and the little that a page reads.

A page never reads the pool. A worker leaves a layer for each side of a round, whose size depends on the map's grid and
the round's items; everything else is looked up for those items alone.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypedDict

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db.tables import (
    BoundaryMap,
    BoundaryPair,
    ConsensusLabel,
    Item,
    MapProjection,
    ModelVersion,
    Project,
    Round,
    RoundItem,
)
from app.errors import Conflict, NotFound
from app.services import audit
from app.services.rounds import get_round

Side = Literal["before", "after"]
SIDES: tuple[Side, ...] = ("before", "after")
MOST_TEXTS = 4
_TEXT_LENGTH = 300


class Region(TypedDict):
    """A part of the map by its centre (0 … 65,535) and the words that its texts have and others have not."""

    x: int
    y: int
    words: list[str]


class ProjectionFacts(TypedDict):
    """``kept`` is the share of a text's ``neighbours`` nearest in the space that are among as many nearest on the map,
    over ``checked`` texts, and ``chance`` what a random map would keep; None where the pool is too small to say."""

    landmarks: int
    pool: int
    neighbours: int
    kept: float | None
    chance: float | None
    checked: int
    regions: list[Region]


class Layer(TypedDict):
    """One side of a round. ``counts`` are items by label, then those without one, and so are ``density`` and each
    region's counts; ``density`` is base64 of LEB128 numbers, one for each cell of a ``grid`` × ``grid`` map row by row
    from the upper left, and ``examples`` base64 of little-endian int32 ids, an item of the label from each cell of an
    ``example_grid`` × ``example_grid`` map or 0. ``chosen`` has [item id, x, y, the model's label or -1]."""

    grid: int
    counts: list[int]
    density: list[str]
    example_grid: int
    examples: list[str]
    chosen: list[list[int]]
    region_counts: list[list[int]]


# --- what workers do -----------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    round_id: int
    side: Side
    attempt: int


def pending(session: Session) -> list[Wanted]:
    """What is to be drawn: a round from its review on, and once more when it is done; older rounds first."""
    drawable = (
        select(Round.id, Round.state)
        .join(Project, Project.id == Round.project_id)
        .where(Round.review_opened_at.is_not(None), Round.state != "cancelled", Project.deleted_at.is_(None))
    )
    drawn = select(BoundaryMap.id).where(BoundaryMap.round_id == Round.id, BoundaryMap.state != "wanted")
    found = []
    for side in SIDES:
        asked = drawable.where(~exists(drawn.where(BoundaryMap.side == side)))
        if side == "after":
            asked = asked.where(Round.state == "done")
        found += [(row.id, side) for row in session.execute(asked)]
    rows = session.execute(
        select(BoundaryMap.round_id, BoundaryMap.side, BoundaryMap.attempt).where(BoundaryMap.state == "wanted")
    )
    attempts = {(row.round_id, row.side): row.attempt for row in rows}
    return [Wanted(*key, attempts.get(key, 1)) for key in sorted(found, key=lambda key: (key[0], key[1] == "after"))]


def find_projection(session: Session, project_id: int, encoder_key: str) -> MapProjection | None:
    return session.scalar(
        select(MapProjection).where(MapProjection.project_id == project_id, MapProjection.encoder_key == encoder_key)
    )


def keep_projection(
    session: Session, project_id: int, encoder_key: str, artifact_key: str, facts: ProjectionFacts
) -> int:
    """The id of the project's projection: this one, or one that another worker has kept before, which stays."""
    session.get_one(Project, project_id, with_for_update=True)
    found = find_projection(session, project_id, encoder_key)
    if found is None:
        found = MapProjection(
            project_id=project_id, encoder_key=encoder_key, artifact_key=artifact_key, facts=dict(facts)
        )
        session.add(found)
        session.flush()
    return found.id


def keep_layer(session: Session, wanted: Wanted, projection_id: int, model_version_id: int, layer: Layer) -> bool:
    """False, and nothing written, where the side has been drawn or is to be drawn anew."""
    row = _row_to_fill(session, wanted)
    if row is None:
        return False
    row.state, row.error = "done", None
    row.projection_id, row.model_version_id = projection_id, model_version_id
    row.layer = zlib.compress(json.dumps(layer, separators=(",", ":")).encode(), 6)
    return True


def fail(session: Session, wanted: Wanted, message: str) -> bool:
    """The map stays undrawn until somebody asks for it again. False where it is drawn by now."""
    row = _row_to_fill(session, wanted)
    if row is None:
        return False
    row.state, row.error = "failed", message
    return True


def _row_to_fill(session: Session, wanted: Wanted) -> BoundaryMap | None:
    session.get_one(Round, wanted.round_id, with_for_update=True)  # two workers never both add the row
    row = _row(session, wanted.round_id, wanted.side)
    if row is None and wanted.attempt == 1:
        row = BoundaryMap(round_id=wanted.round_id, side=wanted.side, state="wanted")
        session.add(row)
        return row
    return row if row is not None and (row.state, row.attempt) == ("wanted", wanted.attempt) else None


def _row(session: Session, round_id: int, side: str) -> BoundaryMap | None:
    return session.scalar(select(BoundaryMap).where(BoundaryMap.round_id == round_id, BoundaryMap.side == side))


def chosen_ordinals(session: Session, round_id: int) -> list[tuple[int, int]]:
    """(item id, ordinal) of the round's items."""
    rows = session.execute(
        select(Item.id, Item.ordinal)
        .join(RoundItem, RoundItem.item_id == Item.id)
        .where(RoundItem.round_id == round_id)
        .order_by(Item.ordinal)
    )
    return [(row.id, row.ordinal) for row in rows]


# --- what admins do ------------------------------------------------------------------------------------------------


def redraw(session: Session, round_: Round, side: Side, *, user_id: int | None = None) -> None:
    """Have a worker try again what has failed. Raises Conflict for anything else."""
    session.refresh(round_, with_for_update=True)
    row = _row(session, round_.id, side)
    if row is None or row.state != "failed":
        raise Conflict("Only a map that could not be drawn can be drawn again.")
    row.state, row.error, row.attempt = "wanted", None, row.attempt + 1
    audit.record_turn(session, "map.redrawn", round_, user_id=user_id)


# --- what a page reads ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MapLine:
    """A round on the slider. ``states`` has for each side: wanted, done, failed, or '' before it can be drawn."""

    number: int
    round_state: str
    states: dict[str, str]
    errors: dict[str, str]
    projection_id: int | None


def map_lines(session: Session, project_id: int) -> list[MapLine]:
    """The rounds whose review has opened, in order."""
    rounds = session.execute(
        select(Round.id, Round.number, Round.state)
        .where(Round.project_id == project_id, Round.review_opened_at.is_not(None), Round.state != "cancelled")
        .order_by(Round.number)
    ).all()
    rows = session.execute(
        select(
            BoundaryMap.round_id, BoundaryMap.side, BoundaryMap.state, BoundaryMap.error, BoundaryMap.projection_id
        ).where(BoundaryMap.round_id.in_([row.id for row in rounds]))
    )
    known = {(row.round_id, row.side): row for row in rows}
    return [_line(row, [known.get((row.id, side)) for side in SIDES]) for row in rounds]


def _line(row: Any, drawn: Sequence[Any]) -> MapLine:
    due = ("wanted", "wanted" if row.state == "done" else "")
    return MapLine(
        number=row.number,
        round_state=row.state,
        states={side: one.state if one else later for side, one, later in zip(SIDES, drawn, due, strict=True)},
        errors={side: one.error for side, one in zip(SIDES, drawn, strict=True) if one and one.error},
        projection_id=next((one.projection_id for one in drawn if one and one.projection_id), None),
    )


@dataclass(frozen=True)
class Chosen:
    """An item of the round. ``label`` is the model's (of this side), ``consensus`` the experts'; None: none."""

    id: int
    x: int
    y: int
    reason: str
    label: int | None
    consensus: int | None


@dataclass(frozen=True)
class Pair:
    id: int
    left: int
    right: int
    similarity: float


@dataclass(frozen=True)
class MapRegion:
    """``counts`` are items by label, then those without one, as the map's cells have them."""

    x: int
    y: int
    words: list[str]
    counts: list[int]


@dataclass(frozen=True)
class RoundMap:
    """A side of a round on the map. Places are 0 … ``extent`` from the left and from the top; `Layer` says what
    ``density`` and ``examples`` hold. Maps with the same ``projection`` compare."""

    round: int
    side: Side
    sides: list[Side]
    labels: list[str]
    model_version: int | None
    projection: int
    landmarks: int
    neighbours: int
    kept: float | None
    chance: float | None
    checked: int
    extent: int
    counts: list[int]
    grid: int
    density: list[str]
    example_grid: int
    examples: list[str]
    regions: list[MapRegion]
    chosen: list[Chosen]
    pairs: list[Pair]


def round_map(session: Session, project: Project, number: int, side: Side = "before") -> RoundMap:
    """Raises NotFound while it has not been drawn."""
    round_ = get_round(session, project.id, number)
    rows = {row.side: row for row in session.scalars(select(BoundaryMap).where(BoundaryMap.round_id == round_.id))}
    done = [name for name in SIDES if name in rows and rows[name].state == "done"]
    if side not in done:
        raise NotFound("This map has not been drawn.", state=rows[side].state if side in rows else "wanted")
    row = rows[side]
    projection = session.get_one(MapProjection, row.projection_id)
    version = session.get(ModelVersion, row.model_version_id)
    facts, layer = projection.facts, _read_layer(row)
    return RoundMap(
        round=number,
        side=side,
        sides=done,
        labels=list(project.labels),
        model_version=version.version if version else None,
        projection=projection.id,
        landmarks=facts["landmarks"],
        neighbours=facts["neighbours"],
        kept=facts["kept"],
        chance=facts["chance"],
        checked=facts["checked"],
        extent=65535,
        counts=layer["counts"],
        grid=layer["grid"],
        density=layer["density"],
        example_grid=layer["example_grid"],
        examples=layer["examples"],
        regions=[
            MapRegion(**region, counts=counts)
            for region, counts in zip(facts["regions"], layer["region_counts"], strict=True)
        ],
        chosen=_chosen(session, round_.id, layer["chosen"]),
        pairs=_pairs(session, round_.id),
    )


def _read_layer(row: BoundaryMap) -> Layer:
    assert row.layer is not None  # noqa: S101 - written with the state that the caller has looked at
    layer: Layer = json.loads(zlib.decompress(row.layer))
    return layer


def _chosen(session: Session, round_id: int, places: Sequence[Sequence[int]]) -> list[Chosen]:
    rows = session.execute(
        select(RoundItem.item_id, RoundItem.reason, ConsensusLabel.label)
        .outerjoin(
            ConsensusLabel,
            (ConsensusLabel.round_id == RoundItem.round_id) & (ConsensusLabel.item_id == RoundItem.item_id),
        )
        .where(RoundItem.round_id == round_id)
    )
    known = {row.item_id: row for row in rows}
    return [
        Chosen(item_id, x, y, known[item_id].reason, None if label < 0 else label, known[item_id].label)
        for item_id, x, y, label in places
        if item_id in known
    ]


def _pairs(session: Session, round_id: int) -> list[Pair]:
    rows = session.execute(
        select(BoundaryPair.id, BoundaryPair.left_item_id, BoundaryPair.right_item_id, BoundaryPair.similarity)
        .where(BoundaryPair.round_id == round_id)
        .order_by(BoundaryPair.rank)
    )
    return [Pair(*row) for row in rows]


@dataclass(frozen=True)
class PairTexts:
    """A pair as the list beside the map shows it; ``consensus`` by side, None where there is none (yet)."""

    id: int
    rank: int
    similarity: float
    items: tuple[int, int]
    texts: tuple[str, str]
    labels: tuple[int, int]
    consensus: tuple[int | None, int | None]


def pair_texts(session: Session, round_: Round, *, after: int = -1, limit: int = 20) -> list[PairTexts]:
    """The round's pairs by rank, those after rank ``after``."""
    pairs = session.scalars(
        select(BoundaryPair)
        .where(BoundaryPair.round_id == round_.id, BoundaryPair.rank > after)
        .order_by(BoundaryPair.rank)
        .limit(limit)
    ).all()
    ids = {id_ for pair in pairs for id_ in (pair.left_item_id, pair.right_item_id)}
    texts = dict(session.execute(select(Item.id, Item.text).where(Item.id.in_(ids))).all())
    decided: Mapping[int, int | None] = dict(
        session.execute(
            select(ConsensusLabel.item_id, ConsensusLabel.label).where(
                ConsensusLabel.round_id == round_.id, ConsensusLabel.item_id.in_(ids)
            )
        ).all()
    )
    return [
        PairTexts(
            pair.id,
            pair.rank,
            pair.similarity,
            (pair.left_item_id, pair.right_item_id),
            (texts[pair.left_item_id], texts[pair.right_item_id]),
            (pair.left_label, pair.right_label),
            (decided.get(pair.left_item_id), decided.get(pair.right_item_id)),
        )
        for pair in pairs
    ]


def beginnings(session: Session, project_id: int, item_ids: Sequence[int]) -> dict[int, str]:
    """The first characters of some texts of the pool; ids that are not its own are left out."""
    wanted = list(item_ids)[:MOST_TEXTS]
    rows = session.execute(select(Item.id, Item.text).where(Item.project_id == project_id, Item.id.in_(wanted)))
    return {
        row.id: row.text if len(row.text) <= _TEXT_LENGTH else row.text[:_TEXT_LENGTH].rstrip() + " …" for row in rows
    }


def as_json(drawn: RoundMap) -> dict[str, Any]:
    return asdict(drawn)
