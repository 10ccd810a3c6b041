"""A small GPT on characters, in plain torch."""

import torch
from torch import nn
from torch.nn import functional

from contract.clock import Timing, seconds_of


class GPT(nn.Module):
    """Decoder-only transformer: tokens (batch, length) to logits (batch, length, vocabulary)."""

    def __init__(self, vocabulary, context, width, layers, heads):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        length = tokens.shape[1]
        hidden = self.tokens(tokens) + self.places(torch.arange(length, device=tokens.device))
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=tokens.device)
        return self.head(self.blocks(hidden, mask=mask, is_causal=True))


def train_gpt(device, vocabulary, context, width, layers, heads, batch, amp, warm, steps):
    """Training steps on one batch of random characters."""
    model = GPT(vocabulary, context, width, layers, heads).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    text = torch.randint(vocabulary, (batch, context + 1), device=device)

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=amp):
            logits = model(text[:, :-1])
            loss = functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        loss.backward()
        optimizer.step()

    return Timing(seconds_of(step, device, warm, steps), batch * context * steps, "tokens/s")
