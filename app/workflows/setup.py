"""What a worker does before a round: matching labels that exist already, and trying a pre-labeller on a few items."""

import logging
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from dbos import DBOS

from app.db.engine import Database
from app.db.tables import Baseline, DryRun, GuidelineVersion, Project
from app.errors import LinecallError
from app.ml.prelabel import Prelabeller, Score, Usage, build_prelabeller, cache_key
from app.services import baselines, dry_runs, evaluation, predictions
from app.services.projects import settings_of
from app.workflows.context import context, under_way
from app.workflows.trained import prelabel_runtime

log = logging.getLogger(__name__)


@DBOS.workflow(name="match_baseline")
def match_baseline(baseline_id: int) -> None:
    with under_way():
        run_baseline(baseline_id)


@DBOS.step(name="run_baseline")
def run_baseline(baseline_id: int) -> None:
    here = context()
    baselines.run(here.db, here.store, baseline_id)
    _score_baseline(here.db, baseline_id)


def _score_baseline(db: Database, baseline_id: int) -> None:
    """On what the experts have answered so far; otherwise the next round would be the first to say it."""
    with db.read() as session:
        baseline = session.get_one(Baseline, baseline_id)
        round_ = evaluation.newest_finished(session, baseline.project_id)
        if baseline.state != "done" or round_ is None:
            return
        figures = evaluation.baseline_figures(session, round_)
    db.run_write(partial(evaluation.store_baseline, round_=round_, figures=figures))


@DBOS.workflow(name="try_prelabeller")
def try_prelabeller(run_id: int) -> None:
    with under_way():
        run_dry(run_id)


@DBOS.step(name="run_dry")
def run_dry(run_id: int) -> None:
    """What the cache knows is not asked again, and every answer is in the cache as soon as it is there: neither a
    second dry run nor a crash pays twice, and the pool's pre-labelling does not pay for these items again."""
    db = context().db
    run = db.run_write(partial(dry_runs.begin, run_id=run_id))
    if run is None:
        return
    trial = _Trial(run)
    try:
        trial.go()
    except LinecallError as error:
        db.run_write(
            partial(dry_runs.fail, run_id=run_id, message=error.message, items=trial.items, usage=trial.used())
        )
        return
    db.run_write(partial(dry_runs.finish, run_id=run_id, items=trial.items, usage=trial.used(), seconds=trial.seconds))


class _Trial:
    def __init__(self, run: DryRun) -> None:
        self.items: list[dict[str, Any]] = [{"item_id": item["item_id"]} for item in run.items]
        self.seconds: float | None = None
        self.usage = Usage()
        self._run = run
        self._asked = 0

    def used(self) -> dict[str, Any]:
        return asdict(self.usage) | {"asked": self._asked}

    def go(self) -> None:
        prelabeller = self._build()
        texts = self._texts()
        keys = [cache_key(prelabeller.identity, text) for text in texts]
        with context().db.read() as session:
            known = predictions.cached_scores(session, keys)
        wanted = [place for place, key in enumerate(keys) if key not in known]
        for place, key in enumerate(keys):
            if key in known:
                self._note(place, known[key], None)
        self._ask(prelabeller, wanted, texts, keys)

    def _ask(self, prelabeller: Prelabeller, wanted: list[int], texts: list[str], keys: list[bytes]) -> None:
        """The first text by itself, so that loading the model is not taken for the time of an answer."""
        started, timed = 0.0, wanted[1:]
        for places in (wanted[:1], timed):
            if not places:
                continue
            started = time.monotonic()
            prelabeller.score([texts[place] for place in places], on_score=partial(self._keep, places, keys))
        if timed:
            self.seconds = (time.monotonic() - started) * len(wanted) / len(timed)

    def _keep(self, places: list[int], keys: list[bytes], index: int, score: Score) -> None:
        place = places[index]
        packed = None if score.scores is None else np.ascontiguousarray(score.scores, dtype="<f4").tobytes()
        answer = [(keys[place], packed, score.raw)]
        context().db.run_write(partial(predictions.remember_scores, answers=answer))
        self._asked += 1
        self._note(place, packed, score.raw)

    def _note(self, place: int, packed: bytes | None, raw: str | None) -> None:
        scores = None if packed is None else [round(float(value), 6) for value in np.frombuffer(packed, dtype="<f4")]
        self.items[place] |= {"scores": scores, "raw": None if raw is None else raw[:500]}

    def _texts(self) -> list[str]:
        ids = [item["item_id"] for item in self.items]
        with context().db.read() as session:
            texts = dry_runs.texts_of(session, ids)
        return [texts[item_id] for item_id in ids]

    def _build(self) -> Prelabeller:
        here = context()
        with here.db.read() as session:
            project = session.get_one(Project, self._run.project_id)
            guideline = session.get_one(GuidelineVersion, self._run.guideline_version_id)
        config = dict(self._run.config)
        if config["provider"] == "few_shot":
            config.setdefault("encoder", settings_of(project).encoder)
        runtime = prelabel_runtime(here)
        return build_prelabeller(config, project.labels, guideline.text, guideline.examples, runtime, spent=self.usage)
