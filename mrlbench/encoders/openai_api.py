"""Any service that speaks OpenAI's /v1/embeddings: OpenAI, vLLM, llama.cpp, Ollama, …."""

import base64
import binascii
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

import numpy as np

from mrlbench.arrays import FloatArray, prefix
from mrlbench.errors import UserError
from mrlbench.http_client import Server, clean_key
from mrlbench.protocols import Encoder, Role

log = logging.getLogger(__name__)

BYTES_PER_TOKEN = 3  # of English 4 and more, of other scripts about 3: requests stay small enough
SENTENCES = (  # what a provider's short vectors are checked with
    "Matryoshka dolls stand one inside another.",
    "Ice melts at zero degrees Celsius.",
    "The library opens at nine and closes at six.",
)
LEAST_COSINE = 0.999  # the same request gives vectors that differ by some 1e-4 from day to day
UNIT = 0.01  # how far from 1 the length of a short vector may be


def openai_api(
    model: str,
    base_url: str = "https://api.openai.com/v1",
    key_variable: str = "OPENAI_API_KEY",
    query_prompt: str = "",
    document_prompt: str = "",
    batch: int = 128,
    batch_tokens: int = 100_000,
    workers: int = 4,
    timeout: float = 60.0,
    tries: int = 6,
    longest_wait: float = 300.0,
    encoding: Literal["base64", "float"] = "base64",
    verify_dimensions: int = 0,
) -> Encoder:
    """Ask an embeddings API for vectors of the full width, never for short ones.

    Args:
        model: As the service calls it.
        base_url: What stands before `/embeddings`.
        key_variable: The environment variable that holds the key; empty sends none.
        query_prompt: Put before each query.
        document_prompt: Put before each document.
        batch: Texts of one request at most.
        batch_tokens: Estimated tokens of one request at most; a longer text goes alone.
        workers: Requests under way at once.
        timeout: Seconds without an answer that are given up on.
        tries: Of one request at most.
        longest_wait: Seconds; a service that asks for a longer pause is given up on.
        encoding: How numbers are asked for; base64 is a quarter of the size.
        verify_dimensions: Also ask for vectors of this width, for three sentences, and check that
            they are the first coordinates of the whole ones, normalised; the cosine and their
            lengths are printed; 0 does not.

    Raises:
        UserError: No key, an address or a number that cannot be, or short vectors that are others.
    """
    for name, value in (("batch", batch), ("batch_tokens", batch_tokens), ("workers", workers)):
        if value < 1:
            raise UserError(f"encoders openai-api: {name}: expected a number from 1, got {value}")
    if tries < 1 or timeout <= 0 or verify_dimensions < 0:
        raise UserError(
            "encoders openai-api: expected tries from 1, a timeout above 0 and verify_dimensions "
            f"from 0, got {tries}, {timeout:g} and {verify_dimensions}"
        )
    url = f"{_address(base_url)}/embeddings"
    server = Server(url, _key(key_variable), timeout, tries, longest_wait)
    sizes = _Sizes(batch, batch_tokens, workers)
    prompts: dict[Role, str] = {"query": query_prompt, "document": document_prompt}
    encoder = _OpenAi(server, model, prompts, sizes, encoding)
    if verify_dimensions:
        encoder.verify(verify_dimensions)
    return encoder


@dataclass(frozen=True)
class _Sizes:
    """How much is asked for at once."""

    batch: int
    tokens: int
    workers: int


