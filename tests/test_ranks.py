"""Several processes train, embed and search as one does; in the slow tests torchrun starts them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from mrlbench import measurements, ranks
from mrlbench.cli import TOGETHER
from mrlbench.embedding.rows_file import BLOCKS_BETWEEN_STATES, RowsFile
from mrlbench.errors import UserError
from mrlbench.images import ImageFiles
from mrlbench.masking import MaskedBlocks, Vocabulary, training_split
from mrlbench.plugins import load
from mrlbench.protocols import Split
from mrlbench.training import checkpoint
from mrlbench.training.batches import parts, training_batches

EXAMPLES = Path(__file__).parent.parent / "experiments" / "cluster"
SETTINGS = [
    *("--set=training.methods=['mrl']", "--set=training.dims=[4, 512]", "--set=training.epochs=2"),
    # 1,437 images: 6 batches of 235 a epoch, which neither 2 nor 4 processes share evenly
    *("--set=training.batch_size=235", "--set=training.learning_rate=0.01"),
    *("--set=training.precision='float32'", "--set=model.stem_stride=4"),
    *("--set=search.dims=[4, 512]", "--set=evaluation.k=[1, 10]"),
]


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
    from mrlbench import experiment_file
    from mrlbench.training.prepare import prepare

    experiment = experiment_file.read("digits", overrides)
    as_rank(0, 3)
    with pytest.raises(UserError, match=line):
        prepare(load("datasets", "digits")(None), experiment)


def test_commands_that_cannot_share_their_work_say_so(mrlbench, as_rank, tmp_path):
    as_rank(0, 2)
    ranks._here.store = None
    status, _, err = mrlbench("plot", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "plot: expected one process, got 2 of torchrun" in err


def torchrun(count, *arguments, **environment):
    """Start a command in several processes, one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", "-m", "--", "mrlbench", *map(str, arguments)]
    known = {**os.environ, "OMP_NUM_THREADS": "1", "MRLBENCH_TIMEOUT": "120", **environment}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=known
    )


def ended(process, seconds=900):
    """Wait for a command; one that hangs is ended, so that the test fails and nothing stays."""
    try:
        return process.communicate(timeout=seconds)
    finally:
        process.terminate()


def finished(process):
    out, err = ended(process)
    assert process.returncode == 0, err
    return out


def weights(folder):
    state = checkpoint.load(folder / "models/mrl/seed-0" / checkpoint.NAME, torch.device("cpu"))
    return {**state["backbone"], **state["head"]}


def values(folder):
    table = measurements.read(folder / "retrieval.csv").query("metric != 'mflops'")
    return table.set_index(["reducer", "dim", "metric"])["value"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run that one process trained, embedded and measured."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    for command in (["train", "digits", "--run", folder, *SETTINGS], ["eval-retrieval", folder]):
        given = [sys.executable, "-m", "mrlbench", *map(str, command), "--threads=1", "-q"]
        subprocess.run(given, check=True, timeout=900)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_train_embed_and_search_as_one_does(count, alone, tmp_path):
    run = tmp_path / "run"
    out = finished(torchrun(count, "train", "digits", "--run", run, *SETTINGS, "--threads=1"))
    assert out.count("wrote ") == 1
    losses, expected = (pd.read_csv(each / "models/mrl/seed-0/losses.csv") for each in (run, alone))
    # what another number of threads changes too: rounding, which 12 steps make somewhat larger
    np.testing.assert_allclose(losses.filter(like="loss"), expected.filter(like="loss"), rtol=1e-3)
    np.testing.assert_allclose(losses["learning_rate"], expected["learning_rate"])
    one, other = weights(run), weights(alone)
    assert one.keys() == other.keys()
    # from here on with the same weights, so that what is compared is exact
    model = run / "models/mrl/seed-0" / checkpoint.NAME
    model.write_bytes((alone / "models/mrl/seed-0" / checkpoint.NAME).read_bytes())
    finished(torchrun(count, "embed", run, "--threads=1"))
    mine, theirs = (each / "embeddings/mrl/seed-0" for each in (run, alone))
    assert {path.name for path in mine.iterdir()} == {path.name for path in theirs.iterdir()}
    for name in ("database", "queries", "database_labels", "queries_labels"):
        np.testing.assert_array_equal(
            np.load(mine / f"{name}.npy"), np.load(theirs / f"{name}.npy")
        )
    out = finished(torchrun(count, "eval-retrieval", run, "--threads=1"))
    assert out.count("wrote ") == 1
    pd.testing.assert_series_equal(values(run), values(alone))


def wait_for(path, process):
    for _ in range(9000):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError(f"{path} did not come")


def workers(process):
    """The processes that torchrun has started."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    return [int(each) for each in listed.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_leaves_a_run_that_goes_on(cut, tmp_path):
    long = [*SETTINGS, "--set=training.epochs=3", "--threads=1"]
    run = tmp_path / "run"
    process = torchrun(2, "train", "digits", "--run", run, *long, MRLBENCH_TIMEOUT="10")
    model = run / "models/mrl/seed-0" / checkpoint.NAME
    wait_for(model, process)
    victim = workers(process)[-1]
    os.kill(victim, cut)
    if cut == signal.SIGSTOP:
        survivor = workers(process)[0]
        for _ in range(3000):  # it gives up by itself
            if survivor not in workers(process):
                break
            time.sleep(0.1)
        os.kill(victim, signal.SIGCONT)  # so that torchrun can end it
    _, err = ended(process)
    assert process.returncode != 0
    ours = [line for line in err.splitlines() if line.startswith("mrlbench:")]
    assert len(ours) <= 1
    if cut == signal.SIGSTOP:
        assert "another one has died, or has not answered for 10 s" in ours[0]
    assert 1 <= checkpoint.load(model, torch.device("cpu"))["epoch"] < 3
    finished(torchrun(2, "train", "digits", "--run", run, *long))
    assert pd.read_csv(model.with_name("losses.csv"))["epoch"].tolist() == [1, 2, 3]
    assert checkpoint.load(model, torch.device("cpu"))["epoch"] == 3


def test_the_slurm_example_asks_torchrun_for_commands_that_are_there(tmp_path, mrlbench):
    from torch.distributed.run import parse_args

    for name, body in (("srun", 'echo "$*"'), ("scontrol", "printf 'one\\ntwo\\n'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "one,two", "SLURM_JOB_ID": "7"}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", EXAMPLES / "slurm.sh"], env={**slurm, **path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *shared, last = done.stdout.splitlines()
    for line in shared:
        asked = parse_args(line.partition(" torchrun ")[2].split())
        assert (asked.nnodes, asked.rdzv_endpoint, asked.module) == ("2", "one:29500", True)
        assert asked.training_script == "mrlbench"
        assert asked.training_script_args[0] in TOGETHER
    assert " mrlbench reproduce imagenet1k-resnet50 " in last


def test_the_kubernetes_example_is_a_service_and_a_job_that_agree():
    service, job = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    known = {each["name"]: each["value"] for each in container["env"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert int(known["MACHINES"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]}
    (script,) = container["args"]
    assert set(re.findall(r"\$([A-Z_]+)", script)) - known.keys() == {"JOB_COMPLETION_INDEX"}
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
