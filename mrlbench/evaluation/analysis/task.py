"""One analysis, ready to be run: what it measures, of which sources, into which file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row


@dataclass(frozen=True)
class Analysis:
    """What `analyze` measures of each source.

    Attributes:
        name: As on the command line.
        sources: What can be measured.
        measure: Makes the rows of one source.
        csv: The file that they go to.
        cells: What tells its rows from those of other measurements in that file.
        settings: All that the rows depend on beside the vectors.
    """

    name: str
    sources: Sequence[Source]
    measure: Callable[[Source], list[Row]]
    csv: str = "analysis"
    cells: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
