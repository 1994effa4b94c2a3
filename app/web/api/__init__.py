"""The JSON API: ``/api/v1``, described at ``/api/openapi.json`` and in docs/api.md."""

from fastapi import APIRouter

from app.web.api import (
    alignment,
    export,
    guidance,
    items,
    maps,
    models,
    people,
    project_file,
    projects,
    review,
    rounds,
    ties,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    projects.router,
    projects.deleted_router,
    project_file.router,
    items.router,
    rounds.router,
    ties.router,
    guidance.router,
    review.router,
    alignment.router,
    maps.router,
    models.router,
    models.asking,
    export.router,
    webhooks.router,
    people.router,
    people.whole_router,
)
