"""Model versions and what they say about the pool."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.db.tables import Item, ModelVersion, Prediction, PrelabelCache
from app.errors import NotFound

_BIND_LIMIT = 900  # SQLite's oldest limit on parameters in one statement is 999
_AT_ONCE = 10_000  # hashes, of 16 bytes


class Span(NamedTuple):
    """Items by ordinal, from ``start`` to ``stop - 1``."""

    start: int
    stop: int


class PoolItem(NamedTuple):
    id: int
    ordinal: int
    text: str


class Predictions(NamedTuple):
    """A model version's labels for a pool: int16 of shape (n,), float32 scores of shape (n, labels); row = ordinal."""

    labels: NDArray[np.int16]
    scores: NDArray[np.float32]


def items_between(session: Session, project_id: int, span: Span) -> list[PoolItem]:
    rows = session.execute(
        select(Item.id, Item.ordinal, Item.text)
        .where(Item.project_id == project_id, Item.ordinal >= span.start, Item.ordinal < span.stop)
        .order_by(Item.ordinal)
    )
    return [PoolItem(*row) for row in rows]


def texts_of(session: Session, project_id: int, ordinals: Sequence[int]) -> list[str]:
    """The texts of the items with these ordinals, in this order."""
    found: dict[int, str] = {}
    for start in range(0, len(ordinals), _BIND_LIMIT):
        some = ordinals[start : start + _BIND_LIMIT]
        rows = session.execute(
            select(Item.ordinal, Item.text).where(Item.project_id == project_id, Item.ordinal.in_(some))
        )
        found.update((ordinal, text) for ordinal, text in rows)
    return [found[ordinal] for ordinal in ordinals]


def texts_digest(session: Session, project_id: int, span: Span) -> str | None:
    """16 hex digits that stand for these texts in this order; None while the pool has not all of them."""
    hashes = session.scalars(
        select(Item.content_hash)
        .where(Item.project_id == project_id, Item.ordinal >= span.start, Item.ordinal < span.stop)
        .order_by(Item.ordinal)
        .execution_options(yield_per=_AT_ONCE)
    )
    digest, count = sha256(), 0
    for content_hash in hashes:
        digest.update(content_hash)
        count += 1
    return digest.hexdigest()[:16] if count == span.stop - span.start else None


def get_or_create_version(
    session: Session,
    *,
    project_id: int,
    round_id: int | None,
    kind: str,
    engine: str,
    config: dict[str, Any],
    seed: int,
) -> ModelVersion:
    """The round's model version (or the project's pre-labeller), made once however often this is asked.

    One that is still being built takes over settings that have been mended meanwhile, and drops what it has labelled
    by the old ones.
    """
    mine = ModelVersion.round_id == round_id if round_id is not None else ModelVersion.kind == "prelabel"
    version = session.scalar(select(ModelVersion).where(ModelVersion.project_id == project_id, mine))
    if version is None:
        last = session.scalar(select(func.max(ModelVersion.version)).where(ModelVersion.project_id == project_id))
        version = ModelVersion(
            project_id=project_id,
            round_id=round_id,
            version=0 if last is None else last + 1,
            kind=kind,
            engine=engine,
            config=config,
            seed=seed,
        )
        session.add(version)
        session.flush()
    elif version.state == "building" and (version.engine, version.config) != (engine, config):
        version.engine, version.config, version.seed = engine, config, seed
        session.execute(delete(Prediction).where(Prediction.model_version_id == version.id))
        session.flush()
    return version


def version_of_round(session: Session, round_id: int) -> int | None:
    """The id of the model version that the round has trained, or is training."""
    return session.scalar(select(ModelVersion.id).where(ModelVersion.round_id == round_id))


def missing_spans(session: Session, model_version_id: int, size: int, n_items: int) -> list[Span]:
    """Those of the pool's first ``n_items`` that the version has not labelled yet, as spans of at most ``size``; a span
    may hold a few that it has."""
    version = session.get_one(ModelVersion, model_version_id)
    labelled = select(Prediction.item_id).where(Prediction.model_version_id == model_version_id)
    ordinals = session.scalars(
        select(Item.ordinal)
        .where(Item.project_id == version.project_id, Item.ordinal < n_items, Item.id.not_in(labelled))
        .order_by(Item.ordinal)
    ).all()
    spans: list[Span] = []
    for ordinal in ordinals:
        if not spans or ordinal >= spans[-1].start + size:
            spans.append(Span(ordinal, ordinal + 1))
        else:
            spans[-1] = Span(spans[-1].start, ordinal + 1)
    return spans


def store_predictions(
    session: Session, model_version_id: int, item_ids: Sequence[int], labels: NDArray[Any], scores: NDArray[Any]
) -> None:
    """Write a shard's predictions, in place of any that an earlier try at the same shard left."""
    for start in range(0, len(item_ids), _BIND_LIMIT):
        session.execute(
            delete(Prediction).where(
                Prediction.model_version_id == model_version_id,
                Prediction.item_id.in_(item_ids[start : start + _BIND_LIMIT]),
            )
        )
    packed = np.ascontiguousarray(scores, dtype="<f4")
    rows = [
        {
            "model_version_id": model_version_id,
            "item_id": item_id,
            "label": int(label),
            "score": float(row[label]),
            "scores": row.tobytes(),
        }
        for item_id, label, row in zip(item_ids, labels, packed, strict=True)
    ]
    if rows:
        session.execute(insert(Prediction), rows)


