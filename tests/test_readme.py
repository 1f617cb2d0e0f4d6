"""The README: its table is that of the published run, and its commands work as typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mrlbench.reports.tables import markdown_claims, markdown_table
from mrlbench.runs import Output

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PUBLISHED = ROOT / "results" / "tiny-imagenet"


def commands():
    """Every line of the README's shell blocks, without comments; continued lines joined."""
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL):
        for line in block.replace("\\\n", "").splitlines():
            yield re.sub(r"\s+#.*", "", line)


def test_the_table_is_that_of_the_published_run():
    start, stop = "<!-- table from results/tiny-imagenet -->", "<!-- end of table -->"
    written = README.partition(start)[2].partition(stop)[0].strip()
    assert written == markdown_table(Output(PUBLISHED))


def test_the_claims_are_those_of_the_published_run():
    start, stop = "<!-- claims from results/tiny-imagenet -->", "<!-- end of claims -->"
    written = README.partition(start)[2].partition(stop)[0].strip()
    assert written == markdown_claims(Output(PUBLISHED))
    assert written.count("\n") == 1 + pd.read_csv(PUBLISHED / "claims.csv")["claim"].nunique()


def test_every_file_that_the_readme_links_to_is_there():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_every_room_of_the_tree_is_there_and_named():
    tree = README.partition("## The tree")[2].partition("Imports point")[0]
    named = set(re.findall(r"(\w+)(?:/|\.py)", tree))
    rooms = {path.stem for path in (ROOT / "mrlbench").iterdir() if not path.name.startswith("_")}
    small = {"errors", "files", "progress", "intervals", "splits", "threads", "memory"}  # helpers
    assert rooms - small <= named
    assert named <= rooms | {"experiments", "results", "tests", "mrlbench"}


def test_the_count_of_verdicts_is_that_of_the_published_run():
    verdicts = pd.read_csv(PUBLISHED / "claims.csv").groupby("claim")
    found = verdicts["verdict"].first().value_counts()
    words = ("holds", "does not hold", "cannot be told", "not run")
    counts = [str(len(verdicts)), *(str(found[word]) for word in words)]
    said = re.search(
        r"paper's (\d+) claims .* (\d+) hold, (\d+) do not, (\d+) cannot be told and (\d+) were",
        README,
    )
    assert list(said.groups()) == counts


def test_the_table_of_text_models_is_that_of_the_published_run():
    table = pd.read_csv(ROOT / "results" / "wordnet" / "retrieval.csv").query("metric == 'map@10'")
    of = table.set_index(["method", "reducer", "dim"])["value"]
    lines = re.findall(r"^\| (\d+) \| (0\..*) \|$", README, re.MULTILINE)
    assert len(lines) == 3
    for dim, numbers in lines:
        models = ("mrl", "fixed-384", "fixed-384", "untuned", "wordllama")
        reducers = ("prefix", "prefix", "pca", "prefix", "prefix")
        said_of = [each.strip() for each in numbers.split("|") if each.strip()]
        for method, reducer, said in zip(models, reducers, said_of, strict=False):
            assert said == f"{of[method, reducer, int(dim)]:.3f}", (dim, method, reducer)


def test_a_cut_is_what_it_is_said_to_be():
    (block,) = re.findall(r"```python\n(import numpy.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})


@pytest.mark.slow
def test_every_command_works_as_typed(tmp_path):
    elsewhere = (
        "make ",
        "fashion-mnist",
        "tiny-imagenet",
        "photos",
    )  # CI's own, hours of work, the user's photos
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    typed = [line for line in commands() if line and not any(each in line for each in elsewhere)]
    assert len(typed) > 10
    for line in typed:
        done = subprocess.run(
            line,
            shell=True,
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
