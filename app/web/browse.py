"""Look through the pool by what is known of its items, and at one item's whole history."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import ModelVersion, Round, RoundItem
from app.errors import InvalidInput
from app.services.pool.browse import BrowsePage, Differs, Filters, Order, Split, browse
from app.services.pool.history import item_history
from app.web.deps import ProjectAccess, ReadSession, ViewerAccess
from app.web.render import render

router = APIRouter(prefix="/p/{slug}/pool/items")
LARGEST_ID = 2**31 - 1
_PAGE = 50
REASON_WORDS = {
    "boundary": "boundary pair",
    "control": "control slice",
    "margin": "margin",
    "margin_diverse": "margin",
    "likely": "likely rare",
}
SOURCE_WORDS = {
    "unanimous": "all agreed",
    "majority": "by majority",
    "single": "one expert",
    "adjudicated": "decided",
    "tie": "tie",
}
ORDER_WORDS = {"pool": "as imported", "unsure": "lowest score first", "sure": "highest score first"}
SPLIT_WORDS = {"train": "fine-tuning", "evaluation": "evaluation"}
DIFFERS_WORDS = {
    "experts": "among the experts",
    "model": "experts from the model",
    "baseline": "experts from the baseline",
}


def _number(value: str, field: str, kind: type[int] | type[float]) -> Any:
    """A field of a form that is sent empty when nothing is chosen."""
    if not value.strip():
        return None
    try:
        number = kind(value)
    except ValueError as error:
        raise InvalidInput("That is not a number.", field=field) from error
    if not -1 < number <= LARGEST_ID:
        raise InvalidInput("That number is out of range.", field=field)
    return number


@router.get("", name="items")
def page(
    request: Request,
    access: ViewerAccess,
    session: ReadSession,
    q: Annotated[str, Query(max_length=500)] = "",
    version: str = "",
    label: str = "",
    low: str = "",
    high: str = "",
    round: str = "",
    reason: str = "",
    expert_label: str = "",
    split: Split = "",
    differs: Differs = "",
    order: Order = "pool",
    after: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    typed = {
        "q": q.replace("\x00", " ").strip(),
        "version": version,
        "label": label,
        "low": low,
        "high": high,
        "round": round,
        "reason": reason.replace("\x00", ""),
        "expert_label": expert_label,
        "split": split,
        "differs": differs,
        "order": order,
    }
    found, error = _found(session, access, typed, after)
    set_ = {name: value for name, value in typed.items() if value and not (name == "order" and value == "pool")}
    return render(
        request,
        "items.html",
        page=found,
        typed=typed,
        error=error,
        filtered=bool(set_.keys() - {"order"}),
        after=after,
        query=urlencode(set_),
        choices=_choices(session, access),
        reason_words=REASON_WORDS,
        source_words=SOURCE_WORDS,
        order_words=ORDER_WORDS,
        split_words=SPLIT_WORDS,
        differs_words=DIFFERS_WORDS,
        status=200 if error is None else 422,
    )


def _found(
    session: Session, access: ProjectAccess, typed: dict[str, str], after: str
) -> tuple[BrowsePage | None, InvalidInput | None]:
    try:
        filters = Filters(
            words=typed["q"],
            version=_number(typed["version"], "version", int),
            label=_number(typed["label"], "label", int),
            low=_number(typed["low"], "low", float),
            high=_number(typed["high"], "high", float),
            round=_number(typed["round"], "round", int),
            reason=typed["reason"],
            expert_label=_number(typed["expert_label"], "expert_label", int),
            split=typed["split"],  # type: ignore[arg-type]
            differs=typed["differs"],  # type: ignore[arg-type]
            order=typed["order"],  # type: ignore[arg-type]
        )
        return browse(session, access.project, filters, after=after, limit=_PAGE), None
    except InvalidInput as error:
        return None, error


def _choices(session: Session, access: ProjectAccess) -> dict[str, list[Any]]:
    """What there is to choose from: (value, words) for each list."""
    labels = list(enumerate(access.project.labels))
    of_project = Round.project_id == access.project.id
    numbers = session.scalars(select(Round.number).where(of_project).order_by(Round.number)).all()
    reasons = session.scalars(
        select(RoundItem.reason).distinct().join(Round, Round.id == RoundItem.round_id).where(of_project)
    ).all()
    versions = session.execute(
        select(ModelVersion.version, Round.number)
        .outerjoin(Round, Round.id == ModelVersion.round_id)
        .where(ModelVersion.project_id == access.project.id, ModelVersion.state == "ready")
        .order_by(ModelVersion.version)
    ).all()
    return {
        "labels": labels,
        "rounds": [(number, f"Round {number}") for number in numbers],
        "reasons": sorted((reason, REASON_WORDS.get(reason, reason).capitalize()) for reason in reasons),
        "versions": [(v, f"{v}: " + (f"round {number}" if number else "pre-labeller")) for v, number in versions],
    }


@router.get("/{item_id}", name="item")
def item_page(
    request: Request,
    access: ViewerAccess,
    session: ReadSession,
    item_id: Annotated[int, Path(ge=1, le=LARGEST_ID)],
) -> Response:
    history = item_history(session, access.project, item_id)
    return render(request, "item.html", history=history, reason_words=REASON_WORDS, source_words=SOURCE_WORDS)
