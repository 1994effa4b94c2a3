"""Fine-tuning of a causal language model by a LoRA adapter, which answers with the token that stands for a label."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.ml.artifacts import ArtifactStore
from app.ml.causal_lm import PrefixScorer, check_room, load_model
from app.ml.classifiers.base import ConstantFitted, Fitted, Floats, Ints, Progress, Runtime, TrainingSet, check_fit
from app.ml.classifiers.calibration import Calibration, calibrate, log_odds
from app.ml.classifiers.crossfit import Fold, grouped_folds, hold_outs, may_tune
from app.ml.classifiers.linear import softmax, threshold_for_pool, tuned_threshold
from app.ml.classifiers.lora_config import LoraConfig, parse_lora_config
from app.ml.classifiers.lora_training import Lesson, steps_in, train_adapter
from app.ml.encoders import best_precision, set_threads
from app.ml.label_tokens import tokenise_item, tokenise_prompt
from app.ml.prelabel.prompt import Prompt

_BATCH = 32
# Tokens of this many texts are held at once, so that memory does not grow with the pool.
_WINDOW = 16_384
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


class Reader:
    """A language model with its prompt: texts to label probabilities, the guideline read once for all.

    ``calibration`` applies to the log odds of the second label of two, and is left as it is for more.
    """

    def __init__(self, model: Any, tokenizer: Any, prompt: Prompt, max_tokens: int) -> None:
        self.model = model
        self.calibration = Calibration()
        self.tokens = tokenise_prompt(tokenizer, prompt)
        check_room(model, self.tokens, max_tokens, "max_tokens")
        self._tokenizer, self._max_tokens = tokenizer, max_tokens
        self._scorer: PrefixScorer | None = None

    def items(self, texts: Sequence[str]) -> list[list[int]]:
        return [tokenise_item(self._tokenizer, text)[: self._max_tokens] for text in texts]

    def check_sharing(self) -> None:
        """Raises Unavailable for a model that can't carry on from a shared guideline."""
        PrefixScorer(self.model, self.tokens).check_sharing()

    def proba(self, texts: Sequence[str], progress: Progress | None = None) -> Floats:
        """Calibrated softmax over the label tokens, shape (n, labels)."""
        self._scorer = self._scorer or PrefixScorer(self.model, self.tokens)
        shift = np.array([0.0, self.calibration.shift, *[0.0] * (len(self.tokens.answers) - 2)])
        found = np.empty((len(texts), len(self.tokens.answers)), dtype=np.float32)
        done = 0
        for start in range(0, len(texts), _WINDOW):
            items = self.items(texts[start : start + _WINDOW])
            for places, logits in self._scorer.logits(items, _BATCH):
                found[start + np.array(places)] = softmax(logits * self.calibration.slope + shift)
                done += len(places)
                if progress:
                    progress(done, len(texts))
        return found


class LoraFitted(Fitted):
    """``adapter`` holds PEFT's two files by name; ``about`` what the base model and the prompt are. The adapter is
    merged into the weights that ``reader`` works with: apart from them it would halve the speed."""

    kind = "lora"

    def __init__(
        self,
        reader: Reader,
        adapter: Mapping[str, bytes],
        about: Mapping[str, Any],
        threshold: float | None,
        metrics: Mapping[str, Any],
    ) -> None:
        super().__init__(len(about["prompt"]["labels"]), threshold, metrics)
        self.reader, self.adapter, self.about = reader, dict(adapter), dict(about)

    @classmethod
    def load(
        cls, store: ArtifactStore, key: str, threshold: float | None, metrics: Mapping[str, Any], runtime: Runtime
    ) -> "LoraFitted":
        import peft

        set_threads(runtime.threads)
        about = json.loads(store.get_bytes(f"{key}/lora.json"))
        base, tokenizer = load_model(about["model"], runtime.cache_dir, best_precision())
        adapted = peft.PeftModel.from_pretrained(base, store.local_folder(f"{key}/adapter", runtime.cache_dir))
        prompt = Prompt(**about["prompt"] | {"labels": tuple(about["prompt"]["labels"])})
        reader = Reader(adapted.merge_and_unload().eval(), tokenizer, prompt, about["max_tokens"])
        reader.calibration = Calibration(**about["calibration"])
        adapter = {name: store.get_bytes(f"{key}/adapter/{name}") for name in _ADAPTER_FILES}
        return cls(reader, adapter, about, threshold, metrics)

    def predict_proba(
        self,
        texts: Sequence[str],
        embeddings: npt.NDArray[np.floating[Any]] | None,
        progress: Progress | None = None,
    ) -> Floats:
        """From the texts; ``embeddings`` are those of another model and not looked at."""
        return self.reader.proba(texts, progress)

    def save_parts(self, store: ArtifactStore, key: str) -> None:
        """The adapter as PEFT reads it, and the prompt word for word: a later template must not change old models."""
        for name, content in self.adapter.items():
            store.put_bytes(f"{key}/adapter/{name}", content)
        store.put_bytes(f"{key}/lora.json", json.dumps(self.about, indent=1).encode())


