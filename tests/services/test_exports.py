"""Exports on both databases, and what each format does to the rows."""

import csv
import io
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.tables import (
    Annotation,
    Assignment,
    ConsensusLabel,
    GuidelineVersion,
    Item,
    ModelVersion,
    Prediction,
    Project,
    Round,
    RoundItem,
)
from app.errors import InvalidInput
from app.services import exports
from app.services.exports.files import GROUP_CHARACTERS, defuse, write_csv, write_jsonl, write_parquet
from tests.factories import make_items, make_project, make_user

ROOT = Path(__file__).parents[2]


@dataclass
class Bench:
    """Writes rows of a project straight to the tables."""

    session: Session
    project: Project
    items: list[Item]
    experts: list[int]
    guideline_id: int

    def round(self, number: int, state: str = "done") -> Round:
        row = Round(
            project_id=self.project.id,
            number=number,
            state=state,
            settings={},
            seed=0,
            guideline_version_id=self.guideline_id,
        )
        return self._add(row)

    def choose(self, round_: Round, item: int, **values) -> RoundItem:
        values = {"reason": "boundary", "group_key": 0, "position": item, "model_label": 0, "model_score": 0.5} | values
        return self._add(RoundItem(round_id=round_.id, item_id=self.items[item].id, **values))

    def answer(self, round_: Round, item: int, expert: int, *rows: tuple[str, int | None], **extra) -> None:
        where = {"round_id": round_.id, "item_id": self.items[item].id, "expert_id": self.experts[expert]}
        slot = self._add(Assignment(**where, slot=expert, position=item, state="done"))
        for number, (kind, label) in enumerate(rows):
            self._add(
                Annotation(
                    **where,
                    **extra,
                    assignment_id=slot.id,
                    kind=kind,
                    label=label,
                    idempotency_key=f"{slot.id}-{number}",
                    guideline_version_id=self.guideline_id,
                )
            )

    def settle(self, round_: Round, item: int, label: int | None, source: str) -> None:
        self._add(ConsensusLabel(round_id=round_.id, item_id=self.items[item].id, label=label, source=source, votes=1))

    def model(self, version: int, labels: dict[int, int], *, round_: Round | None = None, state="ready") -> None:
        row = ModelVersion(
            project_id=self.project.id,
            version=version,
            kind="trained" if round_ else "prelabel",
            engine="linear",
            config={},
            state=state,
            round_id=round_.id if round_ else None,
        )
        model = self._add(row)
        for item, label in labels.items():
            scores = [0.75 if place == label else 0.25 for place in range(2)]
            self._add(
                Prediction(
                    model_version_id=model.id,
                    item_id=self.items[item].id,
                    label=label,
                    score=0.75,
                    scores=struct.pack("<2f", *scores),
                )
            )

    def _add(self, row):
        self.session.add(row)
        self.session.flush()
        return row

    def rows(self, *arguments, **options) -> list[dict]:
        return list(exports.export_rows(self.session, self.project, *arguments, **options))


@pytest.fixture
def bench(db: Database) -> Iterator[Bench]:
    with db.write() as session:
        experts = [make_user(session, "Ada").id, make_user(session, "Bo").id]
        project = make_project(session, labels=("no", "yes"))
        items = make_items(session, project, 5)
        guideline = session.scalars(select(GuidelineVersion.id).filter_by(project_id=project.id)).one()
        yield Bench(session, project, items, experts, guideline)


def test_an_item_of_which_nothing_is_known_has_empty_columns(bench):
    row = bench.rows()[0]
    assert tuple(row) == exports.COLUMNS
    assert {name: value for name, value in row.items() if value not in (None, [])} == {
        "ordinal": 0,
        "text": bench.items[0].text,
    }


