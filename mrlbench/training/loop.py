"""The training loop: one method, one seed, a checkpoint after every epoch."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mrlbench import ranks
from mrlbench.arrays import Inputs, IntArray
from mrlbench.errors import UserError
from mrlbench.experiment import Experiment, Training, split_method, split_variant
from mrlbench.files import digest, replacing
from mrlbench.heads import NestedHead, cross_entropies
from mrlbench.memory import keep_freed_memory
from mrlbench.plugins import load
from mrlbench.progress import Task, task
from mrlbench.protocols import Dataset
from mrlbench.towers import with_text_tower
from mrlbench.training import checkpoint
from mrlbench.training.batches import Tensors, parts, to_input, training_batches
from mrlbench.training.devices import choose_precision
from mrlbench.training.optimizer import freeze, make_optimizer
from mrlbench.training.schedule import image_size, learning_rate
from mrlbench.training.together import begin_alike, share_batch_norms, sum_gradients

log = logging.getLogger(__name__)

ADDED_LATER = (
    "image_sizes",
    "start_from",
    "unfreeze",
    "optimizer",
    "micro_batch",
    "models",
    "captions",
)


class Learner:
    """A backbone, a head and their optimizer on a device; knows how to take one step."""

    def __init__(
        self, experiment: Experiment, method: str, seed: int, classes: int, device: torch.device
    ) -> None:
        self.training, self.device = experiment.training_of(method), device
        torch.manual_seed(seed)
        backbone = load("models", experiment.model.name)(**experiment.model.arguments)
        name, arguments = split_method(method)
        self.head: NestedHead = load("methods", name)(
            backbone.width, classes, self.training.dims, self.training.weights, **arguments
        ).to(device)
        backbone = self.head.adapt(backbone)
        freeze(backbone, self.training.unfreeze)
        if self.training.captions is not None:
            tower = self.training.captions.tower
            backbone = with_text_tower(backbone, backbone.width, **tower)
        self.backbone = backbone.to(device, memory_format=torch.channels_last)
        self.optimizer = make_optimizer([self.backbone, self.head], self.training)
        self.precision = ranks.same(choose_precision(self.training.precision, device))

    def step(
        self, inputs: Tensors, labels: Tensor, rate: float, share: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Learn from one batch at a learning rate.

        Args:
            inputs: (B, 3, H, W), normalised, or what else the model reads.
            labels: (B,), one for each vector that the model gives.
            rate: The learning rate.
            share: Which part of the batch these are; other processes have the rest.

        Returns:
            The loss at each dim and the number of right answers at each dim, (len(dims),) each:
            what these inputs add to those of the batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        learned = [
            self._learn(some, theirs, share * len(theirs) / len(labels))
            for some, theirs in parts(inputs, labels, self.training.micro_batch // ranks.count())
        ]
        if ranks.count() > 1:
            sum_gradients([self.backbone, self.head])
        self.optimizer.step()
        losses, right = zip(*learned, strict=True)
        return torch.stack(losses).sum(dim=0), torch.stack(right).sum(dim=0)

    def _learn(self, inputs: Tensors, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Add the gradients of a part of the batch, which is this share of it.

        Returns:
            What the part adds to the loss and to the right answers at each dim, (len(dims),) each.
        """
        half = self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits = self.head(self.backbone(inputs))
        losses = share * cross_entropies(logits, labels, self.training.label_smoothing)  # (M,)
        torch.autograd.backward(self.head.loss(losses))
        right = torch.stack([each.argmax(dim=1) == labels for each in logits]).sum(dim=1)  # (M,)
        return losses.detach(), right

    def train_mode(self) -> None:
        """Let batch norms learn, but those of frozen modules."""
        self.backbone.train()
        for module in self.backbone.modules():
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()

    def join(self) -> None:
        """Become one with the learners of the other processes."""
        if ranks.count() > 1:
            begin_alike([self.backbone, self.head])
            share_batch_norms(self.backbone)

    def start_from(self, path: Path) -> None:
        """Take over the backbone of a trained model."""
        self.backbone.load_state_dict(checkpoint.load(path, self.device)["backbone"])

    def state(self) -> dict[str, Any]:
        """All that a checkpoint keeps of the learner."""
        return {
            "precision": self.precision,
            "backbone": self.backbone.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.precision = state["precision"]
        self.backbone.load_state_dict(state["backbone"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])


def training_inputs(experiment: Experiment, fingerprint: str, method: str, seed: int) -> str:
    """Hash all that a trained model depends on."""
    table = experiment.model_dump(include={"dataset", "model"})
    training = experiment.training_of(method).model_dump(exclude={"methods", "variants"})
    for key in ADDED_LATER:  # at its default it changes nothing, and older trainings stay valid
        if training[key] == Training.model_fields[key].default:
            del training[key]
    base, start = split_variant(method)[0], training.get("start_from")
    first = [training_inputs(experiment, fingerprint, start, seed)] if start else []
    return digest([table["dataset"], table["model"], training, fingerprint, base, seed, *first])


def train(
    experiment: Experiment,
    dataset: Dataset,
    method: str,
    seed: int,
    folder: Path,
    device: torch.device,
    start: Path | None = None,
) -> None:
    """Train one method, going on from the last whole epoch if there is a checkpoint.

    Writes `checkpoint.pt` and `losses.csv` (epoch, learning rate, and the loss and training
    accuracy at each dim) after every epoch. On the same machine with the same threads, an
    interrupted training ends with the same weights as one that was not. Several processes
    (`ranks`) share each batch, and the first writes.

    Args:
        experiment: How.
        dataset: On what.
        method: What.
        seed: Of the weights, the order and the augmentation.
        folder: Where the files go.
        device: Where to compute.
        start: A checkpoint whose backbone to begin with.

    Raises:
        UserError: The checkpoint there is not one, or not the same for all processes.
        FloatingPointError: The loss is not finite.
    """
    keep_freed_memory()
    learner = Learner(experiment, method, seed, len(dataset.classes), device)
    inputs = training_inputs(experiment, dataset.fingerprint, method, seed)
    path, epoch, rows = folder / checkpoint.NAME, 0, []
    if path.exists():
        state = checkpoint.load(path, device)
        if state["inputs"] == inputs:
            learner.restore(state)
            epoch, rows = state["epoch"], state["losses"]
        else:
            log.warning("%s: was trained with other settings; it is trained anew", path)
    if start is not None and not epoch:
        learner.start_from(start)
    if ranks.same(epoch) != epoch:
        raise UserError(f"{path}: expected the file that the first process sees, got another one")
    learner.join()
    total = learner.training.epochs
    examples = len(dataset.train.images)
    with task(f"train {method} seed {seed}", (total - epoch) * examples, "examples") as work:
        for current in range(epoch, total):
            rows.append(_train_epoch(learner, dataset, current, seed, work))
            if ranks.is_first():
                state = learner.state() | {"inputs": inputs, "epoch": current + 1, "losses": rows}
                checkpoint.save(path, state)
                _write_losses(folder / "losses.csv", rows)


def load_trained(
    experiment: Experiment,
    dataset: Dataset,
    method: str,
    seed: int,
    path: Path,
    device: torch.device,
) -> tuple[nn.Module, NestedHead]:
    """Load backbone and head of a finished training, ready to evaluate."""
    learner = Learner(experiment, method, seed, len(dataset.classes), device)
    state = checkpoint.load(path, device)
    try:
        learner.restore(state)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{path}: expected weights of this model for {len(dataset.classes)} classes, got "
            f"others: {' '.join(str(error).split())[:200]}"
        ) from error
    return learner.backbone.eval(), learner.head.eval()


