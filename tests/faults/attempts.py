"""What generated code tries in a sandbox; ``at`` and ``host_pid`` are what ``test_sandbox.py`` lets it find."""

from __future__ import annotations

__all__ = ["ENDED", "RAW_CALLS", "REFUSED"]

#: Each ends in an error of the operating system.
REFUSED = {
    "write a file beside scratch": "open(f'{at.folder}/x', 'w')",
    "write in the folder above scratch": "open('../x', 'w')",
    "write through a link": "import os; os.symlink(at.folder, 'link'); open('link/x', 'w')",
    "empty a file": "import os; os.truncate(at.file, 0)",
    "remove a file": "import os; os.remove(at.file)",
    "move a file into scratch": "import os; os.rename(at.file, 'mine')",
    "link a file into scratch": "import os; os.link(at.file, 'mine'); open('mine').read()",
    "write into the interpreter": "import os; open(os.__file__, 'a')",
    "write into shared memory": "open('/dev/shm/x', 'w')",
    "read the user's file": "open(at.file).read()",
    "list the user's home": "import os; os.listdir(at.home)",
    "read the host's connection file": "open(at.connection_file).read()",
    "list the host's folder": "import os; os.listdir(at.runtime)",
    "list the worker's folder": "import os; os.listdir('../..')",
    "read the worker's log": "import os, glob; open(os.path.dirname(os.path.dirname(os.getcwd())) + '.log')",
    "read the worker's environment": "import os; open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "read the host's environment": "open(f'/proc/{at.host_pid}/environ', 'rb').read()",
    "read the host's memory": "open(f'/proc/{at.host_pid}/mem', 'rb').read(1)",
    "list shared memory": "import os; os.listdir('/dev/shm')",
    "list processes": "import os; os.listdir('/proc')",
    "read the list of users": "open('/etc/passwd').read()",
    "connect by TCP": "import socket; socket.create_connection(('127.0.0.1', at.tcp_port), 5)",
    "listen on TCP": "import socket; socket.create_server(('127.0.0.1', 0))",
    "send by UDP": "import socket; socket.socket(socket.AF_INET, 2).sendto(b'x', ('127.0.0.1', at.udp_port))",
    "ask for a name": "import socket; socket.getaddrinfo('example.org', 80)",
    "speak to the host": "import socket; socket.socket(socket.AF_UNIX).connect(at.host_socket)",
    "send to a socket with a name": (
        "import socket; a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'x', at.datagrams)"
    ),
    "pass a descriptor on": "import socket; a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [0])",
    "have the host signalled": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, at.host_pid)",
    "choose the signal": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETSIG, 9)",
    "speak to the kernel": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "fork": "import os; os.fork()",
    "start a program": "import subprocess; subprocess.run(['/bin/true'])",
    "become a program": "import os; os.execv('/bin/true', ['true'])",
    "kill the host": "import os; os.kill(at.host_pid, 9)",
    "kill its worker": "import os; os.kill(os.getppid(), 9)",
    "kill everything": "import os; os.kill(-1, 9)",
    "kill through a descriptor": "import os; os.pidfd_open(at.host_pid)",
    "lower the host's limits": "import resource; resource.prlimit(at.host_pid, resource.RLIMIT_CPU, (0, 0))",
    "raise its own limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "memory behind a descriptor": "import os; os.memfd_create('x')",
    "change the root": "import os; os.chroot('.')",
    "be another user": "import os; os.setuid(1) if os.getuid() == 0 else os.setuid(0)",
    "a file that is too large": "f = open('x', 'wb'); f.truncate(10**10)",
}

