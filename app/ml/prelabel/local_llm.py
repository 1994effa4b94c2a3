"""A local causal language model: one forward pass per text, over the text alone.

The prompt up to the text is the same for every text, so its keys and values are computed once and shared. A label's
score is the softmax, over the labels' answer letters, of the logit of the next token.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.ml.causal_lm import PrefixScorer, check_room, load_model
from app.ml.label_tokens import tokenise_item, tokenise_prompt
from app.ml.prelabel.base import Embeddings, OnScore, Progress, Runtime, Score
from app.ml.prelabel.configs import LocalLlmConfig
from app.ml.prelabel.prompt import Prompt

# "Contextual calibration", Zhao et al. 2021: texts without content show which letter the model prefers anyway.
_CONTENT_FREE = ("N/A", "[MASK]", "text")


class LocalLlmPrelabeller:
    def __init__(self, config: LocalLlmConfig, prompt: Prompt, runtime: Runtime) -> None:
        self._config = config
        self._prompt = prompt
        self._runtime = runtime
        self._scorer: PrefixScorer | None = None
        self._tokenizer: Any = None
        self._bias: NDArray[np.float32] | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "provider": "local_llm",
            "version": 1,
            "model": self._config.model,
            "prompt": self._prompt.digest,
            "max_item_tokens": self._config.max_item_tokens,
            "calibration": self._config.calibration,
        }

    def score(
        self,
        texts: Sequence[str],
        *,
        embeddings: Embeddings | None = None,
        progress: Progress | None = None,
        on_score: OnScore | None = None,
    ) -> list[Score]:
        """One score per text, in order; the texts are worked on from the longest to the shortest."""
        if not texts:
            return []
        with _threads(self._runtime.threads):
            scorer = self._load()
            found: list[Score | None] = [None] * len(texts)
            done = 0
            for indices, logits in scorer.logits(self._item_tokens(texts), self._config.batch_size):
                for index, row in zip(indices, self._calibrated(logits), strict=True):
                    score = found[index] = Score(row)
                    if on_score is not None:
                        on_score(index, score)
                done += len(indices)
                if progress is not None:
                    progress(done, len(texts))
        return [score for score in found if score is not None]

    def _load(self) -> PrefixScorer:
        if self._scorer is None:
            model, self._tokenizer = load_model(self._config.model, self._runtime.cache_dir)
            prompt = tokenise_prompt(self._tokenizer, self._prompt)
            check_room(model, prompt, self._config.max_item_tokens)
            self._scorer = PrefixScorer(model, prompt)
            self._scorer.check_sharing()
            if self._config.calibration == "contextual":
                self._bias = self._mean_log_scores(_CONTENT_FREE)
        return self._scorer

    def _mean_log_scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        assert self._scorer is not None  # noqa: S101 - _load has just made it
        rows = [_log_softmax(logits) for _, logits in self._scorer.logits(self._item_tokens(texts), len(texts))]
        return np.asarray(np.concatenate(rows).mean(axis=0), dtype=np.float32)

    def _calibrated(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = logits if self._bias is None else logits - self._bias
        return np.exp(_log_softmax(logits))

    def _item_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        limit = self._config.max_item_tokens
        return [tokenise_item(self._tokenizer, text)[:limit] for text in texts]


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), dtype=np.float32)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
