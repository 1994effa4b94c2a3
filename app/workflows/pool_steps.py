"""Embedding and labelling the pool, in shards: each a durable step that may run twice and leaves one result."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from dbos import DBOS
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.db.tables import GuidelineVersion, ModelVersion, Round
from app.errors import LinecallError, RoundCancelled
from app.ml import embedding_store
from app.ml.prelabel import Prelabeller, Score, Usage, build_prelabeller, cache_key
from app.services import evaluation, predictions
from app.services.predictions import PoolItem, Span
from app.services.rounds import current_model
from app.workflows.context import (
    PoolTexts,
    RoundFacts,
    begin_stage,
    context,
    finish_stage,
    missing_embeddings,
    pool_embeddings,
    pool_size,
    reporter,
    round_facts,
)
from app.workflows.trained import prelabel_runtime

log = logging.getLogger(__name__)

EMBED_SHARD = 2048
LABEL_SHARD = 2048
_CACHE_BATCH = 64


@DBOS.step(name="plan_embedding")
def plan_embedding(round_id: int) -> list[list[int]]:
    """The shards that have no embeddings yet, as [start, stop]; fixed by this step, so that a resumed round goes
    through the same list."""
    facts = round_facts(round_id)
    if not begin_stage(round_id, "embed", facts.item_count):
        return []
    missing = missing_embeddings(facts, EMBED_SHARD)
    begin_stage(round_id, "embed", sum(stop - start for start, stop in missing))
    return missing


@DBOS.step(name="embed_shard")
def embed_shard(round_id: int, start: int, stop: int, before: int, total: int) -> None:
    facts, here = round_facts(round_id), context()
    with here.db.read() as session:
        items = predictions.items_between(session, facts.project_id, Span(start, stop))
    texts = PoolTexts(facts).digest(start, start + len(items))
    assert texts is not None  # noqa: S101 - the items have just been read
    encoder = here.encoder(facts.encoder)
    report = reporter(round_id, "embed", before=before, total=total)
    vectors = encoder.encode([item.text for item in items], report)
    embedding_store.write_shard(here.store, facts.project_key, encoder.key, start, vectors, texts)


@DBOS.step(name="finish_embedding")
def finish_embedding(round_id: int, embedded: int) -> None:
    finish_stage(round_id, "embed", f"Embedded {embedded:,} items; {pool_size(round_facts(round_id)):,} in all.")


@DBOS.step(name="plan_labelling")
def plan_labelling(round_id: int, stage: str, model_version_id: int | None) -> list[list[int]]:
    """Choose the model (the newest ready one, or the pre-labeller, when None is given) and list what it has still to
    label: the first row is [model version id, items], the others are [start, stop]."""
    facts = round_facts(round_id)
    unfinished = begin_stage(round_id, stage, facts.item_count)
    version_id = _base_model(round_id) if model_version_id is None else model_version_id
    if not unfinished:
        return [[version_id, 0]]
    with context().db.read() as session:
        spans = predictions.missing_spans(session, version_id, LABEL_SHARD, pool_size(facts))
    total = sum(span.stop - span.start for span in spans)
    begin_stage(round_id, stage, total)
    return [[version_id, total], *([span.start, span.stop] for span in spans)]


def _base_model(round_id: int) -> int:
    """The model whose labels this round mines: noted in the round, so that it stays the same however often asked."""

    def choose(session: Session) -> int:
        round_ = session.get_one(Round, round_id, with_for_update=True)
        noted = round_.base_model_id
        model = session.get(ModelVersion, noted) if noted else current_model(session, round_.project_id)
        if model is None or (model.kind == "prelabel" and model.state == "building"):
            model = predictions.get_or_create_version(
                session,
                project_id=round_.project_id,
                round_id=None,
                kind="prelabel",
                engine=str(round_.settings["prelabel"]["provider"]),
                config=_prelabel_config(round_),
                seed=round_.seed,
            )
        round_.base_model_id = model.id
        session.flush()
        return model.id

    return context().db.run_write(choose)


def _prelabel_config(round_: Any) -> dict[str, Any]:
    config = dict(round_.settings["prelabel"])
    if config["provider"] == "few_shot":
        config.setdefault("encoder", round_.settings["encoder"])
    return {"prelabel": config, "guideline_version_id": round_.guideline_version_id}


@DBOS.step(name="label_shard")
def label_shard(
    round_id: int, stage: str, model_version_id: int, start: int, stop: int, before: int, total: int
) -> int:
    """Predictions of one model version for the items of one shard; how many of them have no usable answer."""
    facts, here = round_facts(round_id), context()
    with here.db.read() as session:
        version = predictions.get_version(session, model_version_id)
        items = predictions.items_between(session, facts.project_id, Span(start, stop))
    return _label(facts, version, items, reporter(round_id, stage, before=before, total=total))


def _label(facts: RoundFacts, version: ModelVersion, items: Sequence[PoolItem], report: Any) -> int:
    """Store the version's predictions for these items; how many have no usable answer."""
    if version.kind == "prelabel":
        scores = _prelabel(facts, version, items, report)
        labels = np.where(np.isnan(scores[:, 0]), -1, np.nan_to_num(scores).argmax(axis=1))
    else:
        labels, scores = _predict(facts, version, items, report)
    usable = [place for place, label in enumerate(labels) if label >= 0]
    ids = [items[place].id for place in usable]
    context().db.run_write(
        lambda session: predictions.store_predictions(session, version.id, ids, labels[usable], scores[usable])
    )
    return len(items) - len(ids)


