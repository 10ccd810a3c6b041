"""Right answers to week 09 in other styles than the reference's."""

import torch


def lora_forward_merged(x, W, A, B, alpha):
    return x @ (W + alpha / len(A) * B @ A).T


def lora_forward_by_linear(x, W, A, B, alpha):
    from torch.nn.functional import linear

    scale = alpha / B.shape[1]
    return linear(x, W) + linear(linear(x, A), scale * B)


def lora_forward_by_einsum(x, W, A, B, alpha):
    return torch.einsum("...i,oi->...o", x, W) + torch.einsum("...i,ri,or->...o", x, A, B) * alpha / A.size(0)


def lora_parameters_by_loop(shapes, r):
    count = 0
    for outputs, inputs in shapes:
        A, B = torch.empty(r, inputs, device="meta"), torch.empty(outputs, r, device="meta")
        count += A.numel() + B.numel()
    return count


def lora_parameters_by_flat_sum(shapes, r):
    return r * sum(map(sum, shapes))


def mask_prompt_by_loop(ids, start, length):
    labels = ids.clone()
    for i in range(len(ids)):
        labels[i, : start[i]] = -100
        labels[i, length[i] :] = -100
    return labels


def mask_prompt_from_nothing(ids, start, length):
    labels = torch.full_like(ids, -100)
    for row, (first, end) in enumerate(zip(start.tolist(), length.tolist(), strict=True)):
        labels[row, first:end] = ids[row, first:end]
    return labels


def mask_prompt_by_masked_fill(ids, start, length):
    at = torch.arange(ids.size(1)).expand_as(ids)
    return ids.masked_fill((at < start.unsqueeze(1)) | (at >= length.unsqueeze(1)), -100)


def answer_loss_by_ignore_index(logits, labels):
    return torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100)


def answer_loss_by_gather(logits, labels):
    targets = labels[:, 1:]
    keep = targets != -100
    log_p = torch.log_softmax(logits[:, :-1], dim=-1)
    picked = log_p.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -(picked * keep).sum() / keep.sum()


def answer_loss_by_loop(logits, labels):
    losses = []
    for row, targets in zip(logits, labels, strict=True):
        for t in range(len(targets) - 1):
            if targets[t + 1] != -100:
                losses.append(torch.logsumexp(row[t], dim=0) - row[t, targets[t + 1]])
    return sum(losses) / len(losses)


def lora_parameters_by_numpy(shapes, r):
    import numpy as np

    return np.sum(shapes) * r


def lora_parameters_by_modules(shapes, r):
    from torch import nn

    adapters = [nn.Linear(a, b, bias=False) for outputs, inputs in shapes for a, b in ((inputs, r), (r, outputs))]
    return sum(weight.numel() for adapter in adapters for weight in adapter.parameters())


def lora_parameters_by_accumulating(shapes, r):
    from itertools import accumulate, chain

    return r * [*accumulate(chain.from_iterable(shapes))][-1]


RIGHT = {
    "week09.lora_forward": [lora_forward_merged, lora_forward_by_linear, lora_forward_by_einsum],
    "week09.lora_parameters": [
        lora_parameters_by_loop,
        lora_parameters_by_flat_sum,
        lora_parameters_by_numpy,
        lora_parameters_by_modules,
        lora_parameters_by_accumulating,
    ],
    "week09.mask_prompt": [mask_prompt_by_loop, mask_prompt_from_nothing, mask_prompt_by_masked_fill],
    "week09.answer_loss": [answer_loss_by_ignore_index, answer_loss_by_gather, answer_loss_by_loop],
}
