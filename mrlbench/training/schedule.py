"""The learning rate step by step, and the image size epoch by epoch."""

from collections.abc import Sequence


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Rise linearly from 1e-4 of the peak, then fall linearly to 0 (paper, app. C).

    Args:
        step: From 0.
        steps: In the whole training.
        peak: The highest rate.
        warmup: Share of the steps that rises.
    """
    rising = warmup * steps
    if step < rising:
        return peak * (1e-4 + (1 - 1e-4) * step / rising)
    return peak * (steps - step) / (steps - rising)


def image_size(epoch: int, sizes: Sequence[Sequence[int]]) -> int | None:
    """Look up the side of the training images in an epoch.

    Args:
        epoch: From 0.
        sizes: Pairs of an epoch, from 1, and the side in pixels from then on, in order. The paper's
            ramp from 160 to 192 (app. C) is (1, 160), (33, 192).

    Returns:
        Pixels; None for the data set's own size.
    """
    begun = [size for first, size in sizes if first <= epoch + 1]
    return begun[-1] if begun else None
