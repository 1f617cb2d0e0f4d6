"""Write an embeddings folder of made-up vectors, for timing only.

python experiments/search/synthetic.py synthetic-1000000    a million × 2048, float16: 4 GB
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mrlbench.files import replacing, write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
from common import synthetic_parts


def main(
    out: Annotated[Path, typer.Argument(help="The folder; its name stands in every row.")],
    rows: int = 1_000_000,
    queries: int = 1000,
    dim: int = 2048,
) -> None:
    """Write database and queries as in experiments/peers, part by part."""
    if "synthetic" not in out.name:
        raise typer.BadParameter(f"expected a folder called synthetic…, got {out.name}")
    out.mkdir(parents=True, exist_ok=True)
    for name, count, seed in (("database", rows, 0), ("queries", queries, 1)):
        with replacing(out / f"{name}.npy") as path:
            vectors = np.lib.format.open_memmap(path, "w+", np.float16, (count, dim))
            for start, part in synthetic_parts(count, dim, seed):
                vectors[start : start + len(part)] = part
            vectors.flush()
            del vectors
    write_json(out / "meta.json", {"query_set": "synthetic"})


if __name__ == "__main__":
    typer.run(main)
