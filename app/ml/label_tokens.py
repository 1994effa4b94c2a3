"""A prompt as the tokens of a causal language model, and the one token that stands for each label's answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidInput
from app.ml.prelabel.prompt import Prompt, as_data

# Stands for the item while the chat template is rendered; a private-use character that no template treats specially.
_PLACEHOLDER = "\ue000item\ue000"


@dataclass(frozen=True)
class TokenisedPrompt:
    """Token ids before and after the item, and the id of each label's answer."""

    before: list[int]
    after: list[int]
    answers: list[int]


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
