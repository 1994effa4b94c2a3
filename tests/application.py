"""The application that all tests of a process share: what its first request builds takes longer than most tests."""

from functools import cache

from fastapi import FastAPI

from app.config import Settings
from app.db.engine import Database
from app.web.main import attach, create_app


def application(settings: Settings, database: Database) -> FastAPI:
    """It answers from this database until it is asked for again."""
    app = _made_once()
    attach(app, settings, database)
    return app


@cache
def _made_once() -> FastAPI:
    return create_app(Settings())  # over a database that nothing will open
