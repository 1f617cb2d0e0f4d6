"""What the nested heads cost: a training step of MRL against one of a fixed-width model."""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from mrlbench.arrays import AnyFloatArray
from mrlbench.experiment import Experiment
from mrlbench.intervals import median_interval
from mrlbench.measurements import Row
from mrlbench.progress import task
from mrlbench.training.batches import Tensors
from mrlbench.training.loop import Learner

PAIRS = 40
WARM_UP = 3


def training_cost(
    experiment: Experiment,
    run: str,
    batch: tuple[Tensors, torch.Tensor],
    classes: int,
    device: torch.device,
    pairs: int = PAIRS,
) -> list[Row]:
    """Time steps of MRL and of the fixed full-width model in turn, on the same batch.

    A step is forward, losses, backward and the optimizer's update. The median of the ratios of
    neighbouring steps does not see a machine whose speed drifts.

    Args:
        experiment: Gives the model, the dims and the batch size.
        run: The run's name.
        batch: Inputs as a model reads them and their labels, on the device.
        classes: C.
        device: Where to train.
        pairs: Steps of each.
    """
    fixed = f"fixed-{experiment.width}"
    learners = {m: Learner(experiment, m, 0, classes, device) for m in (fixed, "mrl")}
    times = _time_in_turn(learners, batch, pairs)
    numbers = {method: median_interval(each) for method, each in times.items()}
    ratio = median_interval(times["mrl"] / times[fixed])
    common = Row(
        run=run,
        dataset=experiment.dataset.name,
        task="training-cost",
        dim=experiment.width,
        threads=torch.get_num_threads(),
        n=pairs,
    )
    rows = [
        replace(common, method=m, metric="step_s", value=v.value, ci_low=v.low, ci_high=v.high)
        for m, v in numbers.items()
    ]
    versus = replace(common, method="mrl", variant=f"over={fixed}", metric="step_ratio")
    return [*rows, replace(versus, value=ratio.value, ci_low=ratio.low, ci_high=ratio.high)]


def _time_in_turn(
    learners: Mapping[str, Learner], batch: tuple[Tensors, torch.Tensor], pairs: int
) -> dict[str, AnyFloatArray]:
    """Time steps of each learner on one batch, seconds (pairs,) each."""
    seconds: dict[str, list[float]] = {method: [] for method in learners}
    with task("training-cost", pairs + WARM_UP, "pairs of steps") as work:
        for pair in range(pairs + WARM_UP):
            # each goes first in every other pair, so that neither always finds a warmer cache
            for method in sorted(learners, reverse=bool(pair % 2)):
                seconds[method].append(_step_seconds(learners[method], *batch))
            work.advance(1)
    return {method: np.array(each[WARM_UP:]) for method, each in seconds.items()}


def _step_seconds(learner: Learner, inputs: Tensors, labels: torch.Tensor) -> float:
    started = time.perf_counter()
    losses, _ = learner.step(inputs, labels, rate=1e-4)
    losses.sum().item()  # waits for the device
    return time.perf_counter() - started
