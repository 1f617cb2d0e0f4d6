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


def test_the_arena_is_that_of_the_published_run():
    table = pd.read_csv(ROOT / "results" / "arena-wordllama" / "arena.csv")
    said = " ".join(README.partition("### Bits or dimensions?")[2].partition("###")[0].split())

    def of(dtype, dim, kind=None, reducer="prefix", metric="map@10", reranked=False):
        variant = table["variant"].fillna("")
        wanted = variant.str.endswith(kind) if kind else variant == ""
        rows = table[wanted & (table["rerank_dims"].notna() == reranked)]
        cells = {"reducer": reducer, "dtype": dtype, "dim": dim, "metric": metric}
        for column, cell in cells.items():
            rows = rows[rows[column] == cell]
        (row,) = rows.itertuples()
        return row

    codes = {"float32": 8, "float16": 16, "int8": 32, "binary": 256, "pq": 256}
    assert {of(*each, metric="bytes_per_vector").value for each in codes.items()} == {32}
    numbers = [f"{of(*each).value:.3f}" for each in codes.items()]
    assert (
        list(
            re.search(
                r"8 floats have an mAP@10 of (\S+), 16 halves (\S+), 32 int8 numbers (\S+), "
                r"256 signs (\S+) and product codes of 256 dims (\S+),",
                said,
            ).groups()
        )
        == numbers
    )
    for reranked, words in (
        (False, r"which is (\S+) more than the floats \(95% interval (\S+) to (\S+)\)"),
        (True, r"product codes are then still (\S+) ahead \((\S+) to (\S+)\)"),
    ):
        row = of("pq", 256, "equal=bytes", reranked=reranked)
        told = [f"{each:.3f}" for each in (row.value, row.ci_low, row.ci_high)]
        assert list(re.search(words, said).groups()) == told
    pca = {
        reranked: {
            dim: of("float32", dim, "equal=dim", reducer="pca", reranked=reranked)
            for dim in (8, 16, 32, 64, 128, 256)
        }
        for reranked in (False, True)
    }
    assert {dim for dim, row in pca[False].items() if row.ci_high < 0} == {32, 64, 128}
    assert not {dim for dim, row in pca[False].items() if row.ci_low > 0}
    row = pca[False][64]
    told = [f"{-each:.3f}" for each in (row.value, row.ci_high, row.ci_low)]
    assert list(re.search(r"behind \(by (\S+) at 64, (\S+) to (\S+)\)", said).groups()) == told
    assert all(row.ci_low <= 0 <= row.ci_high for row in pca[True].values())
    assert of("pq", 128, "at=full", reranked=True).ci_low > -0.002
    whole = of("pq", 128, metric="bytes_per_vector_whole", reranked=True).value
    exact = of("float32", 256, metric="bytes_per_vector").value
    assert (f"{whole:,.0f} bytes, where exact search keeps {exact:,.0f}.") in said


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