def _train_epoch(
    learner: Learner, dataset: Dataset, epoch: int, seed: int, work: Task
) -> dict[str, float]:
    training, dims = learner.training, learner.head.dims
    batch_size = min(training.batch_size, len(dataset.train.images))
    per_epoch = len(dataset.train.images) // batch_size
    drawn = np.random.SeedSequence([seed, epoch, ranks.rank()])  # what dropout drops
    torch.manual_seed(int(drawn.generate_state(1)[0]))
    learner.train_mode()
    totals = torch.zeros(2, len(dims), device=learner.device)  # loss, right answers
    size = image_size(epoch, training.image_sizes)
    batches = training_batches(dataset.train, batch_size, seed, epoch, size)
    rate, answers = 0.0, batch_size
    for number, (inputs, labels) in enumerate(batches):
        step = epoch * per_epoch + number
        rate = learning_rate(
            step, training.epochs * per_epoch, training.learning_rate, training.warmup
        )
        totals += _step(learner, dataset, (inputs, labels), rate, batch_size)
        answers = len(labels)
        if number % 10 == 9 or number == per_epoch - 1:  # reading the loss waits for the device
            loss = _check_finite(ranks.summed(totals[0]) / (number + 1), dims, step)
            work.advance(
                (number % 10 + 1) * batch_size,
                f"epoch {epoch + 1}/{training.epochs} loss {loss:.3f}",
            )
    answers = int(ranks.summed(torch.tensor(answers)))
    losses, accuracies = (ranks.summed(totals) / per_epoch).tolist()
    row: dict[str, float] = {"epoch": epoch + 1, "learning_rate": rate}
    row |= {f"loss@{dim}": loss for dim, loss in zip(dims, losses, strict=True)}
    row |= {f"accuracy@{dim}": a / answers for dim, a in zip(dims, accuracies, strict=True)}
    return row


def _step(
    learner: Learner, dataset: Dataset, batch: tuple[Inputs, IntArray], rate: float, size: int
) -> Tensor:
    inputs = to_input(batch[0], dataset, learner.device)
    labels = torch.from_numpy(batch[1]).to(learner.device)
    own = len(inputs[0]) if isinstance(inputs, tuple) else len(inputs)
    learned = learner.step(inputs, labels, rate, own / size)
    return torch.stack([each.float() for each in learned])  # (2, M)


def _check_finite(losses: Tensor, dims: Iterable[int], step: int) -> float:
    for dim, loss in zip(dims, losses.tolist(), strict=True):
        if loss != loss or loss in (float("inf"), float("-inf")):
            raise FloatingPointError(
                f"the loss at dim {dim} is {loss} at step {step}: try a lower "
                "training.learning_rate"
            )
    return float(losses.mean())


def _write_losses(path: Path, rows: list[dict[str, float]]) -> None:
    with replacing(path) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.6g")