class LoraEngine:
    """Settings: the fields of LoraConfig. Needs peft.

    The prompt is the pre-labeller's: guideline and labels' names, the text, and one letter for each label as the
    answer. Training starts from the published model in every round, never from the last round's adapter.

    The guideline's examples are training items like others. Held-out items come from ``folds`` grouped folds, or are
    one fifth with ``folds`` 1, so that fitting costs ``folds`` times one training (1: 1.8 times, 3: three times).
    As in ``linear``: of two labels with a sample of the pool, items are not weighted, scores are calibrated on held-out
    items, and the threshold maximises the kappa expected on the sample. Otherwise labels are balanced, and the
    threshold of two labels maximises kappa on the held-out items; it is .5 with fewer than ten items of a label.
    """

    name = "lora"
    needs_embeddings = False

    def fit(
        self,
        train: TrainingSet,
        n_labels: int,
        config: Mapping[str, Any],
        seed: int,
        runtime: Runtime,
        progress: Progress | None = None,
    ) -> Fitted:
        check_fit(train, n_labels, config, tuple(LoraConfig.model_fields))
        parsed = parse_lora_config(config)
        prompt = parsed.prompt(n_labels)
        whole = train.with_examples()
        check_fit(whole, n_labels, {}, ())
        if len(np.unique(whole.labels)) == 1:
            return ConstantFitted.of(whole, n_labels)
        return _Fit(whole, prompt, parsed, seed, runtime, progress).run()


