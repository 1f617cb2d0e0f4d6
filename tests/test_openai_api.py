"""The API encoder against a real server on this machine: order, retries, failures, and the key."""

import base64
import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mrlbench import corpora, http_client
from mrlbench.arrays import prefix
from mrlbench.errors import UserError
from mrlbench.plugins import make

KEY = "sk-a-key-of-this-test-only"
WIDTH = 6


def vector(text):
    """Give a vector that tells texts apart, by a rule that the test can repeat."""
    seed = sum(ord(letter) * (place + 1) for place, letter in enumerate(text))
    return np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32)


class Service:
    """What the server was asked, and what it does instead of answering well, in order."""

    def __init__(self):
        self.asked = []  # (JSON, headers) of each request
        self.faults = []  # functions that answer in its place
        self.together = self.most_together = 0
        self.shorten = lambda vectors, dim: prefix(vectors, dim)

    @property
    def inputs(self):
        return [asked["input"] for asked, _ in self.asked]

    def answer(self, asked):
        """Make a good answer, last vector first."""
        vectors = np.stack([vector(text) for text in asked["input"]])
        if "dimensions" in asked:
            vectors = self.shorten(vectors, asked["dimensions"])
        data = [
            {"object": "embedding", "index": index, "embedding": self.encode(asked, each)}
            for index, each in enumerate(vectors)
        ]
        return {"object": "list", "model": asked["model"], "data": data[::-1]}

    def encode(self, asked, each):
        if asked["encoding_format"] == "base64":
            return base64.b64encode(each.astype("<f4").tobytes()).decode()
        return each.tolist()


@pytest.fixture
def service(monkeypatch):
    """Serve on loopback from a thread."""
    state, lock = Service(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                state.asked.append((asked, dict(self.headers)))
                fault = state.faults.pop(0) if state.faults else None
                state.together += 1
                state.most_together = max(state.most_together, state.together)
            try:
                if fault is not None:
                    fault(self, asked)
                elif self.headers["Authorization"] != f"Bearer {KEY}":
                    message = f"Incorrect API key provided: {self.headers['Authorization']}"
                    self.reply({"error": {"message": message}}, 401)
                else:
                    self.reply(state.answer(asked))
            finally:
                with lock:
                    state.together -= 1

        def reply(self, content, status=200, headers=()):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def waits(monkeypatch):
    """Note the pauses in place of making them."""
    noted = []
    monkeypatch.setattr(http_client, "sleep", noted.append)
    return noted


def status(code, content=None, **headers):
    """Answer with a status; headers with underscores for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, asked: handler.reply(content or {"error": {}}, code, named)


def changed(service, change):
    """Answer well, but for a change."""

    def fault(handler, asked):
        answer = service.answer(asked)
        handler.reply(change(answer) or answer)

    return fault


def drop(handler, asked):
    """Close the connection without a word."""
    handler.close_connection = True


def stop_in_the_middle(handler, asked):
    """Promise more bytes than are sent."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.close_connection = True


def not_json(handler, asked):
    handler.reply(b'{"data": [{"index": 0, "embe')


def encoder(service, **arguments):
    given = {"model": "small", "base_url": service.url, "tries": 3} | arguments
    return make("encoders", "openai-api", given)


TEXTS = ["one", "two", "three", "four", "five"]
EXPECTED = np.stack([vector(text) for text in TEXTS])


@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_vectors_come_in_the_order_of_the_texts_and_of_full_width(service, encoding):
    made = encoder(service, encoding=encoding, batch=2)
    np.testing.assert_allclose(made.encode(TEXTS, "document"), EXPECTED, rtol=1e-6)
    assert sorted(map(tuple, service.inputs)) == [("five",), ("one", "two"), ("three", "four")]
    for asked, headers in service.asked:
        assert asked["encoding_format"] == encoding
        assert asked["model"] == "small"
        assert "dimensions" not in asked
        assert headers["Authorization"] == f"Bearer {KEY}"


def test_a_server_that_answers_in_another_encoding_than_asked_is_understood(service):
    service.encode = lambda asked, each: each.tolist()
    np.testing.assert_allclose(encoder(service).encode(TEXTS, "query"), EXPECTED, rtol=1e-6)


def test_requests_are_cut_by_estimated_tokens(service):
    texts = ["a" * 30, "b" * 30, "c" * 300, "d"]  # 11, 11, 101 and 1 estimated tokens
    encoder(service, batch_tokens=22, workers=1).encode(texts, "document")
    assert [len(each) for each in service.inputs] == [2, 1, 1]


def test_prompts_are_put_before_each_role_and_are_part_of_the_identity(service):
    made = encoder(service, query_prompt="ask: ", document_prompt="say: ")
    made.encode(["x"], "query")
    made.encode(["x"], "document")
    assert service.inputs == [["ask: x"], ["say: x"]]
    assert made.identity["query_prompt"] == "ask: "
    assert made.identity != encoder(service).identity
    assert KEY not in str(made.identity)
    assert KEY not in repr(vars(made))


def test_several_requests_are_under_way_at_once(service):
    meeting = threading.Barrier(2, timeout=20)  # two that wait for each other: neither is alone

    def meet(handler, asked):
        meeting.wait()
        handler.reply(service.answer(asked))

    service.faults = [meet, meet]
    found = encoder(service, batch=1, workers=2).encode(TEXTS, "document")
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-6)
    assert service.most_together == 2


