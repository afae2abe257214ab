"""AttnLRP on transformers' own models, by another way than ours: their torch functions are replaced as they run.

For every family and model; `golden/attn_lrp.json` has the numbers of LXT's own package for four tiny ones.
"""

import copy
from unittest import mock

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from transformers.activations import NewGELUActivation


class _Identity(torch.autograd.Function):
    """Equation 9: an elementwise function passes `f(x) / x`."""

    @staticmethod
    def forward(ctx, x, value):
        ctx.save_for_backward(torch.where(x == 0, torch.zeros_like(x), value / x))
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.saved_tensors[0] * gradient, None


class _Half(torch.autograd.Function):
    """Equation 7: both factors of a product share its relevance."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2


class AttnLrpMode(TorchFunctionMode):
    """Torch functions with the derivatives of AttnLRP; it counts how often each rule was used."""

    def __init__(self):
        super().__init__()
        self.used = {"activation": 0, "norm": 0, "product": 0, "gate": 0}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (functional.gelu, functional.relu, torch.tanh, torch.nn.functional.tanh, functional.silu):
            self.used["activation"] += 1
            x = args[0]
            return _Identity.apply(x, function(x.detach(), *args[1:], **kwargs))
        if function is functional.layer_norm:
            self.used["norm"] += 1
            return _norm(*args, **kwargs)
        if function is torch.rsqrt:
            # What a norm by the mean square divides by is a given number.
            self.used["norm"] += 1
            return function(args[0].detach())
        value = function(*args, **kwargs)
        if function is torch.Tensor.mul and all(isinstance(x, torch.Tensor) and x.requires_grad for x in args):
            # LXT: `divide_gradient(activated * up, 2)`.
            self.used["gate"] += 1
            return _Half.apply(value)
        # A product with parameters alone is a linear map, whose state takes all of the relevance.
        if function in (torch.matmul, torch.Tensor.matmul, torch.bmm) and all(x.requires_grad for x in args):
            self.used["product"] += 1
            return _Half.apply(value)
        return value


def one_activation():
    """ALBERT's activation, which is put together from several functions, as the one that it is to rules."""
    return mock.patch.object(NewGELUActivation, "forward", lambda module, x: functional.gelu(x, approximate="tanh"))


def _norm(x, shape, weight=None, bias=None, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    deviation = ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True).add(eps).sqrt().detach()
    return centred / deviation * weight + bias


def attn_lrp(model, inputs, classes):
    """Relevance of the word embeddings for one class of each text; a float64 model with eager attention.

    Also the sums of its terms' sizes, by which rounding goes, and how often each rule was used.
    """
    # A copy: others use the model, and want gradients of its parts.
    model = copy.deepcopy(model).requires_grad_(False)
    words = model.get_input_embeddings()(inputs["input_ids"]).requires_grad_()
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    with one_activation(), AttnLrpMode() as mode:
        logits = model(inputs_embeds=words, **rest).logits
    logits[torch.arange(len(logits)), torch.as_tensor(classes)].sum().backward()
    terms = (words * words.grad).detach().numpy()
    return terms.sum(-1), np.abs(terms).sum(-1), mode.used
