"""A replay of PyTorch's caching allocator: what a sequence of requests makes it allocate and reserve.

The rules are those of `c10/cuda/CUDACachingAllocator.cpp` with its default settings; the sizes are in
`c10/core/AllocatorConfig.h`. Torch counts a block that it handed out with its whole size, so a
remainder that was too small to split off is part of `allocated`.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass

MIB = 1024**2
SMALLEST_BYTES = 512  # every size is a multiple of it
SMALL_BYTES = MIB  # the largest request of the small pool
SMALL_SEGMENT_BYTES = 2 * MIB
LARGE_SEGMENT_BYTES = 20 * MIB  # for requests above 1 and below 10 MiB
OWN_SEGMENT_BYTES = 10 * MIB  # from here on a request gets a segment of its own, in steps of 2 MiB


class OutOfMemory(Exception):
    """The replay asked for more than the cap, even after every unused segment was given back."""


@dataclass(slots=True)
class Block:
    """A piece of a segment; `before` and `after` are its neighbours in the segment."""

    address: int
    size: int
    small: bool
    free: bool = False
    before: "Block | None" = None
    after: "Block | None" = None


def round_up(size_bytes, step):
    """The smallest multiple of `step` that holds `size_bytes`."""
    return -(-size_bytes // step) * step


def segment_bytes(rounded_bytes):
    """The segment that is asked of the driver for a request of that (rounded) size."""
    if rounded_bytes <= SMALL_BYTES:
        return SMALL_SEGMENT_BYTES
    if rounded_bytes < OWN_SEGMENT_BYTES:
        return LARGE_SEGMENT_BYTES
    return round_up(rounded_bytes, 2 * MIB)


class Allocator:
    """Hands out blocks as torch does; all counters are in bytes.

    `cap_bytes` is the most that may be reserved; None for no limit. Expandable segments, graph
    pools, other streams and `PYTORCH_CUDA_ALLOC_CONF` are not modelled.
    """

    def __init__(self, cap_bytes=None):
        self.cap_bytes = cap_bytes
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self._free = {True: [], False: []}  # pool → sorted (size, address)
        self._blocks = {}  # address → free block
        self._used = 0

    def malloc(self, size_bytes):
        """A `Block` for a request; raises OutOfMemory beyond the cap."""
        size = max(SMALLEST_BYTES, round_up(size_bytes, SMALLEST_BYTES))
        block = self._best_fit(size) or self._new_segment(size)
        if self._worth_splitting(block, size):
            self._split(block, size)
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return block

    def free(self, block):
        """Take a block back and merge it with free neighbours."""
        self.allocated -= block.size
        before, after = block.before, block.after
        if before is not None and before.free:
            self._take(before)
            before.size += block.size
            before.after = after
            if after is not None:
                after.before = before
            block = before
        if after is not None and after.free:
            self._take(after)
            block.size += after.size
            block.after = after.after
            if after.after is not None:
                after.after.before = block
        self._give(block)

    def empty_cache(self):
        """Give every segment that is free as a whole back to the driver."""
        for block in [one for one in self._blocks.values() if one.before is None and one.after is None]:
            self._take(block)
            self.reserved -= block.size

    def _best_fit(self, size):
        pool = self._free[size <= SMALL_BYTES]
        place = bisect_left(pool, (size, float("-inf")))
        if place == len(pool):
            return None
        block = self._blocks.pop(pool.pop(place)[1])
        block.free = False
        return block

    def _new_segment(self, size):
        wanted = segment_bytes(size)
        if self.cap_bytes is not None and self.reserved + wanted > self.cap_bytes:
            self.empty_cache()
            if self.reserved + wanted > self.cap_bytes:
                raise OutOfMemory(f"{wanted} bytes more than {self.reserved} reserved, capped at {self.cap_bytes}")
        block = Block(self._address(wanted), wanted, size <= SMALL_BYTES)
        self.reserved += wanted
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        return block

    def _address(self, wanted):
        # Among free blocks of one size the lowest address is taken, so the driver's order counts. It is not
        # documented. Cutting small segments from a range upwards and mapping large ones one by one downwards,
        # as mmap does, is what published measurements of eager attention agree with.
        self._used += wanted
        return self._used - wanted if wanted <= LARGE_SEGMENT_BYTES else -self._used

    @staticmethod
    def _worth_splitting(block, size):
        rest = block.size - size
        return rest >= SMALLEST_BYTES if block.small else rest > SMALL_BYTES

    def _split(self, block, size):
        rest = Block(block.address + size, block.size - size, block.small, before=block, after=block.after)
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, size
        self._give(rest)

    def _give(self, block):
        block.free = True
        insort(self._free[block.small], (block.size, block.address))
        self._blocks[block.address] = block

    def _take(self, block):
        pool = self._free[block.small]
        del pool[bisect_left(pool, (block.size, block.address))]
        del self._blocks[block.address]
        block.free = False
