"""Encode once: the cache, runs that were killed, and the whole path through the command line."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from mrlbench import corpora, encoders, measurements
from mrlbench.embedding import vector_store
from mrlbench.embedding.corpus import Writing, embed_corpus
from mrlbench.embedding.folder import open_embeddings
from mrlbench.embedding.vector_store import VectorStore
from mrlbench.errors import UserError
from mrlbench.protocols import Corpus, Texts

TOPICS = {
    "sport": "the team won the football match with a late goal",
    "music": "the orchestra played a symphony by the composer",
    "food": "bake the bread in a hot oven with butter and flour",
}


class Counting:
    """An encoder whose vectors are worked out by hand: counts of the letters a to d, and 1."""

    trained_dims = (2, 4)
    steps = ("count letters",)

    def __init__(self, revision="1", prompt="", widths=()):
        self.identity = {
            "encoder": "counting",
            "model": "counting",
            "revision": revision,
            "query_prompt": prompt,
        }
        self.seen = []
        self._widths = list(widths)

    def encode(self, items, role):
        self.seen += [(role, item) for item in items]
        width = self._widths.pop(0) if self._widths else 5
        rows = [[item.count(letter) for letter in "abcd"] + [1] for item in items]
        return np.array(rows, dtype=np.float32)[:, :width]


def texts(*words, start=0):
    return Texts(tuple(f"t{start + n}" for n in range(len(words))), words)


def write(out, encoder, documents, queries, **how):
    more = {key: how.pop(key) for key in list(how) if key not in ("cache", "dtype", "batch")}
    corpus = Corpus(texts(*documents), texts(*queries), **more)
    return embed_corpus(encoder, corpus, Writing(out, **how))


def test_vectors_are_those_of_the_encoder_in_the_order_of_the_corpus(tmp_path):
    write(tmp_path, Counting(), ["abba", "cd", "d"], ["ab", "cc"], batch=2)
    found = open_embeddings(tmp_path)
    np.testing.assert_array_equal(
        found.database, [[2, 2, 0, 0, 1], [0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]
    )
    np.testing.assert_array_equal(found.queries, [[1, 1, 0, 0, 1], [0, 0, 2, 0, 1]])
    assert found.relevance is None
    assert found.meta["trained_dims"] == [2, 4]
    assert found.meta["steps"] == ["count letters"]
    assert found.meta["model"] == "counting"


def test_a_second_run_with_more_documents_encodes_only_the_new_ones(tmp_path):
    write(tmp_path, Counting(), ["a", "b"], ["c"])
    again = Counting()
    done = write(tmp_path, again, ["b", "d", "a"], ["c"])
    assert again.seen == [("document", "d")]
    assert (done.now, done.all) == (1, 4)
    database = np.load(tmp_path / "database.npy")
    np.testing.assert_array_equal(database[:, :4], [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]])


def test_duplicated_texts_are_encoded_once_for_each_role(tmp_path):
    encoder = Counting()
    done = write(tmp_path, encoder, ["a", "b", "a", "a"], ["a", "a"], batch=2)
    assert encoder.seen == [("document", "a"), ("document", "b"), ("query", "a")]
    assert (done.now, done.all) == (3, 3)
    assert np.load(tmp_path / "database.npy")[:, 0].tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("change", [{"revision": "2"}, {"prompt": "query: "}])
def test_another_revision_or_prompt_never_mixes(tmp_path, change):
    write(tmp_path, Counting(), ["a"], ["b"])
    other = Counting(**change)
    write(tmp_path, other, ["a"], ["b"])
    assert len(other.seen) == 2
    back = Counting()
    write(tmp_path, back, ["a"], ["b"])  # and the first are still there
    assert back.seen == []


def test_the_same_text_in_two_roles_has_two_keys(tmp_path):
    store = VectorStore(tmp_path, {"model": "one"})
    keys = {store.key("document", "a"), store.key("query", "a"), store.key("query", "b")}
    other = VectorStore(tmp_path, {"model": "two"})
    assert len(keys | {other.key("query", "a")}) == 4


def test_a_cache_is_shared_between_folders(tmp_path):
    cache = tmp_path / "cache"
    write(tmp_path / "one", Counting(), ["a", "b"], ["c"], cache=cache)
    other = Counting()
    write(tmp_path / "two", other, ["b"], ["c", "d"], cache=cache)
    assert other.seen == [("query", "d")]
    assert not (tmp_path / "two" / "cache").exists()


def test_widths_that_change_are_refused_and_what_was_encoded_is_kept(tmp_path):
    with pytest.raises(UserError, match="expected vectors of 5 dims, as all before, got 3"):
        write(tmp_path, Counting(widths=[5, 3]), ["a", "b", "c"], ["d"], batch=1)
    assert not (tmp_path / "database.npy").exists()
    again = Counting()
    write(tmp_path, again, ["a", "b", "c"], ["d"])
    assert [text for _, text in again.seen] == ["b", "c", "d"]
    with pytest.raises(UserError, match="expected vectors of 5 dims, as all before, got 4"):
        write(tmp_path, Counting(widths=[4]), ["a", "abe"], ["d"])


def test_an_encoder_that_fails_keeps_what_it_gave(tmp_path):
    class Failing(Counting):
        def encode(self, items, role):
            if len(self.seen) == 2:
                raise UserError("no more")
            return super().encode(items, role)

    with pytest.raises(UserError, match="no more"):
        write(tmp_path, Failing(), ["a", "b", "c"], ["d"], batch=1)
    again = Counting()
    write(tmp_path, again, ["a", "b", "c"], ["d"])
    assert [text for _, text in again.seen] == ["c", "d"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_vectors_without_a_direction_are_refused_by_id(tmp_path, value):
    class Broken(Counting):
        def encode(self, items, role):
            vectors = super().encode(items, role)
            vectors[[item == "bad" for item in items]] = value
            return vectors

    with pytest.raises(UserError, match=f"document 't1': expected a finite .* is {value:g}"):
        write(tmp_path, Broken(), ["a", "bad"], ["d"])


@pytest.mark.parametrize("empty", ["", " \n\t"])
def test_empty_texts_are_refused_by_id_before_encoding(tmp_path, empty):
    encoder = Counting()
    with pytest.raises(UserError, match="^query 't1': expected a text, got an empty one$"):
        write(tmp_path, encoder, ["a"], ["b", empty])
    assert encoder.seen == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"judgements": (("t0", "nobody", 1.0),)}, "document 'nobody': expected ids of the corpus"),
        ({"document_labels": np.zeros(3, "i8"), "query_labels": np.zeros(1, "i8")}, "expected 2"),
        ({"document_labels": np.zeros(2, "i8")}, "got only one of them"),
        ({"scores": np.ones(1, "f4")}, "expected pairs, got 2 documents and 1 queries"),
    ],
)
def test_a_corpus_that_does_not_fit_together_is_refused_before_encoding(tmp_path, more, message):
    encoder = Counting()
    with pytest.raises(UserError, match=message):
        write(tmp_path, encoder, ["a", "b"], ["c"], **more)
    assert encoder.seen == []


def test_ids_that_qrels_cannot_hold_or_that_stand_twice_are_refused(tmp_path):
    spaced = Texts(("one two",), ("a",))
    corpus = Corpus(spaced, texts("b"), judgements=(("t0", "one two", 1.0),))
    with pytest.raises(UserError, match="id 'one two': expected no white space"):
        embed_corpus(Counting(), corpus, Writing(tmp_path))
    twice = Texts(("x", "y", "x"), ("a", "b", "c"))
    with pytest.raises(UserError, match="different ids of each document, got 'x' twice"):
        embed_corpus(Counting(), Corpus(twice, texts("b")), Writing(tmp_path))


def gains_of(embeddings):
    """The judgements of each query: database row -> gain above 0."""
    rows = np.arange(len(embeddings.database))
    judged = embeddings.relevance.judge(np.tile(rows, (len(embeddings.queries), 1)))
    return [{int(row): float(each[row]) for row in np.flatnonzero(each)} for each in judged.gains]


def test_judgements_labels_and_scores_are_written_and_old_ones_go(tmp_path):
    judged = {"judgements": (("t0", "t1", 2.0), ("t1", "t0", 0.5))}
    write(tmp_path, Counting(), ["a", "b"], ["c", "d"], **judged)
    gains = gains_of(open_embeddings(tmp_path))
    assert gains == [{1: 2.0}, {0: 0.5}]
    labels = {"document_labels": np.array([3, 4]), "query_labels": np.array([4, 3])}
    write(tmp_path, Counting(), ["a", "b"], ["c", "d"], **labels)
    relevance = open_embeddings(tmp_path).relevance
    assert relevance.database.tolist() == [3, 4]
    assert relevance.queries.tolist() == [4, 3]
    assert not (tmp_path / "qrels.tsv").exists()
    scores = {"scores": np.array([0.5, 4.0], "f4")}
    write(tmp_path, Counting(), ["a", "b"], ["c", "d"], **scores)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), [0.5, 4.0])
    assert open_embeddings(tmp_path).relevance is None


def test_what_did_not_change_is_not_written_again(tmp_path):
    write(tmp_path, Counting(), ["a"], ["b"])
    before = (tmp_path / "database.npy").stat().st_mtime_ns
    write(tmp_path, Counting(), ["a"], ["b"])
    assert (tmp_path / "database.npy").stat().st_mtime_ns == before
    write(tmp_path, Counting(), ["a"], ["b"], dtype="float16")
    assert np.load(tmp_path / "database.npy").dtype == np.float16


def test_values_that_float16_cannot_hold_are_refused(tmp_path):
    with pytest.raises(UserError, match="--dtype: expected float32"):
        write(tmp_path, Counting(), ["a" * 70_000], ["b"], dtype="float16")


def test_somebody_elses_vectors_are_not_written_over(tmp_path):
    np.save(tmp_path / "database.npy", np.ones((2, 3), "f"))
    encoder = Counting()
    with pytest.raises(UserError, match="--out: expected a new folder or one that embed wrote"):
        write(tmp_path, encoder, ["a"], ["b"])
    assert encoder.seen == []


def test_a_damaged_shard_is_encoded_again(tmp_path, caplog):
    write(tmp_path, Counting(), ["a", "b"], ["c"])
    (shard,) = (tmp_path / "cache").glob("*/*.npy")
    shard.write_bytes(shard.read_bytes()[:-8])
    again = Counting()
    write(tmp_path, again, ["a", "b"], ["c"])
    assert len(again.seen) == 3
    assert "damaged" in caplog.text
    (tmp_path / "database.npy").unlink()
    write(tmp_path, Counting(), ["a", "b"], ["c"])
    assert len(again.seen) == 3
    assert np.load(tmp_path / "database.npy")[:, :2].tolist() == [[1, 0], [0, 1]]


def test_shards_are_added_while_the_work_goes_on_and_read_together(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_store, "SECONDS_BETWEEN_SHARDS", -1.0)
    store = VectorStore(tmp_path, {"model": "m"})
    keys = [store.key("query", str(n)) for n in range(6)]
    for n in range(0, 6, 2):
        store.add(keys[n : n + 2], np.array([[n, 1], [n + 1, 1]], "f"))
    store.flush()
    assert len(list(tmp_path.glob("*/*.keys"))) == 3
    for each in (store, VectorStore(tmp_path, {"model": "m"})):
        order = [5, 0, 3, 3, 1]
        read = each.read([keys[n] for n in order])
        np.testing.assert_array_equal(read, [[n, 1] for n in order])


def test_two_processes_may_add_to_one_store(tmp_path):
    one, other = (VectorStore(tmp_path, {"model": "m"}) for _ in range(2))
    keys = [one.key("query", str(n)) for n in range(3)]
    one.add(keys[:2], np.array([[0, 1], [1, 1]], "f"))
    other.add(keys[1:], np.array([[1, 1], [2, 1]], "f"))
    one.flush()
    other.flush()
    again = VectorStore(tmp_path, {"model": "m"})
    np.testing.assert_array_equal(again.read(keys), [[0, 1], [1, 1], [2, 1]])


SLOW_ENCODER = '''
"""An encoder that takes its time, and writes down what it was asked."""
import time
from pathlib import Path
import numpy as np

def {name}(log: str, seconds: float = 0.0):
    """Count letters slowly."""
    return Slow(log, seconds)

class Slow:
    identity = {{"encoder": "{name}", "model": "slow"}}
    trained_dims = ()
    steps = ("count letters",)
    def __init__(self, log, seconds):
        self.log, self.seconds = Path(log), seconds
    def encode(self, items, role):
        time.sleep(self.seconds)
        with self.log.open("a") as file:
            file.writelines(item + "\\n" for item in items)
        return np.array([[len(item), float(item.split()[-1]) + 1] for item in items], "f")
'''
NUMBERED_CORPUS = '''
"""A corpus of numbered texts."""
from mrlbench.protocols import Corpus, Texts

def numbered(count: int = 40):
    """Number some texts."""
    numbers = tuple(range(count))
    documents = Texts(tuple(f"d{n}" for n in numbers), tuple(f"text {n}" for n in numbers))
    queries = Texts(("q0", "q1"), ("text 3", "text 5"))
    judged = (("q0", "d3", 1.0), ("q1", "d5", 1.0))
    return Corpus(documents, queries, judgements=judged)
'''
KILLED = """
import sys
from mrlbench import cli, corpora, encoders
from mrlbench.embedding import vector_store
vector_store.SECONDS_BETWEEN_SHARDS = -1.0
encoders.__path__.append(sys.argv[1])
corpora.__path__.append(sys.argv[2])
sys.argv = ["mrlbench", *sys.argv[3:]]
cli.main()
"""


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Add an encoder `slow-count` and a corpus `numbered` to the plug-ins."""
    folders = [tmp_path / "more_encoders", tmp_path / "more_corpora"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "slow_count.py").write_text(SLOW_ENCODER.format(name="slow_count"))
    (folders[1] / "numbered.py").write_text(NUMBERED_CORPUS)
    for package, folder in zip((encoders, corpora), folders, strict=True):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield folders
    for name in ("mrlbench.encoders.slow_count", "mrlbench.corpora.numbered"):
        sys.modules.pop(name, None)


