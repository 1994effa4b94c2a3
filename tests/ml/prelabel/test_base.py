import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import InvalidInput
from app.ml.prelabel import Runtime, build_prelabeller, cache_key, estimate, parse_config
from app.ml.prelabel.configs import RemoteLlmConfig

LABELS = ["news", "clickbait"]
EXAMPLES = {"news": ["Parliament passes the budget"], "clickbait": ["You won't believe it"]}
REMOTE = {"provider": "remote_llm", "base_url": "http://127.0.0.1:1/v1", "model": "m"}
CONFIGS = [{"provider": "few_shot"}, {"provider": "local_llm"}, REMOTE]


def build(config, labels=LABELS, guideline="Guideline.", examples=EXAMPLES):
    return build_prelabeller(config, labels, guideline, examples, Runtime(Path("unused"), api_key="sk-secret"))


def test_importing_and_building_load_no_model_library():
    code = (
        "import sys, app.ml.prelabel as p; from pathlib import Path\n"
        f"for c in {CONFIGS!r}: p.build_prelabeller(c, {LABELS!r}, 'g', {EXAMPLES!r}, p.Runtime(Path('x')))\n"
        "heavy = {'torch', 'transformers', 'openai', 'sklearn', 'scipy', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["provider"])
def test_identity_is_json_and_changes_with_the_examples_but_holds_no_secret(config):
    identity = dict(build(config).identity)
    assert "sk-secret" not in json.dumps(identity)
    assert cache_key(identity, "x") == cache_key(dict(build(config).identity), "x")
    other = build(config, examples={**EXAMPLES, "news": ["Rates unchanged"]}).identity
    assert cache_key(identity, "x") != cache_key(other, "x")


@pytest.mark.parametrize("config", CONFIGS[1:], ids=lambda config: config["provider"])
def test_identity_changes_with_guideline_and_labels(config):
    keys = {
        cache_key(build(config).identity, "x"),
        cache_key(build(config, guideline="Another.").identity, "x"),
        cache_key(build(config, labels=["news", "lure"]).identity, "x"),
    }
    assert len(keys) == 3


def test_cache_key_is_32_bytes_and_changes_with_the_text():
    key = cache_key({"a": 1, "b": 2}, "x")
    assert len(key) == 32
    assert key == cache_key({"b": 2, "a": 1}, "x")
    assert key != cache_key({"a": 1, "b": 2}, "y")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"provider": "crystal_ball"}, "provider"),
        ({}, "provider"),
        ({"provider": "few_shot", "scale": -1}, "scale"),
        ({"provider": "local_llm", "typo": 1}, "typo"),
        ({"provider": "remote_llm", "model": "m"}, "base_url"),
        ({**REMOTE, "base_url": "file:///etc/passwd"}, "base_url"),
        ({**REMOTE, "base_url": "https://name:word@llm.example/v1"}, "base_url"),
        ({**REMOTE, "base_url": "https://llm.example/v1?key=1"}, "base_url"),
        ({**REMOTE, "base_url": "https://llm.example:x/v1"}, "base_url"),
        ({**REMOTE, "base_url": "https:///v1"}, "base_url"),
        ({**REMOTE, "api_key": "sk"}, "api_key"),
        ({**REMOTE, "max_cost": 1.0, "input_price": 1.0}, "output_price"),
    ],
)
def test_a_wrong_setting_is_named(config, field):
    with pytest.raises(InvalidInput) as caught:
        parse_config(config)
    assert caught.value.detail["field"] == field


def test_estimate_of_a_remote_model_counts_the_prompt_with_every_text():
    priced = {**REMOTE, "mode": "text", "input_price": 1.0, "output_price": 2.0}
    one = estimate(priced, 1, ["x" * 400], labels=LABELS, guideline_text="g" * 4000)
    many = estimate(priced, 1000, ["x" * 400], labels=LABELS, guideline_text="g" * 4000)
    assert (one.calls, many.calls) == (1, 1000)
    assert many.input_tokens == pytest.approx(1000 * one.input_tokens, rel=0.01)
    assert 1100 < one.input_tokens < 1400
    assert many.cost == pytest.approx((many.input_tokens + 2 * many.output_tokens) / 1e6)
    assert estimate(REMOTE, 1000, ["x"], labels=LABELS).cost is None


def test_estimate_of_a_local_model_counts_the_prompt_once():
    found = estimate({"provider": "local_llm"}, 1000, ["x" * 40], labels=LABELS, guideline_text="g" * 4000)
    assert (found.calls, found.cost) == (0, None)
    assert 10_000 < found.input_tokens < 20_000


def test_a_price_is_for_a_million_tokens():
    config = RemoteLlmConfig(base_url="http://x", model="m", input_price=3.0, output_price=10.0)
    assert config.price(1_000_000, 500_000) == 8.0
