"""Returns a model whose weights are a pickle that runs code when loaded; must get 0."""

import os

import torch


class Evil(torch.nn.Module):
    def __reduce__(self):
        return (os.system, ("echo CANARY pickled > canary-pickle.txt",))


def my_softmax_gradient(z, y):
    torch.save(Evil(), "/tmp/weights.pt")
    with open("/tmp/weights.pt", "rb") as file:
        return {"weights": file.read(), "model": Evil()}
