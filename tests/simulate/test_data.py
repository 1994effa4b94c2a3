"""Labelled files as data to simulate on."""

import gzip
import json
from pathlib import Path

import pytest

from app.curation.arrays import MISSING
from app.errors import InvalidInput
from app.simulate.data import read_data, sample_data


def written(path: Path, rows: list[dict]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def rows(votes: dict[str, int] | None = None, n: int = 60) -> list[dict]:
    return [{"text": f"t{i}", "label": i % 2, **({"votes": votes} if votes else {})} for i in range(n)]


def test_votes_are_read_ties_and_repeated_texts_left_out_and_gaps_marked(tmp_path: Path) -> None:
    lines = rows({"a": 0, "b": 1})
    lines += [{"text": "even", "label": 0, "tie": True}, {"text": "t0", "label": 1, "votes": {"a": 1}}]
    lines += [{"text": "alone", "label": 1, "votes": {"b": 1}}]
    data = read_data(written(tmp_path / "data.jsonl.gz", lines))
    assert (len(data), data.name, data.annotators) == (61, "data", ["a", "b"])
    assert data.votes[0].tolist() == [0, 1]
    assert data.truth[0] == 0
    assert data.votes[-1].tolist() == [MISSING, 1]


def test_people_are_a_panel_and_slots_or_a_crowd_are_not(tmp_path: Path) -> None:
    assert read_data(written(tmp_path / "a.jsonl", rows({"ann": 0, "bob": 1}))).has_panel
    assert not read_data(written(tmp_path / "b.jsonl", rows({"s1": 0, "s2": 1}))).has_panel
    assert not read_data(written(tmp_path / "c.jsonl", rows())).has_panel
    crowd = [row | {"votes": {f"w{i}": 0}} for i, row in enumerate(rows())]
    assert not read_data(written(tmp_path / "d.jsonl", crowd)).has_panel


def test_the_sample_has_the_demos_experts() -> None:
    data = sample_data()
    assert data.annotators == ["Ada", "Bruno", "Chidi"]
    assert data.votes.shape == (1500, 3)
    assert data.has_panel


@pytest.mark.parametrize("line", ["nonsense", '{"text": "t"}', '{"text": "t", "label": -1}', '{"text": 3, "label": 1}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "t", "label": 0}\n' + line + "\n")
    with pytest.raises(InvalidInput, match=r"ine 2 of data\.jsonl"):
        read_data(path)


def test_too_little_data_one_label_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="60"):
        read_data(written(tmp_path / "a.jsonl", rows(n=59)))
    with pytest.raises(InvalidInput, match="one label"):
        read_data(written(tmp_path / "b.jsonl", [row | {"label": 0} for row in rows()]))
    (tmp_path / "c.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(InvalidInput, match="can't be read"):
        read_data(tmp_path / "c.jsonl.gz")
