"""Readers, row checks and previews: no database."""

import csv
import io
import json
import math
import subprocess
import sys
import unicodedata
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput, NotFound, TooLarge
from app.ml.artifacts import ArtifactStore
from app.services.pool import ColumnMapping, FileProblem, Limits, content_hash, normalise, preview, uploads
from app.services.pool.readers import guess_format, open_reader
from app.services.pool.rows import Draft, check, parse_mapping


def outcomes(data: bytes, format_: str = "csv", mapping: ColumnMapping | None = None, limits: Limits | None = None):
    mapping = mapping or ColumnMapping("text")
    with open_reader(io.BytesIO(data), format_) as reader:
        return [check(record, mapping, limits or Limits()) for record in reader.records(mapping.wanted)]


def texts(data: bytes, format_: str = "csv") -> list[str]:
    return [outcome.text for outcome in outcomes(data, format_)]


def wrong(data: bytes, format_: str = "csv", mapping: ColumnMapping | None = None, limits: Limits | None = None):
    """(row, field, message) of the bad rows."""
    return [tuple(o) for o in outcomes(data, format_, mapping, limits) if not isinstance(o, Draft)]


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def jsonl(*rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_csv_is_read_with_each_delimiter_line_end_and_mark(delimiter, newline, bom):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([["id", "text"], ["1", "a, b; c | d"], ["2", "zwei\nZeilen"], ["3", 'sie sagte "nein"']])
    assert texts(bom + stream.getvalue().encode()) == ["a, b; c | d", "zwei\nZeilen", 'sie sagte "nein"']


def test_a_file_of_one_column_is_not_split_at_the_semicolons_of_its_texts():
    assert texts(b"text\none; two\nthree; four\n") == ["one; two", "three; four"]


def test_a_line_break_inside_quotes_starts_no_row_and_later_errors_keep_their_number():
    data = b'id,text\n1,"a\nb\nc"\n2,fine\n\n3,too,many\n4,\n'
    assert wrong(data) == [
        (5, None, "The row has 3 columns, the header has 2."),
        (6, "text", "The text is empty."),
    ]


def test_bytes_that_are_not_utf8_are_found_in_their_row_and_column():
    mapping = ColumnMapping("text", "id", ("topic",))
    rows = [
        b"id,text,topic",
        b"1,fine,x",
        b"2,caf\xe9,x",
        b"3,fine,x",
        b"\xff,fine,x",
        b"5,fine,\xfe",
        b"6,caf\xc3\xa9,x",
    ]
    assert [(row, field) for row, field, _ in wrong(b"\n".join(rows), mapping=mapping)] == [
        (3, "text"),
        (5, "id"),
        (6, "topic"),
    ]
    lines = b'{"text": "fine"}\n{"text": "caf\xe9"}\n{"text": "\xc3\xa9"}\n'
    assert [row for row, _, _ in wrong(lines, "jsonl")] == [2]


def test_bytes_that_are_not_utf8_are_found_in_parquet():
    raw = pa.array([b"fine", b"caf\xe9", None, "é".encode()])
    column = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    found = wrong(parquet(pa.table({"text": column})), "parquet")
    assert found == [(2, "text", "The text is not valid UTF-8."), (3, "text", "The text is missing.")]


def test_each_bad_line_of_json_is_named_and_blank_lines_are_not_rows():
    data = (
        b'{"text": "one"}\n\n{"text": \n[1]\n{"text": 5}\n{"other": "x"}\n{"text": " "}\n{"text": NaN}\n{"text": "end"}'
    )
    found = {row: (field, message) for row, field, message in wrong(data, "jsonl")}
    assert found == {
        3: (None, "The line is not valid JSON: Expecting value (character 11)."),
        4: (None, "The line is not a JSON object."),
        5: ("text", "The text is not a string."),
        6: ("text", "The text is missing."),
        7: ("text", "The text is empty."),
        8: (None, "The line is not valid JSON: NaN is not a JSON number."),
    }
    assert [o.text for o in outcomes(data, "jsonl") if isinstance(o, Draft)] == ["one", "end"]


def test_a_line_nested_too_deeply_is_an_error_of_its_row():
    deep = b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    assert [row for row, _, _ in wrong(deep + b'{"text": "fine"}\n', "jsonl")] == [1]


def test_lengths_and_characters_that_can_not_be_stored_are_refused():
    limits = Limits(text=10, external_id=3, meta=12)
    mapping = ColumnMapping("text", "id", ("m",))
    rows = [
        {"text": "x" * 10, "id": "abc", "m": "x" * 12},
        {"text": "x" * 11},
        {"text": "fine", "id": "abcd"},
        {"text": "fine", "m": "x" * 13},
        {"text": "a\0b"},
        {"text": "fine", "id": "\0"},
        {"text": "fine", "m": {"deep": ["\0"]}},
        {"text": "\ud800"},
        {"text": "fine", "id": 1.5},
        {"text": "fine", "id": True},
    ]
    found = wrong(jsonl(*rows), "jsonl", mapping, limits)
    assert [(row, field) for row, field, _ in found] == [
        (2, "text"),
        (3, "id"),
        (4, None),
        (5, "text"),
        (6, "id"),
        (7, "m"),
        (8, "text"),
        (9, "id"),
        (10, "id"),
    ]


def test_ids_become_strings_and_further_columns_become_json():
    mapping = ColumnMapping("text", "id", ("a", "b"))
    table = pa.table(
        {
            "text": ["one", "two"],
            "id": [7, None],
            "a": [math.nan, 1.5],
            "b": pa.array([date(2026, 1, 2), None]),
        }
    )
    first, second = outcomes(parquet(table), "parquet", mapping)
    assert (first.external_id, first.meta) == ("7", {"a": None, "b": "2026-01-02"})
    assert (second.external_id, second.meta) == (None, {"a": 1.5, "b": None})


@pytest.mark.parametrize(
    ("data", "format_", "part"),
    [
        (b"", "csv", "empty"),
        (b"\n\n", "csv", "empty"),
        (b"", "jsonl", "empty"),
        (b"text,text\na,b\n", "csv", "Two columns"),
        (b"caf\xe9,text\na,b\n", "csv", "UTF-8"),
        ("text\nä\n".encode("utf-16"), "csv", "UTF-16"),
        (b'text\nfine\n"never closed\nfine\n', "csv", "From row 3"),
        (b'text\nfine\n"He said "no""\n', "csv", "From row 3"),
        (b'[{"text": "a"}]', "jsonl", "JSON array"),
        (b"PAR1 and then nothing", "parquet", "Parquet"),
        (b"text\n" + b"x" * 4_000_001, "csv", "longer"),
    ],
)
def test_a_file_that_can_not_be_read_says_why(data, format_, part):
    with pytest.raises(FileProblem, match=part):
        outcomes(data, format_)


def test_a_damaged_parquet_file_is_a_problem_of_the_file():
    data = bytearray(parquet(pa.table({"text": [f"text {i}" * 20 for i in range(5000)]})))
    data[200:4000] = b"\xff" * 3800
    with pytest.raises(FileProblem):
        outcomes(bytes(data), "parquet")


LONG = "a" * 500_000
MEASURE = """
import json, sys, tracemalloc
from pathlib import Path
import pyarrow as pa, pyarrow.parquet
from app.services.pool import ColumnMapping, FileProblem, Limits, preview
from app.services.pool.readers import open_reader
from app.services.pool.rows import check

path, problems = Path(sys.argv[1]), set()
tracemalloc.start()
try:
    preview(path)
    with path.open("rb") as stream, open_reader(stream, "parquet") as reader:
        mapping = ColumnMapping(reader.columns[0])
        for record in reader.records(mapping.wanted):
            problems.add(getattr(check(record, mapping, Limits()), "message", ""))
except FileProblem as problem:
    problems.add(f"{problem.field}: {problem.message}")
python, arrow = tracemalloc.get_traced_memory()[1], pa.default_memory_pool().max_memory()
print(json.dumps([sorted(problems), python, arrow]))
"""


def short_ones_then_repeated(text: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * 1000 + [1] * 1000, pa.int32()), pa.array(["short", text]))


