"""Compressed Interaction Network, a teacher: the explicit half of xDeepFM (Lian et al., KDD 2018)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.linear import linear_layers
from dagfm.nn.products import products, symmetric_products

_CHUNK = 1 << 18
"""Numbers in one layer of the rows that a CPU takes at once: larger ones leave the caches."""


class _Polynomials(NamedTuple):
    """Coefficients over [base, 1], a row a polynomial: quadratic ones packed, see ``_packed``."""

    state: Tensor | None
    """x_1, (H_1, pairs)."""
    c: Tensor
    """(H_{L-2}, pairs)."""
    rest: Tensor
    """Linear, (F + 1,)."""


class CIN(nn.Module):
    """``x_k = W_k (x_{k-1} ⊗ base) + b_k`` per embedding column, x_0 = base; the logit is ``Σ_k v_k · Σ_d x_k``.

    That is section 3.1 without activations, as in KD-DAGFM. So the last two layers, nearly all of the work, need not be
    formed: instead of pushing x up through W, v is pulled down through it. The logit is ``Σ_d x_{L-2} · c`` plus a rest
    linear in base, where c is a quadratic polynomial of base whose coefficients are products of weights, the same for
    all rows. A layer then costs a row H · F² / 2 multiply-adds a column, not H · F · H.

    Parameters:
        layers: a linear unit each, weight (H, H_prev · F), the previous layer's index leading, bias (H,).
        head: weight v of all layers, (1, Σ H); no bias.
    """

    extra_columns = 0

    def __init__(self, fields: int, size: int, cin: tuple[int, ...]) -> None:
        super().__init__()
        self.fields, self.size, self.cin = fields, size, tuple(cin)
        heights = zip((fields, *cin[:-1]), cin, strict=True)
        self.layers = nn.ModuleList(nn.Linear(previous * fields, height) for previous, height in heights)
        self.head = nn.Linear(sum(cin), 1, bias=False)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights as the reference does (ours are the same): its 1 × 1 convolutions keep torch's default."""
        for layer in linear_layers(self.layers):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        nn.init.normal_(self.head.weight, std=0.01, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        polynomials = self._polynomials()
        largest = max(self.fields, *self.cin) * self.size
        rows = max(1, _CHUNK // largest) if x.device.type == "cpu" else max(1, len(x))
        return torch.cat([self._logits(chunk, polynomials) for chunk in torch.split(x, rows)])

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit.

        The head has no bias. The last layer's bias stands in for it: added along v, where a small change does most, it
        reaches the logit through v and the sum over D alone.
        """
        v = self._heads()[-1]
        linear_layers(self.layers)[-1].bias.add_(v * (by / (self.size * v.square().sum())))

    def _logits(self, x: Tensor, polynomials: _Polynomials) -> Tensor:
        base = x.permute(1, 2, 0).reshape(self.fields, self.size * len(x))  # a column is one (d, row)
        with_one = F.pad(base, (0, 0, 0, 1), value=1.0)
        total = polynomials.rest @ with_one
        state = base if len(self.cin) == 2 else with_one[-1:]
        if polynomials.state is not None:
            state = symmetric_products(polynomials.state, with_one)
            for layer, v in zip(linear_layers(self.layers)[1:-2], self._heads()[:-3], strict=True):
                total = total + v @ state
                by_field = layer.weight.view(-1, len(state), self.fields).transpose(1, 2).flatten(1)
                state = products(by_field, state, base) + layer.bias.unsqueeze(1)
        total = total + (state * symmetric_products(polynomials.c, with_one)).sum(0)
        return total.view(self.size, len(x)).sum(0)

    def _polynomials(self) -> _Polynomials:
        """Pull the head down through the last two layers; for a network of one layer, c is all of it."""
        layers, heads, fields = linear_layers(self.layers), self._heads(), self.fields
        rest = F.pad((heads[-1] @ layers[-1].bias).view(1), (fields, 0))
        u = (heads[-1] @ layers[-1].weight).view(-1, fields)
        if len(layers) == 1:
            return _Polynomials(None, _packed(u.unsqueeze(0), u.new_zeros(1)), rest)

        # u (H_{L-1}, F + 1): of the logit, layers L-1 and L are x_{L-1} · (u @ with_one) and the constant.
        u = torch.cat([u, heads[-2].unsqueeze(1)], 1)
        c = torch.einsum("hmf,hg->mfg", layers[-2].weight.view(len(u), -1, fields), u)
        rest = rest + layers[-2].bias @ u
        if len(layers) == 2:
            return _Polynomials(None, _packed(c, c.new_zeros(fields)), rest)

        first = layers[0].weight.view(-1, fields, fields)
        return _Polynomials(_packed(first, layers[0].bias), _packed(c, heads[-3]), rest)

    def _heads(self) -> tuple[Tensor, ...]:
        """The head's weight, layer by layer."""
        return torch.split(self.head.weight[0], list(self.cin))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row of the layers as defined, without the head; forward needs far fewer."""
        return sum(layer.weight.numel() for layer in linear_layers(self.layers)) * self.size


def _packed(coefficients: Tensor, constant: Tensor) -> Tensor:
    """Coefficients (M, (F+1)(F+2)/2) of ``Σ_{f,g} coefficients[m,f,g] base_f base_g + constant[m]``.

    Takes coefficients (M, F, F), or (M, F, F + 1) with the linear ones last. base_f base_g and base_g base_f are one
    product, so their coefficients are added; the order is that of ``torch.triu_indices``, the constant last.
    """
    width = coefficients.shape[1] + 1
    square = F.pad(coefficients, (0, width - coefficients.shape[2], 0, 1))
    left, right = torch.triu_indices(width, width, device=square.device)[:, :-1]
    folded = torch.where(left == right, square[:, left, right], square[:, left, right] + square[:, right, left])
    return torch.cat([folded, constant.unsqueeze(1)], 1)
