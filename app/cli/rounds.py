"""``linecall round``: what an admin does with rounds. A worker carries it out."""

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.base import database, new_app, settings, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from app.db.tables import Project, Round

app = new_app("round", "Rounds: start, watch, close the review, cancel, retry.")
Slug = Annotated[str, typer.Argument(help="The project's short name.")]
Number = Annotated[int | None, typer.Option(help="The round's number; left out: the newest.")]


@contextmanager
def _writing(slug: str) -> "Iterator[tuple[Session, Project]]":
    from app.services import projects

    with database(settings()) as db, db.write() as session:
        yield session, projects.get_project(session, slug)


def _pick(session: "Session", project: "Project", number: int | None) -> "Round":
    from app.errors import NotFound
    from app.services import rounds

    if number is not None:
        return rounds.get_round(session, project.id, number)
    every = rounds.list_rounds(session, project.id)
    if not every:
        raise NotFound(f"{project.slug} has no round yet: 'linecall round start {project.slug}'.")
    return every[-1]


@app.command("start")
def start(slug: Slug) -> None:
    """Start the next round.

    Exit codes: 0 started; 1 refused, with what stands in the way; 2 wrong usage.
    """
    from app.services import rounds

    with _writing(slug) as (session, project):
        number = rounds.start_round(session, project).number
    typer.echo(f"Round {number} has been started. A worker prepares it.")


@app.command("status")
def status(
    slug: Slug, number: Number = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Print where a round stands: its state, its stages, its review, its advice.

    Exit codes: 0 printed; 1 no such round; 2 wrong usage.
    """
    from app.services import overview, projects

    with database(settings()) as db, db.read() as session:
        round_ = _pick(session, projects.get_project(session, slug), number)
        lines = overview.stage_lines(session, round_)
    about: dict[str, Any] = {"round": round_.number, "state": round_.state, "error": round_.error}
    about |= {"advice": round_.advice, "advice_reason": round_.advice_reason}
    stages = [
        {"stage": line.stage, "state": line.state, "done": line.done, "total": line.total, "message": line.message}
        for line in lines
    ]
    if as_json:
        typer.echo(json.dumps({**about, "stages": stages}, indent=2, ensure_ascii=False))
        return
    typer.echo(f"Round {round_.number}: {round_.state}")
    rows = [(s["stage"], s["state"], f"{s['done']}/{s['total']}" if s["total"] else "", s["message"]) for s in stages]
    typer.echo(table(("stage", "state", "items", ""), rows))
    for sentence in (round_.error, round_.advice_reason):
        if sentence:
            typer.echo(f"\n{sentence}")


@app.command("list")
def list_rounds(slug: Slug) -> None:
    """Print a project's rounds with their advice.

    Exit codes: 0 printed; 1 no such project; 2 wrong usage.
    """
    from app.services import projects, rounds

    with database(settings()) as db, db.read() as session:
        every = rounds.list_rounds(session, projects.get_project(session, slug).id)
    rows = [(r.number, r.state, f"{r.created_at:%Y-%m-%d %H:%M} UTC", r.advice or "") for r in every]
    typer.echo(table(("round", "state", "started", "advice"), rows))


@app.command("close-review")
def close_review(slug: Slug, number: Number = None) -> None:
    """Go on with the answers given so far.

    Exit codes: 0 closed; 1 refused; 2 wrong usage.
    """
    from app.services import rounds

    with _writing(slug) as (session, project):
        round_ = _pick(session, project, number)
        rounds.close_review(session, round_)
    typer.echo(f"The review of round {round_.number} is closed.")


@app.command("cancel")
def cancel(
    slug: Slug, number: Number = None, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Stop a round for good. Its answers stay in the record; they are not used.

    Exit codes: 0 cancelled; 1 refused, or not confirmed; 2 wrong usage.
    """
    from app.services import rounds

    if not yes:
        typer.confirm("A cancelled round can't be taken up again. Cancel it?", abort=True, err=True)
    with _writing(slug) as (session, project):
        round_ = _pick(session, project, number)
        rounds.cancel(session, round_)
    typer.echo(f"Round {round_.number} is cancelled.")


@app.command("retry")
def retry(slug: Slug, number: Number = None) -> None:
    """Take a failed round up again at the stage that failed.

    Exit codes: 0 taken up; 1 refused; 2 wrong usage.
    """
    from app.services import rounds

    with _writing(slug) as (session, project):
        round_ = _pick(session, project, number)
        rounds.retry(session, round_)
    typer.echo(f"Round {round_.number} goes on where it stopped.")