def repeated(text: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array([text]))


TOO_LONG = "The text has {:,} characters; 20,000 is the most."
# Each a few kilobytes as a file, and half a gigabyte to fifteen with a thousand rows in memory.
BOMBS = {
    "a value that all rows repeat": (lambda: repeated(LONG), {"store_schema": False}, 500_000),
    "the same after a thousand short ones": (
        lambda: short_ones_then_repeated(LONG * 30), {"store_schema": False}, 15_000_000
    ),
    "the same, told to be categories": (lambda: repeated(LONG), {}, 500_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_parquet_file_that_unfolds_to_much_takes_little_memory_and_is_told_by_row_and_field(name, tmp_path):
    make, written, characters = BOMBS[name]
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"text": make()}), path, compression="zstd", **written)
    assert path.stat().st_size < 100_000
    # In a process of its own, because Arrow's peak can't be set back.
    done = subprocess.run([sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True)
    problems, python, arrow = json.loads(done.stdout)
    assert set(problems) - {""} == {TOO_LONG.format(characters)}
    assert max(python, arrow) < 200e6


def test_a_parquet_batch_is_bounded_over_all_of_its_columns(tmp_path):
    path = tmp_path / "wide.parquet"
    columns = {f"c{number}": repeated("a" * 100_000) for number in range(50)}
    pq.write_table(pa.table({"text": ["short"] * 1000, **columns}), path, compression="zstd", store_schema=False)
    done = subprocess.run([sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True)
    problems, python, arrow = json.loads(done.stdout)
    assert problems == [""], "read alone, the text is good"
    assert max(python, arrow) < 300e6, "all columns at a thousand rows would be five gigabytes"


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"row_group_size": 7}, {"data_page_size": 64}])
def test_parquet_of_any_types_is_read_as_arrow_reads_it(version, options):
    n = range(3000)
    table = pa.table(
        {
            "text": [f"text {i} \u00e4" for i in n],
            "category": pa.array([None if i % 7 == 0 else f"c{i % 3}" for i in n]).dictionary_encode(),
            "tags": [[f"t{i % 5}", None] * (i % 3) for i in n],
            "nested": [{"words": [{"w": f"w{i % 11}"}], "n": i} for i in n],
            "map": pa.array([[("k", f"v{i % 7}")] for i in n], pa.map_(pa.string(), pa.string())),
            "bytes": [b"\x00\x01"] * 3000,
            "score": [i / 7 for i in n],
            "day": [date(2026, 1, 1 + i % 28) for i in n],
            "nothing": pa.nulls(3000),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, data_page_version=version, **options)
    with open_reader(sink, "parquet") as reader:
        read = [(record.row, *record.values) for record in reader.records(table.column_names)]
    expected = zip(*(column.to_pylist() for column in table.columns), strict=True)
    assert read == [(row, *values) for row, values in enumerate(expected, 1)]


def test_a_csv_row_of_many_lines_is_bounded_as_one_line_is():
    cell = '"' + "x\n" * 400_000 + '"'
    with pytest.raises(FileProblem, match="Row 2 is longer than 4,000,000 characters"):
        outcomes(f"text\n{','.join([cell] * 6)}\n".encode())
    assert len(outcomes(f"text,more\n{cell},{cell}\n".encode() * 4)) == 7, "counted row by row"


def test_more_columns_than_a_page_can_show_are_refused():
    names = [f"c{number}" for number in range(5001)]
    for data, format_ in [
        (",".join(names).encode() + b"\n", "csv"),
        (jsonl(dict.fromkeys(names[:3000], 1), dict.fromkeys(names[3000:], 1)), "jsonl"),
        (parquet(pa.table({name: [1] for name in names})), "parquet"),
    ]:
        with pytest.raises(FileProblem, match="more than 5,000 columns"):
            outcomes(data, format_)


def test_a_json_line_too_long_to_hold_is_an_error_of_its_row_only():
    data = b'{"text": "' + b"x" * 9_000_000 + b'"}\n{"text": "fine"}\n'
    assert [row for row, _, _ in wrong(data, "jsonl")] == [1]


def test_the_reader_leaves_the_stream_open():
    stream = io.BytesIO(b"text\nfine\n")
    preview(stream)
    assert stream.read() == b""
    stream.seek(0)
    assert stream.read() == b"text\nfine\n"


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.csv", b"x", "csv"),
        ("a.TSV", b"x", "csv"),
        ("a.jsonl", b"{", "jsonl"),
        ("a.csv", b"PAR1", "parquet"),
        ("noending", b' \n{"a"', "jsonl"),
        ("noending", b"id,text", "csv"),
    ],
)
def test_the_format_is_guessed(name, head, expected):
    assert guess_format(name, head) == expected


