"""A language model behind an OpenAI-compatible API: vLLM, Ollama, llama.cpp, transformers serve, or a hosted one."""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.errors import LinecallError, Unavailable
from app.ml.prelabel.answers import from_json, from_logprobs, from_text, json_schema
from app.ml.prelabel.base import Embeddings, OnScore, Progress, Runtime, Score, Usage
from app.ml.prelabel.budget import Budget
from app.ml.prelabel.configs import RemoteLlmConfig
from app.ml.prelabel.prompt import Prompt
from app.ml.prelabel.transport import Transport

if TYPE_CHECKING:
    from openai import APIStatusError
    from openai.types.chat import ChatCompletion

_MAX_TOKENS = {"logprobs": 1, "structured": 32, "text": 8}


class _Ladder:
    """The modes still worth trying, best first. What one text has taught about the server, the next ones keep."""

    def __init__(self, mode: str) -> None:
        self._offered = ["logprobs", "structured", "text"] if mode == "auto" else [mode]
        self._modes = list(self._offered)
        self._proven = len(self._modes) == 1
        self._chances = 3  # texts that may stay unreadable in every mode before we settle for the last one
        self._lock = threading.Lock()

    @property
    def current(self) -> str:
        return self._modes[0]

    @property
    def settled(self) -> bool:
        return self._proven or self._chances == 0

    def prove(self, mode: str) -> None:
        """An answer in this mode could be read: from now on an unreadable one is the text's own."""
        with self._lock:
            if mode in self._modes:
                self._modes = self._modes[self._modes.index(mode) :]
                self._proven = True

    def refuse(self, mode: str) -> bool:
        """The server does not take this mode; False if there is no other."""
        with self._lock:
            self._offered = [offered for offered in self._offered if offered != mode] or self._offered
            return self._below(mode)

    def fail(self, mode: str) -> bool:
        """An answer in this mode could not be read; False if that is final for its text."""
        with self._lock:
            if mode == self._modes[0] and self._proven:
                return False
            if self._below(mode):
                return True
            if self._chances:  # a strange text must not cost all the others their probabilities
                self._chances -= 1
                self._modes = list(self._offered) if self._chances else self._modes
            return False

    def _below(self, mode: str) -> bool:
        if mode == self._modes[0]:
            if len(self._modes) == 1:
                return False
            self._modes = self._modes[1:]
        return True


