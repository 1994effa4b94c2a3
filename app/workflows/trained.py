"""Trained model versions in a worker: as pre-labellers, and to answer the texts that people ask about."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.tables import ModelVersion
from app.errors import InvalidInput, LinecallError
from app.ml.classifiers import Fitted, load
from app.ml.encoders import Encoder, load_encoder
from app.ml.prelabel import Prelabeller, Runtime
from app.ml.prelabel.trained import TrainedPrelabeller
from app.services import model_sources, predict_requests
from app.services.predict_requests import Claimed
from app.workflows.context import WorkerContext

log = logging.getLogger(__name__)

_IDLE_SECONDS = 600.0
_FAILED = "The model could not label these texts, and the worker's log has the details."


class Labeller:
    """A trained version with the encoder that it reads by, loaded for itself: a tokenizer can't serve two threads."""

    def __init__(self, here: WorkerContext, version: ModelVersion) -> None:
        if version.artifact_key is None:
            raise InvalidInput("This model version has not been trained.")
        runtime = Runtime(cache_dir=here.settings.resolved_cache_dir, threads=here.threads)
        self.version_id = version.id
        self.fitted: Fitted = load(here.store, version.artifact_key, runtime)
        self._load_encoder = partial(load_encoder, version.config["encoder"], runtime.cache_dir, runtime.threads)
        self._encoder: Encoder | None = None

    def proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, labels)."""
        embeddings = None
        if self.fitted.kind == "linear":
            self._encoder = self._encoder or self._load_encoder()
            embeddings = self._encoder.encode(texts)
        return self.fitted.predict_proba(texts, embeddings)


class Answering:
    """Answers what people ask, beside the rounds and in a thread of its own. The last model stays loaded until nobody
    has asked for ten minutes."""

    def __init__(self, here: WorkerContext) -> None:
        self._here = here
        self._kept: Labeller | None = None
        self._used = 0.0

    def answer_waiting(self) -> None:
        """Everything that waits, one after the other."""
        while not self._here.stopping.is_set() and (claimed := self._claim(self._here.db)) is not None:
            self._answer(claimed)
        if self._kept is not None and time.monotonic() - self._used > _IDLE_SECONDS:
            self._kept = None

    def _claim(self, db: Database) -> Claimed | None:
        with db.read() as session:
            if not predict_requests.is_waiting(session):
                return None
        db.run_write(predict_requests.sweep)
        return db.run_write(predict_requests.claim)

    def _answer(self, claimed: Claimed) -> None:
        db = self._here.db
        try:
            answers = self._label(claimed)
        except LinecallError as error:
            db.run_write(partial(predict_requests.fail, request_id=claimed.id, message=error.message))
        except Exception:
            log.exception("request %s failed", claimed.id)
            db.run_write(partial(predict_requests.fail, request_id=claimed.id, message=_FAILED))
        else:
            db.run_write(partial(predict_requests.finish, request_id=claimed.id, answers=answers))
        self._used = time.monotonic()

    def _label(self, claimed: Claimed) -> list[dict[str, Any]]:
        labeller = self._labeller(claimed)
        proba = labeller.proba(claimed.texts)
        labels = labeller.fitted.labels(proba)
        return [
            {"label": int(label), "scores": [round(float(score), 6) for score in row]}
            for label, row in zip(labels, proba, strict=True)
        ]

    def _labeller(self, claimed: Claimed) -> Labeller:
        if self._kept is None or self._kept.version_id != claimed.model_version_id:
            self._kept = None  # before the next is loaded: two at once may be more than fits
            with self._here.db.read() as session:
                version = predict_requests.version_of(session, claimed)
            self._kept = Labeller(self._here, version)
        return self._kept


def prelabel_runtime(here: WorkerContext) -> Runtime:
    return Runtime(
        cache_dir=here.settings.resolved_cache_dir,
        threads=here.threads,
        api_key=here.settings.remote_llm_api_key.get_secret_value(),
        api_key_url=here.settings.remote_llm_url,
        private_addresses=here.settings.remote_llm_private_addresses,
        trained=partial(_as_prelabeller, here),
    )


def _as_prelabeller(here: WorkerContext, slug: str, number: int, labels: Sequence[str]) -> Prelabeller:
    def find(session: Session) -> tuple[ModelVersion, list[str]]:
        source, version = model_sources.find(session, slug, number, labels)
        return version, list(source.labels)

    with here.db.read() as session:
        version, theirs = find(session)
    assert version.artifact_key is not None  # noqa: S101 - find gives no other
    order = [theirs.index(label) for label in labels]
    encoder = str(version.config["encoder"]) if version.engine == "linear" else None
    return TrainedPrelabeller(version.artifact_key, order, partial(Labeller, here, version), encoder)
