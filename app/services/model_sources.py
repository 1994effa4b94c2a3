"""A trained model of one project as the pre-labeller of another: whose it may be, and whether it fits."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db.tables import Membership, ModelVersion, Project, Round, User
from app.errors import InvalidInput
from app.services.accounts import RANKS, check_role


def find(session: Session, slug: str, number: int, labels: Sequence[str]) -> tuple[Project, ModelVersion]:
    """Raises InvalidInput for a model that is not there, not ready, or has other labels than ``labels`` (in whatever
    order)."""
    row = session.execute(
        select(Project, ModelVersion)
        .join(ModelVersion, ModelVersion.project_id == Project.id)
        .join(Round, Round.id == ModelVersion.round_id)
        .where(Project.slug == slug, Project.deleted_at.is_(None), ModelVersion.version == number)
        .where(ModelVersion.state == "ready", Round.state == "done", ModelVersion.artifact_key.is_not(None))
    ).first()
    if row is None:
        raise InvalidInput(
            f"There is no trained model version {number} of a project '{slug}'.", field="prelabel.version"
        )
    source, version = row
    if set(source.labels) != set(labels):
        theirs, ours = ", ".join(source.labels), ", ".join(labels)
        raise InvalidInput(
            f"That model's labels are {theirs}; those of this project are {ours}.", field="prelabel.project"
        )
    return source, version


def check(session: Session, labels: Sequence[str], prelabel: Mapping[str, Any], user_id: int | None) -> None:
    """Refuse a model that does not fit, or that ``user_id`` may not see (None: whoever runs the installation).

    To an outsider it is a model that is not there. Raises InvalidInput.
    """
    if prelabel.get("provider") != "model":
        return
    from app.ml.prelabel.configs import ModelConfig, parse_config

    config = parse_config(prelabel)
    assert isinstance(config, ModelConfig)  # noqa: S101 - its provider says so
    if user_id is not None and not _may_see(session, config.project, user_id):
        said = f"There is no trained model version {config.version} of a project '{config.project}'."
        raise InvalidInput(said, field="prelabel.version")
    find(session, config.project, config.version, labels)


def _may_see(session: Session, slug: str, user_id: int) -> bool:
    user = session.get_one(User, user_id)
    role = session.scalar(
        select(Membership.role)
        .join(Project, Project.id == Membership.project_id)
        .where(Project.slug == slug, Membership.user_id == user_id, Membership.removed_at.is_(None))
    )
    return user.is_site_admin or (role is not None and RANKS[check_role(role)] >= RANKS["viewer"])


def possible_targets(session: Session, mine: Sequence[Project], source: Project) -> list[Project]:
    """Those of the projects ``mine`` that a model of ``source`` could pre-label: the same labels, and nothing labelled
    or begun yet."""
    begun = select(Project.id).where(
        exists().where(Round.project_id == Project.id) | exists().where(ModelVersion.project_id == Project.id)
    )
    taken = set(session.scalars(begun.where(Project.id.in_([project.id for project in mine]))))
    fits = [project for project in mine if project.id != source.id and set(project.labels) == set(source.labels)]
    return [project for project in fits if project.id not in taken]
