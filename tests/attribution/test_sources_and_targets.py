"""An encoder-decoder's attention in hand: what users of transformers hold, through all that a result can do."""

import numpy as np
import pytest
import torch
import transformers

import jaxflow as jf
from jaxflow._checks import InputError
from tests.flow.oracles import all_pairs
from tests.graph.encoder_decoder_oracle import by_hand, products
from tests.models.torch_architectures import BART, SIZE, T5, WHISPER

pytestmark = pytest.mark.usefixtures("few_sizes")

SOURCES = [["the", "key", "to", "the", "cabinets", "</s>"], ["keys", "on", "</s>"]]
TARGETS = [["<pad>", "▁la", "▁cl", "é"], ["<pad>", "▁les"]]
SOURCE_MASK = np.array([[1] * 6, [1, 1, 1, 0, 0, 0]])
TARGET_MASK = np.array([[1] * 4, [1, 1, 0, 0]])


def made(config, changes):
    return getattr(transformers, config)(**changes)


def outputs_of(kind, config):
    """A batch of two, padded, through a tiny random model; the last logits of the first."""
    _ = torch.manual_seed(7)
    transformers.utils.logging.set_verbosity_error()
    model = kind(config).eval()
    _ = model.set_attn_implementation("eager")
    rng = np.random.default_rng(1)
    ids, targets = (torch.tensor(rng.integers(5, SIZE, shape)) for shape in ((2, 6), (2, 4)))
    return model(
        input_ids=ids,
        attention_mask=torch.tensor(SOURCE_MASK),
        decoder_input_ids=targets,
        output_attentions=True,
        use_cache=False,
    )


@pytest.fixture(scope="module")
def outputs():
    return outputs_of(transformers.BartForConditionalGeneration, made("BartConfig", BART))


def parts_of(outputs, example):
    """One example's three attentions without padding, `layer head query key`."""
    encoder, decoder, cross = (
        torch.stack(getattr(outputs, f"{side}_attentions"), 1)[example].detach().numpy()
        for side in ("encoder", "decoder", "cross")
    )
    sources, targets = SOURCE_MASK[example].sum(), TARGET_MASK[example].sum()
    return encoder[:, :, :sources, :sources], decoder[:, :, :targets, :targets], cross[:, :, :targets, :sources]


def check(result, outputs):
    for index, example in enumerate(result):
        encoder, decoder, cross = parts_of(outputs, index)
        sources, targets = encoder.shape[-1], decoder.shape[-1]
        assert example.sources == tuple(SOURCES[index])
        assert example.targets == tuple(TARGETS[index])
        assert example.first_target == sources
        # The last target is asked about where nothing is said.
        assert example.queries.tolist() == [sources + targets - 1]
        of_sources, of_targets = products(encoder, decoder, cross)
        expected = np.concatenate([of_sources[-1], of_targets[-1]])
        np.testing.assert_allclose(example.relevance["rollout"][-1, 0], expected, atol=1e-5)
        np.testing.assert_allclose(example.relevance["raw"][-1, 0, :sources], cross[-1].mean(0)[-1], atol=1e-5)
        assert example.relevance["raw"][-1, 0, sources:].max() == 0
        capacity = by_hand(encoder, decoder, cross)
        for layer in (len(encoder) + 1, len(capacity)):
            flow = all_pairs(capacity, layer)[-1]
            np.testing.assert_allclose(example.relevance["flow"][layer - 1, 0], flow, atol=3e-6)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("BartForConditionalGeneration", made("BartConfig", BART | {"decoder_attention_heads": 4})),
        pytest.param("T5ForConditionalGeneration", made("T5Config", T5), marks=pytest.mark.slow),
        pytest.param("MarianMTModel", made("MarianConfig", BART), marks=pytest.mark.slow),
    ],
)
def test_outputs_of_transformers(kind, config):
    outputs = outputs_of(getattr(transformers, kind), config)
    # Tokens without padding tell the mask; T5's first target is called as padding is, and read all the same.
    result = jf.attribute_attention(outputs, SOURCES, target_tokens=TARGETS, mask=SOURCE_MASK, target_mask=TARGET_MASK)
    check(result, outputs)
    assert result.layer_names == {
        1: "encoder 1",
        2: "encoder 2",
        3: "decoder 1 self",
        4: "decoder 1 cross",
        5: "decoder 2 self",
        6: "decoder 2 cross",
    }
    assert [example.pair for example in result] == ["la clé", "les"]
    assert result[0].source == (0, 0, 0, 0, 0, -1, -1, 1, 1, 1)


