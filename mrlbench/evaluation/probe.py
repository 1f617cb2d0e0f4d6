"""A linear probe: multinomial logistic regression on frozen features, by L-BFGS."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mrlbench.arrays import FloatArray, blocks

ROWS_AT_ONCE = 16_384  # of logits: 65 MB for 1,000 classes
TOLERANCE = 1e-5  # of the largest gradient of the mean loss
PENALTY = 1.0  # times half the squared norm of the weights, on the summed loss: C = 1


class Probe(NamedTuple):
    """A trained probe.

    Attributes:
        weight: (C, d).
        bias: (C,).
        gradient: The largest gradient of the mean loss where training stopped.
    """

    weight: Tensor
    bias: Tensor
    gradient: float

    @property
    def converged(self) -> bool:
        """Whether the gradient came below the tolerance."""
        return self.gradient <= TOLERANCE

    def logits(self, features: Tensor) -> FloatArray:
        """Classify standardised features, (Q, d) -> (Q, C)."""
        result: FloatArray = functional.linear(features, self.weight, self.bias).cpu().numpy()
        return result


def train_probe(features: Tensor, labels: Tensor, classes: int, iterations: int) -> Probe:
    """Minimise the mean cross-entropy plus PENALTY/2n times the squared weights, from zero.

    It is scikit-learn's `LogisticRegression` with C = 1; the bias is not penalised.

    Args:
        features: (n, d), standardised; on the device that computes.
        labels: (n,) from 0 to `classes` - 1.
        classes: C.
        iterations: Of L-BFGS, at most.
    """
    count, dim = features.shape
    weight = torch.zeros(classes, dim, dtype=features.dtype, device=features.device)
    bias = torch.zeros(classes, dtype=features.dtype, device=features.device)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=iterations, tolerance_grad=TOLERANCE, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad(set_to_none=False)
        total = PENALTY / 2 * weight.square().sum() / count
        torch.autograd.backward(total)
        value = total.detach()
        for rows in blocks(count, ROWS_AT_ONCE):
            logits = functional.linear(features[rows], weight, bias)
            part = functional.cross_entropy(logits, labels[rows], reduction="sum") / count
            torch.autograd.backward(part)
            value = value + part.detach()
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    loss()
    gradient = max(float(each.grad.abs().max()) for each in parameters if each.grad is not None)
    return Probe(weight.detach(), bias.detach(), gradient)


class Scaler(NamedTuple):
    """Means and spreads of the rows that a probe is trained on, (D,) each."""

    mean: FloatArray
    spread: FloatArray

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Standardise in place, (n, D)."""
        vectors -= self.mean
        vectors /= self.spread
        return vectors


def fit_scaler(vectors: FloatArray) -> Scaler:
    """Measure each coordinate; one that does not vary keeps its scale, (n, D)."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    spread = vectors.std(axis=0, dtype=np.float64)
    spread[spread < 1e-6 * np.abs(vectors).max(initial=1e-30)] = 1
    return Scaler(mean.astype(np.float32), spread.astype(np.float32))
