"""What a model looks like where it is printed: a line, without weights and configuration."""

import numpy as np
import pytest

import jaxflow as jf
from tests.models.test_torch_model import torch_model
from tests.models.torch_architectures import of


def test_a_model_names_its_sizes_and_classes():
    printed = repr(jf.load_model("verb-number"))
    assert printed == "TextEncoder('verb-number': 6 layers, 8 heads, sequence classification (VBZ, VBP))"


@pytest.mark.parametrize(
    ("title", "kind"), [("BERT", ", sequence classification (LABEL_0, LABEL_1, LABEL_2)"), ("GPT-2", ", next token")]
)
def test_torch_models_name_the_kind_of_head_but_no_vocabulary(title, kind):
    model = torch_model(of(title).make(), name="mine")
    assert repr(model) == f"TorchModel('mine': {model.layers} layers, {model.heads} heads{kind})"


def test_attention_in_hand_is_printed_without_its_arrays():
    attention = np.full((1, 2, 3, 4, 4), 0.25)
    printed = repr(jf.attribute_attention(attention, [list("abcd")], methods="raw").model)
    assert "array" not in printed


def test_a_name_that_is_nearly_right_is_offered():
    with pytest.raises(jf.InputError, match=r"got 'flw'; did you mean 'flow'\?"):
        jf.Question(methods="flw")
    with pytest.raises(jf.InputError, match=r"got 'norm'; did you mean 'norms'\?"):
        jf.Question(mixing="norm")
    with pytest.raises(jf.InputError, match=r"got 'mean of all'$"):
        jf.Question(mixing="mean of all")
