"""Looking through the pool by what the model says, what the experts say, why an item was chosen and what it holds.

Every page is read along one index from where the last one ended, whichever filters are set, so that the thousandth
page of a million items takes as long as the first. Which index that is follows from the narrowest filter: items that
a round has chosen are few, words have an index of their own, and predictions lie in the order of their scores.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, exists, literal, select, tuple_
from sqlalchemy.orm import Session

from app.db.tables import Baseline, BaselineLabel, ConsensusLabel, Item, ModelVersion, Prediction, Project, Round
from app.db.tables import RoundItem as Chosen
from app.errors import InvalidInput
from app.services.pool.search import holds, matching
from app.services.rounds import current_model

Order = Literal["pool", "unsure", "sure"]
Split = Literal["", "train", "evaluation"]
Differs = Literal["", "experts", "model", "baseline"]
_DISPUTED = ("tie", "majority", "adjudicated")


@dataclass(frozen=True)
class Filters:
    """``version`` is a model version's number (None: the current one); ``label`` is what it predicts, ``low`` and
    ``high`` bound its score in [0, 1]. ``expert_label`` is the consensus, ``split`` what it is used for. ``differs``
    asks for items where the experts differed among themselves, or from that model version, or from the baseline."""

    words: str = ""
    version: int | None = None
    label: int | None = None
    low: float | None = None
    high: float | None = None
    round: int | None = None
    reason: str = ""
    expert_label: int | None = None
    split: Split = ""
    differs: Differs = ""
    order: Order = "pool"

    @property
    def of_chosen(self) -> bool:
        return (
            self.round is not None
            or bool(self.reason)
            or self.expert_label is not None
            or bool(self.differs)
            or bool(self.split)
        )

    @property
    def of_predictions(self) -> bool:
        return self.label is not None or self.low is not None or self.high is not None


@dataclass(frozen=True)
class BrowsedItem:
    """``rounds`` are (number, why it was chosen); ``consensus`` and ``source`` are the newest round's."""

    id: int
    ordinal: int
    external_id: str | None
    text: str
    label: int | None
    score: float | None
    rounds: tuple[tuple[int, str], ...] = ()
    consensus: int | None = None
    source: str | None = None


@dataclass(frozen=True)
class BrowsePage:
    """``order`` is the one that the page is in: words are found in the pool's order, predictions in that of their
    scores. ``next`` continues after the last item; None on the last page. ``version`` is whose predictions these are.
    """

    items: list[BrowsedItem]
    order: Order
    version: int | None
    next: str | None = None


def browse(session: Session, project: Project, filters: Filters, *, after: str = "", limit: int = 50) -> BrowsePage:
    """The next items. Raises InvalidInput for a filter that names nothing, or an ``after`` that no page gave."""
    model = _version(session, project, filters)
    order = _order(filters, model)
    page = _Page(session, project, filters, model, order, _position(after, order), limit + 1)
    keys = _driver(filters, order)(page)
    shown = keys[:limit]
    more = None if len(keys) <= limit else _as_text(shown[-1], order)
    items = _items(session, [item_id for item_id, _ in shown], model)
    return BrowsePage(items, order, model.version if model else None, more)


Key = tuple[int, float | None]  # an item's id, and its score where the order goes by it


def _order(filters: Filters, model: ModelVersion | None) -> Order:
    if model is None or filters.words:
        return "pool"
    if filters.of_predictions and not filters.of_chosen and filters.order == "pool":
        return "unsure"
    return filters.order


def _driver(filters: Filters, order: Order) -> Callable[["_Page"], list[Key]]:
    if filters.words:
        return _by_words
    if filters.of_chosen:
        return _by_choice
    return _by_score if filters.of_predictions or order != "pool" else _by_pool


def _version(session: Session, project: Project, filters: Filters) -> ModelVersion | None:
    if filters.version is None:
        model = current_model(session, project.id)
        if model is None and (filters.of_predictions or filters.differs == "model"):
            raise InvalidInput("No model has labelled this pool yet.", field="label")
        return model
    model = session.scalar(
        select(ModelVersion).where(
            ModelVersion.project_id == project.id,
            ModelVersion.version == filters.version,
            ModelVersion.state == "ready",
        )
    )
    if model is None:
        raise InvalidInput("There is no such model version.", field="version")
    return model


