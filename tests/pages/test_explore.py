"""An exploration holds the library's numbers, and its page holds the exploration's."""

import base64
import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

import jaxflow as jf
from jaxflow._checks import InputError
from jaxflow.compare.units import Units
from jaxflow.pages import explore as exploring
from jaxflow.pages import explore_inputs, explorer
from jaxflow.pages.explore import explore
from jaxflow.pages.page import asset
from jaxflow.pages.units import Pooled, _by_units
from tests.pages.test_page import Page
from tests.pages.tiny_pair import HOSTILE_TEXTS, TEXTS, TRUTH, moved_folder
from tests.pages.unpacked import unpacked

pytestmark = pytest.mark.usefixtures("few_sizes")

LAYERS, HEADS = 3, 2


@pytest.fixture(scope="module")
def page(pair):
    return explorer.render_explorer(pair)


def floats_of(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_attention_is_that_of_every_head(models, pair):
    for model, side in zip(models, pair.sides, strict=True):
        for text, found in zip(TEXTS, side.attention, strict=True):
            alone = model(model.pad(model.tokenize([text]))).attention[0]
            np.testing.assert_allclose(found, alone, atol=2e-6)


def test_relevance_is_the_librarys_at_every_position(models, pair):
    for model, side in zip(models, pair.sides, strict=True):
        # The explorer asks for the paper's three, and for flow of a class only where it is named.
        result = jf.attribute(model, TEXTS, jf.Question(queries=None))
        for example, expected in zip(side.examples, result, strict=True):
            assert example.tokens == expected.tokens
            assert example.prediction == expected.prediction
            for method, values in expected.relevance.items():
                np.testing.assert_allclose(example.relevance[method], values, atol=2e-6)


def test_change_agrees_with_scipy(pair):
    first, second = pair.sides
    for index in range(len(TEXTS)):
        a, b = (side.attention[index].astype(np.float64) for side in (first, second))
        expected = [
            [
                np.mean([jensenshannon(*rows, base=2) for rows in zip(a[layer, h], b[layer, h], strict=True)])
                for h in range(HEADS)
            ]
            for layer in range(LAYERS)
        ]
        np.testing.assert_allclose(pair.change[index], expected, atol=1e-5)
        rows = [side.examples[index].relevance["rollout"][-1, 0] for side in (first, second)]
        assert pair.moved[index] == pytest.approx(np.abs(rows[1] - rows[0]).sum() / 2, abs=1e-6)
        assert pair.moved[index] > 0


def test_a_model_against_itself_has_no_change(models):
    same = explore(models[0], TEXTS[:2], other=models[0], methods=("rollout",))
    assert not any(table.any() for table in same.change)
    assert same.moved == (0, 0)
    assert len({side.name for side in same.sides}) == 2


def test_loss_is_that_of_the_label(models, pair):
    for side in pair.sides:
        for example, label, loss in zip(side.examples, pair.labels, side.losses, strict=True):
            if label is None:
                assert loss is None
            else:
                assert loss == pytest.approx(-np.log(example.scores[label]))
    assert pair.labels == (models[0].labels[0], "good", models[0].labels[2], None, models[0].labels[0])


def test_the_page_holds_every_number_to_what_it_states(pair, page):
    data = Page(page).data()
    assert data["methods"] == ["raw", "rollout", "flow"]
    for index, sentence in enumerate(data["sentences"]):
        assert sentence["text"] == TEXTS[index]
        assert sentence["queries"] == {}
        np.testing.assert_allclose(sentence["change"], pair.change[index].ravel(), rtol=1e-5)
        for number, side in enumerate(pair.sides):
            relevance, attention = unpacked(page, index, number, data)
            exact = side.attention[index].astype(np.float64)
            bound = np.sqrt(exact) / 255 + 1 / (4 * 255**2)
            assert (np.abs(attention - exact) <= bound * (1 + 1e-6)).all()
            for method, values in zip(data["methods"], relevance, strict=True):
                np.testing.assert_allclose(values, side.examples[index].relevance[method], rtol=2**-11, atol=3e-8)
            shown = sentence["sides"][number]
            assert shown["prediction"] == side.examples[index].prediction
            assert shown["loss"] == side.losses[index]


def test_small_numbers_keep_their_digits_and_flows_say_what_they_tell_apart(models):
    question = jf.Question(("raw", "flow@attention-gradient", "flow"), queries=None, target="good")
    found = explore(models[0], TEXTS[:1], question)
    (side,) = found.sides
    (example,) = side.examples
    # As small as gradients may be: below what half precision holds.
    small = {name: values * (1e-9 if "@" in name else 1) for name, values in example.relevance.items()}
    side = dataclasses.replace(side, examples=(dataclasses.replace(example, relevance=small),))
    found = dataclasses.replace(found, sides=(side,))
    text = explorer.render_explorer(found)
    data = Page(text).data()
    assert data["lead"] == "flow@attention-gradient"
    scales = data["sentences"][0]["sides"][0]["scales"]
    assert list(scales) == ["flow@attention-gradient"]
    relevance, _ = unpacked(text, 0, 0, data)
    for name, values in zip(data["methods"], relevance, strict=True):
        scale = scales.get(name, 1)
        np.testing.assert_allclose(np.float64(values) * scale, small[name], rtol=2**-11, atol=3e-8 * scale)
    (asked,) = jf.attribute(models[0], TEXTS[0], question)
    apart = data["sentences"][0]["sides"][0]["apart"]
    for name, saturated in asked.saturation.items():
        assert apart[name] == (~saturated).sum(-1).tolist()


def test_units_of_words_are_saturated_where_all_their_tokens_are():
    rng = np.random.default_rng(0)
    group, asked = np.array([0, 1, 1, 3, 1]), np.array([4, 0, 2])
    saturated = rng.random((2, 3, 5)) < 0.6
    values = {"flow": rng.random((2, 3, 5))}
    names = {"text": "", "pair": None, "tokens": tuple("abcde"), "offsets": (), "source": (0,) * 5}
    example = Pooled(
        **names,
        relevance=values,
        queries={"flow": asked},
        certified=None,
        saturated={"flow": saturated},
        prediction=None,
        scores={},
    )
    units = Units(first=(0, 1, 3), second=(), names=tuple("wxyz"), offsets=(), source=(0,) * 4)
    found = _by_units(example, group, units, {"flow": np.array([0, 1, 3])}).saturated["flow"]
    for layer in range(2):
        for place, query in enumerate([0, 1, 3]):
            for unit in range(4):
                pairs = [(q, t) for q in range(3) for t in range(5) if group[asked[q]] == query and group[t] == unit]
                expected = bool(pairs) and all(saturated[layer, q, t] for q, t in pairs)
                assert found[layer, place, unit] == expected


def test_flow_at_some_positions_only(models):
    found = explore(models[0], TEXTS[:2], queries=[3, 0])
    data = explorer.explorer_data(found)
    assert data["sentences"][0]["queries"] == {"flow": [3, 0]}
    expected = jf.attribute(models[0], TEXTS[:2], methods="flow", queries=[3, 0])[0].relevance["flow"]
    np.testing.assert_allclose(found.sides[0].examples[0].relevance["flow"], expected, atol=1e-6)


@pytest.mark.slow
def test_a_decoders_page_begins_with_its_last_position():
    attentions = np.tile(np.tril(np.ones((3, 3))) / [[1], [2], [3]], (1, 2, 2, 1, 1))
    for causal, asked, last in ((True, {}, True), (False, {}, False), (True, {"queries": 0}, False)):
        found = jf.explore_attention(attentions, [["a", "b", "c"]], causal=causal, methods="rollout", **asked)
        assert explorer.explorer_data(found)["last"] is last


def test_raw_attention_and_rollout_alone_need_no_positions(models):
    exploration = explore(models[0], TEXTS[:2], methods=("raw", "rollout"))
    expected = jf.attribute(models[0], TEXTS[:2], methods=("raw", "rollout"), queries=None)
    for shown, example in zip(exploration.sides[0].examples, expected, strict=True):
        np.testing.assert_allclose(shown.relevance["rollout"], example.relevance["rollout"], atol=1e-6)
        assert shown.relevance.keys() == {"raw", "rollout"}


def test_where_tokens_differ_words_are_shown(models, tmp_path):
    """A second tokenizer that lacks a word cuts it into letters; sums over a word's tokens by a loop."""
    for file in moved_folder().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["zzz"] = vocabulary.pop("cabinets")
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    other = jf.load_model(str(tmp_path))
    text = "the cabinets is unbelievable"
    found = explore(models[0], [text], other=other)
    whole, cut = found.sides
    assert (
        whole.examples[0].tokens
        == cut.examples[0].tokens
        == ("[CLS]", "the", "cabinets", "is", "unbelievable", "[SEP]")
    )
    alone = jf.attribute(other, [text], jf.Question(queries=None))[0]
    groups = [
        [i for i, span in enumerate(alone.offsets) if span[0] >= 0 and start <= span[0] < end]
        for start, end in whole.examples[0].offsets
    ]
    groups[0], groups[-1] = [0], [len(alone.tokens) - 1]
    assert len(groups[2]) == len("cabinets")
    for method, values in alone.relevance.items():
        for row, queries in enumerate(groups):
            for column, keys in enumerate(groups):
                expected = values[:, queries][:, :, keys].sum(-1).mean(-1)
                np.testing.assert_allclose(cut.examples[0].relevance[method][:, row, column], expected, atol=2e-6)
    np.testing.assert_allclose(cut.attention[0].sum(-1), 1, atol=1e-5)


def test_heads_carry_what_was_found_of_them(pair):
    tables = [np.arange(6).reshape(3, 2), np.ones((3, 2))]
    roles = [[["next", "own"]] * 3, [["[SEP]", "own"]] * 3]
    data = explorer.explorer_data(pair.with_heads({"importance": tables}, roles))
    assert data["measures"] == ["importance"]
    assert data["roles"] == roles
    np.testing.assert_array_equal(floats_of(data["models"][0]["measures"]["importance"]), np.arange(6))
    with pytest.raises(InputError, match=r"must have tables of shape \(3, 2\)"):
        _ = pair.with_heads({"importance": [np.ones((2, 3))] * 2})
    with pytest.raises(InputError, match="one table for each of the 2 models, got 1"):
        _ = pair.with_heads({"importance": tables[:1]})
    with pytest.raises(InputError, match="`roles`"):
        _ = pair.with_heads(roles=roles[:1])


def test_what_no_page_can_hold_is_left_out(models, monkeypatch):
    monkeypatch.setattr(explore_inputs, "MOST_EXPLORED", 2)
    found = explore(models[0], TEXTS, methods=("rollout",))
    assert len(found) == 2
    assert explorer.explorer_data(found)["total"] == len(TEXTS)
    monkeypatch.setattr(explore_inputs, "VALUES", 10)
    assert len(explore(models[0], TEXTS, methods=("rollout",))) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["good"], "as many as the 5 texts, got 1"),
        (["fine", *TRUTH[1:]], r"classes of the model \(bad, good"),
        ([7, *TRUTH[1:]], "got 7"),
    ],
)
def test_labels_that_do_not_fit(models, labels, message):
    with pytest.raises(InputError, match=message):
        _ = explore(models[0], TEXTS, labels=labels)