@pytest.mark.parametrize(
    "fault", [status(500), status(503), status(429), drop, stop_in_the_middle, not_json]
)
def test_what_passes_is_tried_again_after_growing_pauses(service, waits, fault):
    service.faults = [fault, fault]
    found = encoder(service).encode(TEXTS, "document")
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-6)
    assert len(service.asked) == 3
    assert 1 <= waits[0] <= 1.25
    assert 2 <= waits[1] <= 2.5


def test_retry_after_is_honoured_as_seconds_and_as_a_date(service, waits):
    then = datetime.now(UTC) + timedelta(seconds=90)
    service.faults = [
        status(429, Retry_After="7"),
        status(503, Retry_After=format_datetime(then, usegmt=True)),
    ]
    encoder(service).encode(TEXTS, "document")
    assert waits[0] == 7
    assert 60 < waits[1] <= 90


def test_a_pause_that_is_too_long_is_not_waited_for(service, waits):
    service.faults = [status(429, Retry_After="3600")]
    with pytest.raises(UserError, match="status 429 and was asked to wait 3600 s"):
        encoder(service).encode(TEXTS, "document")
    assert waits == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (status(500), "got status 500, the last of 3 tries"),
        (drop, r"got a connection that failed \(.*\), the last of 3 tries"),
        (not_json, "got an answer that is cut off or not JSON, the last of 3 tries"),
    ],
)
def test_tries_are_limited(service, waits, fault, message):
    service.faults = [fault] * 3
    with pytest.raises(UserError, match=message) as caught:
        encoder(service).encode(TEXTS, "document")
    assert len(service.asked) == 3
    assert len(waits) == 2
    assert "\n" not in str(caught.value)


def test_slow_answers_are_given_up_on(service, waits):
    released = threading.Event()
    service.faults = [lambda handler, asked: released.wait(20)] * 2
    with pytest.raises(UserError, match=r"got no answer in 0\.2 s, the last of 2 tries"):
        encoder(service, timeout=0.2, tries=2).encode(TEXTS, "document")
    released.set()


def test_nobody_listening_is_one_line(service, waits):
    made = encoder(service, base_url="http://127.0.0.1:9/v1")  # the port of discard
    with pytest.raises(UserError, match="connection that failed .*refused.* of 3 tries"):
        made.encode(TEXTS, "document")


