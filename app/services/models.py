"""The registry of a project's model versions: where each comes from, how good it is, and whether it may be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.db.tables import GuidelineVersion, ModelVersion, Project, Round
from app.errors import Conflict, NotFound
from app.ml.portable import EncoderFacts
from app.services.alignment import CONTROL, EVALUATION, AlignmentReport, Point, alignment


@dataclass(frozen=True)
class Registered:
    """A model version with its lineage.

    ``state`` is building (also while its round is not finished), ready, or unused: its round was cancelled.
    ``base_version`` is whose labels its round mined, ``pool_size`` how many items were known when it was trained,
    ``encoder_revision`` the hub's commit or a digest of the files (None: not recorded). Figures are those of the
    newest finished round; None: it has not scored this version.
    """

    id: int
    version: int
    kind: str
    engine: str
    state: str
    round_number: int | None
    guideline_version: int | None
    base_version: int | None
    training_size: int
    example_items: int
    pool_size: int | None
    predicted_items: int
    seed: int
    encoder: str | None
    encoder_revision: str | None
    threshold: float | None
    settings: dict[str, Any]
    metrics: dict[str, Any]
    created_at: datetime
    evaluation: Point | None
    control: Point | None
    artifact_key: str | None
    encoder_facts: EncoderFacts | None

    @property
    def is_trained(self) -> bool:
        return self.kind == "trained"

    @property
    def can_predict(self) -> bool:
        return self.is_trained and self.state == "ready" and self.artifact_key is not None


def list_models(session: Session, project: Project, report: AlignmentReport | None = None) -> list[Registered]:
    """The newest first. ``report`` is the project's, where the caller has it already."""
    points = {(p.version, p.slice): p for p in (report or alignment(session, project.id)).points}
    return [_registered(row, points) for row in session.execute(_rows(project.id))]


def get_model(session: Session, project: Project, version: int, report: AlignmentReport | None = None) -> Registered:
    """Raises NotFound."""
    points = {(p.version, p.slice): p for p in (report or alignment(session, project.id)).points}
    row = session.execute(_rows(project.id).where(ModelVersion.version == version)).first()
    if row is None:
        raise NotFound("There is no such model version.")
    return _registered(row, points)


def trained_model(session: Session, project: Project, version: int | None = None) -> Registered:
    """One that can label texts: the newest that is ready, or ``version``. Raises NotFound, or Conflict with the reason
    why that one can't."""
    if version is None:
        newest = next((model for model in list_models(session, project) if model.can_predict), None)
        if newest is None:
            raise Conflict("This project has no trained model yet: its first round makes one.")
        return newest
    model = get_model(session, project, version)
    if not model.is_trained:
        raise Conflict("This version is the pre-labeller. Only trained models can be used and downloaded.")
    if not model.can_predict:
        raise Conflict("This version can't be used: its round was cancelled, or is not finished.")
    return model


def _rows(project_id: int) -> Any:
    base = aliased(ModelVersion)
    return (
        select(ModelVersion, Round, GuidelineVersion.version, base.version)
        .outerjoin(Round, Round.id == ModelVersion.round_id)
        .outerjoin(GuidelineVersion, GuidelineVersion.id == Round.guideline_version_id)
        .outerjoin(base, base.id == Round.base_model_id)
        .where(ModelVersion.project_id == project_id)
        .order_by(ModelVersion.version.desc())
    )


def _registered(row: Sequence[Any], points: dict[tuple[int, str], Point]) -> Registered:
    version, round_, guideline, base = row
    config, metrics = version.config, version.metrics
    facts = config.get("encoder_facts")
    own = version.engine != "linear"  # a model with weights of its own: the project's encoder only mined for it
    return Registered(
        id=version.id,
        version=version.version,
        kind=version.kind,
        engine=version.engine,
        state=_state(version, round_),
        round_number=round_.number if round_ else None,
        guideline_version=guideline,
        base_version=base,
        training_size=version.training_size,
        example_items=metrics.get("example_items", 0),
        pool_size=config.get("pool_size"),
        predicted_items=version.predicted_items,
        seed=version.seed,
        encoder=_encoder(version, own),
        encoder_revision=metrics.get("encoder_revision") if own else (facts or {}).get("revision"),
        threshold=metrics.get("threshold"),
        settings=config.get("engine_config", {}) if version.kind == "trained" else config.get("prelabel", {}),
        metrics=metrics,
        created_at=version.created_at,
        evaluation=points.get((version.version, EVALUATION)),
        control=points.get((version.version, CONTROL)),
        artifact_key=version.artifact_key,
        encoder_facts=EncoderFacts(**facts) if facts else None,
    )


def _encoder(version: ModelVersion, own: bool) -> str | None:
    """The model that this one builds on, by reference."""
    config, metrics = version.config, version.metrics
    given = config.get("prelabel", {}) if version.kind == "prelabel" else metrics if own else config
    found = given.get("encoder") or given.get("model")
    return str(found) if found else None


def _state(version: ModelVersion, round_: Round | None) -> str:
    if round_ is None or round_.state == "done":
        return version.state
    return "unused" if round_.state == "cancelled" else "building"
