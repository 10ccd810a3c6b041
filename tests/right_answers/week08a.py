"""Right answers to week 08a's exercises, written in other ways than the course's."""

import torch


def alpha_bars_otherwise(betas):
    left, kept = 1.0, []
    for beta in betas.tolist():
        left *= 1 - beta
        kept.append(left)
    return torch.tensor(kept)


def noised_otherwise(x0, noise, alpha_bar):
    rows = [a**0.5 * x + (1 - a) ** 0.5 * n for x, n, a in zip(x0, noise, alpha_bar.tolist(), strict=True)]
    return torch.stack(rows)


def x0_from_v_otherwise(x_t, v, alpha_bar):
    angle = torch.acos(torch.tensor(float(alpha_bar)).sqrt())  # the mixture is a point on a circle
    return torch.cos(angle) * x_t - torch.sin(angle) * v


def ddim_step_otherwise(x_t, noise, alpha_bar, alpha_bar_before):
    ratio = (alpha_bar_before / alpha_bar) ** 0.5
    return ratio * x_t + ((1 - alpha_bar_before) ** 0.5 - ratio * (1 - alpha_bar) ** 0.5) * noise


def guided_otherwise(without, with_label, scale):
    return torch.lerp(without, with_label, scale)


def noised_by_broadcasting(x0, noise, alpha_bar):
    keep, add = alpha_bar.sqrt()[:, None, None, None], torch.sqrt(1 - alpha_bar)[:, None, None, None]
    return torch.addcmul(keep * x0, add, noise)


def guided_in_two_parts(without, with_label, scale):
    return scale * with_label + (1 - scale) * without


def noised_by_einsum(x0, noise, alpha_bar):
    return torch.einsum("n,nchw->nchw", alpha_bar**0.5, x0) + torch.einsum(
        "n,nchw->nchw", (1 - alpha_bar) ** 0.5, noise
    )


def noised_by_numpy(x0, noise, alpha_bar):
    import numpy as np

    share = np.expand_dims(alpha_bar.numpy(), (1, 2, 3))
    return torch.from_numpy(np.sqrt(share) * x0.numpy() + np.sqrt(1 - share) * noise.numpy())


def noised_by_angle(x0, noise, alpha_bar):
    angle = torch.acos(alpha_bar.double().sqrt()).reshape(len(x0), 1, 1, 1)  # the mixture is a point on a circle
    return torch.cos(angle) * x0 + torch.sin(angle) * noise


RIGHT = {
    "week08a.alpha_bars": [alpha_bars_otherwise],
    "week08a.noised": [noised_otherwise, noised_by_broadcasting, noised_by_einsum, noised_by_numpy, noised_by_angle],
    "week08a.x0_from_v": [x0_from_v_otherwise],
    "week08a.ddim_step": [ddim_step_otherwise],
    "week08a.guided": [guided_otherwise, guided_in_two_parts],
}