def test_a_mapping_of_arrays_and_names_of_padding(outputs):
    arrays = {
        f"{side}_attentions": torch.stack(getattr(outputs, f"{side}_attentions"), 1).detach().numpy()
        for side in ("encoder", "decoder", "cross")
    }
    padded = [row + ["<pad>"] * (6 - len(row)) for row in SOURCES]
    targets = [row + [None] * (4 - len(row)) for row in TARGETS]
    check(jf.attribute_attention(arrays, padded, target_tokens=targets), outputs)
    alone = {name: array[0] for name, array in arrays.items()}
    result = jf.attribute_attention(alone, SOURCES[0], target_tokens=TARGETS[0])
    check(result, outputs)


def test_results_are_kept_with_their_targets(outputs, tmp_path):
    result = jf.attribute_attention(outputs, SOURCES, target_tokens=TARGETS, mask=SOURCE_MASK, target_mask=TARGET_MASK)
    _ = result.save(tmp_path / "results")
    stored = jf.open_sweep(tmp_path / "results")
    assert [each.first_target for each in stored] == [6, 3]
    assert stored[1].targets == result[1].targets
    assert stored.manifest["encoder_layers"] == 2
    assert stored[0].layer_names == stored[-1].layer_names == result.layer_names == result[1].layer_names
    assert jf.attribute_attention(np.full((1, 1, 2, 2), 0.5), ["a", "b"])[0].layer_names == {}
    np.testing.assert_array_equal(stored[0].relevance["flow"], result[0].relevance["flow"])
    assert "first_target" not in result.to_pandas()


def test_pictures_name_layers_as_the_page_does(outputs):
    result = jf.attribute_attention(outputs, SOURCES, target_tokens=TARGETS, mask=SOURCE_MASK, target_mask=TARGET_MASK)
    names = ["encoder 1", "encoder 2", *(f"decoder {layer} {kind}" for layer in (1, 2) for kind in ("self", "cross"))]
    assert list(result[0].layer_names.values()) == names
    drawn = jf.plot_relevance(result[0]).axes[0]
    assert [label.get_text() for label in drawn.get_yticklabels()] == names
    chosen = jf.plot_relevance(result[0], layers=[2, 4]).axes[0]
    assert [label.get_text() for label in chosen.get_yticklabels()] == ["encoder 2", "decoder 1 cross"]
    assert "decoder 2 cross, position" in result[0]._repr_html_()


def test_a_class_specific_mixing_takes_gradients_of_all_three(outputs):
    sides = [f"{side}_attentions" for side in ("encoder", "decoder", "cross")]
    taken = tuple(layer for side in sides for layer in outputs[side])
    slopes = iter(torch.autograd.grad(outputs.logits[:, -1].max(-1).values.sum(), taken, retain_graph=True))
    gradients = {side: tuple(next(slopes) for _ in outputs[side]) for side in sides}
    mixing = jf.mixing.AttentionGradient(own="identity")
    result = jf.attribute_attention(
        outputs,
        SOURCES,
        target_tokens=[row + ["x"] * (4 - len(row)) for row in TARGETS],
        mask=SOURCE_MASK,
        gradients=gradients,
        mixing=mixing,
        methods=("rollout", "flow"),
    )
    for index, example in enumerate(result):
        sources = int(SOURCE_MASK[index].sum())
        parts = []
        for side in sides:
            attention, gradient = (torch.stack(each[side], 1)[index].detach().numpy() for each in (outputs, gradients))
            parts.append(np.maximum(attention * gradient, 0).mean(1).astype(np.float64))
        encoder, decoder, cross = parts[0][:, :sources, :sources], parts[1], parts[2][:, :, :sources]
        # Chefer et al. (2021b): R += A R for each attention, from below.
        tokens = sources + 4
        below = np.eye(tokens)
        layers = []
        for block, rows, columns in [
            *((each, slice(sources), slice(sources)) for each in encoder),
            *(
                (each, slice(sources, None), columns)
                for pair in zip(decoder, cross, strict=True)
                for each, columns in zip(pair, (slice(sources, None), slice(sources)), strict=True)
            ),
        ]:
            capacity = np.eye(tokens)
            capacity[rows, columns] += block
            layers.append(capacity)
            below = capacity @ below
        np.testing.assert_allclose(example.relevance["rollout"][-1, 0], below[-1], atol=1e-5)
        np.testing.assert_allclose(
            example.relevance["flow"][-1, 0], all_pairs(np.stack(layers), len(layers))[-1], atol=1e-5
        )


