"""SIGTERM, which `kill`, `timeout` and schedulers send, ends a command in order."""

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

PATIENCE = 3.0  # seconds; `docker stop` gives 10 before it kills, torchrun and Slurm 30
STATUS = 128 + signal.SIGTERM


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM run what `finally` and atexit hold: servers stop, files are whole or not there.

    Python hears of a signal between two of its instructions. Where a call into a library, such as
    the build of a graph, or the wait for another process, lasts longer than `PATIENCE`, what is
    registered with atexit is done beside it, and the process ends.
    """
    heard = Event()

    def end(number: int, _: object) -> None:
        heard.set()
        signal.signal(number, signal.SIG_IGN)  # `timeout` sends two: the end is not broken off
        sys.exit(STATUS)

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    handler, wakeup = signal.signal(signal.SIGTERM, end), signal.set_wakeup_fd(writing)
    Thread(target=_insist, args=(reading, heard), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writing)  # ends the thread
        if not heard.is_set():
            signal.signal(signal.SIGTERM, handler)


def _insist(reading: int, heard: Event) -> None:
    """End the process where a signal that has come is not heard of."""
    with os.fdopen(reading, "rb", 0) as signals:
        while number := signals.read(1):
            if number[0] == signal.SIGTERM and not heard.wait(PATIENCE):
                atexit._run_exitfuncs()
                os._exit(STATUS)
