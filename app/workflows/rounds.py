"""The two durable workflows of a round: before the review and after it.

A workflow only orders steps; each step commits what it did before the next begins, so that after kill -9 another
worker goes on at the first step that is not in the book.
"""

import logging

from dbos import DBOS
from dbos import error as dbos_error

from app.errors import LinecallError, RoundCancelled, RoundPaused
from app.services import stages
from app.workflows.concluding import decide, evaluate
from app.workflows.context import context, under_way
from app.workflows.pool_steps import (
    embed_shard,
    finish_embedding,
    finish_labelling,
    label_scored_items,
    label_shard,
    plan_embedding,
    plan_labelling,
)
from app.workflows.selecting import mine
from app.workflows.training import train

log = logging.getLogger(__name__)


@DBOS.workflow(name="prepare_round")
def prepare_round(round_id: int, attempt: int) -> None:
    """Embed what is new, label it with the current model, choose the items and open the review."""
    with under_way():
        try:
            _embed(round_id)
            _label(round_id, "prelabel", None)
            mine(round_id)
        except (dbos_error.DBOSException, RoundCancelled) as error:
            _end(round_id, error)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a round: whatever it was, the admin is told
            note_failure(round_id, "preparing", attempt, _plain(round_id, error))


@DBOS.workflow(name="conclude_round")
def conclude_round(round_id: int, attempt: int) -> None:
    """Consensus and split, fine-tuning, new predictions for the pool, figures and advice."""
    with under_way():
        try:
            if not decide(round_id, attempt):
                return  # ties wait for a person
            version_id = train(round_id)
            _label(round_id, "predict", version_id)
            label_scored_items(round_id)
            evaluate(round_id)
        except (dbos_error.DBOSException, RoundCancelled) as error:
            _end(round_id, error)
        except Exception as error:  # noqa: BLE001 - as above
            note_failure(round_id, "concluding", attempt, _plain(round_id, error))


def _embed(round_id: int) -> None:
    shards = plan_embedding(round_id)
    total = sum(stop - start for start, stop in shards)
    before = 0
    for start, stop in shards:
        embed_shard(round_id, start, stop, before, total)
        before += stop - start
    finish_embedding(round_id, total)


def _label(round_id: int, stage: str, model_version_id: int | None) -> None:
    (version_id, total), *shards = plan_labelling(round_id, stage, model_version_id)
    before = 0
    for start, stop in shards:
        label_shard(round_id, stage, version_id, start, stop, before, total)
        before += stop - start
    finish_labelling(round_id, stage, version_id, total)


def _end(round_id: int, error: Exception) -> None:
    """A cancelled round needs no more, a paused one none now; what DBOS raises (another worker has taken over) is
    DBOS's to handle."""
    if not isinstance(error, RoundCancelled):
        raise error
    if isinstance(error, RoundPaused):
        context().db.run_write(lambda session: stages.halt(session, round_id))
        log.info("round %s is paused", round_id)
        return
    log.info("round %s was cancelled", round_id)


def _plain(round_id: int, error: Exception) -> str:
    """What the admin reads. The whole trace goes to the log."""
    log.error("round %s failed", round_id, exc_info=error)
    if isinstance(error, LinecallError):
        return error.message
    return f"An unexpected error ended this stage ({type(error).__name__}: {error}). The worker's log has the details."


@DBOS.step(name="note_failure")
def note_failure(round_id: int, phase: str, attempt: int, message: str) -> None:
    context().db.run_write(lambda session: stages.fail(session, round_id, message, phase=phase, attempt=attempt))