def test_what_generate_gives_is_put_together():
    _ = torch.manual_seed(3)
    model = transformers.BartForConditionalGeneration(made("BartConfig", BART | {"forced_eos_token_id": None})).eval()
    _ = model.set_attn_implementation("eager")
    ids = torch.tensor([[5, 9, 7, 6]])
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": 4, "min_new_tokens": 4, "output_attentions": True}
    written = model.generate(ids, attention_mask=torch.ones_like(ids), return_dict_in_generate=True, **options)
    stacked = jf.stack_generated(written)
    read = written.sequences[:, :-1]
    whole = model(ids, decoder_input_ids=read, output_attentions=True, use_cache=False)
    for name, attention in stacked.items():
        expected = torch.stack([torch.as_tensor(layer) for layer in whole[name]], 1).detach().numpy()
        np.testing.assert_allclose(attention, expected, atol=1e-6, err_msg=name)
    tokens = [f"t{number}" for number in ids[0].tolist()]
    targets = [f"t{number}" for number in read[0].tolist()]
    result = jf.attribute_attention(stacked, tokens, target_tokens=targets, methods="rollout")
    assert result[0].targets == tuple(targets)
    with pytest.raises(InputError, match=r"decoder_attentions.*jaxflow\.stack_generated"):
        _ = jf.attribute_attention(written, tokens, target_tokens=targets)


def test_whisper_goes_in_by_its_attention():
    _ = torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(made("WhisperConfig", WHISPER)).eval()
    _ = model.set_attn_implementation("eager")
    out = model(torch.randn(1, 4, 16), decoder_input_ids=torch.tensor([[2, 5, 6]]), output_attentions=True)
    times = [f"{place * 0.02:.2f} s" for place in range(8)]
    result = jf.attribute_attention(out, times, target_tokens=["<|startoftranscript|>", "Ġthe", "Ġkey"])
    assert result[0].sources == tuple(times)
    assert result[0].relevance["rollout"][-1, 0].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_tokens": None}, "`target_tokens` must hold the tokens that the decoder read.*convert_ids_to_tokens"),
        ({"target_tokens": "la clé"}, "`target_tokens` must be a list of tokens an example"),
        ({"target_tokens": [["a"] * 9] * 2}, r"`target_tokens\[0\]` must have 4 tokens"),
        ({"tokens": SOURCES[:1]}, "`tokens` must have one list for each of 2 examples"),
        ({"mask": np.ones((2, 4))}, r"`mask` must have shape \(2, 6\)"),
        ({"target_mask": np.ones((2, 6))}, r"`target_mask` must have shape \(2, 4\)"),
        ({"gradients": np.zeros((2, 2))}, "`gradients` must hold encoder_attentions"),
        ({"attentions": {"encoder_attentions": None}}, "`encoder_attentions` must hold the attention.*eager"),
        ({"attentions": np.ones((2, 2, 2, 6, 6)) / 6}, "`target_tokens` must come with an encoder-decoder's attention"),
    ],
)
def test_what_does_not_fit_gets_one_line(outputs, change, message):
    given = {"attentions": outputs, "tokens": SOURCES, "target_tokens": TARGETS, "mask": SOURCE_MASK} | change
    with pytest.raises(InputError, match=message) as caught:
        _ = jf.attribute_attention(given.pop("attentions"), given.pop("tokens"), **given)
    assert len(str(caught.value).splitlines()) == 1