def test_hostile_text_is_data_and_nothing_else(models):
    plain = Page(explorer.render_explorer(explore(models[0], TEXTS[:3], methods=("rollout",))))
    html = explorer.render_explorer(explore(models[0], HOSTILE_TEXTS, methods=("rollout",), labels=None))
    found = Page(html)
    assert found.tags == plain.tags
    assert [sentence["text"] for sentence in found.data()["sentences"]] == HOSTILE_TEXTS
    blocks = [text for (tag, attributes), text in found.raw if attributes.get("id") == "data"]
    assert not re.search("[<>&\u2028\u2029\x00\x1b]", blocks[0])


def test_nothing_is_loaded_and_only_its_own_scripts_may_run(page):
    found = Page(page)
    rules = dict(rule.strip().split(" ", 1) for rule in found.policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "base-uri", "form-action", "script-src", "style-src"}
    for tag, attributes in found.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "srcset", "action", "style"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    run = [(tag, text) for (tag, attributes), text in found.raw if "type" not in attributes]
    assert [tag for tag, _ in run] == ["style", "script", "script"]
    for tag, text in run:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules[f"{tag}-src"]
    own = run[-1][1].replace("http://www.w3.org/2000/svg", "")
    assert not re.search(
        r"https?://|@import|url\(|\beval\b|innerHTML|outerHTML|insertAdjacentHTML|document\.write", own
    )
    assert "Copyright" in page.split('id="data"')[1]


