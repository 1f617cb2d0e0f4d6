"""What was run, and on what machine."""

import tomllib
from collections.abc import Mapping
from typing import Any

from mrlbench import measurements
from mrlbench.reports.page.blocks import Block, Cell, Code, Paragraph, Section, Table
from mrlbench.reports.page.numbers import number
from mrlbench.runs import Output

TITLE = "What was run, and where"
SHOWN = ("cpu", "cores", "memory_gb", "gpu", "system", "threads", "cpu_capability", "python")


def setup(output: Output) -> Section:
    """Show experiment, machine, versions and the time of each stage."""
    manifest, blocks = output.manifest(), list[Block]()
    path = output.folder / "experiment.toml"
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        blocks.append(_experiment(output, tomllib.loads(text)))
        blocks.append(Code("The whole experiment.toml", text))
    if manifest:
        blocks += _machine(manifest)
    else:
        blocks.append(Paragraph("There is no manifest.json: the machine is not known."))
    return Section("setup", TITLE, blocks)


def _experiment(output: Output, experiment: Mapping[str, Any]) -> Table:
    training, plugins = experiment.get("training", {}), ("dataset", "model")
    rows: list[list[Cell]] = [[name, _plugin(experiment.get(name, {}))] for name in plugins]
    for name in ("methods", "dims", "epochs", "batch_size", "learning_rate"):
        if name in training:
            rows.append([name.replace("_", " "), _plain(training[name])])
    rows += [["seeds", _plain(experiment.get("seeds", []))], *_sizes(output)]
    return Table("The experiment", ["", "as run"], rows)


def _sizes(output: Output) -> list[list[Cell]]:
    """Read the sizes of database and query sets from the rows."""
    path = output.csv("retrieval")
    if not path.is_file():
        return []
    table = measurements.read(path)
    sizes = table[["queries", "n", "n_database"]].dropna().drop_duplicates()
    return [
        [f"queries: {row.queries}", f"{row.n:,} against {row.n_database:,} database rows"]
        for row in sizes.itertuples()
    ]


def _plugin(entry: Mapping[str, Any]) -> str:
    others = [f"{key} = {_plain(value)}" for key, value in entry.items() if key != "name"]
    name = str(entry.get("name", ""))
    return f"{name} ({', '.join(others)})" if others else name


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _machine(manifest: Mapping[str, Any]) -> list[Block]:
    machine = manifest.get("machine", {})
    rows: list[list[Cell]] = [
        [key.replace("_", " "), _plain(machine[key])] for key in SHOWN if machine.get(key)
    ]
    packages = machine.get("packages", {})
    rows.append(["packages", ", ".join(f"{name} {one}" for name, one in packages.items())])
    rows += [["commit", machine.get("commit") or "not from a checkout"]]
    rows += [[f"data: {name}", f"SHA-256 {each}"] for name, each in _data(manifest).items()]
    stages = manifest.get("stages", {})
    names = ("seconds", "cpu_seconds", "threads", "cpu", "gpu", "commit", "finished")
    lines = [
        [stage, *(_stage_cell(done.get(name)) for name in names)] for stage, done in stages.items()
    ]
    total = sum(float(done.get("seconds") or 0) for done in stages.values())
    title = f"Stages, {number(total / 3600)} hours in all"
    columns = ["stage", *(name.replace("_", " ") for name in names)]
    return [
        Table("The machine, as last noted; each stage has its own", ["", "as noted"], rows),
        Table(title, columns, lines, folded=True),
    ]


def _data(manifest: Mapping[str, Any]) -> Mapping[str, object]:
    data: Mapping[str, object] = manifest.get("data", {})
    return data


def _stage_cell(value: Any) -> Cell:  # noqa: ANN401 (JSON)
    return value if isinstance(value, int | float) else str(value or "")
