"""The web process: ``uvicorn --factory app.web.main:create_app``."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app import __version__
from app.config import Settings, get_settings
from app.db.engine import Database
from app.resources import resource
from app.web import (
    account,
    adjudication,
    alignment,
    audit,
    baseline,
    boundary_map,
    browse,
    contrast,
    deletion,
    dry_runs,
    errors,
    export,
    given,
    guidance,
    guideline,
    home,
    label,
    models,
    people,
    pool,
    practice,
    preferences,
    projects,
    report,
    rounds,
    session,
    sso,
    start,
    webhooks,
)
from app.web.api import ROUTERS as API_ROUTERS
from app.web.api.examples import DescribedApi
from app.web.deps import speak_the_readers_language
from app.web.security import BodyLimit, SecurityHeaders, SignInLimit, refuse_forgery, refuse_odd_address
from app.web.storable import refuse_unstorable_form

# Every screen area is one module with a ``router``, listed here: pages first, then the JSON API.
# A project's pages live under /p/{slug}/…; the navigation shows a link once a route has the name that
# render.NAVIGATION gives (project, label, rounds, alignment, pool, people, project_settings).
ROUTERS: tuple[APIRouter, ...] = (
    session.router,
    sso.router,
    account.router,
    home.router,
    people.router,
    label.router,
    contrast.router,
    given.router,
    preferences.router,
    projects.router,
    start.router,
    baseline.router,
    dry_runs.router,
    pool.router,
    browse.router,
    rounds.router,
    adjudication.router,
    guidance.router,
    guideline.router,
    audit.router,
    practice.router,
    alignment.router,
    boundary_map.router,
    report.router,
    webhooks.router,
    deletion.router,
    export.router,
    models.router,
)


def create_app(settings: Settings | None = None, database: Database | None = None) -> FastAPI:
    """The application. A ``database`` that is passed in stays the caller's to dispose of."""
    settings = settings or get_settings()
    ours = database is None
    if database is None:
        database = Database(settings.resolved_database_url)
    app = DescribedApi(
        title="Linecall",
        version=__version__,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_lifespan(database if ours else None),
        dependencies=[
            Depends(refuse_odd_address),
            Depends(speak_the_readers_language),
            Depends(refuse_forgery),
            Depends(refuse_unstorable_form),
        ],
    )
    attach(app, settings, database)
    for router in ROUTERS:
        app.include_router(router, include_in_schema=False)
    for router in API_ROUTERS:
        app.include_router(router)
    app.mount("/static", VersionedFiles(directory=resource("static")), name="static")
    app.state.paths = _paths(ROUTERS)
    errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(SecurityHeaders)
    return app


def attach(app: FastAPI, settings: Settings, database: Database) -> None:
    """What every request is answered from. Nothing else in an application belongs to one installation."""
    app.state.settings, app.state.database, app.state.sign_in_limit = settings, database, SignInLimit()
    app.state.sso_provider = None  # made when somebody first signs in with it


def _lifespan(to_dispose: Database | None) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if to_dispose is not None:
            to_dispose.dispose()

    return lifespan


def _paths(routers: tuple[APIRouter, ...]) -> dict[str, str]:
    """The path of each page by its route's name, with {placeholders}."""
    return {route.name: route.path_format for router in routers for route in router.routes if isinstance(route, Route)}


class VersionedFiles(StaticFiles):
    """Static files: with the content's hash in the address, a browser need never ask again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if versioned and response.status_code == 200 else "no-cache"
        )
        return response
