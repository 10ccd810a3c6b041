"""Exercises of week 09, A chatbot of your own with QLoRA."""

import torch

from course_utils.learn.exercise import Case, exercise


@exercise(
    "week09.lora_forward",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("torch",),
    hints=(
        "Two paths, added: the frozen one x Wᵀ, and the adapter's: x Aᵀ has r numbers a token, times Bᵀ has all outputs.",
        "r is the number of rows of A: `A.shape[0]`. The adapter's path is multiplied by alpha / r.",
    ),
)
def lora_forward(x, W, A, B, alpha):
    r = A.shape[0]
    return x @ W.T + (alpha / r) * (x @ A.T) @ B.T


@lora_forward.cases
def _(rng):
    def normal(*size):
        return torch.from_numpy(rng.normal(size=size))

    yield Case((normal(3, 4), normal(5, 4), normal(2, 4), torch.zeros(5, 2, dtype=torch.float64), 4), note="B still 0")
    yield Case((normal(3, 4), normal(5, 4), normal(2, 4), normal(5, 2), 3), note="three tokens, rank 2, alpha 3")
    yield Case((normal(2, 3, 8), normal(6, 8), normal(3, 8), normal(6, 3), 16), note="a batch, rank 3, alpha 16")
    yield Case((normal(1, 6), normal(6, 6), normal(1, 6), normal(6, 1), 2), note="a square layer, rank 1")


@lora_forward.mistake("The adapter's path lacks its factor alpha / r.")
def _(x, W, A, B, alpha):
    return x @ W.T + (x @ A.T) @ B.T


@lora_forward.mistake("The factor is upside down: it is alpha / r, not r / alpha.")
def _(x, W, A, B, alpha):
    return x @ W.T + (A.shape[0] / alpha) * (x @ A.T) @ B.T


@lora_forward.mistake("You multiplied by alpha alone. Divide by the rank r: then alpha can stay when r changes.")
def _(x, W, A, B, alpha):
    return x @ W.T + alpha * (x @ A.T) @ B.T


@lora_forward.mistake("`//` drops the fraction: alpha 3 with rank 2 is the factor 1.5. Divide with `/`.")
def _(x, W, A, B, alpha):
    return x @ W.T + alpha // A.shape[0] * (x @ A.T) @ B.T


@lora_forward.mistake("This is the adapter's path alone. The frozen layer's x Wᵀ is added to it.")
def _(x, W, A, B, alpha):
    return (alpha / A.shape[0]) * (x @ A.T) @ B.T


@lora_forward.mistake("You divided by the number of inputs. r is the number of *rows* of A: A.shape[0].")
def _(x, W, A, B, alpha):
    return x @ W.T + (alpha / A.shape[1]) * (x @ A.T) @ B.T


@exercise(
    "week09.lora_parameters",
    points=1,
    minutes=5,
    difficulty=1,
    needs=(),
    hints=(
        "A has r rows and as many columns as the layer has inputs; B as many rows as it has outputs, and r columns.",
        "So one layer adds r · inputs + outputs · r. Add that up over the layers.",
    ),
)
def lora_parameters(shapes, r):
    return sum(r * (outputs + inputs) for outputs, inputs in shapes)


@lora_parameters.cases
def _(rng):
    yield Case(([(576, 576)], 8), note="one square layer of SmolLM2-135M")
    yield Case(([(576, 576), (192, 576)], 16), note="its q_proj and v_proj: 576 and 192 outputs")
    yield Case(([(4096, 4096)] * 4 + [(11008, 4096)] * 2 + [(4096, 11008)], 16), note="a whole block of Llama-2-7B")
    yield Case(([tuple(map(int, rng.integers(20, 90, size=2))) for _ in range(5)], 3), note="five layers, rank 3")


@lora_parameters.mistake("These are the weights of the layers themselves. LoRA trains A and B in their place.")
def _(shapes, r):
    return sum(outputs * inputs for outputs, inputs in shapes)


@lora_parameters.mistake("You counted A only. B (outputs × r) is trained as well.")
def _(shapes, r):
    return sum(r * inputs for outputs, inputs in shapes)


@lora_parameters.mistake("You counted B only. A (r × inputs) is trained as well.")
def _(shapes, r):
    return sum(r * outputs for outputs, inputs in shapes)


@lora_parameters.mistake("A and B are two small matrices: their numbers of entries are added, not multiplied.")
def _(shapes, r):
    return sum(r * inputs * outputs * r for outputs, inputs in shapes)


@lora_parameters.mistake("You took every layer as square. A counts the inputs and B the outputs, which may differ.")
def _(shapes, r):
    return sum(2 * r * inputs for outputs, inputs in shapes)


@exercise(
    "week09.mask_prompt",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("torch",),
    hints=(
        "Copy the ids with `.clone()`, then write −100 into two stretches of each row.",
        "In row i the answer is `ids[i, start[i]:length[i]]`. Before `start[i]` is the prompt, from `length[i]` on padding.",
        "All at once: `at = torch.arange(ids.shape[1])`, and `start[:, None]` compares with every place of its row.",
    ),
)
def mask_prompt(ids, start, length):
    at = torch.arange(ids.shape[1])
    answer = (at >= start[:, None]) & (at < length[:, None])
    return torch.where(answer, ids, -100)