def test_an_item_has_its_prediction_choice_answers_and_consensus(bench):
    first = bench.round(1)
    bench.items[1].external_id, bench.items[1].meta = "row-1", {"topic": "x"}
    bench.model(0, {1: 1})
    bench.choose(first, 1, reason="control", reason_detail={"stratum": 1}, split="evaluation")
    bench.answer(first, 1, 0, ("blind", 0), ("revised", 1), flagged=True, note="hm")
    bench.answer(first, 1, 1, ("blind", 1))
    bench.settle(first, 1, 1, "unanimous")
    ada, bo = (f"expert-{expert}" for expert in bench.experts)
    assert bench.rows()[1] == {
        "ordinal": 1,
        "external_id": "row-1",
        "text": bench.items[1].text,
        "meta": {"topic": "x"},
        "model_version": 0,
        "model_label": "yes",
        "model_score": 0.75,
        "model_scores": {"no": 0.25, "yes": 0.75},
        "round": 1,
        "reason": "control",
        "reason_detail": {"stratum": 1},
        "split": "evaluation",
        "annotations": [
            {"expert": ada, "round": 1, "blind": "no", "final": "yes", "flagged": True, "note": "hm"},
            {"expert": bo, "round": 1, "blind": "yes", "final": "yes", "flagged": False, "note": None},
        ],
        "consensus_label": "yes",
        "consensus_source": "unanimous",
    }


def test_experts_have_names_only_when_that_was_asked(bench):
    bench.answer(bench.round(1), 0, 0, ("blind", 0))
    assert "Ada" not in json.dumps(bench.rows())
    assert bench.rows(names=True)[0]["annotations"][0]["expert"] == "Ada"


def test_the_newest_ready_version_speaks_also_where_it_has_nothing_to_say(bench):
    first, gone = bench.round(1), bench.round(2, "cancelled")
    bench.model(0, {0: 0, 1: 0})
    bench.model(1, {0: 1}, round_=first)
    bench.model(2, {0: 0, 1: 0}, round_=gone)
    first_row, second_row, *_ = bench.rows()
    assert (first_row["model_version"], first_row["model_label"]) == (1, "yes")
    assert (second_row["model_version"], second_row["model_label"], second_row["model_scores"]) == (None, None, None)


def test_the_last_round_that_was_not_cancelled_gives_the_reason_and_all_answers_stay(bench):
    for number, state in ((1, "done"), (2, "review"), (3, "cancelled")):
        round_ = bench.round(number, state)
        bench.choose(round_, 0, reason=f"r{number}")
        bench.answer(round_, 0, 0, ("blind", number % 2))
    row = bench.rows()[0]
    assert (row["round"], row["reason"]) == (2, "r2")
    assert [(a["round"], a["blind"]) for a in row["annotations"]] == [(1, "yes"), (2, "no"), (3, "yes")]


def test_labelled_leaves_out_what_has_no_standing_answer_and_no_consensus(bench):
    first = bench.round(1)
    bench.answer(first, 0, 0, ("blind", 0))
    bench.answer(first, 1, 0, ("blind", 0), ("undone", None))
    bench.settle(first, 2, None, "tie")
    bench.choose(first, 3)
    assert [row["ordinal"] for row in bench.rows("labelled")] == [0, 2]
    tie = bench.rows("labelled")[1]
    assert (tie["consensus_label"], tie["consensus_source"]) == (None, "tie")
    assert [row["ordinal"] for row in bench.rows("all")] == [0, 1, 2, 3, 4]


def test_nothing_of_another_project_is_in_the_file(bench):
    other = make_project(bench.session)
    make_items(bench.session, other, ["a stranger"])
    assert "a stranger" not in json.dumps(bench.rows())
    assert len(list(exports.export_rows(bench.session, other))) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_pages_of_any_size_give_the_same_rows(bench, size):
    first = bench.round(1)
    for item in range(5):
        bench.answer(first, item, item % 2, ("blind", 0))
    assert bench.rows(page_items=size) == bench.rows()