def mark_ready(session: Session, model_version_id: int) -> int:
    """The version has labelled the pool; from now on it may be mined. Returns how many items it has labelled."""
    labelled = session.scalar(select(func.count()).where(Prediction.model_version_id == model_version_id)) or 0
    session.execute(
        update(ModelVersion)
        .where(ModelVersion.id == model_version_id)
        .values(state="ready", predicted_items=labelled)
        .execution_options(synchronize_session=False)
    )
    return labelled


def load_predictions(session: Session, model_version_id: int, n_labels: int, n_items: int) -> Predictions:
    """A version's predictions for the first ``n_items`` items, by ordinal. An item without one (its answer could not
    be parsed) has label -1 and NaN scores."""
    rows = session.execute(
        select(Prediction.label, Prediction.scores, Item.ordinal)
        .join(Item, Item.id == Prediction.item_id)
        .where(Prediction.model_version_id == model_version_id, Item.ordinal < n_items)
    ).all()
    labels = np.full(n_items, -1, dtype=np.int16)
    scores = np.full((n_items, n_labels), np.nan, dtype=np.float32)
    ordinals = np.fromiter((row.ordinal for row in rows), dtype=np.int64, count=len(rows))
    labels[ordinals] = np.fromiter((row.label for row in rows), dtype=np.int16, count=len(rows))
    scores[ordinals] = np.frombuffer(b"".join(row.scores for row in rows), dtype="<f4").reshape(len(rows), n_labels)
    return Predictions(labels, scores)


def labels_by_ordinal(session: Session, model_version_id: int, n_items: int) -> NDArray[np.int16]:
    """A version's labels (n_items,) without its scores, which are most of the bytes; -1 where there is none."""
    rows = session.execute(
        select(Item.ordinal, Prediction.label)
        .join(Item, Item.id == Prediction.item_id)
        .where(Prediction.model_version_id == model_version_id, Item.ordinal < n_items)
        .execution_options(yield_per=50_000)
    )
    labels = np.full(n_items, -1, dtype=np.int16)
    for part in rows.partitions():
        found = np.array(part, dtype=np.int64).reshape(-1, 2)
        labels[found[:, 0]] = found[:, 1]
    return labels


def unlabelled(session: Session, model_version_id: int, item_ids: Sequence[int]) -> list[PoolItem]:
    """Those of these items that the version has no label for."""
    known = labels_of(session, model_version_id, item_ids)
    wanted = [item_id for item_id in item_ids if item_id not in known]
    found: list[PoolItem] = []
    for start in range(0, len(wanted), _BIND_LIMIT):
        rows = session.execute(
            select(Item.id, Item.ordinal, Item.text).where(Item.id.in_(wanted[start : start + _BIND_LIMIT]))
        )
        found.extend(PoolItem(*row) for row in rows)
    return sorted(found, key=lambda item: item.ordinal)


def labels_of(session: Session, model_version_id: int, item_ids: Sequence[int]) -> dict[int, int]:
    """The version's label for each of these items that it has labelled."""
    found: dict[int, int] = {}
    for start in range(0, len(item_ids), _BIND_LIMIT):
        rows = session.execute(
            select(Prediction.item_id, Prediction.label).where(
                Prediction.model_version_id == model_version_id,
                Prediction.item_id.in_(item_ids[start : start + _BIND_LIMIT]),
            )
        )
        found.update((row.item_id, row.label) for row in rows)
    return found


def get_version(session: Session, model_version_id: int) -> ModelVersion:
    version = session.get(ModelVersion, model_version_id)
    if version is None:
        raise NotFound("There is no such model version.")
    return version


def cached_scores(session: Session, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
    """Packed scores by cache key, for those that have been asked before; None where the answer was unparsable."""
    found: dict[bytes, bytes | None] = {}
    for start in range(0, len(keys), _BIND_LIMIT):
        rows = session.execute(
            select(PrelabelCache.key, PrelabelCache.scores).where(
                PrelabelCache.key.in_(keys[start : start + _BIND_LIMIT])
            )
        )
        found.update((row.key, row.scores) for row in rows)
    return found


def remember_scores(session: Session, answers: Sequence[tuple[bytes, bytes | None, str | None]]) -> None:
    """Store (key, packed scores, raw answer); a key that is there already keeps what it has."""
    if not answers:
        return
    insert_ = _insert_for(session)(PrelabelCache).on_conflict_do_nothing(index_elements=[PrelabelCache.key])
    session.execute(insert_, [{"key": key, "scores": scores, "raw": raw} for key, scores, raw in answers])


def _insert_for(session: Session) -> Any:
    if session.get_bind().dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert
    from sqlalchemy.dialects import postgresql

    return postgresql.insert
