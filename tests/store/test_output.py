"""Files that the user names: what may be replaced, what never is, and what stays as it was."""

import os
import socket
import stat
from pathlib import Path

import pytest

from jaxflow._checks import InputError
from jaxflow.cli import main as cli
from jaxflow.pages.explore import Exploration
from jaxflow.pages.explorer import write_explorer
from jaxflow.pages.page import write_report
from jaxflow.pages.summary_page import write_summary_page
from jaxflow.store import output
from jaxflow.store.output import check_file, write_text, written
from jaxflow.store.results import Store
from jaxflow.store.shards import ABOUT, remove_leftovers
from jaxflow.summary.summary import DataSummary


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_a_file_keeps_its_mode_and_a_new_one_gets_the_usual_one(tmp_path, mode):
    path, plain = tmp_path / "page.html", tmp_path / "plain"
    path.write_text("old")
    path.chmod(mode)
    seen = []
    with output.written(path) as temporary:
        # What is being written is no more open to others than what it replaces.
        seen.append(mode_of(temporary))
        temporary.write_text("new")
    assert (path.read_text(), mode_of(path), seen) == ("new", mode, [mode])
    plain.write_text("")
    write_text(tmp_path / "other.html", "new")
    assert mode_of(tmp_path / "other.html") == mode_of(plain)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other.html", "page.html", "plain"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path, there):
    (tmp_path / "far").mkdir()
    target, middle, link = tmp_path / "far" / "target.html", tmp_path / "middle", tmp_path / "page.html"
    if there:
        target.write_text("old")
        target.chmod(0o600)
    middle.symlink_to("far/target.html")
    link.symlink_to(middle)
    write_text(link, "new")
    assert link.is_symlink()
    assert middle.is_symlink()
    assert target.read_text() == "new"
    assert not target.is_symlink()
    assert not there or mode_of(target) == 0o600
    assert list((tmp_path / "far").iterdir()) == [target]


def make_pipe(path):
    os.mkfifo(path)


def make_link_to_pipe(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_pipe, "a named pipe"),
        (make_link_to_pipe, "a named pipe"),
        (lambda path: path.symlink_to("/dev/null"), "a device"),
        (make_socket, "a socket"),
        (Path.mkdir, "a folder"),
        (lambda path: path.symlink_to(path.parent), "a folder"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (lambda path: path.symlink_to("gone/page.html"), "no such folder"),
    ],
)
def test_what_is_no_ordinary_file_is_refused_and_left_alone(tmp_path, monkeypatch, make, said):
    monkeypatch.chdir(tmp_path)
    path = Path("page.html")
    make(tmp_path / path)
    before = path.lstat()
    for attempt in (lambda: check_file(path), lambda: write_text(path, "new")):
        with pytest.raises(InputError, match="`path` must be a") as refused:
            attempt()
        assert said in str(refused.value)
        assert str(refused.value).count("\n") == 0
    after = path.lstat()
    assert (after.st_mode, after.st_ino, after.st_mtime_ns) == (before.st_mode, before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000 + "/y", "nul\0.html", "", "gone/page.html"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(InputError) as refused:
        write_text(Path(name), "new")
    assert len(str(refused.value)) < 500


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("x" * 250 + ".html")
    write_text(path, "new")
    assert path.read_text() == "new"


def test_what_must_not_be_written_to_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")
    # As for a user to whom the mode says no; tests may run as root, to whom it never does.
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != path)
    with pytest.raises(InputError, match="the file there may not be written to"):
        write_text(path, "new")
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != tmp_path)
    with pytest.raises(InputError, match="no permission in"):
        write_text(tmp_path / "other.html", "new")
    assert path.read_text() == "old"


def test_a_page_that_is_being_written_is_no_leftover_of_another_process(tmp_path):
    page = tmp_path / ABOUT / "report.html"
    page.parent.mkdir()
    with written(page) as temporary:
        _ = temporary.write_text("a page")
        # So ends a sweep in another process that shares the folder.
        remove_leftovers(tmp_path)
    assert page.read_text() == "a page"


def test_every_page_is_written_so(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    os.mkfifo(path)
    monkeypatch.setattr("jaxflow.pages.page.page_data", lambda *_: {"examples": []})
    monkeypatch.setattr("jaxflow.pages.summary_page.render_summary", lambda *_: "")
    monkeypatch.setattr("jaxflow.pages.explorer.render_explorer", lambda _: "")
    results = Store(tmp_path, {})
    summary, exploration = object.__new__(DataSummary), object.__new__(Exploration)
    for write, given in (
        (write_report, (results,)),
        (write_summary_page, (summary, results)),
        (write_explorer, (exploration,)),
    ):
        with pytest.raises(InputError, match="a named pipe"):
            write(*given, path)  # pyright: ignore[reportCallIssue]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_the_command_line_refuses_before_any_work(tmp_path, capsys):
    path = tmp_path / "page.html"
    os.mkfifo(path)
    assert cli.main(["explore", "--model", "no such model", "--text", "the key", "--out", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxflow: --out must be a new file or an ordinary one")
