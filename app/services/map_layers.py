"""From the places and labels of a whole pool to the few bytes of it that a page reads."""

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.curation.packing import varints
from app.curation.projection import GRID, SCALE, Places, density, examples, region_of
from app.db.tables import Item
from app.services.maps import Layer, Region

_FEW_LABELS = 4
_EXAMPLE_GRID = 64  # 32 with more labels than a few, so that a layer stays as small
_AT_ONCE = 900


def build_layer(
    session: Session,
    project_id: int,
    places: Places,
    labels: NDArray[np.int16],
    n_labels: int,
    regions: Sequence[Region],
) -> Layer:
    """The layer of items with these ``places`` (n, 2) and ``labels`` (n,), -1 for none, without the round's own."""
    counts = density(places, labels, n_labels)
    side = _EXAMPLE_GRID if n_labels <= _FEW_LABELS else _EXAMPLE_GRID // 2
    shown = examples(places, labels, n_labels, side)
    ids = _ids(session, project_id, shown)
    return {
        "grid": GRID,
        "counts": counts.sum(axis=(1, 2)).tolist(),
        "density": [_base64(varints(layer)) for layer in counts],
        "example_grid": side,
        "examples": [_base64(ids[layer].astype("<i4").tobytes()) for layer in shown],
        "chosen": [],
        "region_counts": _by_region(counts, regions),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _ids(session: Session, project_id: int, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Item ids by ordinal, those that ``ordinals`` asks for; the rest, and the last one (for -1), are 0."""
    wanted = np.unique(ordinals[ordinals >= 0])
    found = np.zeros(int(ordinals.max(initial=-1)) + 2, dtype=np.int64)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE].tolist()
        rows = session.execute(
            select(Item.ordinal, Item.id).where(Item.project_id == project_id, Item.ordinal.in_(some))
        )
        for ordinal, id_ in rows:
            found[ordinal] = id_
    return found


def _by_region(counts: NDArray[np.uint32], regions: Sequence[Region]) -> list[list[int]]:
    """Items of each region by label: every cell belongs to the region whose centre is nearest its own."""
    side = counts.shape[1]
    centres = np.array([[region["x"], region["y"]] for region in regions], dtype=np.float64).reshape(-1, 2) / SCALE
    middle = (np.arange(side) + 0.5) / side
    grid = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    home = region_of(grid, centres)
    by_label = [np.bincount(home, weights=layer.ravel(), minlength=len(regions)) for layer in counts]
    return np.rint(np.array(by_label)).astype(np.int64).T.tolist()  # type: ignore[no-any-return]
