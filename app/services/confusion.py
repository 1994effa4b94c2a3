"""The newest model against the experts' consensus on the evaluation set, cell by cell and label by label."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.curation.label_scores import LabelScore, confusion, label_scores
from app.db.tables import ConsensusLabel, ModelVersion, Prediction, Project, Round, RoundItem
from app.services.rounds import current_model


@dataclass(frozen=True)
class ModelConfusion:
    """``counts`` (labels, labels): rows the consensus, columns the model; they sum to ``n``."""

    version: int
    counts: list[list[int]]
    n: int
    labels: list[LabelScore]


def model_confusion(session: Session, project: Project) -> ModelConfusion | None:
    """On decided items of the evaluation set of all finished rounds, unweighted; None before there are any."""
    model = current_model(session, project.id)
    if model is None:
        return None
    cells = [(int(decided), int(said), count) for decided, said, count in session.execute(_cells(project, model))]
    if not cells:
        return None
    matrix = confusion(cells, len(project.labels))
    return ModelConfusion(model.version, matrix, sum(map(sum, matrix)), label_scores(matrix))


def _cells(project: Project, model: ModelVersion) -> Any:
    return (
        select(
            ConsensusLabel.label.label("consensus"), Prediction.label.label("predicted"), func.count().label("count")
        )
        .join(Round, Round.id == ConsensusLabel.round_id)
        .join(
            RoundItem,
            (RoundItem.round_id == ConsensusLabel.round_id) & (RoundItem.item_id == ConsensusLabel.item_id),
        )
        .join(Prediction, (Prediction.item_id == ConsensusLabel.item_id) & (Prediction.model_version_id == model.id))
        .where(
            Round.project_id == project.id,
            Round.state == "done",
            RoundItem.split == "evaluation",
            ConsensusLabel.label.is_not(None),
        )
        .group_by(ConsensusLabel.label, Prediction.label)
    )
