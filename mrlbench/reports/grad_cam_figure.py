"""The Grad-CAM picture: a row for each image, a column for the image and for each dim."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mrlbench.arrays import ByteArray, IntArray
from mrlbench.errors import UserError
from mrlbench.evaluation.analysis.classes import Classes
from mrlbench.evaluation.analysis.grad_cam import HeatMaps, check_rows, grad_cam
from mrlbench.files import replacing
from mrlbench.images import only_images
from mrlbench.reports.style import COLOURS, use_plain_style
from mrlbench.stages import Workshop
from mrlbench.training.batches import to_tensor

CELL = 1.35  # inches
RIGHT, WRONG = COLOURS[2], COLOURS[1]
LONGEST_NAME = 16


def draw_grad_cam(workshop: Workshop, method: str, seed: int, rows: Sequence[int]) -> Path:
    """Draw where each head of a trained method looks in some of the queries.

    Args:
        workshop: The run.
        method: Trained.
        seed: Of its training.
        rows: Of the queries.

    Returns:
        The PNG, `plots/grad_cam-<method>-seed-<n>.png`.

    Raises:
        UserError: No such row, no trained method, or a model without spatial maps.
    """
    dataset = workshop.dataset
    chosen = check_rows(list(rows), len(dataset.queries.labels))
    backbone, head = workshop.trained(method, seed)
    images = only_images(dataset.queries.images.read(chosen))
    if head.paired:
        raise UserError(f"Grad-CAM: expected a method with classifiers, got {method}")
    found = grad_cam(backbone, head, to_tensor(images, dataset, workshop.device))
    use_plain_style()
    title = f"Grad-CAM of each head's predicted class, {method}, {dataset.query_set} queries"
    figure = _grid(images, dataset.queries.labels[chosen], chosen, found, Classes.of(dataset))
    rows_, columns = found.side
    figure.suptitle(f"{title}, feature map of {rows_} × {columns}", fontsize=9)
    for column, dim in enumerate(head.dims, 1):
        figure.axes[column].annotate(
            f"{dim} dims", (0.5, 1.32), xycoords="axes fraction", ha="center", fontsize=8
        )
    path = workshop.run.plots / f"grad_cam-{method}-seed-{seed}.png"
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=160)
    return path


def _grid(
    images: ByteArray, labels: IntArray, rows: IntArray, found: HeatMaps, classes: Classes
) -> Figure:
    count = len(found.maps)
    size = (CELL * (count + 1), CELL * 1.3 * len(images) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(images), count + 1, squeeze=False)
    for place, line in enumerate(grid):
        image = images[place].transpose(1, 2, 0)
        line[0].imshow(image)
        line[0].set_title(f"row {rows[place]}:\n{_short(classes.name(labels[place]))}", fontsize=7)
        for head, axes in enumerate(line[1:]):
            predicted = int(found.predicted[head, place])
            axes.imshow(image)
            axes.imshow(found.maps[head, place], cmap="jet", alpha=0.45, vmin=0, vmax=1)
            name = f"{_short(classes.name(predicted))}\n{found.probability[head, place]:.2f}"
            colour = RIGHT if predicted == labels[place] else WRONG
            axes.set_title(name, fontsize=7, color=colour)
    for axes in np.ravel(grid):
        axes.set_axis_off()
    return figure


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
