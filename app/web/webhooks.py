"""Webhooks: which addresses are told of the project's rounds, and whether the calls arrived."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request, Response

from app.config import Settings
from app.services import webhooks
from app.web.deps import AdminAccess, AppSettings, Db, ProjectAccess, WriteSession
from app.web.render import form_errors, redirect, render
from app.web.rounds import no_worker

router = APIRouter(prefix="/p/{slug}/webhooks")
Id = Annotated[int, Path(ge=1, lt=2**31)]
EVENT_WORDS = {
    "round.started": "A round has started",
    "review.opened": "A review has opened for the experts",
    "review.finished": "A review is finished",
    "ties.waiting": "Items wait for a person's decision",
    "round.done": "A round is done, with its figures and advice",
    "advice.stop": "The advice is to stop",
    "round.failed": "A round has failed",
    "round.paused": "A round was paused",
    "round.resumed": "A paused round goes on",
    "round.cancelled": "A round was cancelled",
}
_POLL_SECONDS = 2
STATE_WORDS = {"waiting": ("waiting", "neutral"), "sent": ("arrived", "good"), "failed": ("given up", "bad")}


@router.get("", name="webhooks")
def page(request: Request, db: Db, settings: AppSettings, access: AdminAccess) -> Response:
    return _page(request, db, settings, access)


def _page(request: Request, db: Db, settings: Settings, access: ProjectAccess, **context: Any) -> Response:
    """It asks again by itself while a call has not been tried yet."""
    with db.read() as session:
        found = webhooks.list_webhooks(session, access.project.id)
        hooks = [(hook, webhooks.deliveries(session, hook.id)) for hook in found]
        waits = any(call.state == "waiting" and not call.attempts for _, calls in hooks for call in calls)
        idle = waits and no_worker(session, settings)
    shown: dict[str, Any] = {
        "hooks": hooks,
        "event_words": EVENT_WORDS,
        "state_words": STATE_WORDS,
        "secret": None,
        "chosen": (),
    }
    shown |= {"poll": _POLL_SECONDS if waits else None, "no_worker": idle}
    return render(request, "webhooks.html", fragment="_webhooks.html", **(shown | context))


@router.post("", name="add_webhook")
def add(
    request: Request,
    db: Db,
    settings: AppSettings,
    access: AdminAccess,
    address: Annotated[str, Form()] = "",
    events: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """The secret is shown in this very answer and never again."""
    values = {"address": address}
    again = form_errors(
        lambda errors: _page(request, db, settings, access, errors=errors, values=values, chosen=events)
    )
    with again, db.write() as session:
        hook, secret = webhooks.add(
            session, settings, access.project.id, address, events, user_id=access.user.id
        )  # fmt: skip
        address = hook.url
    return _page(request, db, settings, access, secret=secret, secret_for=address)


@router.post("/{webhook_id}/test", name="test_webhook")
def send_test(request: Request, webhook_id: Id, access: AdminAccess, session: WriteSession) -> Response:
    webhooks.send_test(session, access.project.id, webhook_id, user_id=access.user.id)
    return _back(request, access, "A test is on its way.")


@router.post("/{webhook_id}/remove", name="remove_webhook")
def remove(request: Request, webhook_id: Id, access: AdminAccess, session: WriteSession) -> Response:
    webhooks.remove(session, access.project.id, webhook_id, user_id=access.user.id)
    return _back(request, access, "The webhook is removed: its address is told nothing more.")


def _back(request: Request, access: ProjectAccess, flash: str) -> Response:
    return redirect(request, str(request.app.url_path_for("webhooks", slug=access.project.slug)), flash=flash)
