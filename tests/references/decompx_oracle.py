"""DecompX in torch, in float64 and one token after the other, from the paper's equations.

It takes weights, attention and the first states from transformers' model, and nothing else.
"""

import torch
from torch import nn


def decompx(model, inputs, even=False):
    """The parts of every layer's states, a list of `text position source width`, and of the logits.

    Biases go to parts by their products, or to all of a text's tokens alike where they are `even`.
    """
    mask = inputs["attention_mask"].double()
    share = by_size if not even else (mask / mask.sum(-1, keepdim=True))[:, None].expand_as
    with torch.no_grad():
        output = model(**inputs, output_attentions=True, output_hidden_states=True)
        first = output.hidden_states[0]
        # Equation 1 at layer 0: a position is its own token's.
        parts = torch.eye(first.shape[1], dtype=first.dtype)[None, :, :, None] * first[:, None]
        states = [parts]
        for names, attention in zip(layers(model), output.attentions, strict=True):
            run = _pre_norm_layer if pre_norm(model) else _layer
            parts = run(share, parts, attention, *names)
            states.append(parts)
        if pre_norm(model):
            # The last norm stands behind all layers.
            parts = states[-1] = _normed(share, parts, model.base_model.LayerNorm)
        dense, activation, last = head(model)
        # Of the first position alone, which stays an axis for the shares.
        pooled = _activated(_linear(share, parts[:, :1], dense), activation)
        return states, _linear(share, pooled, last)[:, 0], output


def pre_norm(model):
    """Whether norms stand before their blocks."""
    return model.config.model_type == "roberta-prelayernorm"


def layers(model):
    """Each layer's value, output, norm, up, activation, down and norm."""
    base, kind = model.base_model, model.config.model_type
    if kind == "distilbert":
        return [
            (x.attention.v_lin, x.attention.out_lin, x.sa_layer_norm, *_fed(x.ffn), x.output_layer_norm)
            for x in base.transformer.layer
        ]
    if kind == "albert":
        groups, depth = base.encoder.albert_layer_groups, model.config.num_hidden_layers
        stored = [groups[step * len(groups) // depth].albert_layers[0] for step in range(depth)]
        return [(*_attended(x.attention), x.ffn, x.activation, x.ffn_output, x.full_layer_layer_norm) for x in stored]
    if pre_norm(model):
        return [
            (
                *(x.attention.self.value, x.attention.output.dense, x.attention.LayerNorm),
                *(x.intermediate.dense, x.intermediate.intermediate_act_fn, x.output.dense, x.intermediate.LayerNorm),
            )
            for x in base.encoder.layer
        ]
    attended = [
        (x.attention.attn.v, x.attention.attn.o, x.attention.LayerNorm)
        if kind == "mpnet"
        else (x.attention.self.value, x.attention.output.dense, x.attention.output.LayerNorm)
        for x in base.encoder.layer
    ]
    return [
        (*first, x.intermediate.dense, x.intermediate.intermediate_act_fn, x.output.dense, x.output.LayerNorm)
        for first, x in zip(attended, base.encoder.layer, strict=True)
    ]


def _fed(x):
    return x.lin1, x.activation, x.lin2


def _attended(x):
    return x.value, x.dense, x.LayerNorm


def head(model):
    """The head's dense map, activation and last map."""
    kind = model.config.model_type
    if kind == "bert":
        return model.bert.pooler.dense, torch.tanh, model.classifier
    if kind == "albert":
        return model.albert.pooler, torch.tanh, model.classifier
    if kind == "distilbert":
        return model.pre_classifier, torch.relu, model.classifier
    activation = nn.functional.gelu if kind == "electra" else torch.tanh
    return model.classifier.dense, activation, model.classifier.out_proj


def _layer(share, parts, attention, value, output, norm, up, activation, down, last_norm):
    parts = _normed(share, parts + _attended_parts(share, parts, attention, value, output), norm)
    fed = _linear(share, _activated(_linear(share, parts, up), activation), down)
    return _normed(share, parts + fed, last_norm)


def _pre_norm_layer(share, parts, attention, value, output, norm, up, activation, down, last_norm):
    parts = parts + _attended_parts(share, _normed(share, parts, norm), attention, value, output)
    fed = _linear(share, _activated(_linear(share, _normed(share, parts, last_norm), up), activation), down)
    return parts + fed


def _attended_parts(share, parts, attention, value, output):
    text, position, source, width = parts.shape
    heads = attention.shape[1]
    # Equation 4: sum over heads h and positions j of a_ij x_(j <- k) W_V W_O, without biases.
    mixed = (parts @ value.weight.T).reshape(text, position, source, heads, width // heads)
    mixed = torch.einsum("thij,tjkhd->tikhd", attention, mixed).reshape(parts.shape)
    # The biases of both maps are one, `W_O b_V + b_O`.
    return _biased(share, mixed @ output.weight.T, output.weight @ value.bias + output.bias)


def _biased(share, parts, bias):
    """Equation 5: each part and its share of the bias."""
    return parts + share(parts @ bias)[..., None] * bias


def by_size(products):
    """The paper's shares: by the absolute product of a part with the bias."""
    return products.abs() / products.abs().sum(-1, keepdim=True)


def _linear(share, parts, linear):
    return _biased(share, parts @ linear.weight.T, linear.bias)


def _normed(share, parts, norm):
    """Equation 8: each part less its mean, over the deviation of their sum."""
    whole = parts.sum(-2, keepdim=True)
    deviation = (whole.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    return _biased(share, (parts - parts.mean(-1, keepdim=True)) / deviation * norm.weight, norm.bias)


def _activated(parts, activation):
    """Equation 10: `f(z) / z` of the sum."""
    whole = parts.sum(-2, keepdim=True)
    return parts * torch.where(whole == 0, torch.zeros_like(whole), activation(whole) / whole)
