"""Anybody's text for masked-token prediction: the classes are the tokens of a vocabulary."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from mrlbench.arrays import IntArray
from mrlbench.errors import UserError
from mrlbench.files import digest, replacing, write_json
from mrlbench.masking import MaskedBlocks, Vocabulary, masked_split, training_split
from mrlbench.protocols import Dataset

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROLES = {"start": ("[CLS]", "<s>"), "end": ("[SEP]", "</s>"), "mask": ("[MASK]", "<mask>")}
LINES = 1000  # tokenised at once


def masked_text(
    data_dir: Path,
    path: str = "",
    tokenizer: str = "",
    vocabulary: int = 2000,
    length: int = 128,
    masked: float = 0.15,
    valid: float = 0.1,
    evaluated: int = 500,
) -> Dataset:
    """Blocks of text with 15% of the tokens to be predicted, as BERT is trained.

    Database and queries are blocks of the first and of the last part of the text, whose masks never
    change, so a row of theirs is one token to be predicted. The tokens are kept under the data
    folder.

    Args:
        data_dir: The data folder.
        path: A text file or a folder of `*.txt`, relative to the data folder; empty takes the
            language reference that Python itself carries (465 kB in Python 3.11).
        tokenizer: Folder of a trained one with its `tokenizer.json`, as transformers saves it;
            empty trains WordPiece on the training part of the text.
        vocabulary: Tokens of the one that is trained.
        length: L, tokens of a block with its first and last.
        masked: Share of the tokens that are to be predicted.
        valid: Share of each file, from its end, that the queries come from.
        evaluated: Most blocks in the database and in the queries.
    """
    if length < 4 or not 0 < masked < 1 or not 0 < valid < 1 or evaluated < 1:
        raise UserError(
            "dataset masked-text: expected length from 4, masked and valid between 0 and 1, and "
            f"evaluated from 1, got {length}, {masked}, {valid} and {evaluated}"
        )
    text = _open(data_dir, path)
    ready, checksum = _ready_tokenizer(data_dir, tokenizer), text.checksum()
    key = digest([checksum, valid, ready.to_str() if ready else vocabulary])
    folder = data_dir / "masked-text" / key[:16]
    if not (folder / "done.json").is_file():
        _write(folder, text, valid, ready, vocabulary)
    kept = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokens, special = _names(kept), _special(kept)
    train, queries = (
        MaskedBlocks(_blocks(folder / f"{part}.bin", length - 2, text.name), special, masked)
        for part in ("train", "valid")
    )
    return Dataset(
        train=training_split(train),
        database=masked_split(train.first(evaluated)),
        queries=masked_split(queries.first(evaluated)),
        classes=tokens,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        fingerprint=digest([checksum, kept.to_str()]),
        query_set="valid",
        is_text=True,
    )


@dataclass(frozen=True)
class _Text:
    """Documents that are read line by line, in order."""

    name: str
    files: tuple[Path, ...]
    documents: tuple[str, ...] = ()

    def parts(self, valid: float) -> Iterator[tuple[str, bool]]:
        """Give each line, and whether it is in the last part of its document."""
        for size, lines in self._read():
            passed = 0
            for line in lines:
                yield line, passed >= size * (1 - valid)
                passed += len(line)

    def checksum(self) -> str:
        """Hash the content."""
        hashed = hashlib.sha256()
        for file in self.files:
            with file.open("rb") as opened:
                hashed.update(hashlib.file_digest(opened, "sha256").digest())
        for document in self.documents:
            hashed.update(hashlib.sha256(document.encode()).digest())
        return hashed.hexdigest()

    def _read(self) -> Iterator[tuple[int, Iterable[str]]]:
        for file in self.files:
            try:
                with file.open(encoding="utf-8") as lines:
                    yield file.stat().st_size, lines
            except UnicodeDecodeError as error:
                raise UserError(f"{file}: expected text in UTF-8: {error}") from error
        for document in self.documents:
            yield len(document), document.splitlines(keepends=True)


def _open(data_dir: Path, path: str) -> _Text:
    if not path:
        from pydoc_data.topics import topics  # what `help("if")` shows

        return _Text(
            "Python's language reference", (), tuple(topics[key] for key in sorted(topics))
        )
    root = data_dir / path
    files = tuple(sorted(root.rglob("*.txt"))) if root.is_dir() else (root,)
    if not files or not all(file.is_file() for file in files):
        raise UserError(
            f"dataset masked-text: expected a text file or a folder with *.txt, got {root}"
        )
    return _Text(str(root), files)


def _ready_tokenizer(data_dir: Path, folder: str) -> Tokenizer | None:
    if not folder:
        return None
    file = data_dir / folder / "tokenizer.json"
    if not file.is_file():
        raise UserError(
            f"dataset masked-text: expected a tokenizer in {file}, as transformers' "
            "AutoTokenizer.from_pretrained(…).save_pretrained(FOLDER) writes it, got no such file"
        )
    return Tokenizer.from_file(str(file))


def _write(
    folder: Path, text: _Text, valid: float, ready: Tokenizer | None, vocabulary: int
) -> None:
    """Tokenise the text into `train.bin` and `valid.bin`, int32, in bounded memory."""
    tokenizer = ready or _train(text, valid, vocabulary)
    with replacing(folder / "tokenizer.json") as beside:
        tokenizer.save(str(beside))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with (
        replacing(folder / "train.bin") as train,
        replacing(folder / "valid.bin") as last,
        train.open("wb") as train_file,
        last.open("wb") as last_file,
    ):
        parts = text.parts(valid)
        while lines := list(islice(parts, LINES)):
            encoded = tokenizer.encode_batch_fast(
                [line for line, _ in lines], add_special_tokens=False
            )
            for (_, is_last), each in zip(lines, encoded, strict=True):
                file = last_file if is_last else train_file
                file.write(np.array(each.ids, dtype=np.int32).tobytes())
    write_json(folder / "done.json", {"text": text.name})


def _train(text: _Text, valid: float, vocabulary: int) -> Tokenizer:
    """Train WordPiece as BERT's, lower case, on the training part only."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False
    )
    lines = (line for line, is_last in text.parts(valid) if not is_last)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def _blocks(path: Path, tokens: int, name: str) -> IntArray:
    """Memory-map the tokens as blocks, (N, L - 2); what is left at the end is not used."""
    count = path.stat().st_size // 4 // tokens
    if not count:
        raise UserError(
            f"dataset masked-text: expected at least {tokens} tokens in the {path.stem} part of "
            f"{name}, got {path.stat().st_size // 4}: take a shorter length or more text"
        )
    blocks: IntArray = np.memmap(path, dtype=np.int32, mode="r", shape=(count, tokens))
    return blocks


def _names(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Name each token id; ids that are not used have an empty name."""
    known = {row: name for name, row in tokenizer.get_vocab(with_added_tokens=True).items()}
    return tuple(known.get(row, "") for row in range(max(known) + 1))


def _special(tokenizer: Tokenizer) -> Vocabulary:
    """Find the tokens that masking needs."""
    ids: dict[str, int] = {}
    for role, spellings in ROLES.items():
        found = [i for each in spellings if (i := tokenizer.token_to_id(each)) is not None]
        if not found:
            raise UserError(
                f"dataset masked-text: expected {' or '.join(spellings)} in the tokenizer's "
                "vocabulary, got neither"
            )
        ids[role] = found[0]
    added = {each["id"] for each in json.loads(tokenizer.to_str())["added_tokens"]}
    names = _names(tokenizer)
    ordinary = [row for row, name in enumerate(names) if name and row not in added]
    return Vocabulary(len(names), ordinary=np.array(ordinary, dtype=np.int64), **ids)
