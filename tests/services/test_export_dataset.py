"""The folder for the `datasets` library, read by that library and as plain Parquet."""

import io
import json
import tracemalloc
import zipfile
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
import yaml

from app.ml.portable import write_folder
from app.services import exports
from app.services.exports.dataset import DATASET_COLUMNS, dataset_files
from app.services.zips import zip_blocks

LABELS = ["no", "yes: it is", "*maybe"]
ANSWER = {"expert": "expert-1", "round": 1, "blind": "no", "final": "yes: it is", "flagged": True, "note": None}


def make_row(ordinal, **values):
    known = {
        "ordinal": ordinal,
        "text": f"=text {ordinal} ü",
        "meta": {"topic": ordinal},
        "model_version": 2,
        "model_label": "*maybe",
        "model_score": 0.5,
        "model_scores": {"no": 0.25, "yes: it is": 0.25, "*maybe": 0.5},
        "annotations": [],
    } | values
    return {name: known.get(name) for name in exports.COLUMNS}


def labelled(ordinal, split, reason="boundary", label="yes: it is"):
    values = {"round": 1, "reason": reason, "split": split, "annotations": [ANSWER]}
    return make_row(ordinal, **values, consensus_label=label, consensus_source="majority" if label else "tie")


ROWS = [
    make_row(0),
    labelled(1, "train"),
    labelled(2, "evaluation"),
    labelled(3, "evaluation", "control", "no"),
    labelled(4, "evaluation", label=None),
    labelled(5, "train"),
    make_row(6, meta=None, model_version=None, model_label=None, model_score=None, model_scores=None),
]


@pytest.fixture
def folder(tmp_path):
    write_folder(dataset_files(ROWS, LABELS, "# A card"), tmp_path / "made")
    return tmp_path / "made"


@pytest.fixture
def load(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    def load(folder, name=None):
        return datasets.load_dataset(str(folder), name, cache_dir=str(tmp_path / "cache"))

    return load


def test_the_library_loads_every_split_with_typed_features(folder, load):
    import datasets

    loaded = load(folder)
    assert {split: loaded[split]["ordinal"][:] for split in loaded} == {
        "train": [1, 5],
        "evaluation": [2, 3],
        "undecided": [4],
        "unlabelled": [0, 6],
    }
    features = loaded["train"].features
    assert tuple(features) == DATASET_COLUMNS
    label = datasets.ClassLabel(names=LABELS)
    assert features["label"] == features["model_label"] == label
    assert features["annotations"].feature["final"] == label
    first = loaded["train"][0]
    assert (first["text"], first["label"], first["model_label"]) == ("=text 1 ü", 1, 2)
    assert first["annotations"] == [ANSWER | {"blind": 0, "final": 1}]
    assert first["model_scores"] == [0.25, 0.25, 0.5]
    assert json.loads(first["meta"]) == {"topic": 1}
    empty = loaded["unlabelled"][1]
    assert [empty[name] for name in ("meta", "model_label", "model_scores", "label", "round")] == [None] * 5


def test_the_control_slice_is_a_configuration_of_its_own(folder, load):
    assert load(folder, "control")["evaluation"]["ordinal"][:] == [3]


def test_a_split_without_items_is_not_named(tmp_path, load):
    write_folder(dataset_files(ROWS[1:2], LABELS, "# A card"), tmp_path / "made")
    assert list(load(tmp_path / "made")) == ["train"]


def test_a_pool_without_items_gives_a_card_alone():
    (only,) = dataset_files([], LABELS, "# A card")
    text = b"".join(only.blocks()).decode()
    assert only.path == "README.md"
    assert "No items." in text


def test_the_card_stands_below_the_configurations(folder):
    _, front, card = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert [config["config_name"] for config in yaml.safe_load(front)["configs"]] == ["default", "control"]
    assert card.strip().startswith("# A card")
    assert "- `data/control-*.parquet`: 1, the control slice" in card


def test_shards_follow_each_other_and_lose_nothing(tmp_path, load):
    rows = [make_row(number) if number % 3 else labelled(number, "train") for number in range(25)]
    write_folder(dataset_files(rows, LABELS, "# A card", shard_rows=4), tmp_path / "made")
    names = sorted(path.name for path in (tmp_path / "made" / "data").iterdir())
    assert names == [f"train-{n:05}.parquet" for n in range(3)] + [f"unlabelled-{n:05}.parquet" for n in range(4)]
    loaded = load(tmp_path / "made")
    assert loaded["train"]["ordinal"][:] == list(range(0, 25, 3))
    assert loaded["unlabelled"]["ordinal"][:] == [number for number in range(25) if number % 3]


def test_the_zip_holds_the_same_files(folder):
    made = datetime(2026, 11, 30, tzinfo=UTC)
    data = b"".join(zip_blocks(dataset_files(ROWS, LABELS, "# A card"), "ads-dataset", made))
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert archive.read(f"ads-dataset/{path.relative_to(folder)}") == path.read_bytes()


@pytest.mark.slow
def test_memory_holds_a_group_and_not_the_pool():
    """A list of these rows would take some 120 MB."""
    rows = (make_row(number, text="word " * 1000 + str(number)) for number in range(24_000))
    tracemalloc.start()
    read = sum(
        pq.ParquetFile(io.BytesIO(b"".join(file.blocks()))).metadata.num_rows
        for file in dataset_files(rows, LABELS, "# A card", shard_rows=3_000)
        if file.path != "README.md"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read == 24_000
    assert peak < 40_000_000