class _Fit:
    """One fit: what its steps share."""

    def __init__(
        self,
        train: TrainingSet,
        prompt: Prompt,
        config: LoraConfig,
        seed: int,
        runtime: Runtime,
        progress: Progress | None,
    ) -> None:
        set_threads(runtime.threads)
        self.train, self.prompt, self.config, self.seed = train, prompt, config, seed
        self.runtime, self.progress = runtime, progress
        self.pool = train.pool if len(prompt.labels) == 2 and config.pool_sample else None
        self.folds = self._plan_folds()
        sizes = [len(rows) for rows, _ in self.folds] + [len(train)]
        self.done, self.total = 0, sum(steps_in(size, config) for size in sizes)

    def run(self) -> Fitted:
        judged, proba = self._cross_fit()
        reader = self._base()
        reader.check_sharing()
        metrics: dict[str, Any] = {"training_items": len(self.train), "folds": len(self.folds)}
        adapter, metrics["loss_by_epoch"] = self._adapt(reader, self.train, self.seed)
        threshold, chosen = self._threshold(reader, judged, proba)
        ref = self._pinned(reader.model)
        prompt = {"labels": self.prompt.labels, "system": self.prompt.system}
        prompt |= {"before": self.prompt.before, "after": self.prompt.after}
        about = {"model": ref, "max_tokens": self.config.max_tokens, "prompt": prompt}
        about["calibration"] = asdict(reader.calibration)
        about["tokens"] = asdict(reader.tokens)  # for those who run the model without Linecall
        metrics |= {"model": ref, "precision": best_precision(), "device": reader.model.device.type}
        return LoraFitted(reader, adapter, about, threshold, metrics | chosen)

    def _plan_folds(self) -> list[Fold]:
        # Of more labels than two the most probable is answered: there is no threshold to hold items out for.
        tuned = len(self.prompt.labels) == 2 and (self.pool is not None or may_tune(self.train))
        if not self.config.folds or not tuned:
            return []
        if self.config.folds == 1:
            return grouped_folds(self.train, 5, self.seed)[:1]
        return hold_outs(self.train, self.config.folds, self.seed)

    def _cross_fit(self) -> tuple[TrainingSet, npt.NDArray[np.float64] | None]:
        """The items that are held out once, and their probabilities (items, labels)."""
        if not self.folds:
            return self.train, None
        proba = np.zeros((len(self.train), len(self.prompt.labels)))
        for number, (rows, test) in enumerate(self.folds, 1):
            proba[test] = self._held_out(rows, test, self.seed + number)
        held_out = np.sort(np.concatenate([test for _, test in self.folds]))
        return self.train.take(held_out), proba[held_out]

    def _held_out(self, rows: Ints, test: Ints, seed: int) -> Floats:
        reader = self._base()
        self._adapt(reader, self.train.take(rows), seed)
        return reader.proba(self.train.take(test).texts, lambda _done, _total: self._report())

    def _threshold(
        self, reader: Reader, judged: TrainingSet, proba: npt.NDArray[np.float64] | None
    ) -> tuple[float | None, dict[str, Any]]:
        """Also calibrates the reader, where a sample of the pool asks for it."""
        if self.pool is None and not self.config.folds:
            return 0.5 if len(self.prompt.labels) == 2 else None, {"threshold_source": "default"}
        if self.pool is None:
            return tuned_threshold(judged, proba, len(self.prompt.labels))
        if proba is not None:
            reader.calibration = calibrate(log_odds(proba[:, 1]), judged.labels, self._weights(judged))
        size = min(self.config.pool_sample, len(self.pool.texts))
        rows = np.random.default_rng([self.seed, 4]).choice(len(self.pool.texts), size, replace=False)
        scores = reader.proba([self.pool.texts[row] for row in rows], lambda _done, _total: self._report())
        return threshold_for_pool(scores[:, 1], reader.calibration)

    def _targets(self, train: TrainingSet) -> Floats:
        """(n, labels): how the experts were divided, or all of it the item's label where that is not known."""
        shares = np.eye(len(self.prompt.labels))[train.labels] if train.soft is None else train.soft
        return np.asarray(shares, dtype=np.float32)

    def _weights(self, train: TrainingSet) -> npt.NDArray[np.float64]:
        """Mean 1; balanced only without a sample of the pool, since balancing bends the probabilities."""
        if self.pool is None:
            return train.balanced_weights()
        weights = np.ones(len(train)) if train.weights is None else np.asarray(train.weights, dtype=np.float64)
        return np.asarray(weights / weights.mean(), dtype=np.float64)

    def _base(self) -> Reader:
        model, tokenizer = load_model(self.config.model, self.runtime.cache_dir, best_precision())
        return Reader(model, tokenizer, self.prompt, self.config.max_tokens)

    def _adapt(self, reader: Reader, train: TrainingSet, seed: int) -> tuple[dict[str, bytes], list[float]]:
        """Train an adapter and merge it into the reader's model; (PEFT's files, mean loss of each epoch)."""
        weights = self._weights(train).astype(np.float32)
        lesson = Lesson(reader.items(train.texts), self._targets(train), weights)
        adapted, losses = train_adapter(reader.model, reader.tokens, lesson, self.config, seed, self._step)
        files = _adapter_files(adapted, self._pinned(reader.model))
        reader.model = adapted.merge_and_unload().eval()
        return files, losses

    def _pinned(self, model: Any) -> str:
        """The model's reference, with the revision that the hub gave where the project names none."""
        commit, ref = getattr(model.config, "_commit_hash", None), self.config.model
        return f"{ref}@{commit}" if ref.startswith("hf:") and "@" not in ref and commit else ref

    def _step(self) -> None:
        self.done += 1
        self._report()

    def _report(self) -> None:
        if self.progress:
            self.progress(self.done, self.total)


def _adapter_files(adapted: Any, base: str) -> dict[str, bytes]:
    """PEFT's own files, with the model's reference in place of where this machine keeps it."""
    with tempfile.TemporaryDirectory() as folder:
        adapted.save_pretrained(folder, save_embedding_layers=False)
        files = {name: (Path(folder) / name).read_bytes() for name in _ADAPTER_FILES}
    settings = json.loads(files["adapter_config.json"]) | {"base_model_name_or_path": base}
    return files | {"adapter_config.json": json.dumps(settings, indent=1).encode()}
