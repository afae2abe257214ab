import pytest

from tests.cli.running import Run


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    return Run(tmp_path, capsys, monkeypatch)
