"""What every command shares: plain errors, settings, a database that is ready, tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from app.config import Settings
    from app.db.engine import Database


class _PlainErrors(TyperGroup):
    """An error that is meant for a person is printed as a sentence, without a trace, and ends with 1."""

    def invoke(self, ctx: Any) -> Any:
        from app.errors import LinecallError

        try:
            return super().invoke(ctx)
        except LinecallError as error:
            fail(error.message)


def new_app(name: str, help_text: str) -> typer.Typer:
    return typer.Typer(
        name=name,
        help=help_text,
        cls=_PlainErrors,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def fail(message: str) -> NoReturn:
    """Raises Exit: the command ends with 1."""
    typer.echo(f"linecall: {message}", err=True)
    raise typer.Exit(1)


def note(message: str) -> None:
    """What a person wants to know and a script does not: on standard error."""
    typer.echo(message, err=True)


def quiet_models() -> None:
    """No progress bars of transformers between our lines; to be called before it is imported."""
    import os

    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def settings() -> "Settings":
    from pydantic import ValidationError

    from app.config import Settings
    from app.errors import InvalidInput

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "LINECALL_" + "_".join(str(part) for part in first["loc"]).upper()
        raise InvalidInput(f"The setting {name} is not valid: {first['msg']}.") from error


@contextmanager
def database(config: "Settings") -> Iterator["Database"]:
    """An up-to-date database. Raises Unavailable where there is none, or it waits for a migration."""
    from app.db import migrate
    from app.db.engine import Database

    url = config.resolved_database_url
    require_database(url)
    with plain_database_errors(url):
        migrate.check(url)
    db = Database(url)
    try:
        yield db
    finally:
        db.dispose()


def require_database(url: str) -> None:
    """Asking a missing SQLite file for its revision would make it: say instead that it is missing."""
    from pathlib import Path

    from app.errors import Unavailable

    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite:///") and not Path(path).exists():
        raise Unavailable(f"There is no database at {path} yet: run 'linecall migrate'.")


@contextmanager
def plain_database_errors(url: str) -> Iterator[None]:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, OperationalError

    from app.errors import Unavailable

    try:
        yield
    except ArgumentError as error:
        raise Unavailable("LINECALL_DATABASE_URL is not a database address.") from error
    except OperationalError as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise Unavailable(f"The database {shown} can't be used: {error.orig}") from error


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; numbers that were formatted already stay as they are."""
    cells = [list(header), *[["" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
