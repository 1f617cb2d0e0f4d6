"""What every corpus promises, what each one reads, and the one line that bad files get."""

import gzip
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrlbench import downloads
from mrlbench.corpora import wordnet as wordnet_module
from mrlbench.corpora.beir import beir
from mrlbench.corpora.labelled_text import labelled_text
from mrlbench.corpora.nli import nli
from mrlbench.corpora.sts import sts
from mrlbench.corpora.text_pairs import text_pairs
from mrlbench.corpora.wordnet import is_held_out, wordnet
from mrlbench.errors import UserError
from mrlbench.plugins import check_arguments, load, names, parameters
from mrlbench.wordnet import read_synsets

PAIRS = [
    {"query": "capital of France?", "document": "Paris"},
    {"query": "largest city of France?", "document": "Paris"},
    {"query": "capital of France?", "document": "The city of light"},
    {"query": "naïve café?", "document": "«Ça va» 北京"},
]
LABELLED = [{"text": f"text {n}", "label": "abc"[n % 3]} for n in range(30)]
NLI = [
    {"premise": "A dog runs.", "hypothesis": "An animal moves.", "label": "entailment"},
    {"premise": "A dog runs.", "hypothesis": "A cat sleeps.", "label": "contradiction"},
    {"premise": "A man naps.", "hypothesis": "A person rests.", "label": "entailment"},
    {"premise": "A hen runs.", "hypothesis": "An animal moves.", "label": "entailment"},
]
STS = [
    {"sentence1": "a", "sentence2": "b", "score": 2.5},
    {"sentence1": "a", "sentence2": "a", "score": 5},
    {"sentence1": "c", "sentence2": "b", "score": 0},
]
NOUN = [
    '00000001 03 n 02 Dog 0 hound_dog 1 001 ~ 00000003 n 0000 | a tame wolf; "the dog barked"',
    "00000002 03 n 01 cat 0 000 | a small hunter",
    '00000003 03 n 01 dog 1 001 @ 00000001 n 0000 | a dull fellow; "you dog"; "lucky dog"',
]
VERB = ['00000001 29 v 01 dog 0 001 @ 00000009 v 0000 01 + 08 00 | follow:"dog one\'s steps"']
ADJECTIVE = [
    "00000001 00 a 02 dogged(a) 0 Dogged(ip) 0 000 | stubborn",
    "00000002 00 s 01 hunting 0 001 & 00000001 a 0000 | a small hunter",
]
ADVERB = ["00000001 02 r 01 doggedly 0 001 \\ 00000001 a 0101 | in a stubborn way;"]


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_beir(folder):
    """Two judged queries of three, gains 0 to 3, a title alone and a text alone."""
    corpus = [
        {"_id": "d1", "title": "Owls", "text": "hunt at night"},
        {"_id": "d2", "title": "Hens", "text": ""},
        {"_id": "d3", "text": "Rain falls"},
    ]
    write_jsonl(folder / "corpus.jsonl", corpus)
    queries = [{"_id": f"q{n}", "text": text} for n, text in enumerate(("birds", "sun", "owl"))]
    write_jsonl(folder / "queries.jsonl", queries)
    qrels = "query-id\tcorpus-id\tscore\nq2\td1\t3\nq0\td2\t1\nq0\td1\t2\nq0\td3\t0\nq1\td3\t0\n"
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return str(folder)


def write_wordnet(folder):
    folder.mkdir(parents=True, exist_ok=True)
    licence = ["  1 This software and database is being provided to you"]
    parts = {"noun": NOUN, "verb": VERB, "adj": ADJECTIVE, "adv": ADVERB}
    for part, lines in parts.items():
        (folder / f"data.{part}").write_text("\n".join(licence + lines) + "\n")
    return str(folder)


def write_photos(folder):
    """Write grey squares, five of each of two classes."""
    for number in range(10):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(path)
    return str(folder)


# What each plug-in is given in the contract tests; a new one has a line here if it reads files
GIVEN = {
    "beir": lambda folder: {"path": write_beir(folder / "beir")},
    "image-folder": lambda folder: {"path": write_photos(folder / "photos")},
    "labelled-text": lambda folder: {"path": write_jsonl(folder / "labelled.jsonl", LABELLED)},
    "nli": lambda folder: {"path": write_jsonl(folder / "nli.jsonl", NLI)},
    "sts": lambda folder: {"path": write_jsonl(folder / "sts.jsonl", STS)},
    "text-pairs": lambda folder: {"path": write_jsonl(folder / "pairs.jsonl", PAIRS)},
    "wordnet": lambda folder: {
        "data_dir": folder,
        "path": write_wordnet(folder / "wordnet"),
        "rows": 0,
        "queries": 0,
        "split": "train",
    },
}


