"""POST JSON to a server, again when trying again may help."""

import http.client
import json
import logging
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from mrlbench.errors import UserError

log = logging.getLogger(__name__)
sleep = time.sleep  # tests put their own here

LONGEST_PAUSE = 60.0
SHOWN = 200  # characters of a server's explanation
PASSING = (408, 429)  # statuses below 500 that another try may change: too slow, too many


class _PassingError(Exception):
    """A try that failed in a way that another one may not.

    Attributes:
        pause: Seconds that the server asks to wait; None where it does not say.
    """

    def __init__(self, what: str, pause: float | None = None) -> None:
        super().__init__(what)
        self.pause = pause


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: the key would go along to wherever it points."""

    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class Server:
    """Where requests go, and how patiently.

    Attributes:
        url: Posted to.
        key: Sent as a bearer token; empty sends none. It is in no message.
        timeout: Seconds without an answer that are given up on.
        tries: At most, of one request.
        longest_wait: Seconds; a server that asks for a longer pause is given up on.
    """

    url: str
    key: str = field(default="", repr=False)
    timeout: float = 60.0
    tries: int = 6
    longest_wait: float = 300.0

    def post(self, content: Mapping[str, Any]) -> Any:  # noqa: ANN401 (whatever JSON can hold)
        """Post JSON and read the JSON that comes back.

        408, 429, 5xx, time-outs, dropped connections and cut-off answers are tried again, after
        twice the pause each time, or after the one that the server asks for.

        Raises:
            UserError: Another status, or no answer after all tries; one line, without the key.
        """
        for number in range(1, self.tries + 1):
            try:
                return self._try(content)
            except _PassingError as error:
                if number == self.tries:
                    self._refuse(f"{error}, the last of {self.tries} tries")
                self._wait(number, error)
        raise AssertionError("unreachable: tries is at least 1")

    def _wait(self, number: int, error: _PassingError) -> None:
        if error.pause is not None and error.pause > self.longest_wait:
            self._refuse(f"{error} and was asked to wait {error.pause:.0f} s")
        # a little chance, so that several workers do not come back at the same moment
        doubled: float = min(2.0 ** (number - 1), LONGEST_PAUSE) * (1 + random.random() / 4)
        pause = doubled if error.pause is None else error.pause
        log.info("%s: got %s; again in %.1f s", self.url, error, pause)
        sleep(pause)

    def _try(self, content: Mapping[str, Any]) -> Any:  # noqa: ANN401 (whatever JSON can hold)
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url, json.dumps(content).encode(), headers)
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                self._judge(error)
        except (http.client.IncompleteRead, ValueError) as error:  # ValueError: of json
            raise _PassingError("an answer that is cut off or not JSON") from error
        except (OSError, http.client.HTTPException) as error:  # urllib's own are OSError
            raise _PassingError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return f"no answer in {self.timeout:g} s"
        return f"a connection that failed ({self._hide(str(reason) or type(reason).__name__)})"

    def _judge(self, error: urllib.error.HTTPError) -> NoReturn:
        """Tell a status that may change from one that will not."""
        if error.code in PASSING or error.code >= 500:
            raise _PassingError(
                f"status {error.code}", _pause(error.headers.get("Retry-After"))
            ) from None
        if error.code in (401, 403):  # what such answers explain may repeat the key, or half of it
            came = "a key that was not accepted" if self.key else "no key"
            self._refuse(f"status {error.code}: {came}")
        self._refuse(f"status {error.code}{self._explanation(error)}")

    def _explanation(self, error: urllib.error.HTTPError) -> str:
        try:
            text = error.read(10_000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return ""
        with suppress(ValueError, KeyError, TypeError):  # else it is shown as it came
            text = str(json.loads(text)["error"]["message"])
        line = " ".join(self._hide(text).split())[:SHOWN]
        return f": {line}" if line else ""

    def _hide(self, text: str) -> str:
        return text.replace(self.key, "…") if self.key else text

    def _refuse(self, came: str) -> NoReturn:
        raise UserError(f"{self.url}: expected an answer, got {came}") from None


def clean_key(name: str, key: str) -> str:
    """Strip a key, and refuse one that cannot stand in a header, without showing it.

    Raises:
        UserError: It has other than visible ASCII characters.
    """
    if not re.fullmatch(r"[!-~]*", key.strip()):
        raise UserError(f"{name}: expected a key of visible ASCII characters, got others in it")
    return key.strip()


def _pause(header: str | None) -> float | None:
    """Read Retry-After: seconds, or the date of HTTP."""
    if header is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(header))
    try:
        then = parsedate_to_datetime(header)
    except ValueError:
        return None
    zoned = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (zoned - datetime.now(UTC)).total_seconds())