#: System calls that Python has no function for; each must give -1.
RAW_CALLS = {
    "a socket": "libc.socket(2, 1, 0)",
    "io_uring": "libc.syscall(425, 8, ctypes.create_string_buffer(256))",
    "trace the host": "libc.ptrace(16, host_pid, 0, 0)",
    "a new user name space": "libc.unshare(0x10000000)",
    "the user's keys": "libc.syscall(250, 0, -4, 0)",
    "shared memory of System V": "libc.shmget(0, 4096, 0o1600)",
    "a process by clone": "libc.syscall(56, 17, 0, 0, 0, 0)",
    "a process by clone3": "libc.syscall(435, ctypes.create_string_buffer(88), 88)",
    "the same calls by other numbers": "libc.syscall(0x40000000 + 41, 2, 1, 0)",
    "another's shared memory": "libc.shmat(0, None, 0)",
    "watch a folder": "libc.inotify_add_watch(libc.inotify_init(), b'/', 0xFFF)",
    "outlive its worker": "libc.prctl(1, 0, 0, 0, 0)",
    "a pair of datagram sockets": "libc.socketpair(1, 2 | 0o2000000, 0, (ctypes.c_int * 2)())",
    "a pair of packet sockets": "libc.socketpair(1, 5, 0, (ctypes.c_int * 2)())",
    "a pair of another family": "libc.socketpair(30, 1, 0, (ctypes.c_int * 2)())",
    "another's signals by fcntl": "libc.fcntl(__import__('os').pipe()[0], 8, host_pid)",
    "another's signals by the longer fcntl": (
        "libc.fcntl(__import__('os').pipe()[0], 15, (ctypes.c_int * 2)(1, host_pid))"
    ),
    "another's signals by ioctl": (
        "libc.ioctl(__import__('socket').socketpair()[0].fileno(), 0x8901, ctypes.byref(ctypes.c_int(host_pid)))"
    ),
    "another's signals by the other ioctl": (
        "libc.ioctl(__import__('socket').socketpair()[0].fileno(), 0x8902, ctypes.byref(ctypes.c_int(host_pid)))"
    ),
    "a mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
}

#: What takes more than there is, and the type of the error that the code, or who asked for it, is told. Threads meet
#: the watch over their number or, where it comes late, the limit on the memory of their stacks.
ENDED = {
    "10 GB of memory": ("data = bytearray(10 * 10**9)", "MemoryError"),
    "10 GB, a little at a time": ("data = []\nwhile True: data.append(bytearray(10**6))", "MemoryError"),
    "10 GB of shared memory": ("import mmap; mmap.mmap(-1, 10 * 10**9)", "OSError"),
    "threads without end": (
        "import threading as t\nt.stack_size(65536)\nwhile True: t.Thread(target=t.Event().wait, daemon=True).start()",
        "LimitExceeded or RuntimeError",
    ),
    "files without end": (
        "n = 0\nwhile True:\n n += 1\n with open(str(n), 'wb') as f: f.write(bytes(10**8))",
        "LimitExceeded",
    ),
    "folders in folders without end": (
        "import os\nwhile True:\n try:\n  os.mkdir('d')\n  os.chdir('d')\n except OSError: pass",
        "LimitExceeded",
    ),
    "removed files without end": (
        (
            "import os\nkept = []\nwhile True:\n kept.append(open('x', 'wb', buffering=0)); os.unlink('x')\n"
            " kept[-1].write(bytes(10**8))"
        ),
        "LimitExceeded",
    ),
    "removed files that are mapped": (
        (
            "import ctypes, os, time\nlibc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p\n"
            "for _ in range(3):\n fd = os.open('x', os.O_RDWR | os.O_CREAT); os.unlink('x')\n"
            " os.write(fd, bytes(10**6)); libc.mmap(None, 4096, 1, 1, fd, 0); os.close(fd)\ntime.sleep(60)"
        ),
        "LimitExceeded",
    ),
    "its own end": ("import os; os._exit(0)", "Ended"),
    "its own end by a signal": ("import os; os.kill(os.getpid(), 9)", "Ended"),
    "its own end by a crash": ("import ctypes; ctypes.string_at(1)", "Ended"),
    "recursion without end": ("def f(): f()\nf()", "RecursionError"),
    "leaving the program": ("import sys; sys.exit()", "SystemExit"),
}