def cut_one(answer):
    answer["data"][0]["embedding"] = answer["data"][0]["embedding"][:16]


def same_index(answer):
    answer["data"][0]["index"] = 0


def without_one(answer):
    answer["data"].pop()


def words(answer):
    answer["data"][0]["embedding"] = ["many"] * WIDTH


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut_one, "expected vectors of one width, got 3 and 6 dims"),
        (same_index, "expected 5 vectors with indexes from 0, got 5 with 4 indexes"),
        (without_one, "expected 5 vectors with indexes from 0, got 4 with 4 indexes"),
        (words, "expected vectors as base64 or lists of numbers, got something else"),
        (lambda _: {"object": "list"}, "expected a list called data in the answer, got none"),
        (lambda _: ["data"], "expected a list called data in the answer, got none"),
    ],
)
def test_answers_that_do_not_fit_are_refused(service, waits, change, message):
    service.faults = [changed(service, change)]
    with pytest.raises(UserError, match=message):
        encoder(service).encode(TEXTS, "document")
    assert waits == []


def test_widths_that_differ_between_requests_are_refused(service):
    def narrow(answer):
        answer["data"][0]["embedding"] = base64.b64encode(np.ones(3, "<f4").tobytes()).decode()

    service.faults = [changed(service, narrow)]
    with pytest.raises(UserError, match="expected vectors of one width, got 3 and 6 dims"):
        encoder(service, batch=1, workers=1).encode(TEXTS, "document")


def test_what_the_service_explains_is_shown_without_the_key(service, waits):
    message = f"no model\n'small' for {KEY}"
    service.faults = [status(404, {"error": {"message": message}})]
    with pytest.raises(UserError, match="status 404: no model 'small' for …$"):
        encoder(service).encode(TEXTS, "document")
    assert waits == []


def test_a_redirect_is_not_followed_since_the_key_would_go_along(service, waits):
    service.faults = [status(302, Location=f"{service.url}/elsewhere")]
    with pytest.raises(UserError, match="got status 302"):
        encoder(service).encode(TEXTS, "document")
    assert len(service.asked) == 1


def test_short_vectors_that_are_cut_and_normalised_pass(service, caplog):
    caplog.set_level(logging.INFO, "mrlbench")
    encoder(service, verify_dimensions=4)
    assert [asked.get("dimensions") for asked, _ in service.asked] == [None, 4]
    assert "cosine of at least 1.00000 with the first 4 of the whole" in caplog.text


def test_short_vectors_of_another_length_are_refused(service):
    service.shorten = lambda vectors, dim: 3 * prefix(vectors, dim)
    with pytest.raises(UserError, match="of length 1, got the cut, but lengths from 3 to 3"):
        encoder(service, verify_dimensions=4)


