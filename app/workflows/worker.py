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
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.engine import Database, normalise_url
from app.db.tables import Round
from app.errors import Conflict
from app.services import automation, baselines, dry_runs, maps, messages, pool, queue, stages, workers
from app.workflows import hooks, imports, mapping, post, rounds, setup
from app.workflows.context import WorkerContext, set_context, wait_until_idle
from app.workflows.liveness import LifeLock, forget, has_died
from app.workflows.trained import Answering

log = logging.getLogger(__name__)

ROUNDS, IMPORTS, MAPS = "rounds", "imports", "maps"
# Workflows begun by an older release are resumed by a newer one: raise this only when steps change their order.
WORKFLOW_VERSION = "1"
_STOP_SECONDS = 30  # how long a worker that stops waits for a model to notice
_FORGET_AFTER = timedelta(days=1)
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_LOST = "The worker could not go on with this round, and its log has the details. Retry to go on where it stopped."
_LOST_FILE = "The worker could not go on with this, and its log has the details. Begin it again."
_LOST_MAP = "The worker could not go on with this map, and its log has the details. Have it drawn again."
_QUEUES = {"round": ROUNDS, "map": MAPS}  # by how a workflow's id begins; imports for the rest
_WORKFLOWS = {"preparing": ("prepare", rounds.prepare_round), "concluding": ("conclude", rounds.conclude_round)}


