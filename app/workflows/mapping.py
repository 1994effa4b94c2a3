"""Drawing the boundary map: beside the round and never in its way, so that a round waits for no picture."""

import logging
from functools import partial

import numpy as np
from dbos import DBOS
from dbos import error as dbos_error
from numpy.typing import NDArray

from app.curation import projection as maps2d
from app.curation.projection import Projection
from app.curation.words import distinctive_words
from app.db.tables import MapProjection
from app.errors import LinecallError
from app.ml import map_store
from app.services import maps, predictions
from app.services.map_layers import build_layer
from app.services.maps import ProjectionFacts, Side, Wanted
from app.workflows.context import PoolTexts, RoundFacts, context, pool_embeddings, round_facts, under_way
from app.workflows.training import texts_at

log = logging.getLogger(__name__)

_SEED = 2  # beside a round's other uses of its seed


@DBOS.workflow(name="draw_map")
def draw_map(round_id: int, side: Side, attempt: int) -> None:
    with under_way():
        try:
            place_items(round_id)
            draw_layer(round_id, side, attempt)
        except dbos_error.DBOSException:
            raise  # another worker has taken over
        except Exception as error:
            log.error("the map of round %s could not be drawn", round_id, exc_info=error)
            note_map_failure(round_id, side, attempt, _plain(error))


def _plain(error: Exception) -> str:
    if isinstance(error, LinecallError):
        return error.message
    return f"An unexpected error ended it ({type(error).__name__}: {error}). The worker's log has the details."


@DBOS.step(name="note_map_failure")
def note_map_failure(round_id: int, side: Side, attempt: int, message: str) -> None:
    context().db.run_write(partial(maps.fail, wanted=Wanted(round_id, side, attempt), message=message[:2000]))


@DBOS.step(name="place_items")
def place_items(round_id: int) -> None:
    """Fit the project's projection, if this is its first map, and keep the place of every item that has none."""
    facts, here = round_facts(round_id), context()
    embeddings = pool_embeddings(facts)
    row = _projection(facts, embeddings)
    texts = PoolTexts(facts).digest
    known = map_store.load_places(here.store, row.artifact_key, len(embeddings), texts)
    if len(known) == len(embeddings):
        return
    projection = Projection(*map_store.load_projection(here.store, row.artifact_key))
    new = maps2d.place_all(projection, embeddings, len(known), len(embeddings), lambda _: _go_on())
    of = texts(0, len(embeddings))
    assert of is not None  # noqa: S101 - items that are embedded are there
    map_store.save_places(here.store, row.artifact_key, np.concatenate([known, new]), of)


def _go_on() -> None:
    """Raises WorkerStopped in a worker that is to stop."""
    context()


def _projection(facts: RoundFacts, embeddings: NDArray[np.float16]) -> MapProjection:
    here = context()
    key = here.encoder(facts.encoder).key
    with here.db.read() as session:
        found = maps.find_projection(session, facts.project_id, key)
    if found is None:
        artifact_key, described = _fit(facts, embeddings)
        here.db.run_write(lambda session: maps.keep_projection(session, facts.project_id, key, artifact_key, described))
        with here.db.read() as session:
            found = maps.find_projection(session, facts.project_id, key)
    assert found is not None  # noqa: S101 - it has just been kept
    return found


def _fit(facts: RoundFacts, embeddings: NDArray[np.float16]) -> tuple[str, ProjectionFacts]:
    here = context()
    landmarks, checked = maps2d.draw_sample(len(embeddings), np.random.default_rng([facts.seed, _SEED]))
    projection = maps2d.fit(embeddings[landmarks], facts.seed)
    kept = maps2d.neighbours_kept(projection, embeddings[checked])
    centres = maps2d.regions(projection.places, facts.seed)
    groups = maps2d.region_of(maps2d.place(projection, embeddings[landmarks]), centres)
    words = distinctive_words(texts_at(facts, landmarks), groups.tolist(), len(centres))
    places = maps2d.quantise(centres.astype(np.float32)).tolist()
    described: ProjectionFacts = {
        "landmarks": len(landmarks),
        "pool": len(embeddings),
        "neighbours": kept.neighbours,
        "kept": kept.share,
        "chance": kept.chance,
        "checked": kept.n,
        "regions": [{"x": x, "y": y, "words": own} for (x, y), own in zip(places, words, strict=True)],
    }
    key = map_store.save_projection(here.store, facts.project_key, projection.landmarks, projection.places)
    return key, described


@DBOS.step(name="draw_layer")
def draw_layer(round_id: int, side: Side, attempt: int) -> None:
    """The density of the side's labels, and where the round's items lie."""
    facts, here = round_facts(round_id), context()
    with here.db.read() as session:
        row = maps.find_projection(session, facts.project_id, here.encoder(facts.encoder).key)
        chosen = maps.chosen_ordinals(session, round_id)
        version_id = facts.base_model_id if side == "before" else predictions.version_of_round(session, round_id)
    if row is None or version_id is None:
        raise RuntimeError("the items have no place, or no model has labelled them")
    places = map_store.load_places(here.store, row.artifact_key, facts.item_count, PoolTexts(facts).digest)
    if not len(places):  # a version before stamps placed them, and was replaced between the two steps
        raise RuntimeError("the items' places are of an earlier version of Linecall: draw the map again")
    with here.db.read() as session:
        labels = predictions.labels_by_ordinal(session, version_id, len(places))
        layer = build_layer(session, facts.project_id, places, labels, len(facts.labels), row.facts["regions"])
    layer["chosen"] = [[item_id, *places[at].tolist(), int(labels[at])] for item_id, at in chosen if at < len(places)]
    wanted = Wanted(round_id, side, attempt)
    here.db.run_write(lambda session: maps.keep_layer(session, wanted, row.id, version_id, layer))
