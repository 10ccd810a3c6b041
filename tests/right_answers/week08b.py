"""Right answers to week 08b's exercises in other styles than the reference's."""

import torch


def prompt_ids_by_assignment(words, length, start, end, filler):
    row = [filler] * length
    words = words[: max(0, length - 2)]
    row[0] = start
    row[1 : 1 + len(words)] = words
    row[1 + len(words)] = end
    return row


def latent_scaling_by_torch(encoded, denoised, scaling_factor):
    return torch.mul(encoded, scaling_factor), torch.div(denoised, scaling_factor)


def guided_noise_text_first(unet, latents, t, empty, text, scale):
    with_text, without = unet(latents.repeat(2, 1, 1, 1), t, torch.cat((text, empty))).split(len(latents))
    return torch.lerp(without, with_text, scale)


def img2img_steps_by_counting(times, strength):
    walked = int(len(times) * strength)
    return [time for place, time in enumerate(times) if place >= len(times) - walked]


def word_map_by_einsum(q, k, token):
    scores = torch.einsum("hpd,htd->hpt", q, k) / q.shape[-1] ** 0.5
    shares = torch.exp(scores - scores.amax(-1, keepdim=True))
    shares = (shares / shares.sum(-1, keepdim=True))[:, :, token].mean(0)
    side = int(round(len(shares) ** 0.5))
    return shares.reshape(side, side)


def word_map_by_softmax(q, k, token):
    shares = torch.softmax(q @ k.transpose(1, 2) / q.size(2) ** 0.5, dim=2)
    return shares[..., token].mean(dim=0).unflatten(0, (int(q.size(1) ** 0.5), -1))


def word_map_by_heads(q, k, token):
    side = round(q.shape[1] ** 0.5)
    maps = [
        torch.softmax(one @ two.T / one.shape[1] ** 0.5, 1)[:, token].view(side, side)
        for one, two in zip(q, k, strict=True)
    ]
    return sum(maps) / len(maps)


def word_map_by_pixels(q, k, token):
    heads, pixels, size = q.shape
    side, out = int(pixels**0.5), torch.zeros(pixels)
    for pixel in range(pixels):
        for head in range(heads):
            scores = [float(q[head, pixel] @ key) / size**0.5 for key in k[head]]
            weights = torch.tensor([score - max(scores) for score in scores]).exp()
            out[pixel] += weights[token] / weights.sum() / heads
    return out.reshape(side, -1)


def word_map_by_numpy(q, k, token):
    import numpy as np

    scores = np.matmul(q.numpy(), np.swapaxes(k.numpy(), 1, 2)) / np.sqrt(q.shape[2])
    shares = np.exp(scores - scores.max(2, keepdims=True))
    shares /= shares.sum(2, keepdims=True)
    return torch.from_numpy(shares[:, :, token].mean(0).reshape(int(np.sqrt(q.shape[1])), -1))


RIGHT = {
    "week08b.prompt_ids": [prompt_ids_by_assignment],
    "week08b.latent_scaling": [latent_scaling_by_torch],
    "week08b.guided_noise": [guided_noise_text_first],
    "week08b.img2img_steps": [img2img_steps_by_counting],
    "week08b.word_map": [
        word_map_by_einsum,
        word_map_by_softmax,
        word_map_by_heads,
        word_map_by_pixels,
        word_map_by_numpy,
    ],
}
