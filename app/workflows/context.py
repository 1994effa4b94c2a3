"""What a worker process holds while it works: the database, the artifact store and the models it has loaded."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.config import Settings
from app.db.engine import Database
from app.db.tables import Project, Round
from app.ml.artifacts import ArtifactStore
from app.ml.encoders import Encoder, load_encoder
from app.services import predictions, stages
from app.services.predictions import Span

_REPORT_SECONDS = 0.5


class WorkerStopped(BaseException):
    """This worker has been told to stop. Not an Exception, because nothing may take it for a stage's failure: DBOS
    records no outcome for it, so that the next worker goes on with the workflow."""


@dataclass(frozen=True)
class WorkerContext:
    settings: Settings
    db: Database
    worker_id: str
    stopping: threading.Event = field(default_factory=threading.Event)
    store: ArtifactStore = field(init=False)
    text_digests: dict[tuple[Any, ...], str] = field(default_factory=dict)  # by project and rows: texts never change

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", ArtifactStore(self.settings.resolved_artifacts_url))

    @property
    def threads(self) -> int:
        return self.settings.worker_threads

    def encoder(self, ref: str) -> Encoder:
        return _load_encoder(ref, self.settings.resolved_cache_dir, self.threads)


@lru_cache(maxsize=2)
def _load_encoder(ref: str, cache_dir: Any, threads: int) -> Encoder:
    return load_encoder(ref, cache_dir, threads)


_current: list[WorkerContext] = []


def set_context(context: WorkerContext | None) -> None:
    """Durable steps are plain functions that are called again by name after a crash, so what they need is here and
    not in their arguments."""
    _current[:] = [] if context is None else [context]


def context() -> WorkerContext:
    """Raises WorkerStopped in a worker that is to stop."""
    if not _current:
        raise RuntimeError("no worker is running in this process")
    if _current[0].stopping.is_set():
        raise WorkerStopped
    return _current[0]


_busy = threading.Condition()
_workflows = 0


@contextmanager
def under_way() -> Iterator[None]:
    """Around a workflow's body, so that a worker that stops can wait for it."""
    global _workflows
    with _busy:
        _workflows += 1
    try:
        yield
    finally:
        with _busy:
            _workflows -= 1
            _busy.notify_all()


def wait_until_idle(seconds: float) -> bool:
    """Whether no workflow was under way in this process within ``seconds``."""
    with _busy:
        return _busy.wait_for(lambda: _workflows == 0, seconds)


@dataclass(frozen=True)
class RoundFacts:
    """The parts of a round and its project that steps read; plain values, free of any session."""

    id: int
    project_id: int
    project_made_at: datetime  # after a purge, SQLite gives the number to the next project
    number: int
    seed: int
    labels: list[str]
    item_count: int  # grows while an import runs; len(pool_embeddings(facts)) is what this round works on
    settings: dict[str, Any]
    base_model_id: int | None

    @property
    def project_key(self) -> str:
        return f"project-{self.project_id}"

    @property
    def encoder(self) -> str:
        return str(self.settings["encoder"])


def round_facts(round_id: int) -> RoundFacts:
    with context().db.read() as session:
        round_ = session.get_one(Round, round_id)
        project = session.get_one(Project, round_.project_id)
        return RoundFacts(
            id=round_.id,
            project_id=project.id,
            project_made_at=project.created_at,
            number=round_.number,
            seed=round_.seed,
            labels=list(project.labels),
            item_count=project.item_count,
            settings=dict(round_.settings),
            base_model_id=round_.base_model_id,
        )


def begin_stage(round_id: int, stage: str, total: int) -> bool:
    here = context()
    return here.db.run_write(
        lambda session: stages.begin(session, round_id, stage, total=total, worker_id=here.worker_id)
    )


def finish_stage(round_id: int, stage: str, message: str) -> None:
    context().db.run_write(lambda session: stages.finish(session, round_id, stage, message=message))


def reporter(round_id: int, stage: str, *, before: int = 0, total: int | None = None) -> Callable[[int, int], None]:
    """A progress callback for models: writes at most twice a second, and raises RoundCancelled once the round has
    been cancelled, which is how long work is stopped."""
    last = 0.0

    def report(done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < of and now - last < _REPORT_SECONDS:
            return
        last = now
        context().db.run_write(
            lambda session: stages.advance(session, round_id, stage, before + done, of if total is None else total)
        )

    return report


@dataclass(frozen=True)
class PoolTexts:
    """What the stores of embeddings and places compare theirs with."""

    facts: RoundFacts

    def digest(self, start: int, stop: int) -> str | None:
        here, facts = context(), self.facts
        key = (facts.project_id, facts.project_made_at, start, stop)
        if key not in here.text_digests:
            with here.db.read() as session:
                found = predictions.texts_digest(session, facts.project_id, Span(start, stop))
            if found is None:
                return None
            here.text_digests[key] = found
        return here.text_digests[key]

    def embedded(self, rows: Sequence[int]) -> NDArray[np.float32]:
        here = context()
        with here.db.read() as session:
            texts = predictions.texts_of(session, self.facts.project_id, rows)
        return here.encoder(self.facts.encoder).encode(texts)


def pool_size(facts: RoundFacts) -> int:
    """How many items, from the first on, are embedded. Later ones were imported after this round had begun: they wait
    for the next one."""
    missing = missing_embeddings(facts, facts.item_count)
    return missing[0][0] if missing else facts.item_count


def missing_embeddings(facts: RoundFacts, size: int) -> list[list[int]]:
    """The rows that have none, as [start, stop] of at most ``size``."""
    from app.ml import embedding_store

    here = context()
    key, n = here.encoder(facts.encoder).key, facts.item_count
    missing = embedding_store.missing_shards(here.store, facts.project_key, key, n, PoolTexts(facts), size)
    return [[start, stop] for start, stop in missing]


def pool_embeddings(facts: RoundFacts) -> NDArray[np.float16]:
    """The pool's embeddings as a memory map (pool_size, dim)."""
    from app.ml import embedding_store

    here, texts = context(), PoolTexts(facts)
    key, cache = here.encoder(facts.encoder).key, here.settings.resolved_cache_dir
    return embedding_store.load(here.store, facts.project_key, key, pool_size(facts), texts, cache)
