"""The experiment: everything that a run depends on, and what fits together in it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from mrlbench.dims import check_dims, default_dims
from mrlbench.errors import UserError
from mrlbench.plugins import check_arguments, load, names

PAIR = {"min_length": 2, "max_length": 2}


class Strict(BaseModel):
    """A table of the experiment that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Plugin(BaseModel):
    """A plug-in by name; its arguments stand beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """What goes to the plug-in."""
        return dict(self.model_extra or {})


class IndexPlugin(Plugin):
    """An index with the efforts to measure it at."""

    efforts: list[int] = Field(default=[0], min_length=1)

    @property
    def label(self) -> str:
        """Spell the index with its build arguments, as the CSV does."""
        arguments = ",".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"{self.name}({arguments})" if arguments else self.name


class Training(Strict):
    """How the methods are trained; the defaults follow the paper's shape (app. C)."""

    methods: list[str] = Field(default=["mrl"], min_length=1)
    dims: list[int] = []  # empty: 8, 16, … D
    weights: list[float] = []  # empty: all 1
    epochs: int = Field(default=40, ge=1)
    batch_size: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=0.1, gt=0)
    warmup: float = Field(
        default=0.05, ge=0, lt=1
    )  # share of all steps; the paper's 2 of 40 epochs
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    # [from epoch, side in pixels], epochs from 1; before the first, and if empty: the data set's
    image_sizes: list[Annotated[list[Annotated[int, Field(ge=1)]], Field(**PAIR)]] = []


class Funnel(Strict):
    """A ladder of reranks after a shortlist at `shortlist_dim` (paper, sec. 4.3.1)."""

    shortlist_dim: int
    rerank_dims: list[int] = Field(min_length=1)
    lengths: list[int] = Field(min_length=1)  # the i-th is how many are reranked at the i-th dim

    def check(self, dims: Sequence[int]) -> None:
        """Refuse a ladder whose dims are not measured or do not increase, or whose lengths grow.

        Raises:
            UserError: One line.
        """
        ladder = [self.shortlist_dim, *self.rerank_dims]
        if len(self.rerank_dims) != len(self.lengths):
            raise UserError(
                f"funnel: expected a length for each of {self.rerank_dims}, got {self.lengths}"
            )
        if any(a >= b for a, b in pairwise(ladder)):
            raise UserError(f"funnel: expected increasing dims, got {ladder}")
        if any(a < b for a, b in pairwise(self.lengths)) or self.lengths[-1] < 1:
            raise UserError(f"funnel: expected falling lengths of at least 1, got {self.lengths}")
        if unknown := set(ladder) - set(dims):
            raise UserError(f"funnel: expected dims among {list(dims)}, got {min(unknown)}")


class Evaluation(Strict):
    """What is measured."""

    dims: list[int] = []  # empty: the training dims
    k: list[Annotated[int, Field(ge=1)]] = Field(default=[10, 25, 50, 100], min_length=1)
    shortlist: int = Field(default=200, ge=1)
    funnels: list[Funnel] = []  # empty: the paper's three, as far as the dims allow
    baselines: list[str] = ["random-dims", "pca"]  # reducers of the fixed full-width model


class Search(Strict):
    """What `bench-search` compares."""

    dims: list[int] = []  # empty: the evaluation dims
    queries: int = Field(default=10_000, ge=1)  # how many are timed
    repeats: int = Field(default=5, ge=5)
    indexes: list[IndexPlugin] = [
        IndexPlugin(name="exact"),
        IndexPlugin.model_validate({"name": "hnsw", "m": 32, "efforts": [16, 32, 64, 128, 256]}),
        IndexPlugin.model_validate({"name": "hnswlib", "m": 32, "efforts": [16, 32, 64, 128, 256]}),
    ]


class Experiment(Strict):
    """One experiment, checked: names, arguments, dims and lengths fit together."""

    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)
    dataset: Plugin
    model: Plugin
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    search: Search = Search()

    @property
    def width(self) -> int:
        """D, the width of the model."""
        return model_width(self.model)

    def resolved(self) -> "Experiment":
        """Fill in what depends on the model's width, and check that all fits.

        Raises:
            UserError: One line that names the key, what was expected and what came.
        """
        self._check_plugins()
        dims = self.training.dims or default_dims(self.width)
        check_dims("training.dims", dims, self.width)
        weights = self.training.weights or [1.0] * len(dims)
        if len(weights) != len(dims):
            raise UserError(
                f"training.weights: expected {len(dims)} values, one for each dim, "
                f"got {len(weights)}"
            )
        for method in self.training.methods:
            check_method(method, self.width)
        training = self.training.model_copy(update={"dims": dims, "weights": weights})
        evaluation = self.evaluation.model_copy(update={"dims": self.evaluation.dims or dims})
        search = self.search.model_copy(update={"dims": self.search.dims or evaluation.dims})
        check_dims("evaluation.dims", evaluation.dims, self.width)
        check_dims("search.dims", search.dims, self.width)
        for funnel in evaluation.funnels:
            funnel.check(evaluation.dims)
        update = {"training": training, "evaluation": evaluation, "search": search}
        return self.model_copy(update=update)

    def _check_plugins(self) -> None:
        check_arguments("datasets", self.dataset.name, self.dataset.arguments)
        check_arguments("models", self.model.name, self.model.arguments)
        for index in self.search.indexes:
            check_arguments("indexes", index.name, index.arguments)
        for baseline in self.evaluation.baselines:
            check_arguments("reducers", baseline, {})

    def to_toml(self) -> str:
        """Write the experiment as TOML."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def split_method(method: str) -> tuple[str, dict[str, Any]]:
    """Split `fixed-64` into the plug-in and its argument dim=64; others have none."""
    name, _, dim = method.rpartition("-")
    return (name, {"dim": int(dim)}) if name and dim.isdigit() else (method, {})


def check_method(method: str, width: int) -> None:
    """Refuse a method that does not exist or a fixed dim that the model does not have.

    Raises:
        UserError: One line.
    """
    name, arguments = split_method(method)
    if name not in names("methods"):
        known = ", ".join("fixed-<d>" if each == "fixed" else each for each in names("methods"))
        raise UserError(f"training.methods: no method {method!r}: expected one of {known}")
    check_arguments("methods", name, arguments)
    if arguments:
        check_dims(f"method {method}", [arguments["dim"]], width)


def model_width(model: Plugin) -> int:
    """Learn D from the model plug-in, without allocating its weights."""
    import torch

    with torch.device("meta"):
        width: int = load("models", model.name)(**model.arguments).width
    return width
