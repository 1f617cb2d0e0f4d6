"""WordNet 3.0: a word asks for the glosses of its meanings."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from mrlbench.downloads import Published
from mrlbench.errors import UserError
from mrlbench.protocols import Corpus, Texts
from mrlbench.texts import with_fingerprint
from mrlbench.wordnet import Synset, read_synsets

CHECKSUMS = {
    "data.noun": "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2",
    "data.verb": "adcf43e35b581e8036d8b5a52d63d9cd3d3b4870b2720d3c03c799df44777bc2",
    "data.adj": "c89120dfc1f046ddff4a631bf9b7e9fa1a36b5e86565a23bf82dbe14f30b88a7",
    "data.adv": "444a63bf3955080ab7524f5079cfc07ff9bc682cb98bdb1db73b0fb9829f1139",
}
FILES = Published(
    "wordnet",
    "data.noun, data.verb, data.adj and data.adv of WordNet 3.0",
    CHECKSUMS,
    package="wordnet-base",
    package_folder=Path("usr/share/wordnet"),
)
Value = TypeVar("Value")
DEFINITIONS, LEMMAS = 116_000, 118_000  # of 3.0, about
ONE_IN = 5  # lemmas that are held out of the training
EXAMPLES = re.compile(r'[;:]\s*"')
MARKER = re.compile(r"\((a|p|ip)\)$")  # where an adjective may stand: galore(ip)


def wordnet(
    data_dir: Path,
    rows: int = 20_000,
    queries: int = 2000,
    seed: int = 0,
    split: Literal["train", "test"] = "test",
    path: str = "",
    disjoint: bool = False,
) -> Corpus:
    """Lemmas that ask for the definitions of all their meanings, in a pool drawn by seed.

    Definitions stand without the usage examples, most of which hold the lemma itself; synsets of
    the same definition are one document. A lemma is in lower case, as in WordNet's own index.

    Args:
        data_dir: Where `WordNet-3.0/` is, or is made from Debian's package.
        rows: Definitions in the pool; 0 takes all.
        queries: How many lemmas; 0 takes all that have a definition in the pool.
        seed: Draws the pool, and then the lemmas.
        split: Which lemmas: one in five is held out as `test`, whatever the seed. Definitions are
            not held out: those of the pool are searched in both.
        path: Folder with the data files of another version; empty takes 3.0.
        disjoint: Leave out definitions that a lemma of the other split has too, so that who trains
            on one has seen no answer of the other.
    """
    synsets = _read(Path(path)) if path else _read_published(data_dir)
    random = np.random.default_rng(seed)
    definitions = _by_definition(synsets)
    if disjoint:
        definitions = _without_shared(definitions, split == "test")
    pool = _draw(definitions, rows, random, "rows")
    relevant = _by_lemma(pool)
    asked = sorted(lemma for lemma in relevant if is_held_out(lemma) == (split == "test"))
    chosen = _draw({lemma: relevant[lemma] for lemma in asked}, queries, random, "queries")
    return with_fingerprint(
        Corpus(
            documents=Texts(tuple(map(_id, pool.values())), tuple(pool)),
            queries=Texts(tuple(chosen), tuple(lemma.replace("_", " ") for lemma in chosen)),
            judgements=tuple(
                (lemma, document, 1.0) for lemma, found in chosen.items() for document in found
            ),
            query_set=split,
        )
    )


def sizes(rows: int = 20_000, queries: int = 2000) -> tuple[int, int]:
    """Tell how many documents and queries there will be, about, before anything is read."""
    return rows or DEFINITIONS, queries or LEMMAS


def is_held_out(lemma: str) -> bool:
    """Tell whether a lemma is of the test; its own hash says, so that no seed mixes the two."""
    return sha256(lemma.encode()).digest()[0] % ONE_IN == 0


def _read_published(data_dir: Path) -> list[Synset]:
    folder = data_dir / "WordNet-3.0"
    FILES.get(folder)
    return _read(folder)


def _read(folder: Path) -> list[Synset]:
    for name in CHECKSUMS:
        if not (folder / name).is_file():
            raise UserError(f"corpora wordnet: expected {', '.join(CHECKSUMS)} in {folder}")
    return [synset for name in CHECKSUMS for synset in read_synsets(folder / name)]


def _by_definition(synsets: Sequence[Synset]) -> dict[str, list[Synset]]:
    found: dict[str, list[Synset]] = {}
    for synset in synsets:
        definition = EXAMPLES.split(synset.gloss)[0].rstrip(" ;:")
        found.setdefault(definition or synset.gloss, []).append(synset)
    return found


def _without_shared(known: Mapping[str, list[Synset]], held_out: bool) -> dict[str, list[Synset]]:
    """Keep the definitions all of whose lemmas are of one split."""
    return {
        definition: synsets
        for definition, synsets in known.items()
        if all(is_held_out(lemma) == held_out for lemma in _lemmas(synsets))
    }


def _by_lemma(pool: Mapping[str, Sequence[Synset]]) -> dict[str, list[str]]:
    """List the documents that each lemma is to find."""
    found: dict[str, list[str]] = {}
    for synsets in pool.values():
        for lemma in _lemmas(synsets):
            found.setdefault(lemma, []).append(_id(synsets))
    return found


def _lemmas(synsets: Sequence[Synset]) -> dict[str, None]:
    """List the different lemmas of some synsets, in order."""
    words = (word for synset in synsets for word in synset.words)
    return dict.fromkeys(MARKER.sub("", word).lower() for word in words)


def _id(synsets: Sequence[Synset]) -> str:
    """Name a document by the first of its synsets, such as `n00001740`."""
    return f"{synsets[0].part.replace('s', 'a')}{synsets[0].offset}"


def _draw(
    known: Mapping[str, Value], count: int, random: np.random.Generator, what: str
) -> dict[str, Value]:
    """Draw some entries and keep their order."""
    if not 0 <= count <= len(known):
        raise UserError(
            f"corpora wordnet: {what}: expected 1 to {len(known)}, or 0 for all, got {count}"
        )
    kept = np.sort(random.choice(len(known), count or len(known), replace=False)).tolist()
    keys = list(known)
    return {keys[row]: known[keys[row]] for row in kept}