def test_two_spellings_of_one_text_are_the_same_text():
    same = ["Café  au\tlait", " Cafe\u0301 au lait\n", "Café\u00a0au lait"]
    assert len({content_hash(text) for text in same}) == 1
    assert content_hash("Café au lait") != content_hash("café au lait")
    assert content_hash("a b") != content_hash("ab")


@given(st.text())
def test_normalising_twice_changes_nothing_and_any_composition_gives_the_same(text):
    once = normalise(text)
    assert normalise(once) == once
    assert normalise(unicodedata.normalize("NFD", text)) == once


TABLE = st.lists(
    st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)] * 2),
    min_size=1,
)


@given(rows=TABLE, delimiter=st.sampled_from(",;\t|"))
def test_any_table_that_a_csv_writer_writes_is_read_back(rows, delimiter):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text"), *rows])
    with open_reader(io.BytesIO(stream.getvalue().encode()), "csv") as reader:
        read = list(reader.records(["id", "text"]))
    assert [tuple(record.values) for record in read] == rows
    assert [record.row for record in read] == list(range(2, len(rows) + 2))


def test_a_preview_shows_columns_rows_and_a_guess(tmp_path):
    path = tmp_path / "pool.csv"
    path.write_bytes(b"ID;Headline;topic\n" + b"".join(b"%d;text %d;x\n" % (i, i) for i in range(50)))
    seen = preview(path, limit=5)
    assert seen.columns == ["ID", "Headline", "topic"]
    assert seen.mapping == ColumnMapping("Headline", "ID", ("topic",))
    assert len(seen.rows) == 5
    assert seen.rows[0] == {"ID": "0", "Headline": "text 0", "topic": "x"}


