"""How the user may call a class: by its name, its WordNet id, or its number."""

from collections import Counter
from dataclasses import dataclass

from mrlbench.protocols import Dataset


@dataclass(frozen=True)
class Classes:
    """The classes of a data set, C of them.

    Attributes:
        names: Of each class; empty where only their number is known.
        wnids: WordNet ids, where the classes have them.
    """

    names: tuple[str, ...] = ()
    wnids: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> "Classes":
        """Take those of a data set."""
        return cls(dataset.classes, dataset.wnids)

    def name(self, number: int) -> str:
        """Name a class for people."""
        return self.names[number] if number < len(self.names) else str(number)

    def numbers(self) -> dict[str, int]:
        """Map every name and id that means one class only to its number."""
        times = Counter(self.names)
        known = {name: place for place, name in enumerate(self.names) if times[name] == 1}
        return {**known, **{wnid: place for place, wnid in enumerate(self.wnids)}}

    def find(self, key: str, count: int) -> int | None:
        """Find a class among `count` by name, WordNet id or number; None if there is none."""
        known = self.numbers()
        if key in known:
            return known[key]
        return int(key) if key.isdecimal() and int(key) < count else None