@pytest.mark.parametrize(
    ("shorten", "message"),
    [
        (lambda vectors, dim: vectors[:, -dim:], r"got a cosine of -?0\.\d{4} between them"),
        (lambda vectors, dim: vectors, "expected vectors of 4 dims, cut from longer ones, got 6"),
    ],
)
def test_short_vectors_that_are_others_are_refused(service, shorten, message):
    service.shorten = shorten
    with pytest.raises(UserError, match=message):
        encoder(service, verify_dimensions=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 0}, "batch: expected a number from 1, got 0"),
        ({"tries": 0}, "expected tries from 1"),
        ({"base_url": "127.0.0.1/v1"}, "expected http://… or https://…"),
        ({"base_url": "http://me:secret@127.0.0.1/v1"}, "without a key or password in it$"),
        ({"base_url": "http://127.0.0.1:port/v1"}, "expected http://… or https://…"),
        ({"encoding": "int8"}, "encoding: Input should be 'base64' or 'float'"),
        ({"key_variable": "NO_SUCH_KEY"}, "in the environment variable NO_SUCH_KEY, got none"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(service, arguments, message):
    with pytest.raises(UserError, match=message):
        encoder(service, **arguments)
    assert service.asked == []


def test_a_key_that_cannot_stand_in_a_header_is_refused_without_showing_it(service, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first\nsk-second")
    with pytest.raises(UserError, match="visible ASCII") as caught:
        encoder(service)
    assert "sk-" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", f"  {KEY}\n")  # as `cat key` gives it
    encoder(service).encode(TEXTS, "query")


def test_a_server_that_needs_no_key_is_sent_none(service):
    made = encoder(service, key_variable="")
    with pytest.raises(UserError, match="got status 401: no key"):
        made.encode(TEXTS, "query")
    assert "Authorization" not in service.asked[0][1]


CORPUS = '''
"""Three documents."""
from mrlbench.protocols import Corpus, Texts

def three():
    """Give three documents."""
    return Corpus(Texts(("a", "b", "c"), ("one", "two", "three")), Texts(("q",), ("two",)))
'''


@pytest.fixture
def embed(mrlbench, service, tmp_path, monkeypatch):
    (tmp_path / "three.py").write_text(CORPUS)
    monkeypatch.setattr(corpora, "__path__", [str(tmp_path)])

    def run(*settings):
        model = ("--model=openai-api", "--set=model.model=small")
        address = f"--set=model.base_url={service.url}"
        common = ("--data=three", f"--out={tmp_path / 'out'}", "--device=cpu", "--threads=1")
        return mrlbench("embed", *model, address, *common, *settings)

    return run


def test_the_command_writes_vectors_and_not_the_key(embed, tmp_path):
    status_, out, err = embed()
    assert status_ == 0, err
    found = np.load(tmp_path / "out" / "database.npy")
    np.testing.assert_allclose(found, EXPECTED[:3], rtol=1e-6)
    assert json.loads((tmp_path / "out" / "meta.json").read_text())["model"] == "small"
    assert KEY not in out + err
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_a_wrong_key_is_one_line_that_does_not_show_it(embed, monkeypatch):
    wrong = "sk-wrong-key-that-nobody-may-see"
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    status_, out, err = embed()
    assert status_ == 2
    assert len(err.strip().splitlines()) == 1
    assert "status 401: a key that was not accepted" in err
    assert wrong not in out + err


def test_what_was_paid_for_is_kept_when_a_request_fails(embed, service):
    service.faults = [None, status(400, {"error": {"message": "too long"}})]
    status_, _, err = embed("--set=model.batch=1", "--set=model.workers=1")
    assert status_ == 2
    assert "document 'b' to 'b'" in err  # which texts were in the request
    assert "too long" in err
    before = len(service.asked)
    assert before == 2  # after a failure nothing new is asked for
    status_, _, err = embed("--set=model.batch=1", "--set=model.workers=1")
    assert status_ == 0, err
    assert service.inputs[before:] == [["two"], ["three"], ["two"]]  # not "one" again


def test_short_vectors_are_checked_on_demand(embed, caplog):
    caplog.set_level(logging.INFO, "mrlbench")
    status_, _, err = embed("--verify-dimensions=4")
    assert status_ == 0, err
    assert "cosine of at least 1.00000 with the first 4 of the whole" in caplog.text
    assert "lengths from 1.0000 to 1.0000" in caplog.text


def test_widths_that_change_are_one_line_and_what_came_before_is_kept(embed, service):
    def narrow(answer):
        answer["data"][0]["embedding"] = base64.b64encode(np.ones(3, "<f4").tobytes()).decode()

    service.faults = [None, changed(service, narrow)]
    one_each = ("--set=model.batch=1", "--set=model.workers=1")
    status_, _, err = embed(*one_each)
    assert status_ == 2
    assert "expected vectors of 6 dims, as all before, got 3" in err
    before = len(service.asked)
    status_, _, err = embed(*one_each)
    assert status_ == 0, err
    assert ["one"] not in service.inputs[before:]
