"""Many simulated projects: every strategy, engine and seed, in parallel, each kept on disk as soon as it is done."""

import hashlib
import importlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from app.ml.prelabel import Runtime
from app.simulate.conditions import Job, StudyOptions, data_embeddings, load_data, run_job


def run_study(
    jobs: Sequence[Job], options: StudyOptions, runtime: Runtime, folder: Path, *, workers: int
) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Results as they come: first those that ``folder`` holds from an earlier call, then the rest by ``workers``
    processes of one thread. A result is stored under a name made of everything that it depends on, the code
    included, so a study that was cut short goes on, and one whose data or code changed starts anew."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting = []
    for job in jobs:
        stored = _stored(folder / _file_name(job, options))
        if stored is None:
            waiting.append(job)
        else:
            yield job, stored
    if waiting:
        yield from _run_waiting(waiting, options, runtime, folder, workers)


def _run_waiting(
    jobs: Sequence[Job], options: StudyOptions, runtime: Runtime, folder: Path, workers: int
) -> Iterator[tuple[Job, dict[str, Any]]]:
    for file in dict.fromkeys(job.data for job in jobs):
        data_embeddings(load_data(file), options.encoder, runtime)  # once, with all threads, before the processes start
    start = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=start, initializer=_begin_worker) as pool:
        running: dict[Future[dict[str, Any]], Job] = {
            pool.submit(_run_and_store, job, options, runtime.cache_dir, folder / _file_name(job, options)): job
            for job in jobs
        }
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_and_store(job: Job, options: StudyOptions, cache_dir: Path, path: Path) -> dict[str, Any]:
    result = run_job(job, options, Runtime(cache_dir=cache_dir, threads=1))
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.replace(path)
    return result


def _stored(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return stored


def _file_name(job: Job, options: StudyOptions) -> str:
    """A name for all that a result depends on: data, options, the run itself and the code of the parts it uses."""
    about = [_data_digest(job.data), asdict(options), asdict(job), _code_digest(options.strategy_module)]
    if options.crowd:
        about.append(_data_digest(options.crowd))
    return f"{hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]}.json"


@lru_cache(maxsize=64)
def _data_digest(file: str) -> str:
    return load_data(file).digest()


@lru_cache(maxsize=4)
def _code_digest(module: str) -> str:
    import app

    root = Path(app.__file__).parent
    paths = [path for part in ("curation", "ml", "simulate") for path in sorted((root / part).rglob("*.py"))]
    if module:
        paths.append(Path(str(importlib.import_module(module).__file__)))
    seen = hashlib.sha256()
    for path in paths:
        seen.update(path.read_bytes())
    return seen.hexdigest()


def _begin_worker() -> None:
    """One process a core is faster than one process with all threads, and its sums do not depend on the machine."""
    from threadpoolctl import threadpool_limits

    Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)
    from app.ml.encoders import set_threads

    set_threads(1)


def _end_with_parent() -> None:
    """A study that is killed can't tell its workers, and theirs may be a run of an hour."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
