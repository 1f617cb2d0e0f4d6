"""What a manifest says of the code that ran."""

import subprocess

from mrlbench.costs.machine import commit_of


def test_results_that_were_written_do_not_make_the_code_another(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    assert commit_of(tmp_path) is None
    for name in ("results", "mrlbench"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("before")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    head = commit_of(tmp_path)
    assert head is not None and len(head) == 12
    (tmp_path / "results" / "file").write_text("after")
    (tmp_path / "new").write_text("untracked")
    assert commit_of(tmp_path) == head
    (tmp_path / "mrlbench" / "file").write_text("after")
    assert commit_of(tmp_path) == f"{head}-dirty"
