"""Importing this makes a process whose application has answered: what that builds, forks of the process have."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi.testclient import TestClient

from app.config import Settings
from app.db.engine import Database
from tests.application import application

with TemporaryDirectory() as _folder:
    _database = Database(f"sqlite:///{Path(_folder) / 'none.sqlite'}")
    TestClient(application(Settings(data_dir=Path(_folder)), _database)).get("/nothing-is-here")
    _database.dispose()