class _OpenAi:
    identity: Mapping[str, str]
    trained_dims: tuple[int, ...] = ()  # the services do not say
    steps: tuple[str, ...] = ("whatever the service does",)

    def __init__(
        self, server: Server, model: str, prompts: dict[Role, str], sizes: _Sizes, encoding: str
    ) -> None:
        self._server, self._model, self._prompts = server, model, prompts
        self._sizes, self._encoding = sizes, encoding
        self.identity = {
            "encoder": "openai-api",
            "model": model,
            "service": server.url,
            **{f"{role}_prompt": prompt for role, prompt in prompts.items()},
        }

    def encode(self, items: Sequence[str], role: Role) -> FloatArray:
        """Ask for whole vectors, several requests at once."""
        parts: dict[int, FloatArray] = {}
        for rows, vectors in self.encode_parts(items, role):
            if isinstance(vectors, UserError):
                raise vectors
            parts[rows.start] = vectors
        widths = sorted({part.shape[1] for part in parts.values()})
        if len(widths) > 1:
            raise self._wrong("vectors of one width", *widths)
        return np.concatenate([parts[start] for start in sorted(parts)])

    def encode_parts(
        self, items: Sequence[str], role: Role
    ) -> Iterator[tuple[slice, FloatArray | UserError]]:
        """Ask for whole vectors, and give those of each request as soon as they are there.

        After a failure nothing new is asked for, but what is under way, and paid for, still comes.
        """
        stop = threading.Event()

        def ask(request: Sequence[str]) -> FloatArray:
            if stop.is_set():
                raise CancelledError
            try:
                return self._ask(request)
            except BaseException:
                stop.set()
                raise

        texts = [self._prompts[role] + item for item in items]
        pool, rows, start = ThreadPoolExecutor(self._sizes.workers), {}, 0
        for request in _requests(texts, self._sizes):
            rows[pool.submit(ask, request)] = slice(start, start + len(request))
            start += len(request)
        try:
            for done in as_completed(rows):
                vectors = _result(done)
                if vectors is not None:
                    yield rows[done], vectors
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)

    def verify(self, dim: int) -> None:
        """Check that the service's short vectors are cut from the whole ones, and normalised.

        Raises:
            UserError: They are not, so that measuring prefixes would say nothing of them.
        """
        whole, short = self._ask(SENTENCES), self._ask(SENTENCES, dim)
        if short.shape[1] != dim or whole.shape[1] < dim:
            self._refuse(
                f"vectors of {dim} dims, cut from longer ones",
                f"{short.shape[1]} dims, cut from {whole.shape[1]}",
            )
        lengths = np.linalg.norm(short, axis=1)  # (B,)
        cosines = np.einsum("nd,nd->n", prefix(short, dim), prefix(whole, dim))  # (B,)
        log.info(
            "%s: vectors of %d dims have a cosine of at least %.5f with the first %d of the whole, "
            "and lengths from %.4f to %.4f",
            *(self._model, dim, cosines.min(), dim, lengths.min(), lengths.max()),
        )
        if cosines.min() < LEAST_COSINE:
            self._refuse(
                f"vectors of {dim} dims to be the first of the whole ones",
                f"a cosine of {cosines.min():.4f} between them",
            )
        if np.abs(lengths - 1).max() > UNIT:
            self._refuse(
                f"vectors of {dim} dims, cut and of length 1",
                f"the cut, but lengths from {lengths.min():.4g} to {lengths.max():.4g}",
            )

    def _ask(self, texts: Sequence[str], dim: int = 0) -> FloatArray:
        """Ask for the vectors of a few texts, (B, D)."""
        content: dict[str, Any] = {
            "model": self._model,
            "input": list(texts),
            "encoding_format": self._encoding,
        }
        answer = self._server.post(content | ({"dimensions": dim} if dim else {}))
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
            self._refuse("a list called data in the answer", "none")
        by_index = {str(each.get("index")): each.get("embedding") for each in data}
        places = [str(place) for place in range(len(texts))]
        if len(data) != len(texts) or set(by_index) != set(places):
            indexes = ", ".join(list(by_index)[:5])
            self._refuse(
                f"{len(texts)} vectors with indexes from 0",
                f"{len(data)} with {len(by_index)} indexes ({indexes}, …)",
            )
        vectors = [self._vector(by_index[place]) for place in places]
        widths = sorted({len(each) for each in vectors})
        if len(widths) > 1:
            raise self._wrong("vectors of one width", *widths)
        return np.stack(vectors)

    def _vector(self, embedding: object) -> FloatArray:
        """Read one vector, (D,), whichever way it came."""
        try:
            if isinstance(embedding, str):
                return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
            vector = np.array(embedding, dtype=np.float32)
        except (ValueError, TypeError, binascii.Error):
            self._refuse("vectors as base64 or lists of numbers", "something else")
        if vector.ndim != 1:
            self._refuse("vectors as base64 or lists of numbers", "something else")
        return vector

    def _wrong(self, expected: str, *came: object) -> UserError:
        return UserError(
            f"{self._server.url}: expected {expected}, got {' and '.join(map(str, came))} dims"
        )

    def _refuse(self, expected: str, came: str) -> NoReturn:
        raise UserError(f"{self._server.url}: expected {expected}, got {came}") from None


def _result(done: Future[FloatArray]) -> FloatArray | UserError | None:
    """Give what a request brought, or why nothing; None where it was not made."""
    try:
        return done.result()
    except UserError as error:
        return error
    except CancelledError:
        return None


def _requests(texts: Sequence[str], sizes: _Sizes) -> Iterator[list[str]]:
    """Cut texts into requests by count and by estimated tokens, in order."""
    request: list[str] = []
    tokens = 0
    for text in texts:
        own = len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN + 1
        if request and (len(request) == sizes.batch or tokens + own > sizes.tokens):
            yield request
            request, tokens = [], 0
        request.append(text)
        tokens += own
    if request:
        yield request


def _address(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        whole = False
    if not whole or len(base_url.split()) != 1:
        raise UserError(f"base_url: expected http://… or https://…, got {base_url!r}")
    if "@" in parts.netloc or parts.query:  # it is written into meta.json
        raise UserError("base_url: expected an address without a key or password in it")
    return base_url.rstrip("/")


def _key(variable: str) -> str:
    if not variable:
        return ""
    key = clean_key(variable, os.environ.get(variable, ""))
    if not key:
        raise UserError(
            f"expected a key in the environment variable {variable}, got none; "
            "model.key_variable='' sends none"
        )
    return key
