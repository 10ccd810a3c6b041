"""Makes a user namespace, where it would be root again, and asks for its capabilities back; must get 0."""

import ctypes


def my_softmax_gradient(z, y):
    libc = ctypes.CDLL(None, use_errno=True)
    user, mount, pid, net = 0x10000000, 0x20000, 0x20000000, 0x40000000
    done = [libc.unshare(flags) for flags in (user, mount, pid, net, user | mount)]
    done.append(libc.setuid(0) if libc.getuid() else -1)
    done.append(libc.prctl(38, 0, 0, 0, 0))  # no_new_privs cannot be taken back
    if 0 in done:
        raise ValueError(f"CANARY namespaces {done}")
    return z
