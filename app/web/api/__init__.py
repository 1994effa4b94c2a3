"""The JSON API: ``/api/v1``, described at ``/api/openapi.json`` and in docs/api.md."""

from fastapi import APIRouter

from app.web.api import alignment, export, guidance, items, people, project_file, projects, review, rounds, ties

ROUTERS: tuple[APIRouter, ...] = (
    projects.router,
    project_file.router,
    items.router,
    rounds.router,
    ties.router,
    guidance.router,
    review.router,
    alignment.router,
    export.router,
    people.router,
)
