"""What each of several processes does: its part of a batch, its gradients, its rows of a file."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.distributed as processes
import torch.multiprocessing
from PIL import Image

from mrlbench import experiment_file, ranks
from mrlbench.embedding.rows_file import BLOCKS_BETWEEN_STATES, RowsFile
from mrlbench.errors import UserError
from mrlbench.images import ImageFiles
from mrlbench.masking import MaskedBlocks, Vocabulary, training_split
from mrlbench.plugins import load
from mrlbench.protocols import Split
from mrlbench.training.batches import parts, to_input, training_batches
from mrlbench.training.devices import choose_device
from mrlbench.training.loop import Learner
from mrlbench.training.prepare import _check_processes, prepare


@pytest.fixture
def as_rank(monkeypatch):
    """Make this process one of several, as far as it looks at who it is."""

    def become(rank, count):
        monkeypatch.setattr(ranks, "_here", ranks._Here(rank, count))

    return become


def test_every_row_is_of_one_process_and_in_order(as_rank):
    for rows, block, count in ((1000, 256, 3), (5, 256, 4), (7, 1, 3), (0, 512, 2)):
        spans = []
        for rank in range(count):
            as_rank(rank, count)
            spans.append(ranks.own_rows(rows, block))
        covered = [row for span in spans for row in range(span.start, span.stop)]
        assert covered == list(range(rows))
        assert all(span.start % block == 0 or span.start == rows for span in spans)


def photos(folder):
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(20)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)
    return Split(ImageFiles(paths, 16), np.arange(20))


def masked_text():
    blocks = np.random.default_rng(0).integers(5, 50, (30, 12))
    vocabulary = Vocabulary(50, mask=1, start=2, end=3, ordinary=np.arange(5, 50))
    return training_split(MaskedBlocks(blocks, vocabulary, 0.2))


@pytest.mark.parametrize("kind", ["digits", "photos", "text"])
def test_the_parts_of_a_batch_are_what_one_process_would_read(kind, as_rank, tmp_path):
    split = {
        "digits": lambda: load("datasets", "digits")(None).train,
        "photos": lambda: photos(tmp_path),
        "text": masked_text,
    }[kind]()
    (whole, labels), *_ = training_batches(split, 8, seed=0, epoch=1)
    for rank in range(3):
        as_rank(rank, 3)
        (part, theirs), *_ = training_batches(split, 8, seed=0, epoch=1)
        for one, other in zip(
            whole if kind == "text" else [whole], part if kind == "text" else [part], strict=True
        ):
            np.testing.assert_array_equal(other, one[rank::3])
        np.testing.assert_array_equal(theirs, labels.reshape(8, -1)[rank::3].reshape(-1))


def test_a_micro_batch_is_shared_too(as_rank):
    split = load("datasets", "digits")(None).train
    (whole, labels), *_ = training_batches(split, 12, seed=0, epoch=0)
    together = [
        y.tolist() for _, y in parts(torch.from_numpy(whole.copy()), torch.tensor(labels), 6)
    ]
    shared = []
    for rank in range(3):
        as_rank(rank, 3)
        (part, theirs), *_ = training_batches(split, 12, seed=0, epoch=0)
        cut = parts(torch.from_numpy(part.copy()), torch.tensor(theirs), 6 // 3)
        shared.append([y.tolist() for _, y in cut])
    for number, micro in enumerate(together):
        assert sorted(micro) == sorted(label for each in shared for label in each[number])


def test_processes_write_their_rows_of_one_file_and_go_on(as_rank, tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "wait", lambda: None)
    monkeypatch.setattr(ranks, "same", lambda value: value)
    vectors = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    path, halves = tmp_path / "database.npy", (slice(0, 120), slice(120, 200))
    for rank, rows in enumerate(halves):  # both stop after one block more than was kept
        as_rank(rank, 2)
        file = RowsFile(path, (200, 3), "made of this")
        assert not file.is_whole()
        assert file.begin(rows.start) == 0
        for row in range(rows.start, rows.start + BLOCKS_BETWEEN_STATES + 1):
            file.append(vectors[row : row + 1])
    assert not path.exists()
    for rank, rows in reversed(list(enumerate(halves))):
        as_rank(rank, 2)
        file = RowsFile(path, (200, 3), "made of this")
        done = file.begin(rows.start)
        assert done == BLOCKS_BETWEEN_STATES
        file.append(vectors[rows.start + done : rows.stop])
        file.finish()
    np.testing.assert_array_equal(np.load(path), vectors)
    assert RowsFile(path, (200, 3), "made of this").is_whole()
    assert not RowsFile(path, (200, 3), "made of that").is_whole()


def test_an_older_file_beside_a_part_is_not_whole(tmp_path):
    """Killed when all rows of a new model were noted, and before they took the old ones' place."""
    path = tmp_path / "database.npy"
    np.save(path, np.zeros((2, 3), dtype=np.float32))
    new = RowsFile(path, (2, 3), "of the new model")
    new.begin(0)
    new.append(np.ones((2, 3), dtype=np.float32))
    new._keep()
    assert not RowsFile(path, (2, 3), "of the new model").is_whole()
    again = RowsFile(path, (2, 3), "of the new model")
    assert again.begin(0) == 2
    again.finish()
    assert RowsFile(path, (2, 3), "of the new model").is_whole()
    np.testing.assert_array_equal(np.load(path), np.ones((2, 3)))


