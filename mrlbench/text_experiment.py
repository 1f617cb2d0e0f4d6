"""An experiment that trains a text model on pairs: what differs from one that trains on images."""

import json
from functools import cache
from typing import Any

from pydantic import Field

from mrlbench.dims import check_dims
from mrlbench.errors import UserError
from mrlbench.experiment import Evaluation, Experiment, Plugin, Training, split_method
from mrlbench.plugins import check_arguments, make, names
from mrlbench.protocols import TextModel

UNTUNED = "untuned"  # among the encoders: the model as it was before the training
MODEL = "model"  # the folder of a trained model that sentence-transformers opens
LEFT_TO_IMAGES = (
    "momentum",
    "label_smoothing",
    "image_sizes",
    "start_from",
    "unfreeze",
    "captions",
    "variants",
    "optimizer",
    "micro_batch",
    "models",
)


class TextTraining(Training):
    """How a text model is trained: by sentence-transformers' own trainer, with its AdamW."""

    pairs: Plugin  # the corpus that is trained on; the data set is the one that is evaluated on
    epochs: int = Field(default=1, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=2e-5, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)  # share of all steps
    weight_decay: float = Field(default=0.0, ge=0)


class TextEvaluation(Evaluation):
    """What is measured, and beside what."""

    baselines: list[str] = Field(
        default=["pca"]
    )  # reducers of the fixed full-width model, and of the encoders
    encoders: list[str] = Field(default=[UNTUNED])  # measured beside, as they are


class TextExperiment(Experiment):
    """One experiment with a text model: a corpus as data set, and pairs in the training."""

    training: TextTraining
    evaluation: TextEvaluation = TextEvaluation()

    @property
    def width(self) -> int:
        """D, the width of the model; reads it."""
        return _width(self.model.name, json.dumps(self.model.arguments, sort_keys=True))

    def start(self, device: str) -> TextModel:
        """Open the model that the training begins with."""
        started: TextModel = make(
            "text_models", self.model.name, self.model.arguments, device=device
        )
        return started

    def loss(self, sentences: Any, method: str) -> Any:  # noqa: ANN401 (of sentence-transformers)
        """Make the loss of a method around a model."""
        name, arguments = split_method(method)
        dims, weights = self.training.dims, self.training.weights
        return make("text_losses", name, arguments, sentences=sentences, dims=dims, weights=weights)

    def _check_plugins(self) -> None:
        check_arguments("corpora", self.dataset.name, self.dataset.arguments)
        check_arguments("corpora", self.training.pairs.name, self.training.pairs.arguments)
        check_arguments("text_models", self.model.name, self.model.arguments)
        for index in self.search.indexes:
            make("indexes", index.name, index.arguments)  # it refuses a password in its address
        for baseline in self.evaluation.baselines:
            check_arguments("reducers", baseline, {})
        for encoder in set(self.evaluation.encoders) - {UNTUNED}:
            check_arguments("encoders", encoder, {})

    def _check_method(self, method: str) -> None:
        name, arguments = split_method(method)
        if name not in names("text_losses"):
            known = ", ".join(
                "fixed-<d>" if one == "fixed" else one for one in names("text_losses")
            )
            raise UserError(
                f"training.methods: no method {method!r} of text: expected one of {known}"
            )
        check_arguments("text_losses", name, arguments)
        if arguments:
            check_dims(f"method {method}", [arguments["dim"]], self.width)

    def _check_training(self, method: str) -> None:
        """Refuse keys that have a meaning for images only."""
        for key in LEFT_TO_IMAGES:
            if getattr(self.training, key) != Training.model_fields[key].default:
                raise UserError(
                    f"training.{key}: expected none with training.pairs, got "
                    f"{getattr(self.training, key)!r}"
                )


@cache
def _width(name: str, arguments: str) -> int:
    """Open the model once: that takes seconds."""
    model: TextModel = make("text_models", name, json.loads(arguments))
    return model.width
