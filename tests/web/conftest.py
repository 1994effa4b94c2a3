"""The application over a database of the test's own, and browsers for the people in it."""

import re
from dataclasses import dataclass
from html import unescape

import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.db.engine import Database
from app.services import accounts
from tests.application import application
from tests.factories import make_project

PASSWORD = "correct horse battery"


@pytest.fixture
def backend() -> str:
    """Pages add no SQL of their own, so one database is enough here; the services' tests run on both."""
    return "sqlite"


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path, base_url="http://testserver")


@pytest.fixture
def app(settings, db):
    return application(settings, db)


class Browser:
    """A TestClient that fills in forms as a browser would: with the hidden token of the last page."""

    def __init__(self, app) -> None:
        self.client = TestClient(app, follow_redirects=False)

    def get(self, url: str, **values):
        return self.client.get(url, **values)

    def csrf(self) -> str:
        page = self.client.get("/account").text
        return re.search(r'name="csrf_token" value="([0-9a-f]+)"', page)[1]

    def post_json(self, url: str, body):
        """As a page's own script does."""
        headers = {"Accept": "application/json"}
        if self.client.cookies.get("linecall"):
            headers["X-CSRF-Token"] = self.csrf()
        return self.client.post(url, json=body, headers=headers)

    def post(self, url: str, data=None, **values):
        data = dict(data or {})
        if self.client.cookies.get("linecall") and "csrf_token" not in data:
            data["csrf_token"] = self.csrf()
        return self.client.post(url, data=data, **values)

    def sign_in(self, email: str, password: str = PASSWORD, **data):
        return self.client.post("/sign-in", data={"email": email, "password": password, **data})


@dataclass
class Scene:
    app: object
    db: Database
    slug: str
    project_id: int
    users: dict[str, int]

    def browser(self, who: str | None = None) -> Browser:
        browser = Browser(self.app)
        if who is not None:
            assert browser.sign_in(f"{who}@example.org").status_code == 303
        return browser

    def path(self, rest: str = "") -> str:
        return f"/p/{self.slug}{rest}"


@pytest.fixture
def scene(app, db) -> Scene:
    return make_scene(app, db)


def make_scene(app, db) -> Scene:
    """A project with an admin and an expert, and an outsider; everybody's password is PASSWORD."""
    with db.write() as session:
        users = {
            name: accounts.create_user(session, email=f"{name}@example.org", name=name.title(), password=PASSWORD)
            for name in ("admin", "expert", "outsider")
        }
        project = make_project(session, admin=users["admin"], experts=[users["expert"]])
        return Scene(app, db, project.slug, project.id, {name: user.id for name, user in users.items()})


def link_in(html: str) -> str:
    """The path of the link that a page shows once."""
    return unescape(re.search(r'id="secret"[^>]* value="http://testserver([^"]+)"', html)[1])