def test_a_killed_run_goes_on_where_it_was(mrlbench, plugins, tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    command = ("embed", "--model=slow-count", "--data=numbered", f"--out={out}", "--batch=2")
    settings = ("--set", f"model.log={log}", "--device=cpu", "--threads=1")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *plugins, *command, *settings, "--set=model.seconds=0.2"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < 6:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = log.read_text().splitlines()
    assert 6 <= len(before) < 40
    assert not (out / "database.npy").exists()
    log.unlink()
    status, said, err = mrlbench(*command, *settings)
    assert status == 0, err
    after = log.read_text().splitlines()
    assert len(before) + len(after) - 42 in (0, 2)  # the batch under way may be encoded twice
    assert f"encoded {len(after)} of 42 texts; wrote {out}" in said
    found = open_embeddings(out)
    np.testing.assert_array_equal(found.database[:, 1], np.arange(40) + 1)
    assert gains_of(found) == [{3: 1.0}, {5: 1.0}]


def test_the_command_line_refuses_what_it_cannot_do_in_one_line(mrlbench, plugins, tmp_path):
    whole = ("--model=slow-count", "--data=numbered", f"--out={tmp_path / 'out'}")
    for arguments, message in (
        (whole[:2], "expected --data CORPUS and --out DIR (and --model), got only some of them"),
        ((tmp_path, *whole), "expected a run, or --model, --data and --out, got some of both"),
        ((*whole, "--dtype=int8"), "--dtype: expected float32 or float16, got 'int8'"),
        ((*whole, "--set=count=3"), "expected model.KEY=VALUE or data.KEY=VALUE, got 'count=3'"),
        ((*whole, "--set=data.count"), "--set: expected key=value such as data.path=FILE"),
        ((*whole, "--set=data.cuont=3"), "cuont: Extra inputs are not permitted"),
        (("--dtype=float16",), "expected --data CORPUS and --out DIR (and --model), got only"),
        (whole, "encoders slow-count: log: Field required"),
        ((whole[0], "--data=nothing", whole[2]), "no 'nothing' among corpora"),
    ):
        status, out, err = mrlbench("embed", *arguments)
        assert (status, out) == (2, ""), message
        assert message in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "out" / "database.npy").exists()


