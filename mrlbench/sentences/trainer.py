"""Fine-tuning by sentence-transformers' own trainer, with our progress, checkpoints and files."""

import json
import logging
import math
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from transformers.utils.logging import set_verbosity_error

from mrlbench.experiment import split_method
from mrlbench.files import replacing, write_json
from mrlbench.progress import Task, task
from mrlbench.sentences.pairs import Pairs
from mrlbench.text_experiment import MODEL, TextExperiment
from mrlbench.training.devices import choose_precision

log = logging.getLogger(__name__)

STATED = "matryoshka_dims"  # in its config: the nested dims, where `language_models` reads them
SAVED, LOGGED = 10, 50  # checkpoints and losses of a training


@dataclass(frozen=True)
class Lesson:
    """One training of a text model.

    Attributes:
        experiment: How.
        pairs: On what.
        method: What.
        seed: Of the order of the pairs and of dropout.
        inputs: All that the model depends on, hashed.
    """

    experiment: TextExperiment
    pairs: Pairs
    method: str
    seed: int
    inputs: str

    @property
    def dims(self) -> list[int]:
        """The dims that are trained."""
        own = split_method(self.method)[1].get("dim")
        return [own] if own else self.experiment.training.dims


def fine_tune(lesson: Lesson, folder: Path, device: torch.device) -> None:
    """Train one method, going on from the last checkpoint if there is one of the same training.

    Writes `model`, an ordinary sentence-transformers folder that states its nested dims, and
    `losses.csv` (step, epoch, learning rate, loss). On the same machine with the same threads, an
    interrupted training ends with the same weights as one that was not.

    Args:
        lesson: What to train.
        folder: Where the files go.
        device: Where to compute.

    Raises:
        UserError: The model cannot be trained so.
        FloatingPointError: The loss is not finite.
    """
    model = lesson.experiment.start(device.type).pipeline
    model.model_card_data.widget = [
        {"text": ""}
    ]  # else examples are drawn, with a bar of their own
    loss = lesson.experiment.loss(model, lesson.method)
    set_verbosity_error()  # its warnings are about a trainer that the user did not set up
    checkpoints = folder / "checkpoints"
    last = _last_checkpoint(checkpoints, lesson.inputs)
    with ExitStack() as stack:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=_arguments(lesson, checkpoints, device),
            train_dataset=Dataset.from_dict(
                {"anchor": lesson.pairs.queries, "positive": lesson.pairs.documents}
            ),
            loss=loss,
            callbacks=[_Watch(stack, f"train {lesson.method} seed {lesson.seed}")],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    _write_losses(folder / "losses.csv", trainer.state.log_history)
    _save(model, folder / MODEL, lesson.dims)
    shutil.rmtree(checkpoints)


def _arguments(
    lesson: Lesson, folder: Path, device: torch.device
) -> SentenceTransformerTrainingArguments:
    training = lesson.experiment.training
    steps = math.ceil(len(lesson.pairs) / training.batch_size) * training.epochs
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        bf16=choose_precision(training.precision, device) == "bfloat16",
        # the same text twice in a batch would be a right answer that counts as wrong
        batch_sampler="no_duplicates",
        seed=lesson.seed,
        data_seed=lesson.seed,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        save_steps=max(1, steps // SAVED),
        save_total_limit=1,
        logging_steps=max(1, steps // LOGGED),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )


def _last_checkpoint(folder: Path, inputs: str) -> Path | None:
    """Find the last whole checkpoint; those of another training are deleted."""
    note = folder / "inputs.json"
    if folder.exists() and (not note.is_file() or json.loads(note.read_text()) != inputs):
        log.warning("%s: of a training with other settings; it is trained anew", folder)
        shutil.rmtree(folder)
    write_json(note, inputs)
    # the trainer writes its state last
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Shows the progress of a training, and stops it when the loss is not finite."""

    def __init__(self, stack: ExitStack, what: str) -> None:
        self._stack, self._what, self._note = stack, what, ""
        self._work: Task | None = None

    def on_train_begin(self, _: Any, state: Any, control: Any, **__: Any) -> None:  # noqa: ANN401
        """Begin where the checkpoint was."""
        self._work = self._stack.enter_context(task(self._what, state.max_steps, "steps"))
        self._work.advance(state.global_step)

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:  # noqa: ANN401
        """Count a step."""
        assert self._work is not None
        self._work.advance(1, self._note)

    def on_log(self, _: Any, state: Any, control: Any, **__: Any) -> None:  # noqa: ANN401
        """Look at the mean loss of the last steps."""
        loss = state.log_history[-1].get("loss")
        if loss is not None and not math.isfinite(loss):
            raise FloatingPointError(f"{self._what}: the loss is {loss}; try a lower learning rate")
        self._note = self._note if loss is None else f"loss {loss:.3f}"


def _write_losses(path: Path, history: list[dict[str, float]]) -> None:
    """Write what the trainer logged: the mean loss since the line before."""
    columns = ["step", "epoch", "learning_rate", "loss"]
    table = pd.DataFrame([each for each in history if "loss" in each], columns=columns)
    with replacing(path) as beside:
        table.to_csv(beside, index=False)


def _save(model: SentenceTransformer, folder: Path, dims: list[int]) -> None:
    """Write the model beside, state its nested dims, and move it into place."""
    beside = folder.with_name(f".{folder.name}")
    for stale in (beside, folder):
        shutil.rmtree(stale, ignore_errors=True)
    model.save_pretrained(str(beside), create_model_card=False)
    config = beside / "config_sentence_transformers.json"
    write_json(config, json.loads(config.read_text()) | {STATED: dims})
    beside.rename(folder)
