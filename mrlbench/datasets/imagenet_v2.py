"""ImageNetV2: 10,000 new photos of ImageNet-1K's classes, collected as its validation set was."""

from pathlib import Path
from typing import Literal

import numpy as np

from mrlbench.errors import UserError
from mrlbench.imagenet import (
    MEAN,
    STD,
    class_folders,
    class_names,
    find_folder,
    fingerprint,
    imagenet_train,
    list_photos,
)
from mrlbench.protocols import Dataset, Sizes

SIZES = Sizes(1_281_167, 1_281_167, 10_000, 1000, (3, 224, 224), files=True)


def imagenet_v2(
    data_dir: Path,
    variant: Literal["matched-frequency", "threshold0.7", "top-images"] = "matched-frequency",
    path: str = "",
    train_path: str = "",
    size: int = 224,
) -> Dataset:
    """New photos of ImageNet-1K's classes as queries against its training photos.

    Photos are in folders `0` to `999`: the place of their class among the sorted WordNet ids.

    Args:
        data_dir: The data folder.
        variant: Which of the three published sets; the paper's is matched-frequency.
        path: Its folder below the data folder; `imagenetv2-<variant>-format-val` and the like if
            left out.
        train_path: Folder below the data folder that holds ImageNet-1K's `train`; the usual places
            if left out.
        size: Side of the square crop in pixels.
    """
    root, wnids, train = imagenet_train(data_dir, train_path)
    usual = [f"imagenetv2-{variant}-format-val", f"imagenetv2-{variant}", "imagenet-v2"]
    folder = find_folder(data_dir, path, usual, "0", "imagenet-v2")
    numbers = class_folders(folder)
    expected = {str(number) for number in range(len(wnids))}
    for number in numbers:
        if number not in expected:
            raise UserError(
                f"{folder}: expected folders 0 to {len(wnids) - 1}, the classes of "
                f"{root / 'train'}, got {number}"
            )
    places = sorted(int(number) for number in numbers)
    listed = list_photos(folder, [str(place) for place in places])
    queries = listed.labelled(np.array(places, dtype=np.int64)[listed.labels])
    split = train.split(size)
    return Dataset(
        train=split,
        database=split,
        queries=queries.split(size),
        classes=class_names(root, wnids),
        mean=MEAN,
        std=STD,
        fingerprint=fingerprint({"train": train, variant: queries}),
        query_set="imagenet-v2" if variant == "matched-frequency" else f"imagenet-v2-{variant}",
        wnids=wnids,
    )
