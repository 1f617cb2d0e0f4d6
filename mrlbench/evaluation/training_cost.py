"""What the nested heads cost: a training step of MRL against one of a fixed-width model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from mrlbench.arrays import AnyFloatArray
from mrlbench.experiment import Experiment
from mrlbench.intervals import median_interval
from mrlbench.measurements import Row
from mrlbench.progress import task
from mrlbench.training.loop import Learner

PAIRS = 40
WARM_UP = 3


def training_cost(
    experiment: Experiment,
    run: str,
    image_shape: Sequence[int],
    classes: int,
    device: torch.device,
    pairs: int = PAIRS,
) -> list[Row]:
    """Time steps of MRL and of the fixed full-width model in turn, on the same random batch.

    A step is forward, losses, backward and the optimizer's update. The median of the ratios of
    neighbouring steps does not see a machine whose speed drifts.

    Args:
        experiment: Gives the model, the dims and the batch size.
        run: The run's name.
        image_shape: (3, H, W).
        classes: C.
        device: Where to train.
        pairs: Steps of each.
    """
    fixed = f"fixed-{experiment.width}"
    learners = {m: Learner(experiment, m, 0, classes, device) for m in (fixed, "mrl")}
    times = _time_in_turn(learners, image_shape, classes, pairs)
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
    learners: Mapping[str, Learner], image_shape: Sequence[int], classes: int, pairs: int
) -> dict[str, AnyFloatArray]:
    """Time steps of each learner on one random batch, seconds (pairs,) each."""
    learner = next(iter(learners.values()))
    generator, size = torch.Generator().manual_seed(0), learner.training.batch_size
    images = torch.randn((size, *image_shape), generator=generator)
    layout = torch.channels_last if images.ndim == 4 else torch.preserve_format  # or vectors
    images = images.to(learner.device, memory_format=layout)
    labels = torch.randint(0, classes, (size,), generator=generator).to(learner.device)
    seconds: dict[str, list[float]] = {method: [] for method in learners}
    with task("training-cost", pairs + WARM_UP, "pairs of steps") as work:
        for pair in range(pairs + WARM_UP):
            # each goes first in every other pair, so that neither always finds a warmer cache
            for method in sorted(learners, reverse=bool(pair % 2)):
                seconds[method].append(_step_seconds(learners[method], images, labels))
            work.advance(1)
    return {method: np.array(each[WARM_UP:]) for method, each in seconds.items()}


def _step_seconds(learner: Learner, images: torch.Tensor, labels: torch.Tensor) -> float:
    started = time.perf_counter()
    losses, _ = learner.step(images, labels, rate=1e-4)
    losses.sum().item()  # waits for the device
    return time.perf_counter() - started
