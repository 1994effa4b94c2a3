"""A causal language model's answer to many texts under one prompt, of which the start is read once and shared."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput, Unavailable
from app.ml import heavy
from app.ml.encoders import Precision
from app.ml.label_tokens import TokenisedPrompt

Rows = Sequence[list[int]]


def load_model(ref: str, cache_dir: Path, precision: Precision | None = None) -> tuple[Any, Any]:
    """(model in evaluation mode, tokenizer) of a model reference; a GGUF file is converted on first use.

    ``precision`` None means that of the files on a GPU and fp32 on a processor. Raises Unavailable for a model that
    is not here or is no causal language model.
    """
    transformers = heavy.load("transformers", "A local language model needs")
    import torch

    from app.ml.model_refs import ensure_converted, resolve

    found = ensure_converted(resolve(ref, cache_dir), cache_dir)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    stored = "auto" if device == "cuda" else torch.float32
    dtype = {None: stored, "bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(found.name, dtype=dtype, **found.load_arguments)
        tokenizer = transformers.AutoTokenizer.from_pretrained(found.name, **found.load_arguments)
    except (OSError, ValueError) as error:
        raise Unavailable(f"The language model '{ref}' could not be loaded: {error}") from error
    return model.to(device).eval(), tokenizer


def read_start(model: Any, prompt: TokenisedPrompt) -> Any:
    """The keys and values of ``prompt.before``, one row; with gradients if they are on."""
    import torch

    ids = torch.tensor([prompt.before], device=model.device)
    return model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values


def spread(cache: Any, rows: int, device: Any) -> Any:
    """The cache of one row, changed in place to one of ``rows`` equal rows."""
    import torch

    # Not batch_repeat_interleave, which layers with linear attention lack.
    cache.reorder_cache(torch.zeros(rows, dtype=torch.long, device=device))
    return cache


def answer_logits(model: Any, answers: Sequence[int], rows: Rows, cache: Any = None, cached: int = 0) -> Any:
    """Logits of the answers after each row's last token: a torch tensor of shape (rows, answers).

    ``cache`` holds what comes before the rows, ``cached`` tokens, and is used up: the model appends to it. Shorter
    rows are padded on the right: under causal attention no real token sees a pad, whatever the model's kind of
    attention or positions, so the result is that of each row alone.
    """
    import torch

    width, pad = max(map(len, rows)), rows[0][-1]  # any id will do: nothing that is read comes after a pad
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=model.device)
    last = torch.tensor([len(row) - 1 for row in rows], device=model.device)
    places = torch.arange(width, device=model.device)
    real = (places[None, :] <= last[:, None]).long()
    # Rows of one length share one position, so the wide output layer is computed for a few places, not for all.
    wanted, which = last.unique(return_inverse=True)
    output = model(
        input_ids=ids,
        attention_mask=torch.cat([real.new_ones(len(rows), cached), real], dim=1),
        position_ids=(places + cached)[None, :].expand(len(rows), -1),
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=wanted,
    )
    at_last = output.logits[torch.arange(len(rows), device=which.device), which]
    return at_last[:, list(answers)]


def check_room(model: Any, prompt: TokenisedPrompt, max_item_tokens: int, field: str = "max_item_tokens") -> None:
    """InvalidInput if the prompt leaves no room in the model's context for the longest item."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    taken = len(prompt.before) + len(prompt.after)
    if limit is not None and taken + max_item_tokens > limit:
        raise InvalidInput(
            f"The guideline and its examples take {taken} tokens and a text up to {max_item_tokens}, but the model "
            f"reads {limit}: shorten the guideline, show fewer examples or lower {field}.",
            field=field,
        )


class PrefixScorer:
    """Logits of the answers after before + item + after, with ``before`` computed once."""

    def __init__(self, model: Any, prompt: TokenisedPrompt) -> None:
        import torch

        self._model = model
        self._prompt = prompt
        with torch.inference_mode():
            self._prefix = read_start(model, prompt)

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

    def logits(self, items: Rows, batch_size: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Yields (indices into ``items``, logits float32 of shape (indices, labels)), longest items first, so that
        memory runs out at once or never, and a batch holds items of about one length."""
        order = sorted(range(len(items)), key=lambda index: -len(items[index]))
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            yield indices, self._batch([items[index] + self._prompt.after for index in indices])

    def _batch(self, rows: Rows) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            cache = spread(copy.deepcopy(self._prefix), len(rows), self._model.device)
            found = answer_logits(self._model, self._prompt.answers, rows, cache, len(self._prompt.before))
        chosen: NDArray[np.float32] = found.float().cpu().numpy()
        return chosen
