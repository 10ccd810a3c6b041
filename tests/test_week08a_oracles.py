"""Week 08a's exercises against diffusers' schedulers."""

import pytest
import torch

from course_utils.exercises.week08a import alpha_bars, ddim_step, guided, noised, x0_from_v

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.slow


def scheduler(kind="epsilon"):
    return diffusers.DDIMScheduler(
        num_train_timesteps=1000, prediction_type=kind, clip_sample=False, set_alpha_to_one=False, steps_offset=0
    )


def test_the_shares_are_those_of_diffusers():
    made = scheduler()
    assert torch.allclose(alpha_bars.reference(made.betas), made.alphas_cumprod, atol=1e-6)


def test_noising_is_that_of_diffusers():
    torch.manual_seed(0)
    made, x, noise, times = (
        scheduler(),
        torch.randn(4, 1, 8, 8),
        torch.randn(4, 1, 8, 8),
        torch.tensor([0, 10, 500, 999]),
    )
    assert torch.allclose(
        noised.reference(x, noise, made.alphas_cumprod[times]), made.add_noise(x, noise, times), atol=1e-6
    )


def test_v_leads_back_to_the_picture():
    torch.manual_seed(0)
    made, x, noise = scheduler("v_prediction"), torch.randn(1, 1, 8, 8), torch.randn(1, 1, 8, 8)
    for time in (5, 400, 990):
        times, share = torch.tensor([time]), made.alphas_cumprod[time]
        x_t, v = made.add_noise(x, noise, times), made.get_velocity(x, noise, times)
        assert torch.allclose(x0_from_v.reference(x_t, v, share), x, atol=1e-5)


@pytest.mark.parametrize("steps", [10, 50])
def test_twenty_ddim_steps_end_where_those_of_diffusers_end(steps):
    torch.manual_seed(0)
    made = scheduler()
    made.set_timesteps(steps)
    mine = theirs = torch.randn(1, 1, 8, 8)
    for time in made.timesteps.tolist():
        noise = torch.sin(3 * theirs)  # any function of the picture serves as a network
        before = time - 1000 // steps
        earlier = made.alphas_cumprod[before] if before >= 0 else made.final_alpha_cumprod
        mine = ddim_step.reference(mine, noise, made.alphas_cumprod[time], earlier)
        theirs = made.step(noise, time, theirs).prev_sample
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_guidance_of_one_is_the_guess_with_the_label():
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.allclose(guided.reference(a, b, 1.0), b, atol=1e-6)
    assert torch.allclose(guided.reference(a, b, 2.0) - b, b - a, atol=1e-6)
