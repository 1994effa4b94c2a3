"""Fine-tuning on every label so far, from a stored set with a stored seed: run again, it gives the same model."""

import secrets
from functools import lru_cache

import numpy as np
from dbos import DBOS
from sqlalchemy.orm import Session

from app.db.tables import ModelVersion, Round
from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers import Fitted, TrainingSet, engine, load
from app.ml.prelabel import Runtime
from app.services import decisions, predictions, stages
from app.workflows.context import RoundFacts, begin_stage, context, pool_embeddings, reporter, round_facts


@DBOS.step(name="train")
def train(round_id: int) -> int:
    """Train this round's model version, save it, and return its id."""
    facts, here = round_facts(round_id), context()
    with here.db.read() as session:
        items = decisions.training_items(session, session.get_one(Round, round_id))
        trained = predictions.version_of_round(session, round_id)
    if not begin_stage(round_id, "train", len(items)) and trained is not None:
        return trained
    if not items:
        raise InvalidInput("There is no label to fine-tune on: every item of this round is undecided or kept apart.")
    version_id = _version(facts, [item.item_id for item in items])
    embeddings = pool_embeddings(facts)[[item.ordinal for item in items]].astype(np.float32)
    data = TrainingSet(
        texts=[item.text for item in items],
        embeddings=embeddings,
        labels=np.array([item.label for item in items], dtype=np.int64),
        groups=np.array([item.group for item in items], dtype=np.int64),
    )
    fitted = engine(str(facts.settings["engine"])).fit(
        data, len(facts.labels), _engine_config(facts), facts.seed, runtime(), reporter(round_id, "train")
    )
    # A name of its own for each try: one that was cut short, or ran by other settings, never mixes with this one.
    key = f"models/{facts.project_key}/round-{facts.number}-{version_id}-{secrets.token_hex(4)}"
    fitted.save(here.store, key)
    here.db.run_write(lambda session: _record(session, round_id, version_id, key, fitted, len(items)))
    return version_id


def runtime() -> Runtime:
    here = context()
    return Runtime(cache_dir=here.settings.resolved_cache_dir, threads=here.threads)


def _engine_config(facts: RoundFacts) -> dict[str, object]:
    config = dict(facts.settings["engine_config"])
    if facts.settings["engine"] == "encoder":
        config.setdefault("encoder", facts.encoder)
    return config


def _version(facts: RoundFacts, item_ids: list[int]) -> int:
    config = {"engine_config": _engine_config(facts), "encoder": facts.encoder, "training_item_ids": item_ids}
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
