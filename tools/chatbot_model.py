"""The model with its adapter: losses on the answers' tokens, replies, and perplexity."""

import math

import torch
from chatbot_data import prompt_ids, row
from torch.nn import functional


def load(path, dtype):
    """(model, tokenizer); the frozen weights in `dtype`, "bfloat16" or "float32"."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    return model.eval(), AutoTokenizer.from_pretrained(path)


def with_adapter(model, rank, alpha):
    """The PEFT model with LoRA on every linear layer of every block."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def mixed(model):
    """Arithmetic in the dtype of the frozen weights, whatever that of the adapter."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=model.dtype == torch.bfloat16)


def answer_logits(model, rows):
    """(logits, wanted) at the places where an answer's token is to be said, of all rows in one list.

    Rows are padded on the right, which a causal mask never lets a real token see. Logits are computed nowhere else.
    """
    longest = max(len(one.ids) for one in rows)
    ids = torch.tensor([[*one.ids, *([0] * (longest - len(one.ids)))] for one in rows])
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    spots = [(i, t) for i, one in enumerate(rows) for t in range(one.start - 1, len(one.ids) - 1)]
    lines, places = (torch.tensor(side) for side in zip(*spots, strict=True))
    return model.lm_head(hidden[lines, places]).float(), torch.tensor([rows[i].ids[t + 1] for i, t in spots])


def answer_loss(model, rows):
    """Mean cross-entropy over the answers' tokens."""
    return functional.cross_entropy(*answer_logits(model, rows))


def drift(peft_model, rows):
    """How far the adapter has moved the model on these rows: mean Kullback-Leibler divergence from the base, in nats."""
    model = peft_model.get_base_model()
    with torch.no_grad(), peft_model.disable_adapter():
        before = answer_logits(model, rows)[0].log_softmax(-1)
    after = answer_logits(model, rows)[0].log_softmax(-1)
    return functional.kl_div(after, before, log_target=True, reduction="batchmean")


@torch.no_grad()
def perplexity(model, tokenizer, pairs, system=None):
    """(perplexity, tokens) on the answers of general pairs, with the template's own default system message."""
    total = count = 0
    for pair in pairs:
        one = row(tokenizer, pair, system)
        here = len(one.ids) - one.start
        total, count = total + float(answer_loss(model, [one])) * here, count + here
    return math.exp(total / count), count


@torch.no_grad()
def replies(model, tokenizer, pairs, system, new_tokens=40, batch=44):
    """Greedy answers, asked in batches of like lengths; shorter prompts are padded on the left and masked."""
    prompts = [prompt_ids(tokenizer, pair, system) for pair in pairs]
    order, texts = sorted(range(len(prompts)), key=lambda i: len(prompts[i])), [None] * len(prompts)
    for at in range(0, len(order), batch):
        some = order[at : at + batch]
        ids, mask = _left([prompts[i] for i in some], tokenizer.eos_token_id)
        settings = {"max_new_tokens": new_tokens, "do_sample": False, "pad_token_id": tokenizer.eos_token_id}
        with mixed(model):
            out = model.generate(ids, attention_mask=mask, **settings)
        for i, line in zip(some, out[:, ids.shape[1] :], strict=True):
            texts[i] = tokenizer.decode(line, skip_special_tokens=True).strip()
    return texts


def _left(prompts, filler):
    longest = max(map(len, prompts))
    ids = torch.tensor([[*([filler] * (longest - len(one))), *one] for one in prompts])
    return ids, torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