@pytest.fixture(params=names("corpora"))
def corpus_again(request, tmp_path):
    """Make the corpus of a plug-in, in a folder of its own each time."""

    def make(folder="once"):
        given = GIVEN.get(request.param, lambda _: {})(tmp_path / folder)
        return load("corpora", request.param)(**given)

    return make


def test_every_corpus_has_different_ids_and_no_empty_text(corpus_again):
    corpus = corpus_again()
    for part in (corpus.documents, corpus.queries):
        assert len(part.ids) == len(set(part.ids)) == len(part.contents) == len(part) > 0
        assert all(content.strip() for content in part.contents)
        assert all(name.split() == [name] for name in part.ids)  # a TREC file is split at spaces


def test_every_corpus_says_what_is_relevant_in_one_way(corpus_again):
    corpus = corpus_again()
    has_labels = corpus.document_labels is not None and corpus.query_labels is not None
    assert [bool(corpus.judgements), has_labels, corpus.scores is not None].count(True) == 1
    documents, queries = set(corpus.documents.ids), set(corpus.queries.ids)
    assert all(q in queries and d in documents and g > 0 for q, d, g in corpus.judgements)
    if corpus.judgements:
        assert {query for query, _, _ in corpus.judgements} == queries
        assert len({(query, row) for query, row, _ in corpus.judgements}) == len(corpus.judgements)
    if has_labels:
        assert corpus.document_labels.dtype == corpus.query_labels.dtype == np.int64
        assert corpus.document_labels.shape == (len(corpus.documents),)
        assert corpus.query_labels.shape == (len(corpus.queries),)
        assert set(corpus.query_labels) <= set(corpus.document_labels)
    if corpus.scores is not None:
        assert corpus.scores.dtype == np.float32
        assert corpus.scores.shape == (len(corpus.documents),) == (len(corpus.queries),)


def test_every_corpus_has_the_fingerprint_of_its_content(corpus_again):
    one, same = corpus_again(), corpus_again("again")
    assert one.fingerprint == same.fingerprint
    assert len(one.fingerprint) == 64


def test_every_corpus_takes_its_files_as_path(tmp_path):
    for name in names("corpora"):
        known = parameters("corpora", name)
        assert "path" in known or not GIVEN.get(name)
        given = GIVEN.get(name, lambda _: {})(tmp_path / name)
        given.pop("data_dir", None)  # the program gives it
        check_arguments("corpora", name, given)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("text-pairs", {"query": "capital of France?", "document": "Lyon"}),
        ("nli", {"premise": "A man naps.", "hypothesis": "No one.", "label": "entailment"}),
        ("sts", {"sentence1": "a", "sentence2": "b", "score": 2.25}),
        ("labelled-text", {"text": "text 0", "label": "b"}),
    ],
)
def test_another_content_is_another_fingerprint(tmp_path, name, changed):
    rows = {"text-pairs": PAIRS, "nli": NLI, "sts": STS, "labelled-text": LABELLED}[name]
    corpora = [
        load("corpora", name)(write_jsonl(tmp_path / "rows.jsonl", [first, *rows[1:]]))
        for first in (rows[0], changed)
    ]
    assert corpora[0].fingerprint != corpora[1].fingerprint


# What each one reads


def test_a_text_of_several_pairs_is_one_query_and_one_document(tmp_path):
    corpus = text_pairs(write_jsonl(tmp_path / "pairs.jsonl", PAIRS))
    assert corpus.queries.ids == ("1", "2", "4")
    assert corpus.documents.texts == ("Paris", "The city of light", "«Ça va» 北京")
    expected = {("1", "1", 1.0), ("2", "1", 1.0), ("1", "3", 1.0), ("4", "4", 1.0)}
    assert set(corpus.judgements) == expected


