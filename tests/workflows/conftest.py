"""A worker in the test's own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import Settings
from app.db.engine import Database
from app.workflows.worker import Worker


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory) -> Path:
    """One folder for all tests, so that the encoder stays loaded."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def settings(db: Database, tmp_path: Path, model_cache: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=db.engine.url.render_as_string(hide_password=False),
        cache_dir=model_cache,
        worker_poll_seconds=0.05,
        worker_threads=1,
    )


@pytest.fixture
def worker(db: Database, settings: Settings) -> Iterator[Worker]:
    worker = Worker(settings, db)
    worker.start()
    yield worker
    worker.stop()
