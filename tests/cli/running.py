"""The command line run in this process, and what tests of it ask."""

import io
import sys

from jaxflow.cli import main as cli
from tests.tiny_text_model import model_folder

# Without flows to solve it is quick.
QUICK = ["--flow", "bounds"]
# Quicker still, where a test is of the texts or the terminal: by default a backward pass is compiled as well.
PLAIN = ["--methods", "raw,rollout"]


class Run:
    """Runs `jaxflow attribute` in this process."""

    def __init__(self, folder, capsys, monkeypatch):
        self.folder, self.out, self.capsys, self.monkeypatch = folder, folder / "out", capsys, monkeypatch

    def __call__(self, *arguments, model=None, out=None):
        _ = self.capsys.readouterr()
        given = ["attribute", "--model", str(model or model_folder()), "--out", str(out or self.out), *arguments]
        code = cli.main(given)
        self.stdout, self.stderr = self.capsys.readouterr()
        return code

    def files(self):
        """What the results' files hold, those about them included."""
        return {path.relative_to(self.out): path.read_bytes() for path in self.out.rglob("*") if path.is_file()}

    def refused(self, *arguments, **options):
        """The one line that a bad command gets."""
        assert self(*arguments, **options) == 2
        assert self.stdout == ""
        assert self.stderr.count("\n") == 1
        assert self.stderr.startswith("jaxflow: ")
        assert "Traceback" not in self.stderr
        return self.stderr

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def pipe(self, content):
        stdin = io.TextIOWrapper(io.BytesIO(content))
        self.monkeypatch.setattr(sys, "stdin", stdin)


TEXT = ["--text", "the key"]