def test_the_number_of_queries_grows_with_pages_and_not_with_items(bench):
    bench.answer(bench.round(1), 0, 0, ("blind", 0))
    make_items(bench.session, bench.project, 45)
    seen: list[str] = []
    connection = bench.session.connection()
    event.listen(connection, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    assert len(bench.rows(page_items=25)) == 50
    assert len(seen) <= 2 + 3 * 4


@pytest.fixture
def rows(bench) -> list[dict]:
    first = bench.round(1)
    bench.model(0, {0: 1, 1: 0})
    bench.items[0].text = '=HYPERLINK("x")\nsecond line, "quoted" ß'
    bench.items[1].meta = {"-k": "ü"}
    bench.answer(first, 0, 0, ("blind", 0), note="=1+1")
    return bench.rows()


def test_json_lines_hold_the_rows_as_they_are(rows):
    assert [json.loads(line) for line in b"".join(write_jsonl(rows)).decode().splitlines()] == rows


def test_csv_holds_the_rows_with_formulas_defused(rows):
    read = list(csv.DictReader(io.StringIO(b"".join(write_csv(rows)).decode(), newline="")))
    assert tuple(read[0]) == exports.COLUMNS
    assert read[0]["text"] == "'" + rows[0]["text"]
    assert read[1]["text"] == rows[1]["text"]
    assert json.loads(read[0]["annotations"]) == rows[0]["annotations"]
    assert json.loads(read[1]["meta"]) == rows[1]["meta"]
    assert (read[2]["meta"], read[2]["model_score"], read[0]["model_score"]) == ("", "", "0.75")


def test_parquet_holds_the_rows_exactly(rows):
    read = pq.read_table(io.BytesIO(b"".join(write_parquet(rows)))).to_pylist()
    for name in ("meta", "model_scores", "reason_detail", "annotations"):
        for row in read:
            row[name] = json.loads(row[name]) if row[name] is not None else None
    assert read == rows


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_a_pool_without_items_gives_a_valid_file(write):
    data = b"".join(write([]))
    if write is write_parquet:
        assert pq.read_table(io.BytesIO(data)).num_rows == 0
    else:
        assert data.decode().strip() == (",".join(exports.COLUMNS) if write is write_csv else "")


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_bytes_are_given_on_before_all_rows_are_read(write, bench):
    row = dict(bench.rows()[0], text="x" * 1000)
    taken = []
    made = write(taken.append(i) or row for i in range(30_000))
    next(made)
    assert len(taken) < 30_000


def test_long_texts_make_small_row_groups(bench):
    row = dict(bench.rows()[0], text="x" * 20_000)
    data = b"".join(write_parquet(row for _ in range(1000)))
    groups = pq.ParquetFile(io.BytesIO(data)).metadata
    most = GROUP_CHARACTERS // 20_000
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [most, most, 1000 - 2 * most]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(start):
    assert defuse(f"{start}1") == f"'{start}1"
    assert defuse(f"1{start}") == f"1{start}"


def test_numbers_and_nothing_stay_what_they_are():
    assert [defuse(value) for value in (-1, 0.5, None, "")] == [-1, 0.5, None, ""]


def test_a_format_or_scope_that_there_is_not_is_refused_before_the_first_byte(bench):
    for format_, scope in (("xlsx", "all"), ("csv", "some")):
        with pytest.raises(InvalidInput):
            exports.export(bench.session, bench.project, format_, scope)
    assert b"".join(exports.export(bench.session, bench.project, "csv", "labelled")).count(b"\n") == 1


def test_every_column_and_nothing_else_is_documented_in_order():
    document = (ROOT / "docs" / "export.md").read_text()
    table = document.split("## Columns")[1].split("An entry of")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == exports.COLUMNS


def test_every_key_of_an_annotation_is_documented_in_order(bench):
    bench.answer(bench.round(1), 0, 0, ("blind", 0))
    document = (ROOT / "docs" / "export.md").read_text()
    table = document.split("An entry of")[1].split("## Formats")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(bench.rows()[0]["annotations"][0])


CHILD = """
import re, sys
from app.db.engine import Database
from app.db.tables import Project
from app.services import exports

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))

with Database(sys.argv[1]).read() as session:
    project = session.get_one(Project, int(sys.argv[2]))
    blocks = exports.export(session, project, sys.argv[3])
    size = len(next(blocks))
    before = peak()
    size += sum(map(len, blocks))
print(size, before, peak())
"""


@pytest.mark.slow
def test_an_export_of_a_hundred_thousand_items_holds_only_a_page_of_them(db):
    with db.write() as session:
        project = make_project(session)
        project_id = project.id
        texts = ({"text": f"{i} " + "word " * 100} for i in range(100_000))
        hashes = (i.to_bytes(16, "little") for i in range(100_000))
        rows = [
            {"project_id": project_id, "ordinal": i, "content_hash": hash_, **text}
            for i, (hash_, text) in enumerate(zip(hashes, texts, strict=True))
        ]
        session.execute(Item.__table__.insert(), rows)
        project.item_count = 100_000
    for format_ in exports.FORMATS:
        command = [sys.executable, "-c", CHILD, db.engine.url.render_as_string(False), str(project_id), format_]
        out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        size, before, after = map(int, out.split())
        if format_ != "parquet":  # compressed
            assert size > 50_000_000
        assert after < 300 * 1024
        assert after - before < 60 * 1024, f"{format_}: the process grew from {before} to {after} kB"
