"""A worker tries a pre-labeller and matches a baseline, as the web has asked for."""

import io
import time

import pytest

from app.db.tables import Project
from app.services import baselines, dry_runs, pool, projects
from tests.factories import make_items, make_project

TEXTS = [f"You won't believe trick number {n}" for n in range(15)] + [f"Oak table, {n} euros" for n in range(15)]
EXAMPLES = {"benign": ["Hiking boots, 89 euros."], "clickbait": ["You won't believe what happened next."]}


def finished(load):
    """What ``load`` returns once it has ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        job = load()
        if job.state not in ("queued", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job.state}")


@pytest.fixture
def project_id(db):
    with db.write() as session:
        project = make_project(session, settings=projects.ProjectSettings().model_dump())
        make_items(session, project, TEXTS)
        projects.publish_guideline(session, project, text="Clickbait hides what it sells.", examples=EXAMPLES)
        return project.id


def ask(db, project_id) -> int:
    with db.write() as session:
        return dry_runs.request(session, session.get_one(Project, project_id)).id


def load_run(db, project_id, run_id):
    with db.read() as session:
        return dry_runs.get_run(session, project_id, run_id)


def test_a_dry_run_labels_twenty_items_and_says_what_the_pool_takes(db, worker, project_id):
    first = ask(db, project_id)
    run = finished(lambda: load_run(db, project_id, first))
    assert run.error is None
    assert run.usage["asked"] == 20
    with db.read() as session:
        project = session.get_one(Project, project_id)
        answers = dry_runs.answers(session, project, run)
        outlook = dry_runs.outlook(session, project, run)
    right = [answer.label == ("clickbait" if "believe" in answer.text else "benign") for answer in answers]
    assert (len(right), sum(right)) == (20, 20)
    assert all(sum(answer.scores) == pytest.approx(1, abs=1e-4) for answer in answers)
    assert outlook.measured
    assert outlook.seconds == pytest.approx(run.seconds * 30 / 20)
    second = ask(db, project_id)
    again = finished(lambda: load_run(db, project_id, second))
    assert again.usage["asked"] == 0
    assert again.items == run.items


def test_a_dry_run_that_cannot_reach_its_model_says_so(db, worker, project_id):
    config = {"provider": "remote_llm", "model": "m", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}
    with db.write() as session:
        project = session.get_one(Project, project_id)
        settings = projects.settings_of(project).model_copy(update={"prelabel": config})
        projects.update_project(session, project, settings=settings)
    asked = ask(db, project_id)
    run = finished(lambda: load_run(db, project_id, asked))
    assert run.state == "failed"
    assert "base_url: it must begin with https://" in run.error, "no setting allows an address inside the network"


def test_a_worker_matches_a_baseline(db, worker, settings, project_id):
    from app.ml.artifacts import ArtifactStore

    store = ArtifactStore(settings.resolved_artifacts_url)
    upload = pool.store_upload(store, project_id, "crowd.csv", io.BytesIO(b'text,label\n"Oak table, 3 euros",benign\n'))
    with db.write() as session:
        baseline_id = baselines.register(session, upload, {"match": "text", "key": "text", "label": "label"}).id

    def load():
        with db.read() as session:
            return baselines.get_baseline(session, project_id, baseline_id)

    job = finished(load)
    assert (job.state, job.rows_matched, job.items_labelled) == ("done", 1, 1)
