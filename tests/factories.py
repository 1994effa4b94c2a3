"""Rows for tests, written straight to the tables: a test of one service does not depend on another.

Every function flushes, so that ids are there, and leaves the commit to the caller.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from sqlalchemy.orm import Session

from app.db.tables import GuidelineVersion, Item, Membership, Project, User
from app.services.pool.rows import content_hash

_numbers = count(1)


def make_user(
    session: Session,
    name: str = "",
    *,
    email: str | None = None,
    is_site_admin: bool = False,
    password_hash: str | None = None,
) -> User:
    """An account; without a name or an address it gets a fresh one."""
    name = name or f"Person {next(_numbers)}"
    address = email or f"{name.lower().replace(' ', '.')}.{next(_numbers)}@example.org"
    user = User(email=address, name=name, is_site_admin=is_site_admin, password_hash=password_hash)
    session.add(user)
    session.flush()
    return user


def make_project(
    session: Session,
    *,
    name: str = "",
    labels: Sequence[str] = ("benign", "clickbait"),
    settings: Mapping[str, Any] | None = None,
    guideline: str | None = "Label what the text is.",
    admin: User | None = None,
    experts: Sequence[User] = (),
) -> Project:
    """A project with its first guideline version (unless ``guideline`` is None) and its members."""
    number = next(_numbers)
    project = Project(
        slug=f"project-{number}", name=name or f"Project {number}", labels=list(labels), settings=dict(settings or {})
    )
    session.add(project)
    session.flush()
    if guideline is not None:
        session.add(GuidelineVersion(project_id=project.id, version=1, text=guideline, examples={}))
    if admin is not None:
        make_member(session, project, admin, "admin")
    for expert in experts:
        make_member(session, project, expert)
    session.flush()
    return project


def make_member(session: Session, project: Project, user: User, role: str = "expert") -> Membership:
    membership = Membership(user_id=user.id, project_id=project.id, role=role)
    session.add(membership)
    session.flush()
    return membership


def make_items(session: Session, project: Project, texts: Sequence[str] | int) -> list[Item]:
    """Items with the next ordinals, in the order given; a number makes that many different texts."""
    if isinstance(texts, int):
        texts = [f"text number {project.item_count + i}" for i in range(texts)]
    items = [
        Item(
            project_id=project.id,
            ordinal=project.item_count + i,
            content_hash=content_hash(text),
            text=text,
        )
        for i, text in enumerate(texts)
    ]
    session.add_all(items)
    project.item_count += len(items)
    session.add(project)
    session.flush()
    return items
