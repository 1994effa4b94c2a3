"""What a worker does before a round: matching labels that exist already."""

from dbos import DBOS

from app.services import baselines
from app.workflows.context import context, under_way


@DBOS.workflow(name="match_baseline")
def match_baseline(baseline_id: int) -> None:
    with under_way():
        run_baseline(baseline_id)


@DBOS.step(name="run_baseline")
def run_baseline(baseline_id: int) -> None:
    here = context()
    baselines.run(here.db, here.store, baseline_id)
