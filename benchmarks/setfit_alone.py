"""SetFit in its own environment: ``python setfit_alone.py QUESTION ANSWER`` (see benchmarks.finetuning).

Needs setfit and what it needs, and nothing of Linecall.
"""

import json
import sys
import tempfile
from pathlib import Path


def main(question: str, answer: str) -> None:
    import torch
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    asked = json.loads(Path(question).read_text("utf-8"))
    torch.set_num_threads(asked["threads"])
    model = SetFitModel.from_pretrained(asked["model"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, batch_size=16, num_epochs=1, num_iterations=20, seed=asked["seed"],
            save_strategy="no", eval_strategy="no", report_to="none", show_progress_bar=False,
        )  # fmt: skip
        data = Dataset.from_dict({"text": asked["texts"], "label": asked["labels"]})
        Trainer(model=model, args=arguments, train_dataset=data).train()
    proba = model.predict_proba(asked["judged"], as_numpy=True)
    Path(answer).write_text(json.dumps(proba[:, 1].tolist()), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
