"""Train one network on several GPUs, or on several processes of the CPU, with Hugging Face Accelerate.

    accelerate launch --multi_gpu --num_processes 2 docs/multi_gpu.py

The same file runs alone with `python docs/multi_gpu.py`. docs/multi_gpu.md explains it line by line.
"""

import argparse
import hashlib
import json

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course_utils.learn import assets


def loaders(batch_size):
    """Training and test digits, as batches of pixels in 0 to 1 and labels; `batch_size` is for each process."""
    digits = assets.load("mnist-5000")
    parts = (digits.train_images, digits.train_labels), (digits.test_images, digits.test_labels)
    tables = [TensorDataset(torch.tensor(x)[:, None] / 255, torch.tensor(y).long()) for x, y in parts]
    return DataLoader(tables[0], batch_size, shuffle=True, drop_last=True), DataLoader(tables[1], 250)


def new_network():
    """A small convolutional network for 28×28 digits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def train(accelerator, network, optimizer, batches):
    """One epoch; the mean loss over all processes."""
    network.train()
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        accelerator.backward(loss)  # in place of loss.backward(): it also averages the gradients of all processes
        optimizer.step()
        losses.append(loss.detach())
    return accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()


@torch.no_grad()
def accuracy(accelerator, network, batches):
    """The share of right answers over all processes, each picture counted once."""
    network.eval()
    right = []
    for x, y in batches:
        answers, labels = accelerator.gather_for_metrics((network(x).argmax(1), y))
        right.append(answers == labels)
    return torch.cat(right).float().mean().item()


def fingerprint(network):
    """A digest of all weights: the same on each process, if they were kept the same."""
    weights = torch.cat([one.detach().cpu().flatten() for one in network.parameters()])
    return hashlib.sha256(weights.numpy().tobytes()).hexdigest()[:16]


def main(epochs, batch_size, rate):
    accelerator = Accelerator(cpu=not torch.cuda.is_available())  # left out, processes without a GPU train each alone
    set_seed(0)
    training, test = loaders(batch_size)
    network = new_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    network, optimizer, training, test = accelerator.prepare(network, optimizer, training, test)
    losses = [train(accelerator, network, optimizer, training) for _ in range(epochs)]
    record = {
        "rank": accelerator.process_index,
        "processes": accelerator.num_processes,
        "device": str(accelerator.device),
        "steps_per_epoch": len(training),
        "losses": [round(loss, 4) for loss in losses],
        "accuracy": round(accuracy(accelerator, network, test), 4),
        "weights": fingerprint(accelerator.unwrap_model(network)),
    }
    lines = map(json.dumps, gather_object([record]))
    accelerator.print("\n".join(lines))  # by one process only
    accelerator.free_memory(network, optimizer, training, test)
    accelerator.end_training()  # only now: what still held a tensor could abort a process at its end


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32, help="for each process")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    main(**vars(parser.parse_args()))
