"""A filter of system calls through ctypes: what Landlock does not refuse, and a process without root's powers.

A worker that is *sealed* opens no socket and reaches no other process; a process *of generated code* starts no
process either. What is refused is listed; all else goes on. Knows nothing of workers and pools.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Mapping

__all__ = ["NUMBERS", "drop_capabilities", "forbid_new_privileges", "has_filter", "seal", "seal_generated_code"]

_AUDIT_ARCHITECTURE: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP_CALL: Mapping[str, int] = {"x86_64": 317, "aarch64": 277}

#: The calls that are refused, by name, with their numbers on x86_64 and aarch64 (None: not there).
NUMBERS: Mapping[str, tuple[int, int | None]] = {
    # the network, and sockets of other processes
    "socket": (41, 198),
    "connect": (42, 203),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # other processes: their memory, files, signals, limits and priorities
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "ioprio_set": (251, 30),
    "setpriority": (141, 140),
    # the machine and its name spaces
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # keys of the user's session, and memory that no limit counts
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # what goes on in folders that cannot be read
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
}
#: Done nowhere, and said to be done: Landlock lets a process change the modes, owners, times and attributes of files
#: that it cannot open, and what copies a file into scratch does all that too.
_PRETENDED: Mapping[str, tuple[int, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}
#: Refused to generated code beside all of the above.
_OF_GENERATED_CODE: Mapping[str, tuple[int, int | None]] = {
    "bind": (49, 200),
    "listen": (50, 201),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # descriptors that are on their way belong to nobody's table
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_KILL, _TGKILL, _PRLIMIT, _PRCTL = (62, 129), (234, 131), (302, 261), (157, 167)
_SOCKETPAIR, _FCNTL, _IOCTL = (53, 199), (72, 25), (16, 29)
_PR_SET_PDEATHSIG = 1
_AF_UNIX, _SOCK_STREAM, _SOCKET_TYPES = 1, 1, 0xF
#: What names the process that a descriptor sends its signals to, or the signal: F_SETOWN, F_SETSIG, F_SETOWN_EX, and
#: FIOSETOWN and SIOCSPGRP.
_OWNER_COMMANDS, _OWNER_REQUESTS = (8, 10, 15), (0x8901, 0x8902)
_X32_BIT = 0x40000000

# The classic BPF of seccomp_data: the number at 0, the architecture at 4, the low halves of the arguments from 16 on.
_LOAD, _AND, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_CLONE_THREAD = 0x00010000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_ALL_BITS = 0xFFFFFFFF

_PR_SET_SECCOMP, _PR_GET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 21, 38
_SET_FILTER, _ALL_THREADS = 1, 1
_CAPABILITY_VERSION = 0x20080522

_Instruction = tuple[int, int, int, int]
#: Which argument, which of its bits, and the instruction that looks at them.
_Test = tuple[int, int, _Instruction]


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Filter)))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def has_filter() -> bool:
    """Whether this machine's system calls can be filtered here."""
    return platform.machine() in _AUDIT_ARCHITECTURE and _libc().prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def forbid_new_privileges() -> None:
    """No program that is started from here gains a right that this process does not have."""
    _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_capabilities() -> None:
    """Root's powers are gone for this thread and its offspring: limits bind it, foreign files are foreign."""
    header = _CapabilityHeader(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _libc().capset(ctypes.byref(header), ctypes.byref(nothing)) != 0:
        raise _last_error()


def seal() -> None:
    """No thread of this process opens a socket, or reaches into other processes, from now on."""
    _install(_sealed())


def seal_generated_code() -> None:
    """As :func:`seal`, and no process is started, no program executed, no other process signalled. Threads are."""
    here = _column()
    body = _sealed() + _refuse_all(_OF_GENERATED_CODE)
    body += _refuse(_CLONE3[here], errno.ENOSYS)  # its flags cannot be seen; the C library falls back to clone
    body += _only_if(_CLONE[here], (0, _ALL_BITS, (_HAS_BITS, 1, 0, _CLONE_THREAD)))
    for call in (_KILL, _TGKILL):
        body += _only_if(call[here], _is(0, os.getpid()))
    body += _only_if(_PRLIMIT[here], _is(0, 0))
    # It ends with its worker, and cannot change its mind about that.
    body += _only_if(_PRCTL[here], _is_not(0, _PR_SET_PDEATHSIG))
    _install(body)


def _sealed() -> list[_Instruction]:
    """Pairs of sockets are of those that are bound to each other: others send to whoever has a name. No descriptor
    signals another process, which Landlock refuses from version 6 on only."""
    here = _column()
    return [
        *_refuse_all(NUMBERS),
        *_pretend(),
        *_only_if(_SOCKETPAIR[here], _is(0, _AF_UNIX), _is(1, _SOCK_STREAM, bits=_SOCKET_TYPES)),
        *_only_if(_FCNTL[here], *(_is_not(1, command) for command in _OWNER_COMMANDS)),
        *_only_if(_IOCTL[here], *(_is_not(1, request) for request in _OWNER_REQUESTS)),
    ]


def _numbers(table: Mapping[str, tuple[int, int | None]]) -> list[int]:
    return [number for columns in table.values() if (number := columns[_column()]) is not None]


def _refuse_all(table: Mapping[str, tuple[int, int | None]]) -> list[_Instruction]:
    return [instruction for number in _numbers(table) for instruction in _refuse(number)]


def _pretend() -> list[_Instruction]:
    return [instruction for number in _numbers(_PRETENDED) for instruction in _refuse(number, 0)]


def _column() -> int:
    return list(_AUDIT_ARCHITECTURE).index(platform.machine())


def _refuse(number: int, code: int = errno.EPERM) -> list[_Instruction]:
    return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | code)]


def _is(argument: int, value: int, *, bits: int = _ALL_BITS) -> _Test:
    return argument, bits, (_EQUAL, 1, 0, value)


def _is_not(argument: int, value: int) -> _Test:
    return argument, _ALL_BITS, (_EQUAL, 0, 1, value)


def _only_if(number: int, *tests: _Test) -> list[_Instruction]:
    """Allowed when each of the ``tests`` skips the instruction behind it. Nothing after this is asked about it."""
    body: list[_Instruction] = []
    for argument, bits, test in tests:
        body += [(_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * argument), (_AND, 0, 0, bits)]
        body += [test, (_RETURN, 0, 0, _ERROR | errno.EPERM)]
    body.append((_RETURN, 0, 0, _ALLOW))
    return [(_EQUAL, 0, len(body), number), *body]


def _install(body: list[_Instruction]) -> None:
    machine = platform.machine()
    head: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_EQUAL, 1, 0, _AUDIT_ARCHITECTURE[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if machine == "x86_64":  # the same calls under other numbers
        head += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    instructions = [*head, *body, (_RETURN, 0, 0, _ALLOW)]
    array = (_Filter * len(instructions))(*(_Filter(*one) for one in instructions))
    program = _Program(len(instructions), array)
    result = _libc().syscall(
        ctypes.c_long(_SECCOMP_CALL[machine]),
        ctypes.c_uint(_SET_FILTER),
        ctypes.c_uint(_ALL_THREADS),
        ctypes.byref(program),
    )
    if result != 0:
        raise _last_error()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _last_error() -> OSError:
    code = ctypes.get_errno() or errno.EINVAL
    return OSError(code, os.strerror(code))