def test_csv_and_tsv_give_what_jsonl_gives(tmp_path):
    rows = [("q7", 'what is "x"', "d9", "a letter"), ("q8", "and y", "d9", "a letter")]
    header = ("query_id", "query", "document_id", "document")
    (tmp_path / "t.tsv").write_text("".join("\t".join(row) + "\n" for row in (header, *rows)))
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    # as a spreadsheet saves it: a byte-order mark, CRLF, a blank line at the end
    text = "\ufeff" + "\r\n".join([",".join(header), *quoted]) + "\r\n\r\n"
    (tmp_path / "c.csv").write_bytes(text.encode())
    json_rows = [dict(zip(header, row, strict=True)) for row in rows]
    write_jsonl(tmp_path / "j.jsonl", json_rows)
    made = [text_pairs(str(tmp_path / name)) for name in ("t.tsv", "c.csv", "j.jsonl")]
    assert made[0] == made[1] == made[2]
    assert made[0].queries.ids == ("q7", "q8")
    assert made[0].queries.texts == ('what is "x"', "and y")
    assert made[0].judgements == (("q7", "d9", 1.0), ("q8", "d9", 1.0))


def test_a_quoted_cell_goes_over_lines_and_mistakes_still_have_their_line(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('query,document\n"two\nlines",one\nnext,""\n')
    with pytest.raises(UserError, match=r"pairs.csv, line 4: expected a text in 'document'"):
        text_pairs(str(path))


def test_beir_keeps_graded_gains_and_asks_what_is_judged(tmp_path):
    corpus = beir(write_beir(tmp_path / "beir"))
    assert corpus.documents.ids == ("d1", "d2", "d3")
    assert corpus.documents.texts == ("Owls hunt at night", "Hens", "Rain falls")
    assert corpus.queries.ids == ("q0", "q2")  # q1 has a gain of 0 only
    assert corpus.queries.texts == ("birds", "owl")
    assert set(corpus.judgements) == {("q2", "d1", 3.0), ("q0", "d2", 1.0), ("q0", "d1", 2.0)}
    assert corpus.query_set == "test"


def test_labelled_text_draws_queries_by_seed_and_leaves_each_label_a_document(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [*LABELLED, {"text": "alone", "label": "d"}])
    one, same, other = (labelled_text(path, share=0.2, seed=seed) for seed in (0, 0, 1))
    assert len(one.queries) == 6  # a fifth of 31
    assert one.queries == same.queries != other.queries
    assert set(one.documents.ids) | set(one.queries.ids) == {str(n) for n in range(1, 32)}
    assert not set(one.documents.ids) & set(one.queries.ids)
    most = labelled_text(path, share=0.99)
    assert len(most.documents) == len(set(most.document_labels)) == 4
    assert "alone" in most.documents.texts
    for corpus in (one, most):  # line n has label n - 1 modulo 3
        for part, labels in (
            (corpus.documents, corpus.document_labels),
            (corpus.queries, corpus.query_labels),
        ):
            expected = [3 if name == "31" else (int(name) - 1) % 3 for name in part.ids]
            assert labels.tolist() == expected


def test_labels_are_words_or_numbers(tmp_path):
    rows = [{"text": f"text {n}", "label": ("world news", 7)[n % 2]} for n in range(4)]
    corpus = labelled_text(write_jsonl(tmp_path / "rows.jsonl", rows), share=0.25)
    labels = [*corpus.document_labels, *corpus.query_labels]
    ids = [*corpus.documents.ids, *corpus.queries.ids]
    # "7" comes before "world news", which the odd lines have
    assert [1 if int(name) % 2 else 0 for name in ids] == labels


def test_labelled_text_takes_queries_of_a_second_file(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", LABELLED)
    queries = write_jsonl(tmp_path / "asked.jsonl", [{"text": "new", "label": "c"}])
    corpus = labelled_text(path, queries_path=queries)
    assert len(corpus.documents) == 30
    assert corpus.queries.texts == ("new",)
    assert corpus.query_labels.tolist() == [2]
    unknown = write_jsonl(tmp_path / "asked.jsonl", [{"text": "new", "label": "z"}])
    with pytest.raises(UserError, match=r"asked.jsonl, line 1: expected a label .* got 'z'"):
        labelled_text(path, queries_path=unknown)


def test_nli_keeps_entailment_with_each_premise_and_hypothesis_once(tmp_path):
    corpus = nli(write_jsonl(tmp_path / "nli.jsonl", NLI))
    assert corpus.queries.texts == ("A dog runs.", "A man naps.", "A hen runs.")
    assert corpus.documents.texts == ("An animal moves.", "A person rests.")
    assert set(corpus.judgements) == {("1", "1", 1.0), ("3", "3", 1.0), ("4", "1", 1.0)}
    numbers = {"entailment": 0, "contradiction": 2}
    rows = [row | {"label": numbers[row["label"]]} for row in NLI]
    assert nli(write_jsonl(tmp_path / "n.jsonl", rows), entailment="0") == corpus


def test_sts_keeps_row_by_row(tmp_path):
    corpus = sts(write_jsonl(tmp_path / "sts.jsonl", STS))
    assert corpus.queries.texts == ("a", "a", "c")
    assert corpus.documents.texts == ("b", "a", "b")
    assert corpus.scores.tolist() == [2.5, 5, 0]


# WordNet


def all_lemmas(folder, split, **given):
    return wordnet(folder, rows=0, queries=0, split=split, path=str(folder), **given)


def test_wordnets_lemmas_ask_for_the_definitions_of_all_their_meanings(tmp_path):
    write_wordnet(tmp_path)
    parts = [all_lemmas(tmp_path, split) for split in ("train", "test")]
    assert not set(parts[0].queries.ids) & set(parts[1].queries.ids)
    assert parts[0].documents == parts[1].documents
    found = dict(zip(parts[0].documents.ids, parts[0].documents.texts, strict=True))
    assert found == {
        "n00000001": "a tame wolf",
        "n00000002": "a small hunter",  # a00000002 has the same definition
        "n00000003": "a dull fellow",
        "v00000001": "follow",
        "a00000001": "stubborn",
        "r00000001": "in a stubborn way",
    }
    relevant = {}
    for query, document, gain in (*parts[0].judgements, *parts[1].judgements):
        assert gain == 1
        relevant.setdefault(query, set()).add(document)
    assert relevant == {
        "dog": {"n00000001", "n00000003", "v00000001"},
        "hound_dog": {"n00000001"},
        "cat": {"n00000002"},
        "hunting": {"n00000002"},
        "dogged": {"a00000001"},
        "doggedly": {"r00000001"},
    }
    texts = {
        name: text
        for part in parts
        for name, text in zip(part.queries.ids, part.queries.texts, strict=True)
    }
    assert texts == {name: name.replace("_", " ") for name in relevant}


def test_wordnets_pool_and_lemmas_are_drawn_by_seed_and_splits_never_mix(tmp_path):
    words = [f"word{n}" for n in range(400)]
    write_wordnet(tmp_path)
    lines = [f"{n:08} 03 n 01 {word} 0 000 | meaning {n}" for n, word in enumerate(words)]
    (tmp_path / "data.noun").write_text("\n".join(lines))

    def made(seed, split="train", rows=100, queries=20):
        return wordnet(tmp_path, rows, queries, seed, split, str(tmp_path))

    one, same, other = made(0), made(0), made(1)
    assert len(one.documents) == 100
    assert len(one.queries) == 20
    assert one == same
    assert one.documents.ids != other.documents.ids
    assert set(one.documents.ids) == set(made(0, "test", queries=0).documents.ids)
    asked = [
        set(made(seed, split, 0, 0).queries.ids) for seed in (0, 5) for split in ("train", "test")
    ]
    assert asked[:2] == asked[2:]
    assert not asked[0] & asked[1]
    assert 0.1 < len(asked[1]) / 400 < 0.3  # about one in five
    assert all(is_held_out(word) for word in asked[1])
    with pytest.raises(UserError, match=r"rows: expected 1 to \d+, or 0 for all, got 9999"):
        made(0, rows=9999)
    with pytest.raises(UserError, match=r"queries: expected 1 to \d+, or 0 for all, got 9999"):
        made(0, queries=9999)


def test_synsets_have_words_pointers_and_gloss(tmp_path):
    write_wordnet(tmp_path)
    (verb,) = read_synsets(tmp_path / "data.verb")
    assert verb.words == ("dog",)
    assert verb.pointers == (("@", "00000009", "v"),)  # the frames behind it are none
    first = next(read_synsets(tmp_path / "data.noun"))
    assert (first.offset, first.part, first.words) == ("00000001", "n", ("Dog", "hound_dog"))
    assert first.gloss == 'a tame wolf; "the dog barked"'


@pytest.mark.parametrize(
    "line",
    [
        "0001 03 n 01 cat 0 000 | the offset is short",
        "00000001 03 n 02 cat 0 000 | a word is missing",
        "00000001 03 n 01 cat 0 002 @ 00000003 n 0000 | a pointer is missing",
        "00000001 03 n 01 cat 0 000",
        "00000001 03 n",
    ],
)
def test_a_line_that_is_no_synset_is_refused_by_number(tmp_path, line):
    write_wordnet(tmp_path)
    (tmp_path / "data.noun").write_text(f"{NOUN[0]}\n{line}\n")
    with pytest.raises(UserError, match=r"data.noun, line 2: expected a synset of WordNet"):
        all_lemmas(tmp_path, "test")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Make the files that a test writes WordNet's published ones; no network."""
    source = Path(write_wordnet(tmp_path / "source"))
    sums = {
        name: sha256((source / name).read_bytes()).hexdigest() for name in wordnet_module.CHECKSUMS
    }
    files = wordnet_module.FILES
    own = downloads.Published("wordnet", files.what, sums, files.package, files.package_folder)
    monkeypatch.setattr(wordnet_module, "FILES", own)
    monkeypatch.setattr(downloads, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr("shutil.which", lambda _: None)
    return source


def test_wordnet_is_taken_from_an_installed_package_verified_and_found_again(
    published, tmp_path, monkeypatch
):
    installed = tmp_path / "system" / "usr/share/wordnet"
    installed.mkdir(parents=True)
    for file in published.iterdir():  # Debian may pack them or not
        (installed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    data = tmp_path / "data"
    corpus = wordnet(data, rows=0, queries=0, split="train")
    assert corpus == all_lemmas(published, "train")
    monkeypatch.setattr(downloads, "SYSTEM", tmp_path / "nowhere")
    assert wordnet(data, rows=0, queries=0, split="train") == corpus
    (data / "WordNet-3.0" / "data.adv").write_text("cut")
    with pytest.raises(UserError, match=r"corrupted file .*data.adv: expected SHA-256"):
        wordnet(data, rows=0, queries=0)


def test_wordnet_that_cannot_be_had_lists_the_ways_to_get_it(published, tmp_path):
    with pytest.raises(UserError, match=r"wordnet is not in .* `apt-get install wordnet-base`"):
        wordnet(tmp_path / "data")
    assert not (tmp_path / "data" / "WordNet-3.0").exists()
    with pytest.raises(UserError, match=r"expected data.noun, data.verb, data.adj, data.adv in"):
        wordnet(tmp_path, path=str(tmp_path / "none"))


@pytest.mark.slow
def test_wordnet_from_debian(tmp_path):
    corpus = wordnet(tmp_path)
    assert len(corpus.documents) == 20_000
    assert len(corpus.queries) == 2000
    whole = wordnet(tmp_path, rows=0, queries=0)
    gloss = dict(zip(whole.documents.ids, whole.documents.texts, strict=True))
    assert gloss["n00001740"].startswith("that which is perceived or known or inferred")


# Bad files: one line with the file and the line number


@pytest.fixture
def refused(tmp_path):
    """Read a bad file and give the one line."""

    def message(name, content, file="rows.jsonl", **given):
        path = tmp_path / file
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UserError) as error:
            load("corpora", name)(str(path), **given)
        assert "\n" not in str(error.value)
        return str(error.value)

    return message


GOOD = '{"query": "a", "document": "b"}\n'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD + '{"query": "a"}', "rows.jsonl, line 2: expected query, document, got query"),
        (
            GOOD + "\n" + '{"query": " ", "document": "b"}',
            "line 3: expected a text in 'query', got",
        ),
        (GOOD + '{"query": null, "document": "b"}', "line 2: expected a text in 'query', got null"),
        (GOOD + '{"query": 3, "document": "b"}', "line 2: expected a text in 'query', got 3"),
        (GOOD + '{"query": "a", ', "line 2: expected JSON: "),
        (GOOD + '["a", "b"]', 'line 2: expected an object, got ["a", "b"]'),
        (GOOD.encode() + b'{"query": "caf\xe9"}', "line 2: expected UTF-8"),
        ('{"query": "\\ud800", "document": "b"}', "line 1: expected UTF-8 in 'query'"),
        ("", "expected rows of query, document, got none"),
    ],
)
def test_bad_json_lines(refused, content, expected):
    assert expected in refused("text-pairs", content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("query,answer\na,b\n", "rows.csv, line 1: expected query, document, got query, answer"),
        ("query,document\na,b\na,b,c\n", "rows.csv, line 3: expected 2 cells, got 3"),
        ("query,document\na,b\na,\n", "rows.csv, line 3: expected a text in 'document', got"),
        ('query,document\na,b\na,"b', "rows.csv, line 3: unexpected end of data"),
        (b"query,document\na,b\na,\xff\n", "rows.csv, line 3: expected UTF-8"),
        ("query,document\n", "expected rows of query, document, got none"),
    ],
)
def test_bad_tables(refused, content, expected):
    assert expected in refused("text-pairs", content, "rows.csv")


