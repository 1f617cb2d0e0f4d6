"""Commands that measure: eval-* and bench-search."""

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrlbench import progress
from mrlbench.cli import options
from mrlbench.cli.make import open_workshop
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    from mrlbench.experiment import IndexPlugin
    from mrlbench.session import Session


BASELINES = ["random-dims", "pca"]  # of anybody's vectors: an MRL curve alone proves nothing


def open_session(
    run: options.RunFolder = None,
    embeddings: options.EmbeddingsDir = None,
    out: options.OutDir = None,
    dims: options.Dims = "",
    methods: options.Methods = "",
    seed: options.Seeds = "",
    baselines: options.Baselines = None,
    threads: options.Threads = 0,
    device: options.Device = "auto",
    data_dir: options.DataDir = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> "Session":
    """Open what is to be measured: a run, or anybody's embeddings."""
    progress.quiet = quiet
    options.Target(run, embeddings, out).check()
    from mrlbench.files import check_writable
    from mrlbench.runs import Output
    from mrlbench.session import Session
    from mrlbench.sources import folder_source, run_sources
    from mrlbench.threads import threads_in_use, use_threads

    wanted = options.integers("--dims", dims)
    reducers = None if baselines is None else options.words(baselines)
    if embeddings is None or out is None:
        workshop = open_workshop(run, threads, device, data_dir)
        output = workshop.run if out is None else Output(out)
        check_writable(output.folder)
        narrowed = workshop.only(options.words(methods), options.integers("--seed", seed))
        experiment = workshop.run.experiment
        search = experiment.search.model_copy(update={"dims": wanted} if wanted else {})
        own = run_sources(narrowed, wanted, reducers)
        sources, used = [each.writing_to(output) for each in own], threads_in_use()
        return Session(output, sources, experiment.evaluation, search, used, force, wanted)
    if methods or seed:
        raise UserError("--methods and --seed: expected with a run, got --embeddings")
    from mrlbench.experiment import Evaluation, Search
    from mrlbench.training.devices import choose_device

    chosen, used = choose_device(device), use_threads(threads)
    check_writable(out)
    reducers = BASELINES if reducers is None else reducers
    source = folder_source(embeddings, Output(out), wanted, reducers, chosen)
    search = Search(dims=list(source.dims))
    return Session(source.output, [source], Evaluation(), search, used, force, wanted)


def measuring(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes a session the options that `open_session` takes."""
    shared = inspect.signature(open_session).parameters
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "session"]

    def run(**given: object) -> None:
        session = open_session(**{name: given.pop(name) for name in shared})  # type: ignore[arg-type]
        command(session, **given)

    parameters = [*shared.values(), *own]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__doc__ = command.__doc__
    return run


@measuring
def eval_classification(
    session: "Session",
    probes: Annotated[
        bool, typer.Option("--probes", help="Train linear probes on the frozen vectors too.")
    ] = False,
) -> None:
    """Linear top-1 and top-5 of each head, per dim and method; with --probes of any vectors."""
    session = _with(session, probes=probes)
    session.classification()
    _show(session, "classification", ["top1", "top5"])


@measuring
def eval_knn(session: "Session") -> None:
    """1-NN accuracy at every dim, exact."""
    session.knn()
    _show(session, "knn", ["top1"])


@measuring
def eval_retrieval(session: "Session", k: options.Ks = "") -> None:
    """mAP@k, P@k, R@k, top-k at every dim, exact, with MFLOPs per query."""
    session = _with(session, k=options.integers("--k", k))
    session.retrieval()
    smallest = min(session.evaluation.k)
    names = [f"map@{smallest}", f"recall_full@{smallest}", "top1", "mflops"]
    _show(session, "retrieval", names)


@measuring
def eval_sts(session: "Session") -> None:
    """Correlation of the cosines of pairs with their scores at every dim, as in STS."""
    session.sts()
    _show(session, "sts", ["spearman", "pearson"])


@measuring
def eval_cross_modal(session: "Session", k: options.Ks = "") -> None:
    """Image-to-text and text-to-image retrieval at every dim, of models trained on captions."""
    session = _with(session, k=options.integers("--k", k))
    session.cross_modal()
    _show(session, "cross_modal", [f"top{k}" for k in sorted({1, *session.evaluation.k})])


@measuring
def eval_adaptive_retrieval(
    session: "Session",
    shortlist: Annotated[int, typer.Option(min=0, help="K, how many are reranked.")] = 0,
    shortlists: Annotated[str, typer.Option(help="Other K, reranked at D: 100,400,800.")] = "",
) -> None:
    """Shortlist at Ds and rerank at Dr: the whole grid, the funnels, and other lengths of K."""
    others = options.integers("--shortlists", shortlists)
    session = _with(session, shortlist=shortlist, shortlists=others)
    session.adaptive_retrieval()
    _show(session, "adaptive_retrieval", ["map@10", "recall_full@10", "top1", "mflops"])


@measuring
def eval_adaptive_classification(
    session: "Session",
    tta: Annotated[
        bool, typer.Option("--tta", help="Also with logits summed over the mirror image.")
    ] = False,
    targets: Annotated[
        str, typer.Option(help="Accuracies that joint thresholds must reach, such as 0.7,0.75.")
    ] = "",
) -> None:
    """Cascades: from narrow heads to wider ones until one is sure; accuracy and expected dim."""
    from dataclasses import replace

    wanted = options.fractions("--targets", targets)
    known = session.evaluation
    update = {"tta": tta or known.tta, "target_accuracies": wanted or known.target_accuracies}
    session = replace(session, evaluation=known.model_copy(update=update))
    session.adaptive_classification()
    dims = ["expected_dim", "expected_dim_std", "expected_dim_all_heads"]
    metrics = ["top1", "top1_std", *dims, "mflops", "mflops_heads"]
    papers = ["rule=max-softmax", "rule=max-softmax,tta"]
    _show(session, "adaptive_classification", metrics, papers)


@measuring
def bench_search(
    session: "Session",
    queries: Annotated[int, typer.Option(min=0, help="Queries that are timed.")] = 0,
    index: Annotated[
        str, typer.Option(help="Only this index beside exact search; `list indexes` has them.")
    ] = "",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Of --index: index.KEY=VALUE, index.efforts=[16,64]."),
    ] = None,
    grid: Annotated[
        str,
        typer.Option(help="A TOML file of indexes, arguments, efforts, dims, pipelines and k."),
    ] = "",
) -> None:
    """Exact search against graphs at every dim: build, size, time, recall.

    With --grid, all that the file names, each index in a process of its own; exit status 1 where
    some of it could not be measured.
    """
    from dataclasses import replace

    if grid:
        if index or set_:
            raise UserError("expected either --grid or --index, got both")
        _search_grid(session, grid, queries)
        return
    if index or set_:
        search = session.search.model_copy(update={"indexes": chosen_index(index, set_ or [])})
        session = replace(session, search=search)
    if queries:
        search = session.search.model_copy(update={"queries": queries})
        session = replace(session, search=search)
    session.speed()
    _show(session, "search_speed", ["recall_dim@10", "us_per_query", "speedup", "flops_speedup"])


def chosen_index(name: str, settings: Sequence[str]) -> "list[IndexPlugin]":
    """Read --index with its `index.KEY=VALUE`, and put exact search before it.

    Raises:
        UserError: No such index, or no such argument.
    """
    from pydantic import ValidationError

    from mrlbench.experiment import IndexPlugin
    from mrlbench.experiment_file import read_override
    from mrlbench.plugins import make

    if not name:
        raise UserError("--set: expected --index NAME with it, got none")
    given: dict[str, Any] = {"efforts": [16, 64, 256]}
    for setting in settings:
        part, value = read_override(setting, "index.m=32")
        if not part.startswith("index."):
            raise UserError(f"--set: expected index.KEY=VALUE, got {setting!r}")
        given[part.removeprefix("index.")] = value
    try:
        chosen = IndexPlugin.model_validate({"name": name, **given})
    except ValidationError as error:
        raise UserError(f"--set index.efforts: {error.errors()[0]['msg']}") from error
    make("indexes", name, chosen.arguments)  # it refuses a password in its address
    return [IndexPlugin(name="exact"), chosen]


def _search_grid(session: "Session", name: str, queries: int) -> None:
    from mrlbench.evaluation.grid.spec import read_grid
    from mrlbench.reports.grid_tables import write_tables

    grid = read_grid(name)
    if queries:
        grid = grid.model_copy(update={"queries": queries})
    failures = session.search_grid(grid)
    for table, path in write_tables(session.output):
        if not progress.quiet:
            typer.echo(f"{table}\n")
        typer.echo(f"wrote {path}")
    if failures:
        typer.echo(f"{len(failures)} failed: {session.output.csv('search_errors')}", err=True)
        raise typer.Exit(1)


def _with(session: "Session", **given: object) -> "Session":
    """Override what is measured; what is 0 or empty stays as it was."""
    from dataclasses import replace

    for key, value in given.items():
        if isinstance(value, list) and value and min(value) < 1:
            raise UserError(f"--{key}: expected numbers from 1, got {min(value)}")
    update = {key: value for key, value in given.items() if value}
    return replace(session, evaluation=session.evaluation.model_copy(update=update))


def _show(
    session: "Session", csv: str, metrics: list[str], variants: list[str] | None = None
) -> None:
    if progress.quiet or not session.output.csv(csv).is_file():  # skipped, with a line that says so
        return
    from mrlbench.reports.tables import metrics_table

    typer.echo(metrics_table(session.output.csv(csv), metrics, variants))
    typer.echo(f"wrote {session.output.csv(csv)}")


COMMANDS = {
    "eval-classification": eval_classification,
    "eval-knn": eval_knn,
    "eval-retrieval": eval_retrieval,
    "eval-sts": eval_sts,
    "eval-cross-modal": eval_cross_modal,
    "eval-adaptive-retrieval": eval_adaptive_retrieval,
    "eval-adaptive-classification": eval_adaptive_classification,
    "bench-search": bench_search,
}
