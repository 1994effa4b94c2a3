"""Texts to unit vectors with transformers alone: length-sorted batches, bf16 weights where the processor has bf16,
and a batch for each processor core at a time, rather than all cores on one batch.

Measured against sentence-transformers' default in benchmarks/embedding.py. torch and transformers are imported inside
functions: importing this module costs nothing.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput, Unavailable
from app.ml import heavy
from app.ml.model_refs import ModelPath, resolve

Progress = Callable[[int, int], None]
Precision = Literal["fp32", "bf16"]
BATCH = 64
# A batch ends where the length changes once it holds this many: rows of one length need no padding and no mask.
_ENOUGH = 32
_BATCH_TOKENS = 8192
# Tokens of so many texts are held at once, so that memory does not grow with the pool. The first are few, so that the
# cores need not wait for long; all others are tokenised while the texts before them are encoded.
_FIRST_WINDOW = 1024
_WINDOW = 16_384
_MAX_TOKENS = 512
_POOLINGS = ("mean", "cls", "max")
_SUPPORTED_MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class Layout:
    """What sentence-transformers' files in a model folder say; mean pooling where they are absent."""

    pooling: str
    max_tokens: int
    lower_case: bool


@dataclass(frozen=True)
class Backbone:
    """A transformers model with its tokenizer; ``precision`` is that of the weights."""

    tokenizer: Any
    model: Any
    layout: Layout
    precision: Precision

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text with the special tokens, cut at ``layout.max_tokens``."""
        if not len(texts):
            return []
        if self.layout.lower_case:
            texts = [text.lower() for text in texts]
        encoded = self.tokenizer(
            list(texts), truncation=True, max_length=self.layout.max_tokens,
            return_attention_mask=False, return_token_type_ids=False,
        )  # fmt: skip
        return encoded["input_ids"]  # type: ignore[no-any-return]

    def vectors(self, rows: Sequence[Sequence[int]]) -> Any:
        """Unit vectors of token rows: a float32 torch tensor of shape (rows, dim), with gradients if they are on."""
        import torch

        device = self.model.device
        longest = max(1, *map(len, rows))
        ids = np.full((len(rows), longest), self.tokenizer.pad_token_id or 0, dtype=np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(longest) < lengths[:, None]).to(torch.int64).to(device)
        given = None if all(len(row) == longest for row in rows) else mask
        hidden = self.model(input_ids=torch.from_numpy(ids).to(device), attention_mask=given).last_hidden_state
        return torch.nn.functional.normalize(_pool(hidden.float(), mask, self.layout.pooling), dim=1)


class Encoder:
    """``key`` names model, pooling and precision: vectors under different keys are never mixed. ``revision`` is the
    hub's commit, or a digest of the files; empty for weights in training."""

    def __init__(self, backbone: Backbone, key: str, revision: str = "") -> None:
        self.backbone = backbone
        self.key = key
        self.revision = revision
        self.dim = int(backbone.model.config.hidden_size)

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> npt.NDArray[np.float32]:
        """Unit rows in the order of ``texts``, float32, shape (n, dim).

        ``progress(done, total)`` is called in this thread after every batch and may raise to stop.
        """
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        done = 0
        for places, found in self._encoded(texts):
            vectors[places] = found
            done += len(places)
            if progress:
                progress(done, len(texts))
        return vectors

    def _encoded(self, texts: Sequence[str]) -> Iterator[tuple[list[int], npt.NDArray[np.float32]]]:
        """Places in ``texts`` and their vectors, as batches are done; never more than two a core are waiting."""
        with _one_core_each(self.backbone) as (pool, cores), closing(self._batches(texts)) as batches:
            running: set[Future[tuple[list[int], npt.NDArray[np.float32]]]] = set()
            try:
                for places, rows in batches:
                    running.add(pool.submit(self._run, places, rows))
                    if len(running) >= 2 * cores:
                        finished, running = wait(running, return_when=FIRST_COMPLETED)
                        yield from (future.result() for future in finished)
                yield from (future.result() for future in list(running))
            finally:
                pool.shutdown(cancel_futures=True)

    def _run(self, places: list[int], rows: list[list[int]]) -> tuple[list[int], npt.NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            return places, self.backbone.vectors(rows).cpu().numpy()

    def _batches(self, texts: Sequence[str]) -> Generator[tuple[list[int], list[list[int]]], None, None]:
        """Longest first within a window: the largest batch comes first, so memory that does not suffice fails early."""
        for start, tokens in self._tokenised(texts):
            order = sorted(range(len(tokens)), key=lambda place: -len(tokens[place]))
            for chosen in _cut(order, [len(tokens[place]) for place in order]):
                yield [start + place for place in chosen], [tokens[place] for place in chosen]

    def _tokenised(self, texts: Sequence[str]) -> Iterator[tuple[int, list[list[int]]]]:
        """Windows of ``texts``, each by its start and its token rows; the next one is made ahead."""
        starts = [0, *range(_FIRST_WINDOW, len(texts), _WINDOW)]
        ends = [*starts[1:], len(texts)]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.backbone.tokenise, texts[: ends[0]])
            for place, start in enumerate(starts):
                tokens = ahead.result()
                if place + 1 < len(starts):
                    ahead = reader.submit(self.backbone.tokenise, texts[ends[place] : ends[place + 1]])
                yield start, tokens


