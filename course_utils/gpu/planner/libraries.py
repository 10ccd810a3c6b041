"""What must be told to transformers and bitsandbytes, where they are loaded, so that they run on `meta` as on CUDA."""

import sys

from course_utils.gpu.planner import events


def changes(recorder):
    """(object, attribute, replacement) for each; the trace puts the originals back."""
    return [*_caches(recorder), *_generation(), *_paged(recorder)]


def _caches(recorder):
    # What a cache makes while it takes in keys and values is the KV cache.
    module = sys.modules.get("transformers.cache_utils")
    for one in vars(module).values() if module else ():
        if isinstance(one, type):
            for name in ("update", "lazy_initialization"):
                if name in vars(one) and not getattr(vars(one)[name], "__isabstractmethod__", False):
                    yield one, name, _for_cache(recorder, vars(one)[name])


def _for_cache(recorder, original):
    def update(self, *args, **kwargs):
        with recorder.during(events.KV_CACHE):
            return original(self, *args, **kwargs)

    return update


def _generation():
    # No sequence ends early: only the wanted length ends the loop, for no token is known.
    module = sys.modules.get("transformers.generation.utils")
    if module is None:
        return
    criteria, mixin = module.StoppingCriteriaList, module.GenerationMixin
    original, done = criteria.__call__, []

    def stop(self, input_ids, scores, **kwargs):
        done[:] = [self.max_length is not None and input_ids.shape[-1] >= self.max_length]
        return original(self, input_ids, scores, **kwargs)

    def unfinished(self, this_peer_finished, synced_gpus, device):
        return not (done and done.pop())

    yield criteria, "__call__", stop
    yield mixin, "_has_unfinished_sequences", unfinished


def _paged(recorder):
    # A paged optimiser's states lie in managed memory, which torch's allocator does not count.
    module = sys.modules.get("bitsandbytes.functional")
    if module is None:
        return
    import torch

    def get_paged(*shape, dtype=torch.float32, device=None):
        with recorder.during("host"):
            tensor = torch.empty(*shape, dtype=dtype, device="meta")
        tensor.is_paged, tensor.page_deviceid = True, 0
        return tensor

    yield module, "get_paged", get_paged
    for name in ("prefetch_tensor", "fill"):
        yield module, name, lambda *_, **__: None