def _predict(
    facts: RoundFacts, version: ModelVersion, items: Sequence[PoolItem], report: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    from app.workflows.training import load_model

    fitted = load_model(version)
    rows = pool_embeddings(facts)[[item.ordinal for item in items]].astype(np.float32)
    scores = fitted.predict_proba([item.text for item in items], rows, report)
    return fitted.labels(scores), scores


def _prelabel(facts: RoundFacts, version: ModelVersion, items: Sequence[PoolItem], report: Any) -> NDArray[np.float32]:
    """Scores (items, labels), NaN rows where the answer could not be parsed. What the cache knows is not asked
    again, and what is answered is in the cache before anything else can fail."""
    prelabeller, usage = _build(facts, version)
    keys = [cache_key(prelabeller.identity, item.text) for item in items]
    with context().db.read() as session:
        known = predictions.cached_scores(session, keys)
    scores = np.full((len(items), len(facts.labels)), np.nan, dtype=np.float32)
    for row, key in enumerate(keys):
        if (packed := known.get(key)) is not None:
            scores[row] = np.frombuffer(packed, dtype="<f4")
    wanted = [row for row, key in enumerate(keys) if key not in known]
    if wanted:
        _ask(facts, version, prelabeller, usage, [items[row] for row in wanted], [keys[row] for row in wanted], report)
        with context().db.read() as session:
            answered = predictions.cached_scores(session, [keys[row] for row in wanted])
        for row in wanted:
            if (packed := answered.get(keys[row])) is not None:
                scores[row] = np.frombuffer(packed, dtype="<f4")
    return scores


def _ask(
    facts: RoundFacts,
    version: ModelVersion,
    prelabeller: Prelabeller,
    usage: Usage,
    items: Sequence[PoolItem],
    keys: Sequence[bytes],
    report: Any,
) -> None:
    waiting: list[tuple[bytes, bytes | None, str | None]] = []

    def flush() -> None:
        batch = list(waiting)
        context().db.run_write(lambda session: _remember(session, version.id, batch, usage))
        waiting.clear()

    def keep(index: int, score: Score) -> None:
        packed = None if score.scores is None else np.ascontiguousarray(score.scores, dtype="<f4").tobytes()
        waiting.append((keys[index], packed, score.raw))
        if len(waiting) >= _CACHE_BATCH:
            flush()

    embeddings = None
    if facts.encoder in (version.config["prelabel"].get("encoder"), getattr(prelabeller, "encoder", None)):
        embeddings = pool_embeddings(facts)[[item.ordinal for item in items]]
    try:
        prelabeller.score([item.text for item in items], embeddings=embeddings, progress=report, on_score=keep)
    finally:
        flush()


def _remember(session: Session, version_id: int, batch: Any, usage: Usage) -> None:
    predictions.remember_scores(session, batch)
    version = session.get_one(ModelVersion, version_id)
    version.metrics = {**version.metrics, "usage": vars(usage).copy()}


def _build(facts: RoundFacts, version: ModelVersion) -> tuple[Prelabeller, Usage]:
    """The version's pre-labeller; what it has spent before counts towards its cap."""
    here = context()
    with here.db.read() as session:
        guideline = session.get_one(GuidelineVersion, version.config["guideline_version_id"])
    usage = Usage(**version.metrics.get("usage", {}))
    runtime = prelabel_runtime(here)
    prelabeller = build_prelabeller(
        version.config["prelabel"], facts.labels, guideline.text, guideline.examples, runtime, spent=usage
    )
    return prelabeller, usage


@DBOS.step(name="finish_labelling")
def finish_labelling(round_id: int, stage: str, model_version_id: int, total: int) -> None:
    facts = round_facts(round_id)
    if not begin_stage(round_id, stage, total):
        return
    labelled = context().db.run_write(lambda session: predictions.mark_ready(session, model_version_id))
    missing = pool_size(facts) - labelled
    note = f" {missing:,} had no usable answer and are left out." if missing else ""
    finish_stage(round_id, stage, f"Labelled {labelled:,} items.{note}")


@DBOS.step(name="label_scored_items")
def label_scored_items(round_id: int) -> None:
    """Let every earlier model version label the items that it will be scored on and has not seen: a pool that has
    grown must not leave it with a smaller evaluation set than its successors."""
    facts, here = round_facts(round_id), context()
    if not begin_stage(round_id, "evaluate", 0):
        return
    with here.db.read() as session:
        round_ = session.get_one(Round, round_id)
        item_ids = evaluation.items_so_far(session, round_)
        work = [
            (version, predictions.unlabelled(session, version.id, item_ids))
            for version in evaluation.model_versions(session, round_)
        ]
    for version, items in work:
        if items:
            _label_if_possible(facts, version, items)


def _label_if_possible(facts: RoundFacts, version: ModelVersion, items: Sequence[PoolItem]) -> None:
    """An old pre-labeller's endpoint may be gone for good: the round does not fail for it."""
    try:
        _label(facts, version, items, reporter(facts.id, "evaluate"))
    except RoundCancelled:
        raise
    except LinecallError as error:
        log.warning("model version %s can't label %s items: %s", version.version, len(items), error.message)
