"""Inside the sandbox: a filter on system calls, for what no other limit reaches.

Memory that no process has mapped (memfd, System V segments) counts for nobody; keys and vsock cross
namespaces; the rest is what attacks on the kernel are made of, and no exercise needs.
"""

import ctypes
import os
import struct

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
# The numbers on x86-64 and on aarch64 (Linux: arch/x86/entry/syscalls/syscall_64.tbl,
# include/uapi/asm-generic/unistd.h); from 424 on they are the same.
_REFUSED = {
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272)},
    **{"mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51)},
    **{"unshare": (272, 97), "setns": (308, 268), "personality": (135, 92)},
    **{"shmget": (29, 194), "shmctl": (31, 195), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190)},
    **{"mq_open": (240, 180), "memfd_create": (319, 279)},
    **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    **{"bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282)},
    **{"fanotify_init": (300, 262), "inotify_init1": (294, 26), "name_to_handle_at": (303, 264)},
    **{"open_by_handle_at": (304, 265), "quotactl": (179, 60), "acct": (163, 89), "syslog": (103, 116)},
    **{"kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106)},
    **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    **{"open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431)},
    **{"fsmount": (432, 432), "fspick": (433, 433), "pidfd_getfd": (438, 438), "mount_setattr": (442, 442)},
    **{"memfd_secret": (447, 447)},
}
_SOCKET, _UNIX = (41, 198), 1
_X32 = 0x40000000  # x86-64's second numbering of the same calls
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _NOT_PERMITTED = 0x7FFF0000, 0x80000000, 0x00050001
_SET_SECCOMP, _FILTER = 22, 2


def refuse_dangerous_calls(libc):
    """The calls above fail with EPERM from here on, in this process and its children; where the processor is unknown, none."""
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        return
    code = b"".join(struct.pack("HBBI", *step) for step in _steps(*_ARCHITECTURES[machine]))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.c_char_p(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp: the kernel takes no filter")


def _steps(architecture, column):
    """The filter, as (code, jump where true, jump where false, operand)."""
    yield _LOAD, 0, 0, 4
    yield _EQUAL, 1, 0, architecture
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, 0
    yield _AT_LEAST, 0, 1, _X32
    yield _RETURN, 0, 0, _NOT_PERMITTED
    for numbers in _REFUSED.values():
        yield _EQUAL, 0, 1, numbers[column]
        yield _RETURN, 0, 0, _NOT_PERMITTED
    yield _EQUAL, 0, 3, _SOCKET[column]
    yield _LOAD, 0, 0, 16
    yield _EQUAL, 1, 0, _UNIX
    yield _RETURN, 0, 0, _NOT_PERMITTED
    yield _RETURN, 0, 0, _ALLOW
