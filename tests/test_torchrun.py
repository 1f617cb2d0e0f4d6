"""Commands in several processes that torchrun starts: results of one, and no harm if one dies."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from mrlbench import measurements
from mrlbench.training import checkpoint

SETTINGS = [
    *("--set=training.methods=['mrl']", "--set=training.dims=[4, 512]", "--set=training.epochs=2"),
    # 1,437 images: 6 batches of 235 a epoch, which neither 2 nor 4 processes share evenly
    *("--set=training.batch_size=235", "--set=training.learning_rate=0.001"),
    *("--set=training.precision='float32'", "--set=model.stem_stride=4"),
    *("--set=search.dims=[4, 512]", "--set=evaluation.k=[1, 10]"),
]


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
def test_processes_that_are_asked_to_end_do_so_even_while_they_wait_for_another(tmp_path):
    run = tmp_path / "run"
    long = [*SETTINGS, "--set=training.epochs=100", "--threads=1"]
    process = torchrun(2, "train", "digits", "--run", run, *long)
    wait_for(run / "models/mrl/seed-0" / checkpoint.NAME, process)
    waiting, stopped = workers(process)
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(2)  # the other one is in a sum over both by now, for up to 120 s
    os.kill(waiting, signal.SIGTERM)
    for _ in range(300):
        if waiting not in workers(process):
            break
        time.sleep(0.1)
    assert waiting not in workers(process)
    os.kill(stopped, signal.SIGCONT)
    _, err = ended(process)  # torchrun ends the rest
    assert process.returncode != 0
    assert "exitcode  : 143" in err or "Signal 15" in err


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
