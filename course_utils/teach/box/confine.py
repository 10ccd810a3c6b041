"""Inside the sandbox: what takes a job's process every power over its neighbours and the machine."""

import ctypes
import os
import resource

from course_utils.teach.box.syscalls import refuse_dangerous_calls

NOBODY = 65534
_NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "hostname": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "network": 0x40000000,
}
_NOSUID, _NODEV, _READ_ONLY, _REMOUNT = 2, 4, 1, 32
_SET_DUMPABLE, _DROP_BOUND, _NO_NEW_PRIVILEGES, _AMBIENT, _CLEAR_ALL, _DEATH_SIGNAL = 4, 24, 38, 47, 4, 1
_CAPABILITIES_V3 = 0x20080522
_FIRST_TO_DIE = 1000  # where the machine runs out of memory, before the template and the grader
_NICE = 5
_OPEN_FILES = 128
_libc = ctypes.CDLL(None, use_errno=True)


def leave_root():
    """Become a user who owns nothing: root's processes are exempt from the limit on their number."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    _done(_libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0), "prctl")  # else /proc/self belongs to root, and no uid can be mapped


def new_namespaces():
    """New namespaces of every kind, the PID namespace for the next fork."""
    uid, gid = os.geteuid(), os.getegid()  # afterwards they are unknown until they are mapped
    _done(_libc.unshare(sum(_NAMESPACES.values())), "unshare")
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def confine(limits, kept):
    """For the first process of the new PID namespace; `kept` are the descriptors that stay open."""
    for name, number in (("/proc/sys/user/max_user_namespaces", 0), ("/proc/self/oom_score_adj", _FIRST_TO_DIE)):
        with open(name, "w") as file:
            file.write(str(number))
    with open("/proc/self/statm") as file:
        mapped_bytes = int(file.read().split()[0]) * resource.getpagesize()
    size = limits["file_bytes"]
    for target in ("/tmp", "/dev/shm"):
        _mount(target, f"size={size},nr_inodes=1024,mode=700")
    for target in ("/dev/pts", "/proc"):  # terminals are shared with the neighbours; /proc tells of other processes
        _mount(target, "size=4096,nr_inodes=2,mode=555")
        _done(_libc.mount(None, target.encode(), None, _REMOUNT | _READ_ONLY | _NOSUID | _NODEV, None), "mount")
    os.chdir("/tmp")
    os.setsid()
    os.nice(_NICE)
    _close_all_but(kept)
    _limit(limits, mapped_bytes)
    _drop_capabilities()
    refuse_dangerous_calls(_libc)


def _mount(target, options):
    call = _libc.mount(b"tmpfs", target.encode(), b"tmpfs", _NOSUID | _NODEV, options.encode())
    _done(call, f"mount on {target}")


def _close_all_but(kept):
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    lowest = 3
    for descriptor in sorted(kept):
        os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    os.closerange(lowest, 65536)


def _limit(limits, mapped_bytes):
    for kind, soft, hard in (
        (resource.RLIMIT_AS, mapped_bytes + limits["memory_bytes"], None),
        (resource.RLIMIT_CPU, limits["cpu_seconds"], limits["cpu_seconds"] + 1),
        *([(resource.RLIMIT_NPROC, limits["processes"], None)] if _counts_by_namespace() else []),
        (resource.RLIMIT_FSIZE, limits["file_bytes"], None),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, None),
        (resource.RLIMIT_MEMLOCK, 0, None),
        (resource.RLIMIT_CORE, 1, None),  # with 0 a crash would still be handed to the system's crash reporter
    ):
        resource.setrlimit(kind, (soft, soft if hard is None else hard))


def _counts_by_namespace():
    # Before Linux 5.14 all processes of a user counted; there only the grader, which looks every 50 ms, limits them.
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (5, 14)


def _drop_capabilities():
    for capability in range(64):
        _libc.prctl(_DROP_BOUND, capability, 0, 0, 0)  # beyond the last one it fails, as it should
    _done(_libc.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0), "prctl")
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)()
    _done(_libc.capset(header, nothing), "capset")
    _done(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    _done(_libc.prctl(_DEATH_SIGNAL, 9, 0, 0, 0), "prctl")


def _done(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
