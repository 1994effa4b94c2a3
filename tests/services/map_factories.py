"""Drawn maps, by the functions that a worker draws them with."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.curation import projection as maps2d
from app.db.tables import BoundaryPair, Item, ModelVersion, Round, RoundItem
from app.services import maps
from app.services.map_layers import build_layer
from app.services.maps import Wanted


def draw_map(session: Session, round_: Round, *, side: str = "before", pairs: int = 1, version: int = 0) -> None:
    """A map of the round's project from seeded vectors: labels alternate, and the items chosen first make pairs."""
    items = session.scalars(select(Item).where(Item.project_id == round_.project_id).order_by(Item.ordinal)).all()
    vectors = np.random.default_rng(0).normal(size=(len(items), 8)).astype(np.float32)
    places = maps2d.quantise(maps2d.place(maps2d.fit(vectors, 0), vectors))
    labels = np.arange(len(items)) % 2
    regions = [{"x": 20000, "y": 30000, "words": ["<b>refund</b>", "flight"]}, {"x": 50000, "y": 30000, "words": []}]
    facts = {"landmarks": len(items), "pool": len(items), "neighbours": 10, "kept": 0.25, "chance": 0.01}
    facts |= {"checked": len(items), "regions": regions}
    projection_id = maps.keep_projection(session, round_.project_id, "test", "maps/test", facts)
    layer = build_layer(session, round_.project_id, places, labels, 2, regions)
    chosen = set(session.scalars(select(RoundItem.item_id).where(RoundItem.round_id == round_.id)))
    layer["chosen"] = [
        [item.id, *map(int, places[item.ordinal]), int(labels[item.ordinal])] for item in items if item.id in chosen
    ]
    _pair_up(session, round_, [row[0] for row in layer["chosen"]], pairs)
    used = _version(session, round_.project_id, version)
    maps.keep_layer(session, Wanted(round_.id, side, 1), projection_id, used.id, layer)
    session.flush()


def _version(session: Session, project_id: int, number: int) -> ModelVersion:
    known = select(ModelVersion).where(ModelVersion.project_id == project_id, ModelVersion.version == number)
    found = session.scalar(known)
    if found is None:
        found = ModelVersion(project_id=project_id, version=number, kind="prelabel", engine="few_shot", config={})
        found.state = "ready"
        session.add(found)
        session.flush()
    return found


def _pair_up(session: Session, round_: Round, chosen: list[int], pairs: int) -> None:
    known = session.scalars(select(BoundaryPair).where(BoundaryPair.round_id == round_.id)).all()
    for rank in range(len(known), pairs):
        left, right = chosen[2 * rank : 2 * rank + 2]
        session.add(
            BoundaryPair(
                round_id=round_.id,
                rank=rank,
                left_item_id=left,
                right_item_id=right,
                left_label=0,
                right_label=1,
                similarity=0.9,
                left_cluster=0,
                right_cluster=0,
            )
        )
    session.flush()
