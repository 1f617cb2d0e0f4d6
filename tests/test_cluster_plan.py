"""Several machines: the arithmetic of their plan, by hand, and what the examples ask for."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import parse_args

from mrlbench.cli import TOGETHER
from mrlbench.evaluation import cluster_plan
from mrlbench.evaluation.cluster_plan import Job, Rates, measure_rates, plan_stages

EXAMPLES = Path(__file__).parent.parent / "experiments" / "cluster"
BILLION = Job(10**9, [8, 2048], 10_000, 100, machines=64)


def test_a_billion_rows_of_2048_on_64_machines():
    assert BILLION.rows == 15_625_000
    assert BILLION.bytes == 128_000_000_000  # 15,625,000 · 2,048 · 4
    assert BILLION.shards == 64 * 30  # 119.2 GiB in files of 4 GiB
    write, search, merge = plan_stages(BILLION, Rates(products=1e12, written=1e9, read=2e9))
    assert (write.seconds, write.disk) == (128, 128e9)
    assert search.multiply_adds == 3.2e14  # 15,625,000 · 10,000 · 2,048
    assert search.seconds == 320  # the products: one pass over the disk takes 64
    # 2 dims · 10,000 queries · 100 results of 64 machines: 128 million, 12 bytes each, of which
    # 63/64 come from elsewhere at 1.25 GB/s, sorted at 20 million a second
    assert merge.seconds == pytest.approx(1.2096 + 6.4)
    assert merge.disk == 24_000_000


def test_the_disk_decides_where_it_is_slow():
    _, search, _ = plan_stages(BILLION, Rates(products=1e15, written=1e9, read=1e8))
    assert search.seconds == 1280


def test_one_machine_merges_nothing():
    job = Job(1000, [4], 10, 5, machines=1)
    assert plan_stages(job, Rates(1e9, 1e9, 1e9))[2].seconds == 0
    assert job.shards == 1


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(cluster_plan, "SAMPLE_BYTES", 2**22)
    monkeypatch.setattr(cluster_plan, "MOST_ROWS", 2048)


def test_rates_are_measured(short):
    rates = measure_rates([4, 16], 10)
    assert min(rates.products, rates.written, rates.read) > 1e6


def test_cost_shows_the_plan(mrlbench, short):
    given = ("cost", "--vectors=1B", "--dims=8,64", "--machines=64", "--queries=1k")
    status, out, err = mrlbench(*given)
    assert status == 0, err
    table = out[out.index("exact evaluation of 1,000 queries") :]
    assert "15,625,000 rows each" in table
    (line,) = [each for each in table.splitlines() if "search exactly" in each]
    assert line.split()[5] == "1"  # 15,625,000 · 1,000 · 64 multiply–adds
    status, _, err = mrlbench("cost", "--vectors=10", "--machines=64")
    assert (status, err.count("\n")) == (2, 1)
    assert "--machines: expected at most 10" in err


def test_the_slurm_example_asks_torchrun_for_commands_that_are_there(tmp_path):
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


@pytest.fixture
def kubernetes():
    """The service, the job, its container, and the container's environment."""
    service, job = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return service, job["spec"], container, {e["name"]: e.get("value") for e in container["env"]}


def test_the_kubernetes_example_is_a_service_and_a_job_that_agree(kubernetes):
    service, job, container, known = kubernetes
    pod = job["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert int(known["MACHINES"]) == job["completions"] == job["parallelism"]
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]}
    (script,) = container["args"]
    assert set(re.findall(r"\$([A-Z_]+)", script)) - known.keys() == {"JOB_COMPLETION_INDEX"}
    assert job["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert pod["restartPolicy"] == "Never"  # else Kubernetes refuses a podFailurePolicy
    assert job["activeDeadlineSeconds"] > 0


def test_a_pod_that_is_evicted_in_the_last_step_does_not_wait_for_the_others(kubernetes, tmp_path):
    *_, container, known = kubernetes
    log = tmp_path / "log"
    for name in ("torchrun", "mrlbench"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n')
        (tmp_path / name).chmod(0o755)
    known |= {"RUN": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def pod(index, job):
        """Run what a pod runs; returns the commands."""
        log.write_text("")
        command = [*container["command"], *container["args"]]
        subprocess.run(
            command, env={**known, "JOB": job, "JOB_COMPLETION_INDEX": index}, check=True
        )
        return log.read_text().splitlines()

    shared = pod("1", "one")
    assert [each.split()[0] for each in shared] == ["torchrun"] * 3
    for line in shared:
        asked = parse_args(line.split()[1:])
        conf = f"join_timeout={known['WAIT']},read_timeout={known['WAIT']}"
        assert (asked.rdzv_conf, asked.training_script) == (conf, "mrlbench")
        assert asked.training_script_args[0] in TOGETHER
    alone = [f"mrlbench reproduce imagenet1k-resnet50 --run {tmp_path}"]
    assert pod("0", "one") == alone  # once more, as after an eviction: no torchrun
    assert pod("0", "another") == shared + alone  # applied again, it meets the others
