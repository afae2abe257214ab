"""Configurations and tokenizers read off their files: equal to transformers', and only where nothing is left to it."""

import json
import pickle
import shutil
from copy import deepcopy

import pytest
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from jaxflow import _without
from jaxflow.models import builtin, load_model
from jaxflow.models.checkpoint.as_written import MODEL_TYPES, WrittenConfig, WrittenTokenizer
from jaxflow.models.checkpoint.huggingface import read_config, read_tokenizer
from jaxflow.models.families import FAMILIES
from jaxflow.models.fingerprint import tokenizer_fingerprint
from jaxflow.models.load import configure
from jaxflow.models.tokens import tokenize

SHIPPED = builtin.SHIPPED["verb-number"]
RAW = json.loads((SHIPPED / "config.json").read_text("utf-8"))
TOKENIZER = json.loads((SHIPPED / "tokenizer_config.json").read_text("utf-8"))
TEXTS = ["The keys to the cabinets", "  Zürich -- “odd” ’quotes’ <mask> 漢字\n", "a", "unbelievable " * 9]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """As in a process of the command line."""
    monkeypatch.setattr(_without, "_left_out", {"transformers"})


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped model's configuration and tokenizer, and a function that changes values in its files."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SHIPPED / name, tmp_path)

    def change(name, without=(), **values):
        kept = json.loads((tmp_path / name).read_text("utf-8")) | values
        (tmp_path / name).write_text(json.dumps({key: kept[key] for key in kept if key not in without}), "utf-8")
        return tmp_path

    return change


def config_of(folder):
    return read_config(folder, json.loads((folder / "config.json").read_text("utf-8")))


def tokenizer_of(folder):
    return read_tokenizer(
        folder, configure(config_of(SHIPPED), FAMILIES[RAW["model_type"]], None, ""), config_of(folder)
    )


CHANGES = [
    {},
    {"hidden_act": "relu", "layer_norm_eps": 1e-3, "classifier_dropout": 0.25, "pad_token_id": None},
    {"id2label": {"0": "a", "2": "c", "1": "b"}, "problem_type": None, "bos_token_id": None, "type_vocab_size": 2},
    {"problem_type": "multi_label_classification", "tie_word_embeddings": False, "hidden_dropout_prob": 0.5},
    {"is_decoder": True, "use_cache": False, "dtype": "bfloat16"},
]


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
@pytest.mark.parametrize("values", CHANGES)
def test_a_configuration_is_transformers_own(folder, model_type, values):
    classes = FAMILIES[model_type].heads["sequence_classification"].architecture
    where = folder("config.json", model_type=model_type, architectures=[classes], **values)
    written, whole = config_of(where), AutoConfig.from_pretrained(where)
    assert isinstance(written, WrittenConfig)
    known = [name for name in vars(written) if not name.startswith("_")]
    assert {"num_labels", "id2label", "name_or_path", *values} - {"bos_token_id", "use_cache", "dtype"} <= set(known)
    assert {name: getattr(written, name) for name in known} == {name: getattr(whole, name) for name in known}
    # Absent from both.
    for name in ("position_embedding_type", "classifier_pooling"):
        assert not hasattr(written, name)
        assert not hasattr(whole, name)
    if not written.is_decoder:
        assert configure(written, FAMILIES[model_type], None, "") == configure(whole, FAMILIES[model_type], None, "")


@pytest.mark.parametrize(
    ("without", "values"),
    [
        (["hidden_act"], {}),
        (["id2label"], {}),
        ([], {"position_embedding_type": "absolute"}),
        ([], {"id2label": {"0": "one"}, "problem_type": "regression"}),
        ([], {"id2label": {"0": 1, "1": 2}}),
        ([], {"dtype": "int3"}),
        ([], {"eos_token_id": [2, 3]}),
        ([], {"num_labels": 2}),
    ],
)
def test_a_configuration_that_leaves_something_open_is_left_to_transformers(folder, without, values):
    where = folder("config.json", without, **values)
    try:
        whole = AutoConfig.from_pretrained(where)
    except Exception:
        with pytest.raises(ValueError, match="be a configuration of roberta-prelayernorm"):
            config_of(where)
    else:
        assert type(config_of(where)) is type(whole)


def test_another_family_is_left_to_transformers(folder):
    assert not isinstance(config_of(folder("config.json", model_type="electra")), WrittenConfig)