@mask_prompt.cases
def _(rng):
    ids = torch.tensor([[1, 31, 32, 33, 41, 42, 2, 2]])
    yield Case((ids, torch.tensor([4]), torch.tensor([7])), note="one row; 2 ends the answer, and is the padding too")
    ids = torch.from_numpy(rng.integers(3, 900, size=(3, 9)))
    yield Case((ids, torch.tensor([2, 5, 3]), torch.tensor([6, 9, 5])), note="three rows, the second without padding")
    start = torch.from_numpy(rng.integers(1, 4, size=4))
    ids = torch.from_numpy(rng.integers(3, 900, size=(4, 12)))
    yield Case((ids, start, start + torch.from_numpy(rng.integers(2, 8, size=4))), note="four rows of 12")


@mask_prompt.mistake("The padding still counts: from `length` on every label must be −100, too.")
def _(ids, start, length):
    return torch.where(torch.arange(ids.shape[1]) >= start[:, None], ids, -100)


@mask_prompt.mistake("The prompt still counts: before `start` every label must be −100, too.")
def _(ids, start, length):
    return torch.where(torch.arange(ids.shape[1]) < length[:, None], ids, -100)


@mask_prompt.mistake("You kept the prompt and masked the answer. It is the other way round.")
def _(ids, start, length):
    at = torch.arange(ids.shape[1])
    return torch.where((at >= start[:, None]) & (at < length[:, None]), -100, ids)


@mask_prompt.mistake("You masked the answer's first token as well: `start` is its place, so it must stay.")
def _(ids, start, length):
    at = torch.arange(ids.shape[1])
    return torch.where((at > start[:, None]) & (at < length[:, None]), ids, -100)


@mask_prompt.mistake("The answer's last token is gone. It marks the end: without it the model never learns to stop.")
def _(ids, start, length):
    at = torch.arange(ids.shape[1])
    return torch.where((at >= start[:, None]) & (at < length[:, None] - 1), ids, -100)


@mask_prompt.mistake("One place of padding still counts: `length` itself is the first place after the answer.")
def _(ids, start, length):
    at = torch.arange(ids.shape[1])
    return torch.where((at >= start[:, None]) & (at <= length[:, None]), ids, -100)


@mask_prompt.mistake("A label of 0 is a token of the vocabulary, which would be trained. The loss leaves out −100.")
def _(ids, start, length):
    at = torch.arange(ids.shape[1])
    return torch.where((at >= start[:, None]) & (at < length[:, None]), ids, 0)


@exercise(
    "week09.answer_loss",
    points=3,
    minutes=15,
    difficulty=3,
    needs=("torch",),
    relative=1e-5,
    hints=(
        "The logits at place t are a guess at the token at place t + 1: pair `logits[:, :-1]` with `labels[:, 1:]`.",
        "`keep = labels[:, 1:] != -100` chooses the places that count, in both: `logits[:, :-1][keep]` has one row each.",
        "`torch.nn.functional.cross_entropy(rows, targets)` is the mean of −log p over those rows.",
    ),
)
def answer_loss(logits, labels):
    guesses, targets = logits[:, :-1], labels[:, 1:]
    keep = targets != -100
    return torch.nn.functional.cross_entropy(guesses[keep], targets[keep])


@answer_loss.cases
def _(rng):
    def batch(*answers, tokens=6, words=7):
        logits = torch.from_numpy(rng.normal(0, 2, size=(len(answers), tokens, words)))
        labels = torch.from_numpy(rng.integers(words, size=(len(answers), tokens)))
        for row, (start, end) in enumerate(answers):
            labels[row, :start], labels[row, end:] = -100, -100
        return logits, labels

    yield Case(batch((0, 6)), note="one sequence, nothing masked")
    yield Case(batch((2, 5)), note="one sequence, answer at places 2 to 4")
    yield Case(batch((1, 6), (3, 4), tokens=6), note="two sequences, answers of 5 tokens and of 1")
    yield Case(batch((3, 9), (2, 4), (5, 8), tokens=10, words=12), note="three sequences")


@answer_loss.drive
def _(attempt, logits, labels):
    loss = attempt(logits, labels)
    return float(loss.detach()) if hasattr(loss, "detach") and loss.ndim == 0 else loss


@answer_loss.mistake(
    "You compared each place with its own token, which the model has already read. Shift: the logits at t guess t + 1."
)
def _(logits, labels):
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


@answer_loss.mistake("You shifted the wrong way: the logits at place t guess the token at t + 1, not at t − 1.")
def _(logits, labels):
    return torch.nn.functional.cross_entropy(logits[:, 1:].flatten(0, 1), labels[:, :-1].flatten())


@answer_loss.mistake("You divided by all places. The mean goes over those that count: masked ones must not dilute it.")
def _(logits, labels):
    total = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    return total / labels[:, 1:].numel()


@answer_loss.mistake("This is the sum. The loss is the mean over the tokens that count.")
def _(logits, labels):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")


@answer_loss.mistake(
    "You averaged within each sequence first: a short answer's tokens then weigh more than a long one's."
)
def _(logits, labels):
    rows = zip(logits[:, :-1], labels[:, 1:], strict=True)
    return torch.stack([torch.nn.functional.cross_entropy(row, target) for row, target in rows]).mean()
