"""`cost`: the arithmetic alone, before anything is embedded."""

from typing import TYPE_CHECKING, Annotated

import typer

from mrlbench.cli import options
from mrlbench.errors import UserError

if TYPE_CHECKING:  # heavy: not for --help
    import pandas as pd

DIMS = "64,128,768"
CORE_GFLOPS = 3.0  # FAISS, one query at a time over 60,000 × 2048: results/fashion-mnist-full


def cost(
    vectors: Annotated[str, typer.Option(help="N, such as 300k, 10M or 1.5B.")] = "10M",
    dim: Annotated[int, typer.Option(min=0, help="One dim; or --dims.")] = 0,
    dims: Annotated[
        str, typer.Option(help=f"Dims; shortlists are reranked at the last. {DIMS} if left out.")
    ] = "",
    dtype: Annotated[
        str, typer.Option(help="How vectors are stored: float32, float16, int8, binary.")
    ] = "float32,float16,int8,binary",
    index: Annotated[
        str, typer.Option(help="Indexes whose overhead was measured: hnsw, hnswlib, ivf, …")
    ] = "hnsw,ivf,exact",
    m: Annotated[int, typer.Option("--m", min=1, help="Links per node of a graph.")] = 32,
    shortlist: Annotated[int, typer.Option(min=1, help="K, how many are reranked.")] = 200,
    queries_per_day: Annotated[str, typer.Option(help="Such as 1M.")] = "",
    price_gb_month: Annotated[
        float | None, typer.Option(min=0, help="Of a decimal GB and month, in any currency.")
    ] = None,
    price_core_hour: Annotated[
        float | None, typer.Option(min=0, help="Of a core and hour; with --queries-per-day.")
    ] = None,
    core_gflops: Annotated[
        float,
        typer.Option(
            help="10⁹ multiply–adds that a core does in a second of searching; yours is N·d / "
            "us_per_query / 1000 of exact search in search_speed.csv."
        ),
    ] = CORE_GFLOPS,
    machines: Annotated[
        int, typer.Option(min=0, help="Plan exact evaluation on so many machines like this one.")
    ] = 0,
    queries: Annotated[str, typer.Option(help="Q of that evaluation.")] = "10k",
) -> None:
    """What vectors and indexes weigh, what a query computes, where a shortlist begins to pay."""
    from mrlbench.costs.quantities import read_count
    from mrlbench.costs.storage import overhead, row_bytes
    from mrlbench.reports.cost_tables import Plan, overhead_table, search_table, storage_table

    chosen = _dims(dim, dims)
    dtypes = options.words(dtype)
    if not dtypes:
        raise UserError("--dtype: expected at least one, got none")
    for each in dtypes:
        row_bytes(chosen[-1], each)
    if not core_gflops > 0:
        raise UserError(f"--core-gflops: expected a rate above 0, got {core_gflops:g}")
    if price_core_hour is not None and not queries_per_day:
        raise UserError("--price-core-hour: expected --queries-per-day with it, got none")
    plan = Plan(
        vectors=read_count("--vectors", vectors),
        dims=chosen,
        dtypes=dtypes,
        indexes=[overhead(name, m) for name in options.words(index)],
        shortlist=shortlist,
        queries_per_day=(
            read_count("--queries-per-day", queries_per_day) if queries_per_day else None
        ),
        core_rate=core_gflops * 1e9,
        price_gb_month=price_gb_month,
        price_core_hour=price_core_hour,
    )
    _show(f"{plan.vectors:,} vectors", storage_table(plan))
    if plan.indexes:
        _show("beside the vectors, measured on float32", overhead_table(plan))
    rate = f", a core doing {core_gflops:g}·10⁹ a second" if plan.queries_per_day else ""
    _show(f"one query, a multiply–add is 1{rate}", search_table(plan))
    if machines:
        _plan(plan.vectors, chosen, read_count("--queries", queries), shortlist, machines)
    if len(chosen) == 1:
        typer.echo(f"--dims 64,{chosen[0]} adds a shortlist at 64 with a rerank at {chosen[0]}")


def _plan(vectors: int, dims: list[int], queries: int, k: int, machines: int) -> None:
    """Time this machine for a few seconds, and say what as many like it would take."""
    from mrlbench.evaluation.cluster_plan import Job, measure_rates, plan_stages
    from mrlbench.reports.cost_tables import stage_table
    from mrlbench.threads import use_threads

    if machines > vectors:
        raise UserError(f"--machines: expected at most {vectors}, a row each, got {machines}")
    threads = use_threads(0)
    job, rates = Job(vectors, dims, queries, k, machines), measure_rates(dims, k)
    title = (
        f"exact evaluation of {queries:,} queries, k = {k}, on {machines:,} machines like this one "
        f"({threads} cores: {rates.products / 1e9:.0f}·10⁹ multiply–adds a second, disk "
        f"{rates.read / 1e9:.1f} GB/s read, {rates.written / 1e9:.1f} written; 10 Gbit/s between "
        f"them are assumed): {job.rows:,} rows each, {job.shards:,} shards of at most 4 GiB in all"
    )
    _show(title, stage_table(plan_stages(job, rates)))


def _dims(dim: int, dims: str) -> list[int]:
    from mrlbench.dims import check_dims

    if dim and dims:
        raise UserError("expected --dim or --dims, got both")
    chosen = [dim] if dim else options.integers("--dims", dims or DIMS)
    check_dims("--dims", chosen, max(chosen, default=1))
    return chosen


def _show(title: str, table: "pd.DataFrame") -> None:
    typer.echo(f"{title}\n{table.to_string(index=False)}\n")


COMMANDS = {"cost": cost}
