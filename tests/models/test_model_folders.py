"""Damaged and harmful model folders end in one clear line, at once; what the library doesn't read may be anything."""

import json
import resource
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from jaxflow._checks import InputError
from jaxflow.models import load_model
from jaxflow.models.checkpoint.config_file import FIELD_KINDS

CONFIG, TOKENIZER, INDEX = "config.json", "tokenizer_config.json", "model.safetensors.index.json"


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of a good model, to break."""
    return shutil.copytree(tiny.bert("BertForSequenceClassification").folder, tmp_path / "model")


@pytest.fixture
def sharded(folder, tiny):
    """The same in shards."""
    (folder / "model.safetensors").unlink()
    tiny.bert("BertForSequenceClassification").torch.save_pretrained(folder, max_shard_size="8KB")
    return folder


# Kilobytes: ten times what loading such a model takes, a hundredth of what these files ask for.
MOST_MEMORY = 100_000


def most_memory():
    """The most memory that this process has had so far, in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder, match, **options):
    """One short line, without the memory that the file asks for."""
    before = most_memory()
    with pytest.raises(InputError, match=match) as caught:
        load_model(folder, **options)
    assert most_memory() - before < MOST_MEMORY
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"num_hidden_layers": 10**9},
            "`num_hidden_layers` must be a whole number from 1 to 4096, got 1000000000; use",
        ),
        (
            {"num_hidden_layers": 4000},
            "`num_hidden_layers` must agree with the weights, which are .* tensors in all, got",
        ),
        ({"num_labels": 10**7, "id2label": None}, "`num_labels` must agree with the weights.*got 10000000 labels"),
        ({"id2label": {str(i): f"L{i}" for i in range(2000)}}, "`id2label` must agree with the weights.*2000 labels"),
        ({"architectures": 5}, "`architectures` must be a list of texts, or null, got 5"),
        ({"architectures": ["BertModel", 5]}, "`architectures` must be a list of texts, or null, got "),
        ({"hidden_size": True}, "`hidden_size` must be a whole number from 1 to .*, got True"),
        ({"hidden_size": 10**30}, "`hidden_size` must be a whole number"),
        ({"vocab_size": 2**31 - 1}, r"must have config.json's shape \(2147483647, 16\), got \(27, 16\)"),
        ({"intermediate_size": 0}, "`intermediate_size` must be a whole number from 1"),
        ({"layer_norm_eps": float("nan")}, "`layer_norm_eps` must be a number of at least 0, got nan"),
        ({"hidden_dropout_prob": "0.1"}, "`hidden_dropout_prob` must be a number from 0 to 1, got '0.1'"),
        ({"hidden_act": ["gelu"]}, r"`hidden_act` must be a text, got \['gelu'\]"),
        ({"hidden_act": "g" * 10**6}, r"`hidden_act` must be one of .*, got 'ggg.*characters\)"),
        ({"is_decoder": "no"}, "`is_decoder` must be true or false, got 'no'"),
        ({"id2label": ["a", "b", "c"]}, "`id2label` must name labels by their numbers"),
        ({"id2label": {"one": "a"}}, "`id2label` must name labels by their numbers"),
        ({"pad_token_id": 27}, "`pad_token_id` must be one of the model's 27 tokens, got 27"),
        ({"pad_token_id": -2}, "`pad_token_id` must be a whole number from -1"),
        ({"model_type": ["bert"]}, "`model_type` must be one of .*, got none"),
        ({"use_return_dict": 5}, "must be a configuration of bert, got one that transformers does not take"),
    ],
)
def test_a_configuration_of_wrong_values(folder, changes, match):
    edit(folder / CONFIG, **changes)
    refused(folder, match)


def nested(depth):
    return '{"model_type": "bert", "extra": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize("text", [nested(100), nested(1000), nested(200_000), '{"a": ' * 5000 + "1" + "}" * 5000])
@pytest.mark.parametrize("name", [CONFIG, INDEX])
def test_files_nested_too_deeply(sharded, name, text):
    (sharded / name).write_text(text)
    refused(sharded, rf"`{name}` must be nested at most 64 deep")


def test_files_that_are_not_text_or_too_large(folder):
    path = folder / CONFIG
    path.write_bytes(b"\xff\xfe{")
    refused(folder, "`config.json` must hold JSON, got what is not valid JSON")
    path.write_text('{"model_type": "bert", "hidden_size": ' + "1" * 5000 + "}")
    refused(folder, "`config.json` must hold JSON")
    with path.open("wb") as file:
        file.truncate(10**12)
    refused(folder, "`config.json` must have at most 33554432 bytes, got 1000000000000")


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "a/../../outside.safetensors", "{folder}/../outside", "..\\x"]
)
def test_an_index_names_files_of_its_folder_alone(sharded, name):
    index = json.loads((sharded / INDEX).read_text())
    shard = next(iter(index["weight_map"].values()))
    _ = shutil.copy(sharded / shard, sharded.parent / "outside.safetensors")
    wanted = name.format(folder=sharded)
    edit(sharded / INDEX, weight_map={**index["weight_map"], "classifier.bias": wanted})
    refused(sharded, "index.json: `weight_map` must name files within its folder, got ")