def test_the_script_asks_only_for_elements_that_are_there(page):
    present = {attributes["id"] for _, attributes in Page(page).tags if "id" in attributes}
    script = asset("explorer.js")
    made = set(re.findall(r'id: "([\w-]+)"', script)) | {f"choose-{name}" for name in ("position", "word")}
    assert set(re.findall(r'byId\("([\w-]+)"\)', script)) <= present | made


def test_in_a_notebook_the_page_stands_in_a_frame(pair, page):
    html = pair._repr_html_()
    assert html.startswith("<iframe sandbox=")
    # Of a notebook that is not trusted this is left.
    assert html.endswith("once you trust this notebook, or run the cell again.</iframe>")
    inner = re.search(r'srcdoc="([^"]*)"', html)[1]
    import html as escaping

    assert escaping.unescape(inner) == page


def test_a_result_shows_itself_in_a_notebook(models):
    result = jf.attribute(models[0], [*HOSTILE_TEXTS, *["the key"] * 10])
    html = result._repr_html_()
    assert not re.search("<(img|b|/script)", html)
    assert "&lt;" in html
    assert html.count("<table>") == 10
    assert "and 3 more" in html
    value = result[1].relevance["flow"][-1, 0, 1]
    assert f'title="&lt;: {value:.4g}"' in html