class RemoteLlmPrelabeller:
    """``usage`` says what has been spent; it may be given in, so that a cap holds over a restart.

    One ``score`` at a time per object; inside it up to ``max_concurrency`` requests are under way.
    """

    def __init__(
        self, config: RemoteLlmConfig, prompt: Prompt, runtime: Runtime, *, spent: Usage | None = None
    ) -> None:
        self.usage = spent or Usage()
        self._config = config
        self._prompt = prompt
        self._runtime = runtime
        self._ladder = _Ladder(config.mode)
        self._transport: Transport | None = None
        self._token_field = "max_tokens"  # noqa: S105 - the name of a parameter
        self._temperature = True

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "provider": "remote_llm",
            "version": 1,
            "model": self._config.model,
            "base_url": self._config.base_url.rstrip("/"),
            "mode": self._config.mode,
            "prompt": self._prompt.digest,
            "max_item_chars": self._config.max_item_chars,
            "max_answer_tokens": self._config.max_answer_tokens,
        }

    def score(
        self,
        texts: Sequence[str],
        *,
        embeddings: Embeddings | None = None,
        progress: Progress | None = None,
        on_score: OnScore | None = None,
    ) -> list[Score]:
        """One score per text, in order.

        When it is cancelled, capped or fails, requests under way are waited for and their answers still go to
        ``on_score``: they are paid for. Raises CapReached and Unavailable.
        """
        found: dict[int, Score] = {}

        def keep(index: int, score: Score) -> None:
            found[index] = score
            self.usage.unparsable += score.scores is None
            if on_score is not None:
                on_score(index, score)

        try:
            with closing(self._answers(texts, keep)) as answers:
                for index, score in answers:
                    keep(index, score)
                    if progress is not None:
                        progress(len(found), len(texts))
        except LinecallError as error:
            error.detail.update(done=len(found), total=len(texts))
            raise
        return [found[index] for index in range(len(texts))]

    def _answers(self, texts: Sequence[str], keep: OnScore) -> Generator[tuple[int, Score]]:
        """Yields answers as they come. Closed early, it passes to ``keep`` those that were under way."""
        if not texts:
            return
        if self._transport is None:
            self._transport = Transport(self._config, self._runtime, Budget(self._config, self.usage))
        first = 0
        while first < len(texts) and not self._ladder.settled:  # alone, so that not every thread tries every mode
            yield first, self._ask(texts[first])
            first += 1
        with self._pool(keep) as (pool, under_way):
            for index in range(first, len(texts)):
                if len(under_way) >= self._config.max_concurrency:
                    yield from _finished(under_way)
                under_way[pool.submit(self._ask, texts[index])] = index
            while under_way:
                yield from _finished(under_way)

    @contextmanager
    def _pool(self, keep: OnScore) -> Iterator[tuple[ThreadPoolExecutor, dict[Future[Score], int]]]:
        assert self._transport is not None  # noqa: S101 - _answers has just made it
        under_way: dict[Future[Score], int] = {}
        self._transport.stop.clear()
        with ThreadPoolExecutor(self._config.max_concurrency, thread_name_prefix="prelabel") as pool:
            try:
                yield pool, under_way
            finally:
                self._transport.stop.set()
                wait(under_way)
                for future, index in under_way.items():
                    if future.exception() is None:
                        keep(index, future.result())
                self._transport.stop.clear()

    def _ask(self, text: str) -> Score:
        """Climbs down the ladder until an answer can be read."""
        import openai

        while True:
            mode = self._ladder.current
            request = self._request(text, mode)
            try:
                completion = self._send(request, mode)
            except openai.APIStatusError as error:
                if error.status_code not in (400, 422) or not self._adapt(request, mode, error):
                    raise _refusal(error) from error
                continue
            scores, had_logprobs = self._read(mode, completion)
            if scores is not None:
                # A plain letter where probabilities were wanted: they aren't offered, and a letter is all we need.
                self._ladder.prove("text" if mode == "logprobs" and not had_logprobs else mode)
            if scores is not None or not self._ladder.fail(mode):
                return Score(scores, completion.choices[0].message.content)

    def _send(self, request: dict[str, Any], mode: str) -> "ChatCompletion":
        assert self._transport is not None  # noqa: S101 - _answers has made it
        return self._transport.send(request, self._max_tokens(mode))

    def _max_tokens(self, mode: str) -> int:
        return self._config.max_answer_tokens or _MAX_TOKENS[mode]

    def _request(self, text: str, mode: str) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._config.model,
            "messages": [
                {"role": "system", "content": self._prompt.system},
                {"role": "user", "content": self._prompt.user(text[: self._config.max_item_chars])},
            ],
            self._token_field: self._max_tokens(mode),
        }
        if self._temperature:
            request["temperature"] = 0
        if mode == "logprobs":
            request |= {"logprobs": True, "top_logprobs": min(20, len(self._prompt.labels) + 8)}
        if mode == "structured":
            schema = {"name": "label", "strict": True, "schema": json_schema(self._prompt)}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        return request

    def _read(self, mode: str, completion: "ChatCompletion") -> tuple[NDArray[np.float32] | None, bool]:
        """(scores or None, whether they are probabilities of tokens)."""
        choice = completion.choices[0]
        words = choice.message.content or ""
        if mode == "logprobs" and choice.logprobs and choice.logprobs.content:
            top = choice.logprobs.content[0].top_logprobs
            scores = from_logprobs(self._prompt, [(entry.token, entry.logprob) for entry in top])
            if scores is not None:
                return scores, True
        if mode == "structured":
            return from_json(self._prompt, words), False
        return from_text(self._prompt, words), False

    def _adapt(self, request: Mapping[str, Any], mode: str, error: "APIStatusError") -> bool:
        """Learn from a refused request what this server does not take; False if there is nothing left to leave out."""
        message = error.message
        if "max_tokens" in request and "max_completion_tokens" in message:
            self._token_field = "max_completion_tokens"  # noqa: S105
            return True
        if "temperature" in request and "temperature" in message:
            self._temperature = False
            return True
        return self._ladder.refuse(mode)


def _finished(under_way: dict[Future[Score], int]) -> Iterator[tuple[int, Score]]:
    """Waits for at least one answer; those that are there leave ``under_way`` one by one, as they are taken."""
    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
    for future in sorted(done, key=lambda future: future.exception() is not None):  # failures last: answers are kept
        index = under_way.pop(future)
        yield index, future.result()


def _refusal(error: "APIStatusError") -> LinecallError:
    if error.status_code in (401, 403):
        return Unavailable(
            "The model server refuses the API key: set LINECALL_REMOTE_LLM_API_KEY, and LINECALL_REMOTE_LLM_URL to the "
            "address that it may be sent to."
        )
    return Unavailable(f"The model server refused the request: HTTP {error.status_code}: {error.message[:300]}")