def test_a_preview_shows_bad_rows_as_problems_and_can_be_sent_as_utf8():
    seen = preview(io.BytesIO(b"id,body\n1,caf\xe9\n2,a,b\n"))
    assert seen.problems == ["Row 3: The row has 3 columns, the header has 2."]
    assert json.dumps(seen.rows, ensure_ascii=False).encode()


def test_without_a_usual_name_the_longest_column_is_the_text():
    seen = preview(io.BytesIO(jsonl({"k": "a", "v": "a long text"}, {"k": "b", "n": 5})), "jsonl")
    assert seen.mapping == ColumnMapping("v", None, ("k", "n"))
    assert preview(io.BytesIO(jsonl({"n": 5})), "jsonl").mapping is None


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("post_id,headline", ["7,a", "8,b"], "post_id"),
        ("PostId,headline", ["7,a", "8,b"], "PostId"),
        ("post_id,headline", ["7,a", "7,b"], None),
        ("user_id,headline", ["7,a", "8,b"], None),
        ("post_id,site_id,headline", ["7,1,a", "8,2,b"], None),
        ("paid,headline", ["1,a", "2,b"], None),
    ],
)
def test_a_column_that_is_named_as_an_id_and_tells_the_rows_apart_is_taken_for_it(header, rows, expected):
    seen = preview(io.BytesIO("\n".join([header, *rows]).encode()))
    assert seen.mapping is not None
    assert seen.mapping.id == expected


@pytest.mark.parametrize("values", [{}, {"text": ""}, {"text": 5}, {"text": "t", "id": 5}, {"text": "t", "meta": "m"}])
def test_a_mapping_without_sense_is_refused(values):
    with pytest.raises(InvalidInput):
        parse_mapping(values)


def test_an_upload_is_kept_and_found_by_its_own_project_only(tmp_path):
    store = ArtifactStore(str(tmp_path))
    upload = uploads.store_upload(store, 3, "../../etc/.my file?.csv", io.BytesIO(b"text\nfine\n"))
    assert uploads.find_upload(store, 3, upload.token) == upload
    assert store.get_bytes(upload.key) == b"text\nfine\n"
    assert uploads.preview_upload(store, upload).columns == ["text"]
    for project, token in [(4, upload.token), (3, "0" * 32), (3, "../3")]:
        with pytest.raises(NotFound):
            uploads.find_upload(store, project, token)


def test_an_upload_beyond_the_limit_is_refused_and_nothing_is_kept(tmp_path):
    store = ArtifactStore(str(tmp_path))
    with pytest.raises(TooLarge):
        uploads.store_upload(store, 3, "a.csv", io.BytesIO(b"x" * 11), max_bytes=10)
    with pytest.raises(InvalidInput):
        uploads.store_upload(store, 3, "a.csv", io.BytesIO(b""))
    assert store.list() == []
    assert uploads.store_upload(store, 3, "a.csv", io.BytesIO(b"x" * 10), max_bytes=10).format == "csv"