def _cut(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """``order`` in batches; ``lengths`` falls. At most 64 texts or 8,192 tokens, one text at least."""
    first = 0
    for place in range(1, len(order) + 1):
        size = place - first
        full = size == BATCH or (size + 1) * lengths[first] > _BATCH_TOKENS
        if place == len(order) or full or (size >= _ENOUGH and lengths[place] != lengths[place - 1]):
            yield order[first:place]
            first = place


@contextmanager
def _one_core_each(backbone: Backbone) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """As many threads as torch would use, each keeping to one core: nothing waits for the slowest core within a layer.

    torch's number of threads belongs to the calling thread, but the newest is what later threads start with, so it is
    set back. An accelerator has one thread to feed it.
    """
    import torch

    threads = torch.get_num_threads()
    cores = threads if backbone.model.device.type == "cpu" else 1
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool, cores
    finally:
        torch.set_num_threads(threads)


def load_encoder(ref: str, cache_dir: Path, threads: int, precision: Precision | None = None) -> Encoder:
    """Load an encoder; ``threads`` 0 means all cores but one, ``precision`` None the fastest that is safe here.

    Raises InvalidInput for a model that is no encoder, Unavailable for one that is not on this machine.
    """
    model_path = resolve(ref, cache_dir)
    if model_path.gguf_file:
        raise InvalidInput(f"'{ref}' is a language model in GGUF form; choose an encoder.", field="encoder")
    set_threads(threads)
    backbone = load_backbone(model_path, precision or best_precision())
    return Encoder(backbone, _key(ref, model_path, backbone), revision_of(model_path, backbone))


def load_backbone(model_path: ModelPath, precision: Precision) -> Backbone:
    """Model and tokenizer from a folder or the hub, in evaluation mode, on the accelerator if there is one."""
    transformers = heavy.load("transformers", "Encoders need")
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model_path.name, **model_path.load_arguments)
        model = transformers.AutoModel.from_pretrained(model_path.name, dtype=dtype, **model_path.load_arguments)
    except (OSError, ValueError) as error:
        raise Unavailable(f"The encoder '{model_path.name}' could not be loaded: {error}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = _read_layout(model_path, int(getattr(model.config, "max_position_embeddings", _MAX_TOKENS)))
    return Backbone(tokenizer, model.to(device).eval(), layout, precision)


def best_precision() -> Precision:
    """bf16 where multiplication in it is native. Elsewhere it is emulated and slower than fp32."""
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if cpu_has_bf16() else "fp32"


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bf16 itself (AVX512-BF16 or AMX); False where the kernel does not tell."""
    if not cpuinfo.is_file():
        return False
    return bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", cpuinfo.read_text()))


def set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads if threads > 0 else max(1, (os.cpu_count() or 2) - 1))


def _pool(hidden: Any, attention: Any, pooling: str) -> Any:
    """(batch, tokens, dim) and (batch, tokens) to (batch, dim), as sentence-transformers defines the three ways."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = attention.unsqueeze(-1)
    if pooling == "max":
        return hidden.masked_fill(weights == 0, float("-inf")).amax(1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def _read_layout(model_path: ModelPath, positions: int) -> Layout:
    for module in _read_json(model_path, "modules.json") or []:
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in _SUPPORTED_MODULES:
            raise InvalidInput(f"The encoder '{model_path.name}' has a '{kind}' part, which Linecall can't run.")
    transformer = _read_json(model_path, "sentence_bert_config.json") or {}
    limit = int(transformer.get("max_seq_length") or _MAX_TOKENS)
    pooling = _pooling_mode(_read_json(model_path, "1_Pooling/config.json") or {})
    if pooling not in _POOLINGS:
        raise InvalidInput(f"The encoder '{model_path.name}' pools by '{pooling}', which Linecall can't do.")
    return Layout(pooling, min(limit, positions), bool(transformer.get("do_lower_case")))


def _pooling_mode(config: dict[str, Any]) -> str:
    """sentence-transformers writes ``pooling_mode`` since version 6 and a flag for each mode before."""
    if mode := config.get("pooling_mode"):
        return str(mode)
    prefix = "pooling_mode_"
    modes = [name.removeprefix(prefix) for name, on in config.items() if name.startswith(prefix) and on is True]
    short = [mode.removesuffix("_tokens").removesuffix("_token") for mode in modes]
    return "+".join(short) or "mean"


def _read_json(model_path: ModelPath, name: str) -> Any:
    if model_path.on_hub:
        from transformers.utils import cached_file

        arguments = {"_raise_exceptions_for_missing_entries": False, **model_path.load_arguments}
        found = cached_file(model_path.name, name, **arguments)
        return json.loads(Path(found).read_text("utf-8")) if found else None
    path = model_path.path / name
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _key(ref: str, model_path: ModelPath, backbone: Backbone) -> str:
    """Readable and exact: it changes when the model's files, the cut or the precision change."""
    layout = backbone.layout
    name = re.sub(r"[^A-Za-z0-9]+", "-", Path(ref.partition(":")[2]).name).strip("-").lower()[:40]
    cut = f"{layout.max_tokens}{'l' if layout.lower_case else ''}"
    return f"{name}-{_digest(model_path, backbone)}-{layout.pooling}-{cut}-{backbone.precision}"


def revision_of(model_path: ModelPath, backbone: Backbone) -> str:
    """The hub's commit, or a digest of the files."""
    if model_path.on_hub:
        return str(getattr(backbone.model.config, "_commit_hash", None) or model_path.revision or "")
    return _digest(model_path, backbone)


def _digest(model_path: ModelPath, backbone: Backbone) -> str:
    if model_path.on_hub:
        commit = getattr(backbone.model.config, "_commit_hash", None) or model_path.revision
        return hashlib.sha256(f"{model_path.name}@{commit}".encode()).hexdigest()[:12]
    digest = hashlib.sha256()
    for path in sorted(model_path.path.iterdir()):
        if path.suffix in (".safetensors", ".bin") or path.name in ("config.json", "tokenizer.json", "vocab.txt"):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
