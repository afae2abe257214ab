"""Data of the user's in errors: unchanged in the words of every front, however much they look like arguments."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow._paths import local_path
from jaxflow.cli.output import namer
from jaxflow.evaluation.inputs import blank_id
from jaxflow.evaluation.target import Target, resolve
from jaxflow.inputs.conllu import read_conllu
from jaxflow.inputs.files import open_source
from jaxflow.inputs.rows import BadRow
from jaxflow.inputs.source import as_source
from jaxflow.models import load_model, save_encoder
from jaxflow.models.encoder.texts import TextEncoder
from jaxflow.statistics.intervals import mean_interval
from jaxflow.statistics.ranks import as_tolerance
from jaxflow.store.output import check_file
from jaxflow.store.results import open_sweep
from jaxflow.store.shards import write_manifest
from jaxflow.sweep.comparison_folder import open_comparison
from tests.tiny_text_model import model_folder

# It looks like arguments of Python's and of the command line's, and repr shows it as it is.
DATA = "`queries` run--out `truncate=True` --layers"
FLAGS = namer({name: f"--{name}" for name in ("queries", "truncate", "layers", "column", "out", "encoding", "quotes")})


def words_of(error: InputError) -> list[str]:
    """What each front says; the last marks whatever is taken for an argument."""
    return [str(error), error.in_words(FLAGS), error.in_words(lambda argument: f"<{argument}>")]


def check(call: Callable[[], Any], data: str = DATA) -> None:
    with pytest.raises(InputError) as refused:
        call()
    for words in words_of(refused.value):
        assert data in words
        assert "\n" not in words


def read(path: Path, **options: Any) -> list[str]:
    with open_source(str(path), **options) as source:
        for row in source.rows():
            if isinstance(row, BadRow):
                raise row.error
        return []


FILES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "the name of a file that is empty": (".txt", "", {}),
    "the name of a file of no known kind": (".xyz", "a\n", {}),
    "the name of a file with a line of malformed JSON": (".jsonl", "{\n", {}),
    "the name of a file with a short row": (".csv", "text,n\na\n", {}),
    "the name of a file with an open quote": (".csv", 'text,n\n"a,1\n', {}),
    "the name of a file with an empty cell": (".csv", "text,n\n ,1\n", {}),
    "the name of a file that is not packed": (".txt.gz", "a\n", {}),
    "the name of a file that is no Parquet": (".parquet", "PAR1 not really", {}),
}
NAMED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a column that is asked for": ("a.csv", "text,n\na,1\n", {"column": DATA}),
    "a second column that is asked for": ("a.csv", "text,n\na,1\n", {"pair_column": DATA}),
    "the columns of a file without texts": ("a.csv", f"a,{DATA}\n1,2\n", {}),
    "the columns of a file without the column": ("a.csv", f"text,{DATA}\n1,2\n", {"column": "b"}),
    "the columns of a record": ("a.jsonl", json.dumps({"text": "a"}) + "\n" + json.dumps({DATA: "a"}) + "\n", {}),
    "a column that two have": ("a.csv", f"{DATA},{DATA}\na,b\n", {"column": DATA}),
    "a column with an empty text": ("a.csv", f"{DATA},n\n ,b\n", {"column": DATA}),
    "a header with another separator": ("a.csv", f"a:{DATA}\n1:2\n", {}),
    "a separator": ("a.csv", "text,n\na,b\n", {"separator": DATA}),
    "the kind of quotes": ("a.csv", "text,n\na,b\n", {"quotes": DATA}),
    "an encoding": ("a.csv", "text,n\na,b\n", {"encoding": DATA}),
    "a column of a file that has none": ("a.txt", "a\n", {"column": DATA}),
}


@pytest.mark.parametrize("case", FILES)
def test_a_files_name_is_said_as_it_is(tmp_path, case):
    suffix, content, options = FILES[case]
    path = tmp_path / f"{DATA}{suffix}"
    path.write_text(content)
    check(lambda: read(path, **options), path.name)


@pytest.mark.parametrize("case", NAMED)
def test_what_is_said_about_a_file_is_said_as_it_is(tmp_path, case):
    name, content, options = NAMED[case]
    (tmp_path / name).write_text(content)
    check(lambda: read(tmp_path / name, **options))


@pytest.mark.parametrize(
    "lines",
    [
        [f"{DATA}\ta\ta\tX\t_\t_\t0\troot\t_\t_"],
        [f"1\ta\ta\tX\t_\t_\t{DATA}\troot\t_\t_"],
        [f"# text = {DATA}", "1\tz\ta\tX\t_\t_\t0\troot\t_\t_"],
        ["# text = b", f"1\t{DATA}\ta\tX\t_\t_\t0\troot\t_\t_"],
    ],
)
def test_cells_of_a_treebank_are_said_as_they_are(lines: Sequence[str]):
    check(lambda: list(read_conllu(lines)))


@pytest.mark.parametrize(
    "call",
    [
        lambda folder: open_source(str(folder)).__enter__(),
        lambda folder: open_source(str(folder / "none.txt")).__enter__(),
        lambda folder: list(read_conllu(folder / "none.conllu")),
        open_sweep,
        lambda folder: open_sweep(folder / "none"),
        open_comparison,
        load_model,
        lambda folder: load_model(folder / "none"),
        check_file,
        lambda folder: check_file(folder / "none" / "page.html"),
        lambda folder: write_manifest(folder / "file", {}),
        lambda folder: local_path("out", f"{folder}\0"),
        lambda folder: local_path("out", f"~{folder.name}/x"),
    ],
)
def test_a_path_is_said_as_it_is(tmp_path, call: Callable[[Path], Any]):
    folder = tmp_path / DATA
    folder.mkdir()
    (folder / "file").write_text("a")
    check(lambda: call(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": DATA},
        {"hidden_act": DATA},
        {"architectures": [DATA]},
        {"hidden_size": DATA},
        {"position_embedding_type": DATA},
    ],
)
def test_what_stands_in_a_models_folder_is_said_as_it_is(tmp_path, changes: dict[str, Any]):
    folder = tmp_path / "model"
    shutil.copytree(model_folder(), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    check(lambda: load_model(folder))


@pytest.mark.parametrize("changes", [{"hidden_size": 17}, {"vocab_size": 20}, {"id2label": 3}])
def test_the_name_of_a_models_folder_is_said_as_it_is(tmp_path, changes: dict[str, Any]):
    folder = tmp_path / DATA
    shutil.copytree(model_folder(), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    check(lambda: load_model(folder))


@pytest.fixture(scope="module")
def model() -> TextEncoder:
    return load_model(model_folder())


@pytest.mark.parametrize(
    "call",
    [
        lambda model: resolve(model, Target(DATA), 1, lambda: np.zeros((1, 3))),
        lambda model: blank_id(model, DATA),
        lambda model: mean_interval(np.ones(3), method=DATA),
        lambda model: mean_interval(np.ones(3), level=DATA),
        lambda model: as_tolerance(DATA),
        lambda model: as_source({DATA: []}),
        lambda model: save_encoder(model, Path(__file__) / DATA / "x"),
    ],
)
def test_a_value_is_said_as_it_is(model: TextEncoder, call: Callable[[TextEncoder], Any]):
    check(lambda: call(model))


def test_a_row_keeps_its_place_as_it_is(model: TextEncoder):
    with pytest.raises(InputError) as refused:
        model.tokenize(["the key is on the table"], max_length=4)
    moved = refused.value.at(f"line 3 of {DATA}.csv")
    assert words_of(moved) == [
        f"line 3 of {DATA}.csv must have at most 4 tokens, got 8; shorten it, or pass {word} to cut it"
        for word in ("`truncate=True`", "--truncate", "<truncate=True>")
    ]
