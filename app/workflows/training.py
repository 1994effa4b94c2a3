"""Fine-tuning on every label so far, from a stored set with a stored seed: run again, it gives the same model."""

import secrets
from dataclasses import asdict
from functools import lru_cache

import numpy as np
from dbos import DBOS
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.curation.splits import NEAR_DUPLICATE
from app.db.tables import GuidelineVersion, ModelVersion, Round
from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers import Examples, Fitted, PoolSample, TrainingSet, draw_pool_rows, engine, load
from app.ml.portable import EncoderFacts
from app.ml.prelabel import Runtime
from app.services import decisions, predictions, stages
from app.services.pool.rows import content_hash
from app.workflows.context import RoundFacts, begin_stage, context, pool_embeddings, reporter, round_facts

Ints = NDArray[np.int64]


@DBOS.step(name="train")
def train(round_id: int) -> int:
    """Train this round's model version, save it, and return its id."""
    facts, here = round_facts(round_id), context()
    with here.db.read() as session:
        items = decisions.training_items(session, session.get_one(Round, round_id), len(facts.labels))
        trained = predictions.version_of_round(session, round_id)
    if not begin_stage(round_id, "train", len(items)) and trained is not None:
        return trained
    if not items:
        raise InvalidInput("There is no label to fine-tune on: every item of this round is undecided or kept apart.")
    version_id = _version(facts, [item.item_id for item in items])
    fitted = engine(str(facts.settings["engine"])).fit(
        _training_set(facts, items),
        len(facts.labels),
        _engine_config(facts),
        facts.seed,
        runtime(),
        reporter(round_id, "train"),
    )
    # A name of its own for each try: one that was cut short, or ran by other settings, never mixes with this one.
    key = f"models/{facts.project_key}/round-{facts.number}-{version_id}-{secrets.token_hex(4)}"
    fitted.save(here.store, key)
    here.db.run_write(lambda session: _record(session, round_id, version_id, key, fitted, len(items)))
    return version_id


def _training_set(facts: RoundFacts, items: list[decisions.TrainingItem]) -> TrainingSet:
    vectors = pool_embeddings(facts)
    rows = draw_pool_rows(len(vectors), facts.seed)
    texts = [item.text for item in items]
    return TrainingSet(
        texts=texts,
        embeddings=vectors[[item.ordinal for item in items]].astype(np.float32),
        labels=np.array([item.label for item in items], dtype=np.int64),
        groups=np.array([item.group for item in items], dtype=np.int64),
        soft=np.array([item.shares for item in items], dtype=np.float64),
        pool=PoolSample(texts_at(facts, rows), vectors[rows].astype(np.float32)),
        examples=_examples(facts, vectors),
    )


def texts_at(facts: RoundFacts, rows: Ints) -> list[str]:
    """The texts of the pool items with these ordinals, in this order."""
    with context().db.read() as session:
        return predictions.texts_of(session, facts.project_id, rows.tolist())


def _examples(facts: RoundFacts, vectors: NDArray[np.float16]) -> Examples | None:
    """The example texts of the round's guideline, without those that experts have labelled since: a text is trained on
    once, and one of the evaluation set, or nearly one, never."""
    here, given = context(), _guideline(facts).examples
    with here.db.read() as session:
        labelled = decisions.items_in_rounds(session, session.get_one(Round, facts.id))
    known = {item.content_hash for item in labelled}
    pairs = [(text, k) for k, label in enumerate(facts.labels) for text in given.get(label, [])
             if content_hash(text) not in known]  # fmt: skip
    if not pairs:
        return None
    embeddings = here.encoder(facts.encoder).encode([text for text, _ in pairs]).astype(np.float32)
    apart = vectors[[item.ordinal for item in labelled if not item.trained]].astype(np.float32)
    kept = np.flatnonzero((embeddings @ apart.T).max(axis=1, initial=-1) < NEAR_DUPLICATE)
    labels = np.array([label for _, label in pairs], dtype=np.int64)
    return Examples([pairs[row][0] for row in kept], embeddings[kept], labels[kept]) if len(kept) else None


def runtime() -> Runtime:
    here = context()
    return Runtime(cache_dir=here.settings.resolved_cache_dir, threads=here.threads)


def _engine_config(facts: RoundFacts) -> dict[str, object]:
    config = dict(facts.settings["engine_config"])
    if facts.settings["engine"] == "encoder":
        config.setdefault("encoder", facts.encoder)
    if facts.settings["engine"] == "lora":
        config.setdefault("labels", facts.labels)
        config.setdefault("guideline", _guideline(facts).text)
    return config


def _guideline(facts: RoundFacts) -> GuidelineVersion:
    with context().db.read() as session:
        return session.get_one(GuidelineVersion, session.get_one(Round, facts.id).guideline_version_id)


def _version(facts: RoundFacts, item_ids: list[int]) -> int:
    config = {
        "engine_config": _engine_config(facts),
        "encoder": facts.encoder,
        "encoder_facts": asdict(_encoder_facts(facts)),
        "training_item_ids": item_ids,
        "pool_size": len(pool_embeddings(facts)),  # with the seed, it tells which items the pool's sample holds
    }
    return context().db.run_write(
        lambda session: (
            predictions.get_or_create_version(
                session,
                project_id=facts.project_id,
                round_id=facts.id,
                kind="trained",
                engine=str(facts.settings["engine"]),
                config=config,
                seed=facts.seed,
            ).id
        )
    )


def _encoder_facts(facts: RoundFacts) -> EncoderFacts:
    encoder = context().encoder(facts.encoder)
    layout = encoder.backbone.layout
    return EncoderFacts(facts.encoder, encoder.revision, layout.pooling, layout.max_tokens, layout.lower_case)


def _record(session: Session, round_id: int, version_id: int, key: str, fitted: Fitted, size: int) -> None:
    version = session.get_one(ModelVersion, version_id)
    version.artifact_key, version.training_size = key, size
    version.metrics = {**fitted.metrics, "threshold": fitted.threshold}
    note = fitted.metrics.get("note")
    stages.finish(session, round_id, "train", message=f"Trained on {size} labels.{f' {note}' if note else ''}")


def load_model(version: ModelVersion) -> Fitted:
    if version.artifact_key is None:
        raise InvalidInput("This model version has not been trained.")
    return _load(context().store.url, version.artifact_key)


@lru_cache(maxsize=2)
def _load(store_url: str, key: str) -> Fitted:
    return load(ArtifactStore(store_url), key, runtime())