def test_another_number_of_processes_begins_anew(as_rank, tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "wait", lambda: None)
    path, ones = tmp_path / "database.npy", np.ones((100, 2), np.float32)
    file = RowsFile(path, (100, 2), "inputs")
    file.begin(0)
    for row in range(BLOCKS_BETWEEN_STATES):
        file.append(ones[row : row + 1])
    as_rank(0, 2)
    assert RowsFile(path, (100, 2), "inputs").begin(0) == 0
    as_rank(0, 1)
    assert RowsFile(path, (100, 2), "inputs").begin(0) == 0  # nothing of the first call is left


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["training.batch_size=2"], "expected at most 2 processes"),
        (["training.micro_batch=4", "training.batch_size=8"], "expected a multiple of the 3"),
    ],
)
def test_what_processes_cannot_share_is_refused(overrides, line, as_rank):
    experiment = experiment_file.read("digits", overrides)
    as_rank(0, 3)
    with pytest.raises(UserError, match=line):
        prepare(load("datasets", "digits")(None), experiment)


def test_processes_that_would_take_different_numbers_of_parts_are_refused(as_rank):
    """Each part sums its batch norms over the processes: with a part more, one waits for ever."""
    settings = ["training.methods=['mrl']", "training.batch_size=240"]
    for count, micro in product((2, 3, 4), (12, 24)):
        asked = experiment_file.read("digits", [*settings, f"training.micro_batch={micro}"])
        for examples in range(4, 60):  # a data set that is smaller than a batch
            taken = set()
            for rank in range(count):
                as_rank(rank, count)
                own = torch.zeros(len(range(examples)[rank::count]))
                taken.add(len(list(parts(own, own, micro // count))))
            if len(taken) == 1:
                _check_processes(asked, examples)
            else:
                with pytest.raises(UserError, match=f"in all parts of a batch of {examples}, got"):
                    _check_processes(asked, examples)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_more_processes_than_gpus_are_refused_but_on_the_cpu(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert choose_device(device) == torch.device("cuda")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(UserError, match="at most 2 processes on this machine, one for each GPU, g"):
        choose_device(device)
    assert choose_device("cpu") == torch.device("cpu")


def test_commands_that_cannot_share_their_work_say_so(mrlbench, as_rank, tmp_path):
    as_rank(0, 2)
    ranks._here.store = None
    status, _, err = mrlbench("plot", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "plot: expected one process, got 2 of torchrun" in err


CASES = {
    "a batch that is not shared evenly": ("mrl", 34, []),
    "micro-batches": ("mrl", 36, ["training.micro_batch=12"]),
    "fewer images than a batch, the last micro-batch short": (
        *("mrl", 35),
        ["training.micro_batch=12", "training.batch_size=36"],
    ),
    "batch norms of several widths": ("slimmable", 34, ["training.dims=[128, 512]"]),
}


def one_step(case):
    """Take one step; returns the loss, the gradients and the state that it leads to."""
    method, size, overrides = CASES[case]
    settings = [f"training.methods=['{method}']", f"training.batch_size={size}", *overrides]
    more = ["model.stem_stride=4", "training.precision='float32'", "search.dims=[512]"]
    experiment = experiment_file.read("digits", [*settings, *more])
    learner = Learner(experiment, method, 0, 10, torch.device("cpu"))
    learner.join()
    learner.train_mode()
    dataset = load("datasets", "digits")(None)
    (images, labels), *_ = training_batches(dataset.train, size, seed=0, epoch=0)
    inputs = to_input(images, dataset, torch.device("cpu"))
    losses, right = learner.step(inputs, torch.from_numpy(labels), 0.1, len(inputs) / size)
    modules = {"backbone": learner.backbone, "head": learner.head}
    found = {"losses": ranks.summed(losses), "right": ranks.summed(right)}
    for name, module in modules.items():
        found |= {f"{name}.{key}": each for key, each in module.state_dict().items()}
        parameters = module.named_parameters()
        found |= {f"{name}.{key}.grad": p.grad for key, p in parameters if p.grad is not None}
    return {key: each.numpy() for key, each in found.items()}


def as_one_of(number, count, folder):
    torch.set_num_threads(1)
    processes.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=number, world_size=count
    )
    ranks._here.rank, ranks._here.count = number, count
    for place, case in enumerate(CASES):
        np.savez(f"{folder}/{place}-{number}.npz", **one_step(case))
    processes.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_gradients_and_batch_norms_are_those_of_one_process(count, tmp_path):
    context = torch.multiprocessing.spawn(as_one_of, (count, tmp_path), nprocs=count, join=False)
    alone = [one_step(case) for case in CASES]
    assert any(context.join(timeout=600) for _ in range(count))  # true once the last has ended
    for place, expected in enumerate(alone):
        for number in range(count):
            with np.load(tmp_path / f"{place}-{number}.npz") as found:
                assert set(found.files) == expected.keys()
                for key, each in expected.items():
                    scale = max(float(np.abs(each).max()), 1e-3)
                    np.testing.assert_allclose(found[key], each, atol=1e-4 * scale, err_msg=key)