class Worker:
    """One worker in this process. ``start`` returns at once; ``run`` also waits until ``stop`` is called."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self.id = f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
        self._settings = settings
        self._db = db
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._started: set[str] = set()
        self._context = WorkerContext(settings, db, self.id)
        self._life: LifeLock | None = None

    def start(self) -> None:
        self._life = LifeLock(self._settings, self.id)
        self._beat()
        self._forget_the_dead()
        set_context(self._context)
        _launch_dbos(self._settings, self.id)
        for name, work, seconds in (
            ("heartbeat", self._beat, self._settings.worker_heartbeat_seconds),
            ("reconcile", self._reconcile, self._settings.worker_poll_seconds),
            ("post", self._post, self._settings.worker_poll_seconds),
            ("hooks", self._call_webhooks, self._settings.worker_poll_seconds),
            ("answer", Answering(self._context).answer_waiting, self._settings.worker_poll_seconds),
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
        self._context.stopping.set()
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10)
        if not wait_until_idle(_STOP_SECONDS):
            log.warning("a model is still at work; it is left behind")
        DBOS.destroy()
        self._db.run_write(lambda session: workers.remove(session, self.id))
        if self._life is not None:
            self._life.release()

    def _repeat(self, name: str, work: Callable[[], None], seconds: float) -> None:
        while not self._stopping.wait(seconds):
            try:
                work()
            except Exception:
                log.exception("%s failed; trying again", name)

    def _beat(self) -> None:
        self._db.run_write(lambda session: workers.heartbeat(session, self.id, socket.gethostname(), os.getpid()))

    def _post(self) -> None:
        """Send what waits, one after the other, in a thread of its own: a slow mail server keeps no round waiting."""
        while not self._stopping.is_set() and post.send_next(self._settings, self._db):
            pass

    def _call_webhooks(self) -> None:
        """In a thread of its own as well: a slow receiver keeps no e-mail waiting."""
        with self._db.read() as session:
            due = messages.call_is_due(session)
        while due and not self._stopping.is_set() and hooks.send_next(self._settings, self._db):
            pass

    def _forget_the_dead(self) -> None:
        """What ended workers have left in the table and the folder of locks. Their workflows are taken over all the
        same: a worker that is not in the table is dead."""
        with self._db.read() as session:
            known = [worker.id for worker in workers.list_workers(session)]
        for worker_id in known:
            if has_died(self._settings, worker_id):
                self._db.run_write(partial(workers.remove, worker_id=worker_id))
                forget(self._settings, worker_id)
        self._db.run_write(lambda session: workers.forget_silent(session, _FORGET_AFTER))

    def _reconcile(self) -> None:
        """Compare what the tables want with what has been started. Each workflow's id is made from its row, so
        starting one twice, or by two workers, starts it once."""
        self._close_reviews()
        self._start_next_rounds()
        with self._db.read() as session:
            open_rounds = workers.rounds_in(session, *_WORKFLOWS)
            waiting = [job.id for job in pool.pending_imports(session)]
            to_match = baselines.pending(session)
            to_try = dry_runs.pending(session)
            to_draw = maps.pending(session)
        self._take_over()
        for round_ in open_rounds:
            name, workflow = _WORKFLOWS[round_.state]
            self._enqueue(ROUNDS, f"round-{round_.id}-{name}-{round_.attempt}", workflow, round_.id, round_.attempt)
        for import_id in waiting:
            self._enqueue(IMPORTS, f"import-{import_id}", imports.import_file, import_id)
        for baseline_id in to_match:
            self._enqueue(IMPORTS, f"baseline-{baseline_id}", setup.match_baseline, baseline_id)
        for run_id in to_try:
            self._enqueue(IMPORTS, f"dry-run-{run_id}", setup.try_prelabeller, run_id)
        for wanted in to_draw:
            self._enqueue(MAPS, _map_id(wanted), mapping.draw_map, *wanted)
        self._fail_what_was_lost(open_rounds, waiting, to_match, to_try, to_draw)

    def _enqueue(self, queue_name: str, workflow_id: str, workflow: Callable[..., None], *arguments: int | str) -> None:
        if workflow_id in self._started:
            return
        with SetWorkflowID(workflow_id):
            DBOS.enqueue_workflow(queue_name, workflow, *arguments)
        self._started.add(workflow_id)

    def _fail_what_was_lost(
        self,
        open_rounds: list[Round],
        import_ids: list[int],
        baseline_ids: list[int],
        run_ids: list[int],
        to_draw: list[maps.Wanted],
    ) -> None:
        """A workflow that has ended and left its work standing (the database was away as it tried to say why) would
        leave it so for ever: the round or the import fails, so that an admin can try again."""
        remedies: dict[str, Callable[[Session], bool]] = {
            f"import-{import_id}": partial(workers.fail_import, import_id=import_id) for import_id in import_ids
        }
        for baseline_id in baseline_ids:
            remedies[f"baseline-{baseline_id}"] = partial(baselines.fail, baseline_id=baseline_id, message=_LOST_FILE)
        for run_id in run_ids:
            remedies[f"dry-run-{run_id}"] = partial(dry_runs.fail, run_id=run_id, message=_LOST_FILE)
        for wanted in to_draw:
            remedies[_map_id(wanted)] = partial(maps.fail, wanted=wanted, message=_LOST_MAP)
        for r in open_rounds:
            fail = partial(stages.fail, round_id=r.id, message=_LOST, phase=r.state, attempt=r.attempt)
            remedies[f"round-{r.id}-{_WORKFLOWS[r.state][0]}-{r.attempt}"] = fail
        if not remedies:
            return
        ended = DBOS.list_workflows(
            workflow_ids=list(remedies), status=list(_ENDED), load_input=False, load_output=False
        )
        for workflow in ended:
            if self._db.run_write(remedies[workflow.workflow_id]):
                log.error("%s ended (%s) and left its work standing", workflow.workflow_id, workflow.status)

    def _close_reviews(self) -> None:
        """Two last answers at the same moment may each have left the closing to the other."""
        with self._db.read() as session:
            open_reviews = [r.id for r in workers.rounds_in(session, "review")]
            answered = [round_id for round_id in open_reviews if queue.all_answered(session, round_id)]
        for round_id in answered:
            self._db.run_write(partial(queue.close_if_answered, round_id=round_id))

    def _start_next_rounds(self) -> None:
        with self._db.read() as session:
            projects = automation.wanting(session)
        for project_id in projects:
            try:
                number = self._db.run_write(partial(automation.start_if_due, project_id=project_id))
            except Conflict:  # another worker was quicker, or the project has changed since it was looked at
                continue
            if number is not None:
                log.info("round %s of project %s has started by itself", number, project_id)

    def _take_over(self) -> None:
        """Put the workflows of dead workers back in the queue. Workers take turns at it: otherwise one might put back
        what another has just taken over and begun."""
        if not self._orphans():
            return
        with self._db.write() as session:
            workers.take_turns(session)
            for workflow_id, owner in self._orphans():
                log.warning("taking %s over from %s, which has died", workflow_id, owner)
                queue_name = _QUEUES.get(workflow_id.partition("-")[0], IMPORTS)
                DBOS.resume_workflow(workflow_id, queue_name=queue_name)

    def _orphans(self) -> list[tuple[str, str]]:
        """(workflow, worker) for each that runs on a worker which is no more. Workflows are read before workers: who
        has one to run was in the table before that."""
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        if all(workflow.executor_id == self.id for workflow in pending):
            return []
        silence = timedelta(seconds=self._settings.worker_dead_after_seconds)
        with self._db.read() as session:
            heard_of = [worker.id for worker in workers.alive(session, silence)]
        living = {self.id, *(worker_id for worker_id in heard_of if not has_died(self._settings, worker_id))}
        owners = [(workflow.workflow_id, workflow.executor_id or "") for workflow in pending]
        return [(workflow_id, owner) for workflow_id, owner in owners if owner not in living]


def _map_id(wanted: maps.Wanted) -> str:
    return f"map-{wanted.round_id}-{wanted.side}-{wanted.attempt}"


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
    for name in (ROUNDS, IMPORTS, MAPS):
        DBOS.register_queue(name, worker_concurrency=1, polling_interval_sec=settings.worker_poll_seconds)