def test_texts_are_embedded_by_the_default_model_and_measured(mrlbench, tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    labelled = textwrap.dedent(
        f'''
        """Sentences of three topics."""
        import numpy as np
        from mrlbench.protocols import Corpus, Texts

        def topics():
            """Give sentences of three topics."""
            sentences = {list(TOPICS.values())!r}
            documents = [f"{{each}} {{more}}" for each in sentences for more in ("one", "two")]
            queries = ["a goal in the second half of the match", "a concert with a violin and a "
                       "choir", "a cake with butter and sugar from the oven"]
            ids = tuple(map(str, range(6)))
            return Corpus(Texts(ids, tuple(documents)), Texts(ids[:3], tuple(queries)),
                          document_labels=np.array([0, 0, 1, 1, 2, 2]),
                          query_labels=np.array([0, 1, 2]), query_set="questions")
        '''
    )
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "topics.py").write_text(labelled)
    monkeypatch.setattr(corpora, "__path__", [str(tmp_path / "plugins")])
    folder, results = tmp_path / "topics", tmp_path / "measured"
    common = ("--threads=1", "--device=cpu")
    status, out, err = mrlbench(
        "embed", "--model=wordllama", "--data=topics", f"--out={folder}", *common
    )
    assert status == 0, err
    assert "steps: mean of token vectors" in out
    assert f"encoded 9 of 9 texts; wrote {folder}" in out
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["trained_dims"] == [64, 128, 256]
    assert meta["encoder"] == {"name": "wordllama"}
    status, _, err = mrlbench(
        *("eval-retrieval", "--embeddings", folder, "--out", results, "--k=2", "-q"),
        *("--baselines=", *common),
    )
    assert status == 0, err
    table = measurements.read(results / "retrieval.csv")
    rows = table[table["metric"] == "precision@2"]
    assert rows["dim"].tolist() == [64, 128, 256]  # those that the model was trained at
    assert rows["value"].tolist() == [1, 1, 1]  # topics far apart: every word model can do this
    assert set(rows["queries"]) == {"questions"}