def test_files_that_are_not_there_or_of_another_kind(refused, tmp_path):
    assert "expected a file *.jsonl, *.csv or *.tsv" in refused("text-pairs", "", "rows.xlsx")
    with pytest.raises(UserError, match=r"none.jsonl, got no such file"):
        text_pairs(str(tmp_path / "none.jsonl"))


def test_ids_of_two_texts_and_ids_with_spaces(refused):
    rows = [{"query_id": "1", "query": "a", "document": "b"}]
    rows.append({"query_id": "1", "query": "c", "document": "d"})
    content = "".join(json.dumps(row) + "\n" for row in rows)
    assert "line 2: expected an id for each text, got '1'" in refused("text-pairs", content)
    content = json.dumps(rows[0] | {"query_id": None})
    assert "line 1: expected a name in 'query_id', got null" in refused("text-pairs", content)
    content = json.dumps(rows[0] | {"query_id": "1 2"})
    assert "line 1: expected a name without spaces in 'query_id'" in refused("text-pairs", content)


@pytest.mark.parametrize("score", ['"high"', "null", "true", "NaN", "1e999"])
def test_scores_that_are_no_number(refused, score):
    content = f'{{"sentence1": "a", "sentence2": "b", "score": {score}}}'
    assert "rows.jsonl, line 1: expected a number in 'score'" in refused("sts", content)


