"""What routes ask for: a session, the settings, who is asking, and a project that they may open.

A session given here takes its connection with the first statement, and no dependency makes one: otherwise a
request could hold a connection, or SQLite's write lock, while it waits for a thread, and with enough such requests
all threads would wait for those locks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.engine import Database
from app.db.tables import Project, User
from app.errors import Forbidden, NotFound, NotSignedIn
from app.services import accounts
from app.services.accounts import Access, Role, Scope
from app.web import i18n, security
from app.web.i18n import N_


async def get_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def get_app_settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Db = Annotated[Database, Depends(get_database)]
AppSettings = Annotated[Settings, Depends(get_app_settings)]


def read_session(database: Db) -> Iterator[Session]:
    with database.read() as session:
        yield session


def write_session(database: Db) -> Iterator[Session]:
    with database.write() as session:
        yield session


# scope="function": the session ends, so that a write is committed, before the response is sent. Nobody is told
# "saved" of something that is not.
ReadSession = Annotated[Session, Depends(read_session, scope="function")]
WriteSession = Annotated[Session, Depends(write_session, scope="function")]


async def find_access(request: Request, database: Db) -> Access | None:
    """Who is asking, and what they are in the project that the path names as ``slug``: one statement at most.

    SQLite answers it from memory in less time than a hand-over to a thread takes; Postgres may make us wait.
    """
    if database.is_sqlite:
        access = _find_access(request, database)
    else:
        access = await run_in_threadpool(_find_access, request, database)
    if access is not None and access.token is not None and accounts.is_due(access.token):
        token_id = access.token.id
        await run_in_threadpool(database.run_write, lambda session: accounts.note_use(session, token_id))
    i18n.use_language_of(request)
    return access


def _find_access(request: Request, database: Database) -> Access | None:
    slug = request.path_params.get("slug")
    access: Access | None = None
    if (bearer := security.bearer_token(request)) is not None:
        with database.read() as session:
            access = accounts.resolve_api_token(session, bearer, slug)
        if access is None or access.token is None:
            raise NotSignedIn("That API token is not valid, has expired or was revoked.")
        if access.scopes and not request.url.path.startswith("/api/"):
            raise Forbidden("This token is for the API only, because it is limited to a part of what you may do.")
    elif (token := security.session_token(request)) is not None:
        with database.read() as session:
            access = accounts.resolve_session(session, token, slug)
    request.state.access = access  # render.py shows the name and the navigation from it
    return access


async def speak_the_readers_language(request: Request) -> None:
    """For every request: what its route says is in the browser's language, and in the account's once that is known."""
    i18n.use_language_of(request)


MaybeAccess = Annotated[Access | None, Depends(find_access)]


async def require_access(access: MaybeAccess) -> Access:
    if access is None:
        raise NotSignedIn("Sign in to go on.")
    return access


SignedIn = Annotated[Access, Depends(require_access)]


def scope_for(writes: Scope) -> Callable[..., object]:
    """A dependency of every route of the API: a token that is limited must be allowed ``read`` for what changes
    nothing, and ``writes`` for the rest."""

    async def check(request: Request, access: MaybeAccess) -> None:
        wanted: Scope = "read" if request.method in security.SAFE_METHODS else writes
        if access is not None and access.scopes and wanted not in access.scopes:
            raise Forbidden("This token may not do that: it lacks '%(scope)s'.", values={"scope": wanted}, scope=wanted)

    return check


async def current_user(access: SignedIn) -> User:
    return access.user


CurrentUser = Annotated[User, Depends(current_user)]


async def site_admin(access: SignedIn) -> User:
    if not access.user.is_site_admin:
        raise Forbidden("Only a site admin can do this.")
    return access.user


SiteAdmin = Annotated[User, Depends(site_admin)]


@dataclass(frozen=True)
class ProjectAccess:
    """A project that the person asking may open, and their role in it."""

    user: User
    project: Project
    role: Role

    @property
    def is_lead(self) -> bool:
        """May decide ties and change the guideline."""
        return self.role in ("lead", "admin")

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


_REFUSED: dict[Role, str] = {
    "viewer": N_("Experts answer without seeing this page."),
    "lead": N_("Only an admin or a lead of this project can do this."),
    "admin": N_("Only an admin of this project can open this page."),
}


def project_access(role: Role) -> Callable[..., object]:
    """A dependency that loads the project named ``{slug}`` in the path and authorises ``role`` and all above it
    (accounts.RANKS): ``expert`` admits every member. To an outsider the project does not exist.
    """

    async def authorise(access: SignedIn) -> ProjectAccess:
        if access.project is None or access.role is None:
            raise NotFound("There is no such project, or you are not a member of it.")
        if accounts.RANKS[access.role] < accounts.RANKS[role]:
            raise Forbidden(_REFUSED[role])
        return ProjectAccess(access.user, access.project, access.role)

    return authorise


ExpertAccess = Annotated[ProjectAccess, Depends(project_access("expert"))]
ViewerAccess = Annotated[ProjectAccess, Depends(project_access("viewer"))]
LeadAccess = Annotated[ProjectAccess, Depends(project_access("lead"))]
AdminAccess = Annotated[ProjectAccess, Depends(project_access("admin"))]
