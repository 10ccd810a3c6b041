"""Right answers to week 07 in other styles than the reference's."""

import numpy as np
import torch


def rms_norm_by_torch(x, weight, eps):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps)


def rms_norm_by_norm(x, weight, eps):
    mean_square = x.norm(dim=-1, keepdim=True) ** 2 / x.shape[-1]
    return x * (mean_square + eps).rsqrt() * weight


def rope_by_complex_numbers(x, positions, theta):
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half], x[..., half:])
    angles = torch.outer(positions.float(), theta ** (-torch.arange(0, 2 * half, 2) / (2 * half)))
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1)


def rope_by_rotating_half(x, positions, theta):
    d = x.shape[-1]
    angles = positions[:, None] / theta ** (torch.arange(0, d, 2) / d)
    angles = torch.cat([angles, angles], dim=-1)
    turned = torch.cat([-x[..., d // 2 :], x[..., : d // 2]], dim=-1)
    return x * angles.cos() + turned * angles.sin()


def gqa_by_torch(q, k, v):
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]


def gqa_by_loop(q, k, v):
    heads, length, size = q.shape
    out = torch.zeros_like(q)
    for head in range(heads):
        shared = head * len(k) // heads
        for t in range(length):
            scores = k[shared, : t + 1] @ q[head, t] / np.sqrt(size)
            out[head, t] = torch.softmax(scores, 0) @ v[shared, : t + 1]
    return out


def gqa_by_groups(q, k, v):
    groups, length, size = k.shape
    grouped = q.reshape(groups, -1, length, size)
    scores = torch.einsum("grtd,gsd->grts", grouped, k) * size**-0.5
    scores = scores + torch.full((length, length), -1e9).triu(1)
    return torch.einsum("grts,gsd->grtd", scores.softmax(-1), v).reshape(q.shape)


def nf4_by_midpoints(w, levels, block):
    blocks = w.view(-1, block)
    scales = blocks.abs().max(dim=1).values
    middles = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(blocks / scales[:, None], middles)
    return codes.flatten(), scales, (levels[codes] * scales[:, None]).view_as(w)


def nf4_by_loop(w, levels, block):
    flat, codes, scales, restored = w.flatten(), [], [], []
    for start in range(0, len(flat), block):
        part = flat[start : start + block]
        scales.append(part.abs().max())
        codes.append(torch.stack([(levels - one / scales[-1]).abs().argmin() for one in part]))
        restored.append(levels[codes[-1]] * scales[-1])
    return torch.stack(codes), torch.stack(scales)[:, None], torch.cat(restored).reshape(w.shape)


def top_p_by_loop(probabilities, p):
    result, total = torch.zeros_like(probabilities), 0.0
    for place in probabilities.argsort(descending=True).tolist():
        if total >= p:
            break
        result[place] = probabilities[place]
        total += float(probabilities[place])
    return result / total


def top_p_from_below(probabilities, p):
    ascending, places = torch.sort(probabilities)
    kept = probabilities.clone()
    kept[places[ascending.cumsum(0) <= 1 - p]] = 0
    return kept / kept.sum()


def rms_norm_by_module(x, weight, eps):
    layer = torch.nn.RMSNorm(len(weight), eps=eps)
    layer.weight = torch.nn.Parameter(weight)
    with torch.no_grad():
        return layer(x)


def rms_norm_by_rows(x, weight, eps):
    rows = [row / (sum(one * one for one in row) / len(row) + eps) ** 0.5 * weight for row in x.flatten(0, -2)]
    return torch.stack(rows).view(x.shape)


def rms_norm_in_float64(x, weight, eps):
    x = x.double()
    return torch.einsum("...i,i,...->...i", x, weight.double(), torch.rsqrt(x.square().mean(-1) + eps))


RIGHT = {
    "week07.rms_norm": [rms_norm_by_torch, rms_norm_by_norm, rms_norm_by_module, rms_norm_by_rows, rms_norm_in_float64],
    "week07.rope": [rope_by_complex_numbers, rope_by_rotating_half],
    "week07.gqa": [gqa_by_torch, gqa_by_loop, gqa_by_groups],
    "week07.nf4": [nf4_by_midpoints, nf4_by_loop],
    "week07.top_p": [top_p_by_loop, top_p_from_below],
}
