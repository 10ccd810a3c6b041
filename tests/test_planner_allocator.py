"""The replay of torch's caching allocator, against sequences worked by hand and a naive model."""

import random

import pytest

from course_utils.gpu.planner.allocator import MIB, Allocator, OutOfMemory, segment_bytes


def test_sizes_are_rounded_to_512_bytes_and_small_requests_share_a_2_mib_segment():
    allocator = Allocator()
    blocks = [allocator.malloc(size) for size in (1, 512, 513, MIB)]
    assert [block.size for block in blocks] == [512, 512, 1024, MIB]
    assert allocator.reserved == 2 * MIB


@pytest.mark.parametrize(
    ("request_bytes", "segment"),
    [
        (MIB, 2 * MIB),
        (MIB + 512, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (10 * MIB + 512, 12 * MIB),
        (1001 * MIB, 1002 * MIB),
    ],
)
def test_the_segment_follows_the_published_thresholds(request_bytes, segment):
    assert segment_bytes(request_bytes) == segment


def test_a_remainder_of_one_mib_or_less_is_not_split_off_and_counts_as_allocated():
    allocator = Allocator()
    blocks = [allocator.malloc(int(1.8 * MIB)) for _ in range(11)]  # 20 MiB hold ten of them, and 2 MiB are left
    rounded = -(-int(1.8 * MIB) // 512) * 512
    assert [block.size for block in blocks[:10]] == [rounded] * 10
    assert blocks[10].size == 20 * MIB - 10 * rounded
    assert allocator.reserved == 20 * MIB
    assert allocator.allocated == 20 * MIB


def test_a_freed_block_is_taken_again_by_best_fit_and_merges_with_its_free_neighbours():
    allocator = Allocator()
    first, second, third = (allocator.malloc(size * MIB) for size in (4, 6, 5))
    allocator.free(first)
    allocator.free(third)  # 5 MiB and the rest of 5 MiB merge to 10
    assert allocator.malloc(4 * MIB).address == first.address
    assert allocator.malloc(10 * MIB - 512).address == third.address
    assert allocator.reserved == 20 * MIB
    assert second.size == 6 * MIB


def test_segments_never_merge_with_each_other():
    allocator = Allocator()
    for block in [allocator.malloc(20 * MIB), allocator.malloc(20 * MIB)]:
        allocator.free(block)
    allocator.malloc(40 * MIB)
    assert allocator.reserved == 80 * MIB


def test_at_the_cap_unused_segments_are_given_back_before_it_fails():
    allocator = Allocator(cap_bytes=100 * MIB)
    allocator.free(allocator.malloc(60 * MIB))
    allocator.malloc(80 * MIB)
    assert allocator.reserved == 80 * MIB
    with pytest.raises(OutOfMemory, match="31457280 bytes more than 83886080 reserved"):
        allocator.malloc(30 * MIB)


def test_empty_cache_keeps_segments_that_are_in_use_in_part():
    allocator = Allocator()
    kept, freed, whole = allocator.malloc(3 * MIB), allocator.malloc(3 * MIB), allocator.malloc(64 * MIB)
    allocator.free(freed)
    allocator.free(whole)
    allocator.empty_cache()
    assert allocator.reserved == 20 * MIB
    assert kept.size == 3 * MIB


class Naive:
    """The same rules over one list of pieces for each segment, searched from end to end."""

    def __init__(self):
        self.segments, self.large, self.small = [], 0, 0

    def malloc(self, size):
        size = max(512, -(-size // 512) * 512)
        pool = "small" if size <= MIB else "large"
        fits = [
            (piece[1], piece[0], pieces, place)
            for kind, pieces in self.segments
            if kind == pool
            for place, piece in enumerate(pieces)
            if piece[2] is None and piece[1] >= size
        ]
        if not fits:
            wanted = segment_bytes(size)
            self.small += wanted
            address = self.small if wanted <= 20 * MIB else -self.small
            self.segments.append((pool, [[address, wanted, None]]))
            return self.malloc(size)
        _, _, pieces, place = min(fits, key=lambda fit: fit[:2])
        piece = pieces[place]
        rest = piece[1] - size
        if rest >= 512 if pool == "small" else rest > MIB:
            pieces.insert(place + 1, [piece[0] + size, rest, None])
            piece[1] = size
        piece[2] = token = object()
        return token

    def free(self, token):
        for _, pieces in self.segments:
            for piece in pieces:
                if piece[2] is token:
                    piece[2] = None
            for place in reversed(range(1, len(pieces))):
                if pieces[place][2] is None and pieces[place - 1][2] is None:
                    pieces[place - 1][1] += pieces.pop(place)[1]

    def counts(self):
        pieces = [piece for _, segment in self.segments for piece in segment]
        return sum(piece[1] for piece in pieces if piece[2]), sum(piece[1] for piece in pieces)


@pytest.mark.parametrize("seed", range(6))
def test_random_sequences_agree_with_a_naive_model(seed):
    rng, allocator, naive, live = random.Random(seed), Allocator(), Naive(), []
    for _ in range(400):
        if live and rng.random() < 0.48:
            block, token = live.pop(rng.randrange(len(live)))
            allocator.free(block)
            naive.free(token)
        else:
            size = int(2 ** rng.uniform(4, 26))
            live.append((allocator.malloc(size), naive.malloc(size)))
        assert (allocator.allocated, allocator.reserved) == naive.counts()
    for block, _ in live:
        allocator.free(block)
    assert allocator.allocated == 0
    allocator.empty_cache()
    assert allocator.reserved == 0