@pytest.mark.parametrize("name", ["x" * 5000, "", ".", "config.json"])
def test_an_index_names_files_of_weights(sharded, name):
    index = json.loads((sharded / INDEX).read_text())["weight_map"]
    edit(sharded / INDEX, weight_map={**index, "classifier.bias": name})
    refused(sharded, "`weight_map` must name files that are there|must be a whole safetensors file")


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, {"classifier.bias": 5}, {"classifier.bias": None}])
def test_an_index_of_wrong_types(sharded, value):
    edit(sharded / INDEX, weight_map=value)
    refused(sharded, "index.json: `weight_map` must name the shards' files")


def test_an_index_agrees_with_its_files(sharded):
    index = json.loads((sharded / INDEX).read_text())["weight_map"]
    edit(sharded / INDEX, weight_map={**index, "crf.transitions": next(iter(index.values()))})
    refused(sharded, "`weight_map` must agree with the files that it names, got 'crf.transitions' in 'model-0000")


@pytest.mark.parametrize("value", ["x", 0, -1, True, [5], {}, float("nan"), 0.5])
def test_a_longest_text_of_the_tokenizer_that_is_no_number(folder, value):
    edit(folder / TOKENIZER, model_max_length=value)
    refused(folder, "`model_max_length` must be a whole number, 1 or more, got |the tokenizer in .* cannot be read")
    assert load_model(folder, tokenizer=False).max_length == 12


@pytest.mark.parametrize(
    ("value", "limit"), [(None, 12), (10**30, 12), (1e30, 12), (float("inf"), 12), (8, 8), (8.0, 8)]
)
def test_a_longest_text_of_the_tokenizer(folder, value, limit):
    edit(folder / TOKENIZER, model_max_length=value)
    assert load_model(folder).max_length == limit


def test_weights_of_eight_bits(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    key = "bert.encoder.layer.1.output.dense.weight"
    for dtype, name in (
        (torch.float8_e4m3fn, "float8_e4m3"),
        (torch.float8_e5m2, "float8_e5m2"),
        (torch.uint8, "uint8"),
    ):
        save_file({**tensors, key: tensors[key].to(dtype)}, path, {"format": "pt"})
        refused(
            folder,
            rf"{key.removeprefix('bert.')}' .* must be of floating-point numbers of .*, got {name}.*quantised",
        )


def test_a_tensor_that_stands_there_twice(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    key = "bert.encoder.layer.1.output.dense.bias"
    save_file({**tensors, key.removeprefix("bert."): tensors[key] + 1}, path, {"format": "pt"})
    refused(folder, f"`weights` must hold each tensor once, got both '.*' and '.*{key.removeprefix('bert.')}'")


WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2, 3, 10**7, 10**9, 2**31 - 1, 2**31, 10**30, -(10**9)]),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(-3, 3), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.one_of(st.integers(-3, 3), st.text(max_size=3)), max_size=3),
)
# Names that transformers reads beside ours, whatever it makes of them.
OTHERS = ("dtype", "transformers_version", "quantization_config", "auto_map", "use_return_dict", "to_dict", "use_cache")
SPECIALS = ("model_max_length", "tokenizer_class", "cls_token", "unk_token", "added_tokens_decoder", "padding_side")


@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True
)
@given(st.dictionaries(st.sampled_from([*FIELD_KINDS, *OTHERS]), WRONG, min_size=1, max_size=2))
def test_any_values_of_the_configuration_load_or_end_in_one_line(folder, changes):
    whole = (folder / CONFIG).read_text()
    edit(folder / CONFIG, **changes)
    loads_or_says_why(folder)
    (folder / CONFIG).write_text(whole)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(SPECIALS), WRONG, min_size=1, max_size=2))
def test_any_values_of_the_tokenizers_load_or_end_in_one_line(folder, changes):
    whole = (folder / TOKENIZER).read_text()
    edit(folder / TOKENIZER, **changes)
    loads_or_says_why(folder)
    (folder / TOKENIZER).write_text(whole)


def loads_or_says_why(folder):
    before = most_memory()
    message = "it loads"
    try:
        encodings = load_model(folder).tokenize(["the key"])
        assert len(encodings[0]) >= 1
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 1000
    assert most_memory() - before < MOST_MEMORY
