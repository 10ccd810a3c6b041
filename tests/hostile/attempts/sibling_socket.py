"""Offers and asks for answers on an abstract socket, which no mount hides from a neighbour; must get 0."""

import socket
import time


def my_softmax_gradient(z, y):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        try:
            there.bind("\0hostile-neighbour")
            there.settimeout(0.2)
            if there.recv(100):
                raise ValueError("CANARY heard a neighbour")
        except TimeoutError:
            return z
        except OSError:  # a neighbour has the name already: talk to it
            for _ in range(20):
                there.sendto(b"CANARY", "\0hostile-neighbour")
                time.sleep(0.01)
            raise ValueError("CANARY spoke to a neighbour") from None
