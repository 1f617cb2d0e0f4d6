"""A folder of shards is measured as the database in one file is, uneven and empty shards too."""

import itertools

import numpy as np
import pytest

from mrlbench import measurements
from mrlbench.embedding.folder import open_embeddings
from mrlbench.errors import UserError

EDGES = [0, 700, 700, 701, 1100, 1500]


@pytest.fixture
def pair(tmp_path):
    """The same vectors in one file and in shards, without and with labels."""
    rng = np.random.default_rng(0)
    database = rng.standard_normal((1500, 24), dtype=np.float32)
    database[900:1000] = database[:100]  # equal scores across shards
    queries = rng.standard_normal((40, 24), dtype=np.float32)
    for name in ("whole", "shards"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "queries.npy", queries)
        np.save(tmp_path / name / "queries_labels.npy", np.arange(40) % 5)
        np.save(tmp_path / name / "database_labels.npy", np.arange(1500) % 5)
    np.save(tmp_path / "whole" / "database.npy", database)
    (tmp_path / "shards" / "database").mkdir()
    for number, (start, stop) in enumerate(itertools.pairwise(EDGES)):
        np.save(tmp_path / "shards" / "database" / f"{number:05d}.npy", database[start:stop])
    return tmp_path / "whole", tmp_path / "shards"


def measured(mrlbench, folder, out, *options):
    status, _, err = mrlbench(
        "eval-retrieval", "--embeddings", folder, "--out", out, "--dims=4,24", "--k=1,10", *options
    )
    assert status == 0, err
    table = measurements.read(out / "retrieval.csv")
    return table.set_index(["reducer", "dim", "metric"])[["value", "ci_low", "ci_high", "n"]]


@pytest.mark.parametrize("labels", [True, False])
def test_the_measurements_of_shards_are_those_of_the_whole(labels, pair, mrlbench, tmp_path):
    if not labels:
        for folder in pair:
            for path in folder.glob("*_labels.npy"):
                path.unlink()
    one, other = (measured(mrlbench, each, tmp_path / f"{each.name}-out") for each in pair)
    assert len(one) > 10
    assert one.equals(other)
    for path in (tmp_path / "whole-out" / "raw").glob("neighbors-*.npz"):
        theirs = tmp_path / "shards-out" / "raw" / path.name.replace("whole", "shards")
        with np.load(path) as mine, np.load(theirs) as found:
            np.testing.assert_array_equal(mine["ids"], found["ids"])
            np.testing.assert_array_equal(mine["scores"], found["scores"])


def test_rows_are_read_across_shards(pair):
    whole, shards = (open_embeddings(folder).database for folder in pair)
    assert shards.shape == whole.shape == (1500, 24)
    for rows in (slice(0, 5), slice(690, 1200), slice(699, 702), slice(1400, 9999), slice(3, 3)):
        np.testing.assert_array_equal(shards[rows], whole[rows])
    assert shards[700:701].base is not None  # a view of the map: nothing is copied


def test_a_command_that_needs_one_file_says_so(pair, mrlbench, tmp_path):
    status, _, err = mrlbench("bench-search", "--embeddings", pair[1], "--out", tmp_path / "out")
    assert (status, err.strip().count("\n")) == (2, 0)
    assert "expected a database in one file, database.npy, got a folder of shards" in err


def test_bad_shards_are_refused_by_name(pair):
    folder = pair[1]
    np.save(folder / "database" / "00002.npy", np.ones((1, 8), np.float32))
    with pytest.raises(UserError, match="expected shards of one type and width, .* got float32 of"):
        open_embeddings(folder)
    np.save(folder / "database" / "00002.npy", np.zeros((1, 24), np.float32))
    with pytest.raises(UserError, match=r"00002.npy: expected finite .* only zeros in row 0"):
        open_embeddings(folder)
    for path in (folder / "database").iterdir():
        np.save(path, np.ones((0, 24), np.float32))
    with pytest.raises(UserError, match="a row in one of them"):
        open_embeddings(folder)
