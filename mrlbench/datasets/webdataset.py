"""Anybody's images in WebDataset's shards, on disk or at an address."""

from pathlib import Path

from mrlbench.files import digest
from mrlbench.imagenet import MEAN, STD
from mrlbench.protocols import Dataset, Split
from mrlbench.tar_shards import Samples, TarImages, find_shards, read_samples


def webdataset(
    data_dir: Path, train: str, queries: str, database: str = "", size: int = 224
) -> Dataset:
    """Tar files in which `<key>.jpg` (or .png, …) stands beside `<key>.cls`, the class number.

    Shards are named by a pattern, such as `train-{000..146}.tar`, `train-*.tar` or
    `https://host/train-{000..146}.tar`; a `*` only in names of files. Those at an address are
    fetched once into the data folder. Images are then read in any order, by where they lie in their
    shard: a training is shuffled over all of them, and goes on after an interruption as any other.

    Args:
        data_dir: The data folder.
        train: Shards to train on; relative to the data folder, or an address.
        queries: Shards of the queries.
        database: Shards of the database; those of the training if left out.
        size: Side of the square crop in pixels.
    """
    found = [read_samples(find_shards(each, data_dir)) for each in (train, queries)]
    searched = read_samples(find_shards(database, data_dir)) if database else found[0]
    classes = 1 + max(int(each.labels.max()) for each in (*found, searched))
    return Dataset(
        train=_split(found[0], size),
        database=_split(searched, size),
        queries=_split(found[1], size),
        classes=tuple(str(number) for number in range(classes)),
        mean=MEAN,
        std=STD,
        fingerprint=digest([each.fingerprint for each in (*found, searched)]),
        query_set="queries",
    )


def _split(samples: Samples, size: int) -> Split:
    return Split(TarImages(samples, size), samples.labels)
