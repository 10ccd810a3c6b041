"""bitsandbytes' AdamW with 8-bit states, so that its steps can be traced on `meta`."""


def adamw(parameters, paged=False):
    """`bitsandbytes.optim.AdamW8bit`, or its paged form, whose large states live in RAM that the card can read.

    The library's own code decides which state has which size. Pages count as off the card: the driver moves
    them on to it only where there is room.
    """
    import bitsandbytes
    import torch

    class Traceable(bitsandbytes.optim.AdamW8bit):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.paged = paged

        def get_state_buffer(self, p, dtype=torch.float32):
            # 100,000 elements are the library's own limit, below which nothing is paged. Made from `p`, a state
            # counts for the block that `p` is in, so that a short trace can be lengthened.
            paged = self.paged and p.numel() >= 1e5
            return torch.zeros_like(p.view(-1)[:0] if paged else p, dtype=dtype)

        def update_step(self, group, p, gindex, pindex):
            pass  # a kernel in place, which takes nothing for itself

        def step(self, closure=None):
            for gindex, group in enumerate(self.param_groups):
                for pindex, p in enumerate(group["params"]):
                    if p.grad is not None and not self.state[p]:
                        self.init_state(group, p, gindex, pindex)

    return Traceable(parameters)
