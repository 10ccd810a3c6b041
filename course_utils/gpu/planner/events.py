"""What a trace consists of: requests and returns of memory, in order, each with its purpose."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from course_utils.gpu.planner.allocator import Allocator, OutOfMemory

WEIGHTS, GRADIENTS, OPTIMISER = "weights", "gradients", "optimiser"
ACTIVATIONS, LOGITS, KV_CACHE, TEMPORARIES = "activations", "logits", "KV cache", "temporaries"
CATEGORIES = (WEIGHTS, GRADIENTS, OPTIMISER, ACTIVATIONS, LOGITS, KV_CACHE, TEMPORARIES)
WEIGHT = "weight"  # the `op` of a weight in the dtype in which it is loaded
# The `op` of a workspace that is done without where it cannot be had: torch then takes cuDNN's next kernel
# (`try_plans` in aten/src/ATen/native/cudnn/Conv_v8.cpp).
OPTIONAL = "cuDNN workspace"


class Alloc(NamedTuple):
    """A new storage of `bytes`, called `id`; `layer` is its block in the stack (None: outside), `op` what made it."""

    id: int
    bytes: int
    category: str
    layer: int | None
    op: str


class Free(NamedTuple):
    """The storage `id` is gone; `layer` is the block that was at work."""

    id: int
    layer: int | None


class Mark(NamedTuple):
    """A moment with a name; `layer` is always None.

    "step": a call of the step begins. "empty cache", "reset peak": the function of that name was called. "room": one
    segment is asked for that holds every weight that comes until "room ends", and is given back at once.
    """

    name: str
    layer: None = None


@dataclass(frozen=True)
class Peak:
    """Peaks of a replay in bytes, and who held the memory when `allocated_bytes` was reached.

    `allocated_bytes` is what `torch.cuda.max_memory_allocated()` would say, `reserved_bytes` is
    `max_memory_reserved()`. `shares` is (category, bytes) in the order of `CATEGORIES`; they add up
    to `allocated_bytes`, for what the allocator rounded up counts with its tensor.
    """

    allocated_bytes: int
    reserved_bytes: int
    shares: tuple[tuple[str, int], ...]

    def process_bytes(self, context_bytes):
        """What the driver shows for the process: reserved memory and the CUDA context."""
        return self.reserved_bytes + context_bytes


@dataclass(frozen=True)
class Trace:
    """The events of a traced step; `layers` is the number of blocks in its stack, None where none was named.

    `uncertain_bytes` is memory that may be asked for beside the events, such as cuDNN's workspaces.
    """

    events: tuple
    layers: int | None = None
    uncertain_bytes: int = 0

    def live_bytes(self, category=None):
        """Bytes of the storages that are never freed, of one category or of all; not rounded."""
        live = {}
        for event in self.events:
            if isinstance(event, Alloc):
                live[event.id] = event
            elif isinstance(event, Free):
                live.pop(event.id)
        return sum(one.bytes for one in live.values() if category in (None, one.category))

    def peak(self, cap_bytes=None, after_step=0):
        """The `Peak` from the mark of step number `after_step` on (0: from the beginning).

        Raises OutOfMemory where the replay would reserve more than `cap_bytes`.
        """
        allocator, blocks, steps = Allocator(cap_bytes), {}, 0
        held, best, shares = dict.fromkeys(CATEGORIES, 0), -1, {}
        for index, event in enumerate(self.events):
            if isinstance(event, Alloc):
                block = self._had(allocator, event)
                if block is None:
                    continue
                blocks[event.id] = (block, event.category)
                held[event.category] += block.size
                if allocator.allocated > best:
                    best, shares = allocator.allocated, dict(held)
            elif isinstance(event, Free):
                block, category = blocks.pop(event.id, (None, None))
                if block is not None:
                    held[category] -= block.size
                    allocator.free(block)
            elif event.name == "empty cache":
                allocator.empty_cache()
            elif event.name == "room":
                allocator.free(allocator.malloc(self._room(index)))
            elif event.name == "step":
                steps += 1
                if steps == after_step:
                    best, shares = allocator.allocated, dict(held)
                    allocator.peak_allocated, allocator.peak_reserved = allocator.allocated, allocator.reserved
        return Peak(allocator.peak_allocated, allocator.peak_reserved, tuple(shares.items()))

    @staticmethod
    def _had(allocator, event):
        try:
            return allocator.malloc(event.bytes)
        except OutOfMemory:
            if event.op != OPTIONAL:
                raise
            return None

    def _room(self, index):
        coming = self.events[index : self.events.index(Mark("room ends"), index)]
        return sum(one.bytes for one in coming if isinstance(one, Alloc) and one.op == WEIGHT)

    def __add__(self, other):
        """This trace, then the other one; what is still live stays live."""
        shift = 1 + max((event.id for event in self.events if isinstance(event, Alloc)), default=-1)
        later = tuple(one if isinstance(one, Mark) else one._replace(id=one.id + shift) for one in other.events)
        return replace(self, events=self.events + later, layers=self.layers or other.layers)
