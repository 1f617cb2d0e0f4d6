"""The learning rate, step by step."""


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
