import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import metadata

import numpy as np
import pytest

from jaxflow._checks import InputError
from jaxflow.attribution import Attribution, Example, Question, Rollout
from jaxflow.mixing import Attention, AttentionGradient
from jaxflow.pages import page
from jaxflow.pages.pieces import joined, pieces
from jaxflow.pages.write import write_page
from jaxflow.store.results import Store
from tests.extending.mixing import ValueNorms
from tests.pages.rows import HOSTILE, make_row, manifest

pytestmark = pytest.mark.usefixtures("few_sizes")


class Page(HTMLParser):
    """What a browser makes of a page: its tags, and the text of its scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.raw, self.policy, self.open = [], [], None, None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.open = (tag, dict(attrs))
            self.raw.append((self.open, ""))
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"]

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.open = None

    def handle_data(self, data):
        if self.open is not None:
            opened, text = self.raw[-1]
            self.raw[-1] = (opened, text + data)

    def data(self):
        ((_, text),) = [block for block in self.raw if block[0][1].get("id") == "data"]
        return json.loads(text)


def rendered(rows, **options):
    return page.render(page.page_data(manifest(len(rows), **options), rows))


def values_of(example, method):
    array = np.frombuffer(base64.b64decode(example["values"][method]), "<f4")
    return array.reshape(len(example["layers"]), len(example["queries"]), len(example["tokens"]))


OWN = "alti (own measured, rows auto); attention-gradient (own 0.5)"


@pytest.mark.parametrize(
    ("mixing", "words"),
    [
        ("attention", "attention (heads mean, residual 0.5)"),
        (Attention(heads=(0.0, 1.0), residual=0.25), "attention (heads [0.0, 1.0], residual 0.25)"),
        (AttentionGradient(own=0), "attention-gradient (own 0.0)"),
        (AttentionGradient(), "attention-gradient (own wide)"),
        (ValueNorms(scale=2.0), "value-norms (scale 2.0)"),
    ],
)
def test_the_mixing_is_shown_by_its_name_with_its_fields(mixing, words):
    settings = page.page_settings(Question(mixing=mixing).as_json())
    assert settings["mixing"] == words
    many = page.page_settings(Question(mixing=Attention(heads=(0.125,) * 144)).as_json())["mixing"]
    assert len(many) < 100


@pytest.mark.parametrize(
    ("question", "words"),
    [
        # The question's own mixing is named where some method reads it, and those that methods carry.
        (Question(("raw", "flow@alti")), "attention (heads mean, residual 0.5); alti (own measured, rows auto)"),
        (Question(("flow@alti", Rollout(mixing=AttentionGradient(own=0.5)))), OWN),
        (Question("column-sums"), "attention-gradient (own none)"),
        (Question(("decompx", "occlusion")), "none is read"),
    ],
)
def test_only_mixings_that_methods_read_are_named(question, words):
    asked = question.as_json()
    assert page.page_settings(asked)["mixing"] == words
    # Where a method of a user's own is not at hand, by the question's.
    asked["methods"] = [*asked["methods"], {"name": "mine", "class": "no_such_module:Mine", "fields": {}}]
    assert page.mixings_words(asked) == "attention (heads mean, residual 0.5)"


def test_the_page_holds_every_number():
    rows = [
        make_row("The key, unbelievably.", number=1),
        make_row("is", "it?", number=2, label="yes", every_query=True),
    ]
    data = Page(rendered(rows)).data()
    assert data["methods"] == ["raw", "rollout", "flow"]
    for example, row in zip(data["examples"], rows, strict=True):
        for name in ("id", "text", "pair", "tokens", "prediction", "probabilities"):
            assert example[name] == row[name]
        for name in ("layers", "queries", "source"):
            assert example[name] == row[name].tolist()
        for method in data["methods"]:
            np.testing.assert_array_equal(values_of(example, method), row[method].astype(np.float32))
        certified = np.frombuffer(base64.b64decode(example["certified"]), np.uint8)
        np.testing.assert_array_equal(certified.astype(bool), row["certified"].ravel())


def test_hostile_text_is_data_and_nothing_else():
    rows = [make_row(HOSTILE, HOSTILE, label=HOSTILE)]
    plain = Page(rendered([make_row("fine")]))
    html = rendered(rows, name=HOSTILE, model=HOSTILE)
    found = Page(html)
    # The same elements with the same attributes as for a harmless text, but for the data.
    assert found.tags == plain.tags
    assert [block for block, _ in found.raw] == [block for block, _ in plain.raw]
    assert found.data()["examples"][0]["text"] == HOSTILE
    assert found.data()["model"] == HOSTILE
    ((_, text),) = [block for block in found.raw if block[0][1].get("id") == "data"]
    assert not re.search("[<>&\u2028\u2029\x00\x1b]", text)
    assert html.count("</script") == len([tag for tag, _ in found.tags if tag == "script"])


def test_nothing_is_loaded_and_only_its_own_script_may_run():
    found = Page(rendered([make_row("fine")]))
    for tag, attributes in found.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "srcset", "action", "style"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    rules = dict(rule.strip().split(" ", 1) for rule in found.policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "base-uri", "form-action", "script-src", "style-src"}
    for (tag, attributes), text in found.raw:
        if attributes.get("type") == "application/json":
            continue
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
        assert not re.search(
            r"https?://|@import|url\(|\beval\b|innerHTML|outerHTML|insertAdjacentHTML|document\.write", text
        )


def test_the_script_asks_only_for_elements_that_are_there():
    html = rendered([make_row("fine")])
    present = {attributes["id"] for _, attributes in Page(html).tags if "id" in attributes}
    assert set(re.findall(r'byId\("([\w-]+)"\)', html)) <= present


def test_a_large_set_shows_its_first_examples(monkeypatch):
    monkeypatch.setattr(page, "MOST_EXAMPLES", 3)
    rows = [make_row(f"text {number}", number=number) for number in range(1, 6)]
    data = Page(rendered(rows)).data()
    assert [example["id"] for example in data["examples"]] == [1, 2, 3]
    assert data["total"] == 5


def test_long_examples_stop_the_page_from_growing(monkeypatch):
    small = make_row("one two", number=1)
    size = 3 * small["raw"].size
    monkeypatch.setattr(page, "VALUES", 2 * size)
    rows = [small, make_row("one two", number=2), make_row("one two", number=3)]
    assert len(Page(rendered(rows)).data()["examples"]) == 2


def test_of_a_single_example_that_is_too_long_the_first_positions_are_shown(monkeypatch):
    row = make_row("one two three four five", every_query=True)
    monkeypatch.setattr(page, "VALUES", 3 * row["raw"][:, :2].size)
    (example,) = Page(rendered([row])).data()["examples"]
    assert example["queries"] == [0, 1]
    assert example["queries_total"] == len(row["queries"])
    np.testing.assert_array_equal(values_of(example, "raw"), row["raw"][:, :2])


def test_methods_that_were_not_run_are_left_out():
    data = Page(rendered([make_row("fine", methods=("rollout",))], methods=("rollout",))).data()
    assert data["methods"] == ["rollout"]
    assert set(data["examples"][0]["values"]) == {"rollout"}
    assert "certified" not in data["examples"][0]


def test_flows_that_are_all_certified_take_no_room():
    row = make_row("fine")
    row["certified"][:] = True
    assert Page(rendered([row])).data()["examples"][0]["certified"] is None


@pytest.mark.parametrize(
    ("text", "pair"), [("The key,  un\u200bbelievably  ", None), (" a-b", "c\nd "), (HOSTILE, HOSTILE)]
)
def test_pieces_give_the_text_back(text, pair):
    row = make_row(text, pair)
    special = row["source"] < 0
    together = "".join(gap + ("" if special[i] else surface) for i, (gap, surface) in enumerate(pieces(row)))
    assert together == text + (pair or "")
    assert [surface for i, (_, surface) in enumerate(pieces(row)) if special[i]] == ["[CLS]", "[SEP]", "[SEP]"][
        : special.sum()
    ]


def test_what_was_cut_off_stands_before_the_last_special_token():
    row = make_row("one two three", upto=2)
    assert pieces(row) == [["", "[CLS]"], ["", "one"], [" ", "two"], [" three", "[SEP]"]]


def test_tokens_of_one_character_cover_it_once():
    row = make_row("ab")
    row |= {"tokens": ["x", "y", "z"], "offsets": np.array([[0, 1], [0, 1], [1, 2]]), "source": np.array([0, 0, 0])}
    assert pieces(row) == [["", "a"], ["", ""], ["", "b"]]


def test_the_mark_of_a_words_beginning_takes_no_letter_from_the_next_token():
    row = make_row("ab cd ▁")
    tokens, spans = ["▁", "a", "b", "▁", "cd", "▁", "▁"], [(0, 1), (0, 1), (1, 2), (2, 3), (3, 5), (5, 6), (6, 7)]
    row |= {"tokens": tokens, "offsets": np.array(spans), "source": np.zeros(7, int)}
    assert pieces(row) == [["", text] for text in ("", "a", "b", " ", "cd", " ", "▁")]
    assert joined(row, pieces(row)) == [0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "pair", "spans", "expected"),
    [
        ("unlost, it", None, [(0, 2), (2, 6), (6, 7), (8, 10)], [0, 1, 0, 0]),
        ("don't", None, [(0, 3), (3, 4), (4, 5)], [0, 1, 1]),
        ("नमस्ते जी", None, [(0, 2), (2, 4), (4, 6), (7, 9)], [0, 1, 1, 0]),
        ("東京タワー", None, [(0, 1), (1, 2), (2, 3), (3, 5)], [0, 0, 0, 1]),
        ("👩‍🔬!", None, [(0, 1), (0, 1), (1, 3), (3, 4)], [0, 1, 1, 0]),
        ("ab", "cd", [(0, 1), (1, 2), None, (0, 1), (1, 2)], [0, 1, 0, 0, 1]),
        # What the model did not read keeps tokens apart; a token with its blank begins a word.
        ("abcd ef", None, [(0, 2), (3, 4), (4, 7)], [0, 0, 0]),
    ],
)
def test_tokens_that_carry_on_a_word_are_joined(text, pair, spans, expected):
    row = make_row(text, pair)
    special = [span is None for span in spans]
    source = [-1 if gap else int(any(special[:place])) for place, gap in enumerate(special)]
    row |= {"tokens": ["x"] * len(spans), "source": np.array(source)}
    row["offsets"] = np.array([(-1, -1) if span is None else span for span in spans])
    assert joined(row, pieces(row)) == expected


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    class Results(Store):
        def rows(self):
            yield make_row("fine")

    results = Results(tmp_path, manifest(1))
    path = page.write_report(results, tmp_path / "report.html")
    assert Page(path.read_text("utf-8")).data()["examples"][0]["text"] == "fine"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="no such folder"):
        page.write_report(results, tmp_path / "gone" / "report.html")


def test_a_page_of_no_text_says_so(context, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(rendered([]), "utf-8")
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(path.as_uri())
    why = "The files in this page's folder say why each row was left out."
    assert opened.locator("main").text_content() == f"No text could be used, so there is nothing to show. {why}"
    # There is nothing to save.
    assert opened.locator("header button:visible").all_inner_texts() == ["Theme: auto"]
    assert (
        opened.locator("#about").text_content()
        == "in.txt · mixing: attention (heads mean, residual 0.5) · jaxflow 0.1.0"
    )
    assert not errors
    opened.close()


def test_signs_and_a_table_that_goes_on_are_said(context, tmp_path):
    mixings = ("attention", "gradient", "norms", "alti", "value-zeroing", "attention-gradient")
    methods = ("raw", "decompx", *(f"{name}@{mixing}" for name in ("raw", "rollout") for mixing in mixings))
    row = make_row("not terribly bad", label="negative", methods=methods)
    for name in methods:
        row[name][:] = 0.5
    # A negative value at another layer than the one that is shown.
    row["decompx"][0, 0, 1] = -1
    path = tmp_path / "signs.html"
    path.write_text(rendered([row], methods=methods), "utf-8")
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.set_viewport_size({"width": 700, "height": 900})
    opened.goto(path.as_uri())
    legend = opened.locator("#legend")
    assert "decompx: against" in legend.text_content()
    assert legend.text_content().startswith("0")
    # Methods stand below one another; one whose layers are wider than the page says so, and its edge fades until the
    # end is reached.
    heat, more = opened.locator("#heat"), opened.locator("#heat-more")
    assert not more.is_visible()
    opened.set_viewport_size({"width": 120, "height": 900})
    opened.wait_for_timeout(200)
    assert more.is_visible()
    assert "more" in heat.get_attribute("class")
    heat.evaluate("heat => heat.scrollTo(heat.scrollWidth, 0)")
    opened.wait_for_timeout(100)
    assert "more" not in heat.get_attribute("class")
    opened.set_viewport_size({"width": 700, "height": 900})
    opened.wait_for_timeout(200)
    assert not more.is_visible()
    for name in methods[2:]:
        opened.locator(f"[id='method-{name}']").uncheck()
    # Of methods with a sign alone there is the one ramp, of those without it the other.
    opened.locator("#method-raw").uncheck()
    assert legend.text_content().startswith("against")
    assert "decompx" not in legend.text_content()
    opened.locator("#method-raw").check()
    opened.locator("#method-decompx").uncheck()
    assert "against" not in legend.text_content()
    assert errors == []
    opened.close()


def test_an_attribution_has_a_page_that_names_its_mixing_and_no_files(context, tmp_path):
    example = Example(
        text="the key",
        pair=None,
        tokens=("[CLS]", "the", "key"),
        offsets=((-1, -1), (0, 3), (4, 7)),
        source=(-1, 0, 0),
        queries=np.array([0]),
        layers=(1,),
        relevance={"raw": np.full((1, 1, 3), 0.25, np.float32)},
        certified=None,
        prediction=None,
        scores={},
    )
    result = Attribution((example,), "tiny", Question("raw", mixing=AttentionGradient(own=0.25)))
    opened = context.new_page()
    opened.goto(write_page(result, tmp_path / "page.html").as_uri())
    about = f"texts · mixing: attention-gradient (own 0.25) · jaxflow {metadata.version('jaxflow-attention')}"
    assert opened.locator("#about").text_content() == about
    assert opened.locator("#rest").text_content() == ""
    opened.close()