# --- where a page goes on ---------------------------------------------------------------------------------------------


def _position(after: str, order: Order) -> Key | None:
    if not after:
        return None
    item_id, _, score = after.partition("~")
    try:
        return int(item_id), float(score) if order != "pool" else None
    except ValueError as error:
        raise InvalidInput("That is not where a page ended.", field="after") from error


def _as_text(key: Key, order: Order) -> str:
    return str(key[0]) if order == "pool" else f"{key[0]}~{key[1]!r}"


# --- one index each ---------------------------------------------------------------------------------------------------


def _by_pool(page: "_Page") -> list[Key]:
    return page.in_pool_order(select(Item.id).where(Item.project_id == page.project.id), Item.id)


def _by_words(page: "_Page") -> list[Key]:
    query, item_id = matching(page.session, page.filters.words)
    if page.filters.of_chosen:  # they are few, and a common word is in many
        query = select(Item.id).where(Item.id.in_(_chosen(page)), holds(page.session, page.filters.words))
        item_id = Item.id
    query = query.where(Item.project_id == page.project.id)
    if page.model is not None and page.filters.of_predictions:
        query = query.join(Prediction, _is_of(page.model)).where(*_predicted(page.filters))
    return page.in_pool_order(query, item_id)


def _by_choice(page: "_Page") -> list[Key]:
    query = select(Item.id).where(Item.project_id == page.project.id, Item.id.in_(_chosen(page)))
    if page.model is None or (page.order == "pool" and not page.filters.of_predictions):
        return page.in_pool_order(query, Item.id)
    query = query.join(Prediction, _is_of(page.model)).where(*_predicted(page.filters))
    if page.order == "pool":
        return page.in_pool_order(query, Item.id)
    return page.in_score_order(query.add_columns(Prediction.score))


def _by_score(page: "_Page") -> list[Key]:
    """The index holds each label's predictions by score: each label gives its next ones, and the first of all these
    are the page."""
    assert page.model is not None  # noqa: S101 - without one there is no order by score
    labels = range(len(page.project.labels)) if page.filters.label is None else [page.filters.label]
    found: list[Key] = []
    for label in labels:
        query = select(Prediction.item_id, Prediction.score).where(
            Prediction.model_version_id == page.model.id, Prediction.label == label, *_within(page.filters)
        )
        found += page.in_score_order(query)
    return sorted(found, key=lambda key: (key[1], key[0]), reverse=page.order == "sure")[: page.limit]


@dataclass(frozen=True)
class _Page:
    """What is asked for; ``limit`` is one more than is shown, to know whether there are more."""

    session: Session
    project: Project
    filters: Filters
    model: ModelVersion | None
    order: Order
    position: Key | None
    limit: int

    def in_pool_order(self, query: Any, item_id: Any) -> list[Key]:
        if self.position is not None:
            query = query.where(item_id > self.position[0])
        return [(found, None) for found in self.session.scalars(query.order_by(item_id).limit(self.limit))]

    def in_score_order(self, query: Any) -> list[Key]:
        ends = (Prediction.score, Prediction.item_id)
        if self.position is not None:
            item_id, score = self.position
            here, there = tuple_(*ends), tuple_(literal(score), literal(item_id))
            query = query.where(here > there if self.order == "unsure" else here < there)
        ordered = query.order_by(*(end.desc() if self.order == "sure" else end for end in ends))
        return [(item_id, score) for item_id, score in self.session.execute(ordered.limit(self.limit))]


# --- conditions -------------------------------------------------------------------------------------------------------


def _is_of(model: ModelVersion) -> ColumnElement[bool]:
    return and_(Prediction.model_version_id == model.id, Prediction.item_id == Item.id)


def _predicted(filters: Filters) -> list[ColumnElement[bool]]:
    return ([] if filters.label is None else [Prediction.label == filters.label]) + _within(filters)


