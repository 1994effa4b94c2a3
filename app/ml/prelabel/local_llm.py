"""A local causal language model: one forward pass per text, over the text alone.

The prompt up to the text is the same for every text, so its keys and values are computed once and shared. A label's
score is the softmax, over the labels' answer letters, of the logit of the next token.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput, Unavailable
from app.ml.prelabel.base import Embeddings, OnScore, Progress, Runtime, Score
from app.ml.prelabel.configs import LocalLlmConfig
from app.ml.prelabel.prompt import Prompt, as_data

# Stands for the item while the chat template is rendered; a private-use character that no template treats specially.
_PLACEHOLDER = "\ue000item\ue000"
# "Contextual calibration", Zhao et al. 2021: texts without content show which letter the model prefers anyway.
_CONTENT_FREE = ("N/A", "[MASK]", "text")


@dataclass(frozen=True)
class TokenisedPrompt:
    """Token ids before and after the item, and the id of each label's answer."""

    before: list[int]
    after: list[int]
    answers: list[int]


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

    def _load(self) -> "PrefixScorer":
        if self._scorer is None:
            model, self._tokenizer = load_model(self._config.model, self._runtime)
            self._scorer = PrefixScorer(model, tokenise_prompt(self._tokenizer, self._prompt))
            self._scorer.check_room(self._config.max_item_tokens)
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


