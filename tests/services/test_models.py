"""The registry, the model card and the zip."""

import io
import json
import tracemalloc
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
import yaml
from sqlalchemy import select

from app.db.tables import ModelVersion, Project, Round
from app.errors import Conflict, NotFound
from app.ml.artifacts import ArtifactStore
from app.ml.portable import PortableFile
from app.services import model_files, models
from app.services.alignment import alignment
from app.services.model_card import model_card, plain
from tests.services.alignment_factories import make_history

FACTS = {"reference": "hf:org/enc", "revision": "c0ffee", "pooling": "mean", "max_tokens": 256, "lower_case": False}
CONFIG = {"engine_config": {"C": 3}, "encoder": "hf:org/enc", "encoder_facts": FACTS, "pool_size": 15}


@pytest.fixture
def history(db):
    made = make_history(db, rounds=2)
    with db.write() as session:
        for version in session.scalars(select(ModelVersion).where(ModelVersion.kind == "trained")):
            version.config, version.artifact_key = CONFIG, f"models/{version.version}"
            version.metrics = {"threshold": 0.37, "example_items": 4}
        session.scalars(select(Round).where(Round.number == 2)).one().base_model_id = 2
    return made


def read(db, history, work):
    with db.read() as session:
        return work(session, session.get_one(Project, history.project_id))


def test_every_version_tells_where_it_comes_from_and_how_good_it_is(db, history):
    newest, first, prelabeller = read(db, history, models.list_models)
    assert (newest.version, newest.round_number, newest.guideline_version, newest.base_version) == (2, 2, 1, 1)
    assert (newest.training_size, newest.pool_size, newest.example_items, newest.threshold) == (124, 15, 4, 0.37)
    assert (newest.encoder, newest.encoder_revision) == ("hf:org/enc", "c0ffee")
    assert newest.evaluation.kappa == history.kappa(2, 2, "evaluation")
    assert newest.control.kappa == history.kappa(2, 2, "control")
    assert first.evaluation.kappa == history.kappa(2, 1, "evaluation")
    assert (prelabeller.version, prelabeller.round_number, prelabeller.can_predict) == (0, None, False)


def test_the_newest_ready_model_labels_texts_unless_another_is_named(db, history):
    assert read(db, history, models.trained_model).version == 2
    assert read(db, history, lambda s, p: models.trained_model(s, p, 1)).version == 1
    with pytest.raises(Conflict, match="pre-labeller"):
        read(db, history, lambda s, p: models.trained_model(s, p, 0))
    with pytest.raises(NotFound):
        read(db, history, lambda s, p: models.trained_model(s, p, 9))


@pytest.mark.parametrize(("state", "expected"), [("cancelled", "unused"), ("concluding", "building")])
def test_a_model_of_a_round_that_is_not_done_is_never_used(db, history, state, expected):
    with db.write() as session:
        session.scalars(select(Round).where(Round.number == 2)).one().state = state
    assert read(db, history, lambda s, p: models.get_model(s, p, 2)).state == expected
    assert read(db, history, models.trained_model).version == 1
    with pytest.raises(Conflict):
        read(db, history, lambda s, p: models.trained_model(s, p, 2))


def test_a_project_without_a_trained_model_says_so(db):
    empty = make_history(db, rounds=0)
    with pytest.raises(Conflict, match="first round"):
        read(db, empty, models.trained_model)


def card(db, history, **values):
    def work(session, project):
        for name, value in values.items():
            setattr(project, name, value)
        report = alignment(session, project.id)
        return model_card(project, models.get_model(session, project, 2, report), report)

    return read(db, history, work)


def test_the_card_has_every_figure_with_its_n_and_interval_and_states_the_limits(db, history):
    text = card(db, history)
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(front)["base_model"] == "org/enc"
    assert "| evaluation set | 0.20 (0.00 to 0.40; n = 84) | – | 0.82 (0.70 to 0.90; n = 84) |" in body
    assert "| control slice | 0.25 (0.05 to 0.45; n = 30) | – | 0.82 (0.70 to 0.90; n = 30) |" in body
    for said in ("**0.3700**", "version 1", "124, and 4 examples", "`c0ffee`", "256 tokens", "## Limits"):
        assert said in body


def test_an_undefined_figure_is_said_with_its_reason(db):
    made = make_history(db, rounds=2, undefined_control="Nobody answered a control item.")
    assert "| control slice | undefined: Nobody answered a control item. (n = 0) |" in card(db, made)


def test_names_in_the_card_are_text_and_no_markup(db, history):
    text = card(db, history, name="# <b>x</b>\n| [a](javascript:b)", labels=["a|b", "**c**\n# d"])
    assert "\\# \\<b\\>x\\</b\\> \\| \\[a\\](javascript:b): model version 2" in text
    assert "a\\|b" in text
    assert "\n# d" not in text
    assert plain("x`y`") == "x\\`y\\`"


def test_a_version_that_no_finished_round_has_scored_says_so(db, history):
    with db.write() as session:
        session.scalars(select(Round).where(Round.number == 2)).one().state = "concluding"
    assert "No finished round has scored this version." in card(db, history)


# --- the files -----------------------------------------------------------------------------------------------------

WHEN = datetime(2026, 11, 3, 10, 20, 30, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    found = ArtifactStore(str(tmp_path / "store"))
    about = {"kind": "linear", "n_labels": 2, "threshold": 0.37, "metrics": {}}
    found.put_bytes("models/2/fitted.json", json.dumps(about).encode())
    found.put_bytes("models/2/head.safetensors", np.arange(8, dtype="<f4").tobytes())
    return found


def test_the_zip_holds_card_weights_and_script_and_is_the_same_each_time(db, history, store):
    def work(session, project):
        model = models.trained_model(session, project)
        files = model_files.model_files(session, store, project, model)
        name = model_files.folder_name(project, model)
        return [b"".join(model_files.zip_blocks(files, name, WHEN)) for _ in range(2)], name

    (first, second), name = read(db, history, work)
    assert first == second
    archive = zipfile.ZipFile(io.BytesIO(first))
    assert archive.testzip() is None
    assert {entry.removeprefix(f"{name}/") for entry in archive.namelist()} == {
        "README.md",
        "linecall.json",
        "head.safetensors",
        "predict.py",
    }
    assert archive.read(f"{name}/head.safetensors") == store.get_bytes("models/2/head.safetensors")
    assert json.loads(archive.read(f"{name}/linecall.json"))["encoder"] == FACTS


def test_the_memory_of_a_zip_does_not_grow_with_its_files():
    block, count = bytes(1 << 20), 64
    files = [PortableFile("large.bin", lambda: (block for _ in range(count)))]
    tracemalloc.start()
    size = sum(len(part) for part in model_files.zip_blocks(files, "m", WHEN))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > count * len(block)
    assert peak < 8 * len(block)
