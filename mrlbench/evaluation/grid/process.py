"""Runs the worker in a fresh process, and ends it when it takes too long or the parent stops."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from mrlbench.evaluation.grid.jobs import Job

WORKER = "mrlbench.evaluation.grid.worker"
SECONDS_BETWEEN_LOOKS = 0.1


def run_worker(job: Job, steps_done: Callable[[], int], limit: Callable[[], float]) -> str:
    """Do a job in a process of its own.

    Args:
        job: What to build and to search.
        steps_done: Counts what the job has finished so far.
        limit: Seconds that the step which is under way may take.

    Returns:
        Why the process did not end well, in one line; empty if it did.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(job.threads))
    path = os.pathsep.join(each or str(Path.cwd()) for each in sys.path)  # plug-ins' packages too
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | threads | {"PYTHONPATH": path},
            start_new_session=True,  # what a plug-in starts, such as a server, ends with it
        )
        try:
            _hand_over(process, job)
            late = _watch(process, steps_done, limit)
        finally:
            _end(process)
        return late or _reason(process.returncode, errors)


def _hand_over(process: "subprocess.Popen[bytes]", job: Job) -> None:
    pipe = cast(IO[bytes], process.stdin)
    with suppress(BrokenPipeError):  # it ended at once: its errors say why
        pipe.write(job.to_json().encode() + b"\n")
        pipe.flush()


def _watch(
    process: "subprocess.Popen[bytes]", steps_done: Callable[[], int], limit: Callable[[], float]
) -> str:
    """Wait for the end of the process, or for a step that takes too long."""
    done, started = steps_done(), time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_BETWEEN_LOOKS)
            return ""
        if (now := steps_done()) > done:
            done, started = now, time.monotonic()
        elif time.monotonic() - started > limit():
            return f"took longer than {limit():g} s"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:  # Windows
            process.kill()
    process.wait()
    with suppress(BrokenPipeError):
        cast(IO[bytes], process.stdin).close()


def _reason(status: int, errors: IO[bytes]) -> str:
    if status == 0:
        return ""
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    if status < 0:
        name = signal.Signals(-status).name
        return f"ended by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    last = lines[-1].strip() if lines else f"exit status {status}"
    return last.removeprefix("mrlbench.errors.UserError: ")