def _within(filters: Filters) -> list[ColumnElement[bool]]:
    found = []
    if filters.low is not None:
        found.append(Prediction.score >= filters.low)
    if filters.high is not None:
        found.append(Prediction.score <= filters.high)
    return found


def _chosen(page: _Page) -> Select[int]:
    filters = page.filters
    query = (
        select(Chosen.item_id)
        .join(Round, Round.id == Chosen.round_id)
        .outerjoin(
            ConsensusLabel,
            and_(ConsensusLabel.round_id == Chosen.round_id, ConsensusLabel.item_id == Chosen.item_id),
        )
        .where(Round.project_id == page.project.id)
    )
    if filters.round is not None:
        query = query.where(Round.number == filters.round)
    if filters.reason:
        query = query.where(Chosen.reason == filters.reason)
    if filters.expert_label is not None:
        query = query.where(ConsensusLabel.label == filters.expert_label)
    if filters.split:
        query = query.where(Chosen.split == filters.split)
    return query.where(*_differing(page))


def _differing(page: _Page) -> list[ColumnElement[bool]]:
    if page.filters.differs == "experts":
        return [ConsensusLabel.source.in_(_DISPUTED)]
    if page.filters.differs == "model" and page.model is not None:
        same_item = and_(Prediction.model_version_id == page.model.id, Prediction.item_id == Chosen.item_id)
        return [exists().where(same_item, Prediction.label != ConsensusLabel.label)]
    if page.filters.differs == "baseline":
        newest = page.session.scalar(
            select(Baseline.id)
            .where(Baseline.project_id == page.project.id, Baseline.state == "done")
            .order_by(Baseline.id.desc())
            .limit(1)
        )
        same_item = and_(BaselineLabel.baseline_id == newest, BaselineLabel.item_id == Chosen.item_id)
        return [exists().where(same_item, BaselineLabel.label != ConsensusLabel.label)]
    return []


# --- what a page shows ------------------------------------------------------------------------------------------------


def _items(session: Session, ids: Sequence[int], model: ModelVersion | None) -> list[BrowsedItem]:
    texts = {
        row.id: row
        for row in session.execute(select(Item.id, Item.ordinal, Item.external_id, Item.text).where(Item.id.in_(ids)))
    }
    predicted = _predictions(session, ids, model)
    rounds, consensus = _decisions(session, ids)
    found = []
    for item_id in ids:
        (label, score), (decided, source) = predicted.get(item_id, (None, None)), consensus.get(item_id, (None, None))
        found.append(
            BrowsedItem(
                item_id,
                texts[item_id].ordinal,
                texts[item_id].external_id,
                texts[item_id].text,
                label,
                score,
                tuple(rounds[item_id]),
                decided,
                source,
            )
        )
    return found


def _predictions(session: Session, ids: Sequence[int], model: ModelVersion | None) -> dict[int, tuple[int, float]]:
    if model is None:
        return {}
    rows = session.execute(
        select(Prediction.item_id, Prediction.label, Prediction.score).where(
            Prediction.model_version_id == model.id, Prediction.item_id.in_(ids)
        )
    )
    return {row.item_id: (row.label, row.score) for row in rows}


def _decisions(
    session: Session, ids: Sequence[int]
) -> tuple[dict[int, list[tuple[int, str]]], dict[int, tuple[int | None, str]]]:
    rounds: dict[int, list[tuple[int, str]]] = defaultdict(list)
    consensus: dict[int, tuple[int | None, str]] = {}
    rows = session.execute(
        select(Chosen.item_id, Round.number, Chosen.reason, ConsensusLabel.label, ConsensusLabel.source)
        .join(Round, Round.id == Chosen.round_id)
        .outerjoin(
            ConsensusLabel,
            and_(ConsensusLabel.round_id == Chosen.round_id, ConsensusLabel.item_id == Chosen.item_id),
        )
        .where(Chosen.item_id.in_(ids))
        .order_by(Round.number)
    )
    for item_id, number, reason, label, source in rows:
        rounds[item_id].append((number, reason))
        if source is not None:
            consensus[item_id] = (label, source)
    return rounds, consensus
