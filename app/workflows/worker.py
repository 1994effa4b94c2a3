"""The worker: sees what the web has written, starts durable workflows for it, and takes over from dead colleagues."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from dbos import DBOS, DBOSConfig, SetWorkflowID

from app.config import Settings
from app.db.engine import Database, normalise_url
from app.services import queue, workers
from app.workflows import imports, rounds
from app.workflows.context import WorkerContext, set_context

log = logging.getLogger(__name__)

ROUNDS, IMPORTS = "rounds", "imports"
# Workflows begun by an older release are resumed by a newer one: raise this only when steps change their order.
WORKFLOW_VERSION = "1"


class Worker:
    """One worker in this process. ``start`` returns at once; ``run`` also waits until ``stop`` is called."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._settings = settings
        self._db = db
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._started: set[str] = set()

    def start(self) -> None:
        self._beat()
        set_context(WorkerContext(self._settings, self._db, self.id))
        _launch_dbos(self._settings, self.id)
        for name, work, seconds in (
            ("heartbeat", self._beat, self._settings.worker_heartbeat_seconds),
            ("reconcile", self._reconcile, self._settings.worker_poll_seconds),
        ):
            thread = threading.Thread(target=self._repeat, args=(name, work, seconds), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        log.info("worker %s is ready", self.id)

    def run(self) -> None:
        self.start()
        self._stopping.wait()

    def stop(self) -> None:
        """Ends in order. A workflow that is under way goes on when the next worker starts."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10)
        DBOS.destroy()
        set_context(None)
        self._db.run_write(lambda session: workers.remove(session, self.id))

    def _repeat(self, name: str, work: Callable[[], None], seconds: float) -> None:
        while not self._stopping.wait(seconds):
            try:
                work()
            except Exception:
                log.exception("%s failed; trying again", name)

    def _beat(self) -> None:
        self._db.run_write(lambda session: workers.heartbeat(session, self.id, socket.gethostname(), os.getpid()))

    def _reconcile(self) -> None:
        """Compare what the tables want with what has been started. Each workflow's id is made from its row, so
        starting one twice, or by two workers, starts it once."""
        self._close_reviews()
        with self._db.read() as session:
            wanted = [(f"round-{r.id}-prepare-{r.attempt}", r.id) for r in workers.rounds_in(session, "preparing")]
            ended = [(f"round-{r.id}-conclude-{r.attempt}", r.id) for r in workers.rounds_in(session, "concluding")]
            waiting = [(f"import-{import_id}", import_id) for import_id in workers.unfinished_imports(session)]
        self._take_over()
        for workflow_id, round_id in wanted:
            self._enqueue(ROUNDS, workflow_id, rounds.prepare_round, round_id)
        for workflow_id, round_id in ended:
            self._enqueue(ROUNDS, workflow_id, rounds.conclude_round, round_id)
        for workflow_id, import_id in waiting:
            self._enqueue(IMPORTS, workflow_id, imports.import_file, import_id)

    def _enqueue(self, queue_name: str, workflow_id: str, workflow: Callable[[int], None], argument: int) -> None:
        if workflow_id in self._started:
            return
        with SetWorkflowID(workflow_id):
            DBOS.enqueue_workflow(queue_name, workflow, argument)
        self._started.add(workflow_id)

    def _close_reviews(self) -> None:
        """Two last answers at the same moment may each have left the closing to the other."""
        with self._db.read() as session:
            open_reviews = [r.id for r in workers.rounds_in(session, "review")]
            answered = [round_id for round_id in open_reviews if queue.all_answered(session, round_id)]
        for round_id in answered:
            self._db.run_write(partial(queue.close_if_answered, round_id=round_id))

    def _take_over(self) -> None:
        """Put the workflows of workers that have fallen silent back in the queue."""
        silence = timedelta(seconds=self._settings.worker_dead_after_seconds)
        with self._db.read() as session:
            living = {worker.id for worker in workers.alive(session, silence)}
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        for workflow in pending:
            owner = workflow.executor_id or ""
            if owner not in living and owner != self.id:
                log.warning("taking %s over from silent worker %s", workflow.workflow_id, owner)
                queue_name = IMPORTS if workflow.workflow_id.startswith("import-") else ROUNDS
                DBOS.resume_workflow(workflow.workflow_id, queue_name=queue_name)


def _launch_dbos(settings: Settings, worker_id: str) -> None:
    url = settings.resolved_workflow_url
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    config: DBOSConfig = {
        "name": "linecall",
        "system_database_url": normalise_url(url),
        "executor_id": worker_id,
        "application_version": WORKFLOW_VERSION,
        "log_level": "WARNING",
        "notification_listener_polling_interval_sec": 1.0,
    }
    DBOS(config=config)
    DBOS.launch()
    for name in (ROUNDS, IMPORTS):
        DBOS.register_queue(name, worker_concurrency=1, polling_interval_sec=settings.worker_poll_seconds)
