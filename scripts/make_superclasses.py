"""Group classes by WordNet's hypernyms into superclasses of a chosen size, as a TSV on stdout.

    python scripts/make_superclasses.py DICT WNIDS --most 20 --least 3 > tiny-imagenet.tsv

DICT is the folder with WordNet 3.0's data.noun (Debian: package wordnet-base, in
/usr/share/wordnet), whose synset offsets are ImageNet's WordNet ids. WNIDS has an id a line.

From each class the script goes up the first hypernym of every synset. The superclass is the highest
synset on that way which has at most --most of the classes below it; if it has fewer than --least,
the class has no superclass and is left out.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mrlbench.wordnet import read_synsets

HYPERNYM = ("@", "@i")


def read_nouns(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read the first word of each noun synset, and its first hypernym, by offset."""
    names: dict[str, str] = {}
    parents: dict[str, str] = {}
    for synset in read_synsets(folder / "data.noun"):
        names[synset.offset] = synset.words[0]
        above = [each for each in synset.pointers if each.symbol in HYPERNYM and each.part == "n"]
        if above:
            parents[synset.offset] = above[0].offset
    return names, parents


def group(wnids: Sequence[str], parents: dict[str, str], most: int, least: int) -> dict[str, str]:
    """Choose the superclass of each class, by offset; classes without one are left out."""
    ways = {wnid: way_up(wnid[1:], parents) for wnid in wnids}
    below = Counter(offset for way in ways.values() for offset in way)
    chosen = {}
    for wnid, way in ways.items():
        highest = [offset for offset in way if below[offset] <= most][-1:]
        if highest and below[highest[0]] >= least:
            chosen[wnid] = highest[0]
    return chosen


def way_up(offset: str, parents: dict[str, str]) -> list[str]:
    """List a synset and its hypernyms up to the root."""
    way = [offset]
    while way[-1] in parents:
        way.append(parents[way[-1]])
    return way


def main() -> None:
    """Read the arguments and print the mapping."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dict", type=Path)
    parser.add_argument("wnids", type=Path)
    parser.add_argument("--most", type=int, required=True)
    parser.add_argument("--least", type=int, required=True)
    given = parser.parse_args()
    names, parents = read_nouns(given.dict)
    wnids = sorted(given.wnids.read_text().split())
    chosen = group(wnids, parents, given.most, given.least)
    lines = [
        f"# Superclasses of {len(wnids)} ImageNet classes by WordNet 3.0's first hypernyms:",
        f"# the highest with at most {given.most} of the classes, if it has {given.least} or more.",
        "# Made by scripts/make_superclasses.py. WordNet 3.0 Copyright 2006 by Princeton",
        "# University, see LICENSE.wordnet.",
        "class\tsuperclass",
        *(f"{wnid}\t{names[offset].replace('_', ' ')}" for wnid, offset in chosen.items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
