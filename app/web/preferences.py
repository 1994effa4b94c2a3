"""How a person likes their pages: saved by the labelling page's script, or as a form on the account page."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Form, Request, Response
from pydantic import AfterValidator

from app.errors import InvalidInput
from app.services import preferences
from app.web.deps import SignedIn, WriteSession
from app.web.i18n import LANGUAGES, _
from app.web.render import redirect
from app.web.storable import storable

router = APIRouter()


@router.post("/preferences", name="save_preferences")
def save(
    access: SignedIn, session: WriteSession, changes: Annotated[dict[str, Any], Body(), AfterValidator(storable)]
) -> dict[str, Any]:
    saved = preferences.update(session, access.user, **changes)
    return saved.model_dump() | {"keys": saved.all_keys}


@router.post("/account/preferences", name="account_preferences")
def save_form(
    request: Request,
    access: SignedIn,
    session: WriteSession,
    language: Annotated[str, Form()] = "",
    break_minutes: Annotated[int, Form()] = 0,
    swipe: Annotated[bool, Form()] = False,
    email_when_work: Annotated[bool, Form()] = False,
) -> Response:
    if language and language not in LANGUAGES:
        raise InvalidInput("There is no such language.", field="language")
    preferences.update(session, access.user, break_minutes=break_minutes, swipe=swipe, email_when_work=email_when_work)
    preferences.speak(session, access.user, language or None)
    return redirect(request, "/account", flash=_("Your preferences are saved."))