class PrefixScorer:
    """Logits of the answers after before + item + after, with ``before`` computed once.

    Shorter items of a batch are padded on the right: under causal attention no real token sees a pad, whatever the
    model's kind of attention or positions, so the result is that of each text alone.
    """

    def __init__(self, model: Any, prompt: TokenisedPrompt) -> None:
        import torch

        self._model = model
        self._prompt = prompt
        self._pad = prompt.after[-1]  # any id will do: pads are masked, and nothing that is read comes after them
        with torch.inference_mode():
            ids = torch.tensor([prompt.before], device=model.device)
            self._prefix = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values

    def check_room(self, max_item_tokens: int) -> None:
        """InvalidInput if the prompt leaves no room in the model's context for the longest item."""
        limit = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        taken = len(self._prompt.before) + len(self._prompt.after)
        if limit is not None and taken + max_item_tokens > limit:
            raise InvalidInput(
                f"The guideline and its examples take {taken} tokens and a text up to {max_item_tokens}, but the model "
                f"reads {limit}: shorten the guideline, show fewer examples or lower max_item_tokens.",
                field="max_item_tokens",
            )

    def check_sharing(self) -> None:
        """Unavailable if this kind of model does not carry on from a shared prefix as from its own."""
        import torch

        shared = self._batch([self._prompt.after, self._prompt.after * 2])[:1]
        ids = torch.tensor([self._prompt.before + self._prompt.after], device=self._model.device)
        with torch.inference_mode():
            alone = self._model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1, self._prompt.answers]
        tolerance = 1e-2 if alone.dtype == torch.float32 else 0.5
        if np.abs(shared - alone.float().cpu().numpy()).max() > tolerance:
            raise Unavailable("This model's kind of attention can't share the guideline between texts: choose another.")

    def logits(self, items: Sequence[list[int]], batch_size: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Yields (indices into ``items``, logits float32 of shape (indices, labels)), longest items first, so that
        memory runs out at once or never, and a batch holds items of about one length."""
        order = sorted(range(len(items)), key=lambda index: -len(items[index]))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            yield indices, self._batch([items[index] + self._prompt.after for index in indices])

    def _batch(self, rows: Sequence[list[int]]) -> NDArray[np.float32]:
        import torch

        prefix, width = len(self._prompt.before), max(map(len, rows))
        ids = torch.tensor([row + [self._pad] * (width - len(row)) for row in rows], device=self._model.device)
        last = torch.tensor([len(row) - 1 for row in rows], device=self._model.device)
        places = torch.arange(width, device=self._model.device)
        real = (places[None, :] <= last[:, None]).long()
        # Rows of one length share one position, so the wide output layer is computed for a few places, not for all.
        wanted, which = last.unique(return_inverse=True)
        with torch.inference_mode():
            output = self._model(
                input_ids=ids,
                attention_mask=torch.cat([real.new_ones(len(rows), prefix), real], dim=1),
                position_ids=(places + prefix)[None, :].expand(len(rows), -1),
                past_key_values=self._expanded(len(rows)),
                use_cache=True,
                logits_to_keep=wanted,
            )
            at_last = output.logits[torch.arange(len(rows), device=which.device), which]
        chosen: NDArray[np.float32] = at_last[:, self._prompt.answers].float().cpu().numpy()
        return chosen

    def _expanded(self, rows: int) -> Any:
        """The prefix's cache for a batch; a copy, because the model appends to what it is given."""
        import torch

        cache = copy.deepcopy(self._prefix)
        # Not batch_repeat_interleave, which layers with linear attention lack.
        cache.reorder_cache(torch.zeros(rows, dtype=torch.long, device=self._model.device))
        return cache


def load_model(ref: str, runtime: Runtime) -> tuple[Any, Any]:
    """(model in evaluation mode, tokenizer) of a model reference; a GGUF file is converted on first use."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise Unavailable(
            "A local language model needs the worker's packages: pip install 'linecall[worker]'"
        ) from error
    from app.ml.model_refs import ensure_converted, resolve

    found = ensure_converted(resolve(ref, runtime.cache_dir), runtime.cache_dir)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = "auto" if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(found.name, dtype=dtype, **found.load_arguments)
    tokenizer = AutoTokenizer.from_pretrained(found.name, **found.load_arguments)
    return model.to(device).eval(), tokenizer


def tokenise_item(tokenizer: Any, text: str) -> list[int]:
    """The item's own tokens. A chat format's control words in the text stay plain characters."""
    ids = tokenizer(as_data(text), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [int(token) for token in ids]


def tokenise_prompt(tokenizer: Any, prompt: Prompt) -> TokenisedPrompt:
    """The prompt in the model's own chat format where it has one, else as plain text."""
    rendered, templated = _render(tokenizer, prompt)
    before, _, after = rendered.partition(_PLACEHOLDER)
    before_ids = _encode(tokenizer, before)
    if not templated and tokenizer.bos_token_id is not None and before_ids[:1] != [tokenizer.bos_token_id]:
        before_ids = [tokenizer.bos_token_id, *before_ids]
    after_ids, answers = _answer_tokens(tokenizer, after, prompt.answers)
    return TokenisedPrompt(before_ids, after_ids, answers)


def _render(tokenizer: Any, prompt: Prompt) -> tuple[str, bool]:
    user = prompt.before + _PLACEHOLDER + prompt.after
    if not getattr(tokenizer, "chat_template", None):
        return f"{prompt.system}\n\n{user}", False
    from jinja2 import TemplateError

    options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    try:
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": user}]
        return tokenizer.apply_chat_template(messages, **options), True
    except TemplateError:  # the format has no system role
        messages = [{"role": "user", "content": f"{prompt.system}\n\n{user}"}]
        return tokenizer.apply_chat_template(messages, **options), True


def _answer_tokens(tokenizer: Any, after: str, answers: Sequence[str]) -> tuple[list[int], list[int]]:
    """(tokens of ``after``, one token per answer that follows them), as the tokenizer would write the two together."""
    after_ids = _encode(tokenizer, after)
    for joiner in ("", " ") if after[-1:].isspace() else (" ", ""):
        written = [_encode(tokenizer, after + joiner + answer) for answer in answers]
        follows = all(ids[:-1] == after_ids for ids in written)
        if follows and len({ids[-1] for ids in written}) == len(answers):
            return after_ids, [ids[-1] for ids in written]
    raise InvalidInput("This model's tokenizer writes the answer letters with more than one token.", field="model")


def _encode(tokenizer: Any, text: str) -> list[int]:
    return [int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]


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