def test_a_tokenizer_is_transformers_own():
    written, whole = tokenizer_of(SHIPPED), AutoTokenizer.from_pretrained(SHIPPED)
    assert isinstance(written, WrittenTokenizer)
    config = configure(config_of(SHIPPED), FAMILIES[RAW["model_type"]], None, "")
    assert tokenizer_fingerprint(written) == tokenizer_fingerprint(whole)
    for pairs, limit, truncate in ((None, 64, False), (TEXTS[::-1], 64, False), (None, 5, True)):
        ours = tokenize(written, TEXTS, pairs, limit, truncate, config)
        assert ours == tokenize(whole, TEXTS, pairs, limit, truncate, config)
    # After a call that padded and cut.
    _ = written(TEXTS, padding=True, truncation=True, max_length=4)
    assert tokenize(written, TEXTS, None, 64, False, config) == tokenize(whole, TEXTS, None, 64, False, config)
    assert written(TEXTS[0])["input_ids"] == whole(TEXTS[0])["input_ids"]
    assert written.get_vocab() == whole.get_vocab()
    for pair in (False, True):
        assert written.num_special_tokens_to_add(pair=pair) == whole.num_special_tokens_to_add(pair=pair)
    known = [name for name in vars(written) if not name.startswith("_") and name != "backend_tokenizer"]
    assert {"mask_token_id", "unk_token", "model_max_length"} <= set(known)
    assert {name: getattr(written, name) for name in known} == {name: getattr(whole, name) for name in known}


@pytest.mark.parametrize(
    ("name", "without", "values"),
    [
        ("tokenizer_config.json", ["tokenizer_class"], {}),
        ("tokenizer_config.json", ["model_max_length"], {}),
        ("tokenizer_config.json", [], {"add_eos_token": True}),
        ("tokenizer_config.json", [], {"sep_token": "cabinet"}),
        ("tokenizer_config.json", [], {"mask_token": {"content": "<mask>", "lstrip": True, "__type": "AddedToken"}}),
        ("tokenizer.json", [], {"post_processor": None}),
        (
            "tokenizer.json",
            [],
            {"truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}},
        ),
        ("config.json", ["hidden_act"], {}),
    ],
)
def test_a_tokenizer_that_its_file_does_not_tell_whole_is_left_to_transformers(folder, name, without, values):
    where = folder(name, without, **values)
    tokenizer = tokenizer_of(where)
    assert not isinstance(tokenizer, WrittenTokenizer)
    assert tokenizer.is_fast


def test_a_file_beside_it_leaves_a_tokenizer_to_transformers(folder):
    where = folder("config.json")
    (where / "special_tokens_map.json").write_text(json.dumps({"unk_token": "<pad>"}), "utf-8")
    tokenizer = tokenizer_of(where)
    assert not isinstance(tokenizer, WrittenTokenizer)
    assert tokenizer.unk_token == AutoTokenizer.from_pretrained(where).unk_token


def test_transformers_tells_what_is_wrong_with_a_tokenizer(folder):
    where = folder("tokenizer.json", ["model"])
    with pytest.raises(ValueError, match=r"the tokenizer in .* must be readable"):
        tokenizer_of(where)


def test_copies_are_transformers_own_also_when_the_folder_is_gone(folder):
    where = folder("config.json")
    config, tokenizer = config_of(where), tokenizer_of(where)
    whole, other = AutoConfig.from_pretrained(where), AutoTokenizer.from_pretrained(where)
    shutil.rmtree(where)
    copy, pickled = deepcopy(config), pickle.loads(pickle.dumps(tokenizer))  # noqa: S301
    assert type(copy) is type(whole)
    assert copy.to_dict() == whole.to_dict()
    assert copy.name_or_path == str(where)
    assert type(pickled) is type(other)
    assert pickled.name_or_path == str(where)
    assert (pickled.special_tokens_map, pickled.model_max_length) == (other.special_tokens_map, 64)
    assert json.loads(pickled.backend_tokenizer.to_str()) == json.loads(other.backend_tokenizer.to_str())


def test_a_model_pickles_whole():
    encoder = load_model("verb-number")
    again = pickle.loads(pickle.dumps(encoder))  # noqa: S301
    assert again.fingerprint() == encoder.fingerprint()
    assert isinstance(again.tokenizer.backend_tokenizer, Tokenizer)


def test_in_python_both_are_transformers_own(monkeypatch):
    monkeypatch.setattr(_without, "_left_out", set())
    model = load_model("verb-number")
    assert isinstance(model.source, PreTrainedConfig)
    assert isinstance(model.tokenizer, PreTrainedTokenizerBase)
