"""``serve``, ``web`` and ``worker``: the processes that do the work."""

import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.base import database, fail, note, plain_database_errors, quiet_models, settings

if TYPE_CHECKING:
    from app.config import Settings
    from app.db.engine import Database

Host = Annotated[str | None, typer.Option(help="Address to listen on. Default: LINECALL_HOST.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on. Default: LINECALL_PORT.")]
UntilStdinCloses = Annotated[bool, typer.Option("--until-stdin-closes", hidden=True)]


def serve(
    host: Host = None,
    port: Port = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Also run a worker.")] = True,
) -> None:
    """Run Linecall on one machine: the pages, and a worker in a process of its own.

    An empty database is set up; one that waits for a migration is refused. A worker that dies is started again.
    Ctrl-C or SIGTERM ends the pages first, then the worker, which keeps what it has finished.

    Exit codes: 0 ended in order; 1 refused, or the web process has died; 2 wrong usage.
    """
    from app.cli.processes import Processes, child_environment, port_is_free

    config = _with_address(host, port)
    if not port_is_free(config.host, config.port):
        fail(f"Port {config.port} on {config.host} is taken. Choose another with --port.")
    _set_up_if_empty(config)
    with database(config) as db:
        _say_if_nobody_can_sign_in(db)
    processes = Processes(child_environment(LINECALL_HOST=config.host, LINECALL_PORT=str(config.port)))
    processes.handle_signals()
    processes.start("web", "web")
    if worker:
        processes.start("worker", "worker")
    note(f"Linecall is at {config.resolved_base_url} – Ctrl-C ends it.")
    try:
        code = processes.run(restart=["worker"])
    finally:
        processes.stop()
    raise typer.Exit(code)


def web(host: Host = None, port: Port = None, until_stdin_closes: UntilStdinCloses = False) -> None:
    """Run the pages and the API, without a worker.

    Exit codes: 0 ended in order; 1 refused or failed; 2 wrong usage.
    """
    import uvicorn

    from app.cli.processes import end_with_parent, port_is_free
    from app.web.main import create_app

    config = _with_address(host, port)
    _log(config)
    if not port_is_free(config.host, config.port):
        fail(f"Port {config.port} on {config.host} is taken. Choose another with --port.")
    if until_stdin_closes:
        end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with database(config) as db:
        uvicorn.run(
            create_app(config, db),
            host=config.host,
            port=config.port,
            log_level=config.log_level.lower(),
            timeout_graceful_shutdown=5,
        )


def worker(until_stdin_closes: UntilStdinCloses = False) -> None:
    """Run one worker: it imports files and carries out rounds. Start as many as you like.

    SIGTERM or Ctrl-C ends it in order: the round goes on at its last finished step when a worker is there again.

    Exit codes: 0 ended in order; 1 refused or failed; 2 wrong usage.
    """
    import threading

    from app.cli.processes import end_with_parent

    config = settings()
    _log(config)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    if until_stdin_closes:
        end_with_parent(stopping.set)
    os.nice(config.worker_nice)
    quiet_models()
    with database(config) as db:
        from app.workflows.worker import Worker

        carrier = Worker(config, db)
        carrier.start()
        stopping.wait()
        carrier.stop()


def _with_address(host: str | None, port: int | None) -> "Settings":
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return settings().model_copy(update=given)


def _set_up_if_empty(config: "Settings") -> None:
    from app.db import migrate

    url = config.resolved_database_url
    with plain_database_errors(url):
        if migrate.current(url) is None:
            migrate.upgrade(url)


def _say_if_nobody_can_sign_in(db: "Database") -> None:
    from sqlalchemy import exists, select

    from app.db.tables import User

    with db.read() as session:
        if not session.scalar(select(exists().where(User.id.is_not(None)))):
            note("There is no account yet. Make the first: linecall user create-admin you@example.org --link")


def _log(config: "Settings") -> None:
    import logging

    logging.basicConfig(level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