def test_a_notebook_says_what_flow_does_not_tell_and_what_speaks_against(models):
    (example,) = result = jf.attribute(models[0], ["the key to the cabinets"], methods=("raw", "rollout", "flow"))
    saturated = example.saturation["flow"][-1, 0]
    assert saturated.any()
    html = result._repr_html_()
    assert f"flow tells {int((~saturated).sum())} of {len(saturated)} tokens apart here" in html
    row = html.split("flow</th>")[1]
    marked = [", saturated" in title for title in re.findall(r'title="([^"]*)"', row)]
    assert marked == saturated.tolist()
    assert row.count("underline dotted") == saturated.sum()
    assert "saturated" not in html.split("rollout</th>")[1].split("flow</th>")[0]
    # A second hue for what is negative, as strong as its size.
    signed = np.array(example.relevance["raw"])
    signed[-1, 0] = np.where(np.arange(signed.shape[-1]) == 2, -1.0, 0.5)
    html = jf.Attribution((dataclasses.replace(example, relevance={"raw": signed}, saturation={}),))._repr_html_()
    assert html.count("rgba(213, 94, 0, 0.75)") == 1
    assert html.count("rgba(0, 114, 178, 0.38)") == len(example.tokens) - 1


def test_arguments_that_cannot_be_used(models):
    with pytest.raises(InputError, match="`texts` must be a text or a sequence of texts, got NoneType"):
        explore(models[0], None)
    with pytest.raises(InputError, match=r"`methods` must be one of 'raw', 'rollout', 'flow', .*got 'flwo'"):
        explore(models[0], "The key", methods=("raw", "flwo"))


def test_a_unit_that_one_model_lacks_is_no_change():
    same = np.full((1, 2, 3, 3), 1 / 3, np.float32)
    lacking = same.copy()
    lacking[..., 2, :] = 0
    np.testing.assert_allclose(exploring._distances(same, lacking), 0, atol=1e-6)