def test_scores_that_cannot_be_correlated(refused):
    content = "sentence1,sentence2,score\n" + "a,b,1\n" * 5
    assert "expected at least 3 pairs that differ in score, got 5 pairs of 1" in refused(
        "sts", content, "rows.csv"
    )


def test_labels_that_nothing_can_be_drawn_from_or_entails(refused):
    content = "text,label\na,x\nb,y\n"
    assert "expected a label of several texts" in refused("labelled-text", content, "rows.csv")
    assert "share: expected between 0 and 1, got 1.5" in refused(
        "labelled-text", content, "rows.csv", share=1.5
    )
    content = "premise,hypothesis,label\na,b,neutral\n"
    assert "expected rows with the label 'entailment', got ['neutral']" in refused(
        "nli", content, "rows.csv"
    )


@pytest.mark.parametrize(
    ("judgements", "expected"),
    [
        ("q9\td1\t1\n", "test.tsv, line 2: expected an id of queries.jsonl, got 'q9'"),
        ("q0\td9\t1\n", "test.tsv, line 2: expected an id of corpus.jsonl, got 'd9'"),
        ("q0\td1\tgood\n", "test.tsv, line 2: expected a number in 'score', got \"good\""),
        ("q0\td1\t1\nq0\td1\t2\n", "line 3: expected one score for q0 and d1, got 1.0 before"),
        ("q0\td1\t0\n", "expected a score above 0, got none in 1 judgements"),
        ("", "expected rows of query-id, corpus-id, score, got none"),
    ],
)
def test_bad_judgements_of_beir(tmp_path, judgements, expected):
    folder = Path(write_beir(tmp_path / "beir"))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judgements)
    assert expected in one_line(folder)
    (folder / "qrels" / "test.tsv").write_text("q0\td1\t1\n")
    assert "test.tsv, line 1: expected query-id, corpus-id, score, got q0" in one_line(folder)


@pytest.mark.parametrize(
    ("file", "rows", "expected"),
    [
        (
            "corpus",
            ['"d1", "text": "a"', '"d1", "text": "b"'],
            "2: expected different ids, got 'd1'",
        ),
        ("corpus", ['"d1", "title": "", "text": ""'], "1: expected a text in 'text', got \"\""),
        ("corpus", ['"d1", "title": 3, "text": "a"'], "1: expected a text in 'title', got 3"),
        ("queries", ['"q1"'], "1: expected _id, text, got _id"),
    ],
)
def test_bad_texts_of_beir(tmp_path, file, rows, expected):
    folder = Path(write_beir(tmp_path / "beir"))
    content = "".join(f'{{"_id": {row}}}\n' for row in rows)
    (folder / f"{file}.jsonl").write_text(content)
    assert f"{file}.jsonl, line {expected}" in one_line(folder)


def one_line(folder):
    with pytest.raises(UserError) as error:
        beir(str(folder))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_split_that_beir_does_not_have(tmp_path):
    folder = write_beir(tmp_path / "beir")
    with pytest.raises(UserError, match=r"dev.tsv, got no such file; splits there: test"):
        beir(folder, split="dev")
