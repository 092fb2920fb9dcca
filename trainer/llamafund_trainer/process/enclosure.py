"""The inside of a sandbox: closes the walls around this process, and starts a stranger's program behind them.

Run as a script, in namespaces that `unshare` has just made, or behind the walls of `bwrap`. It imports nothing but the
standard library, and what it is to do is its only argument, as `Plan` in JSON. The program sees:

- a new root that holds nothing but what the plan names, read-only but for one folder; no home, no `/run`, no `/var`
- no network but a loopback of its own, no other process, no terminal, no capability, no key ring
- only the environment variables of the plan.

On file descriptor `READY` it says when the walls stand. What is written before that is trouble of this machine.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import resource
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any, TypedDict


class Plan(TypedDict):
    """What to do.

    Attributes:
        root: Empty directory for the new root; empty text if `bwrap` or nobody builds walls.
        binds: What to show: (source, target, kind), where kind is `read`, `write` or `device`.
        links: Symbolic links in the new root: path to target.
        user: User and group to become, if this process is the machine's root; else `None`.
        confined: Whether to give up capabilities and dangerous system calls.
        directory: Where the program starts.
        command: What to start.
        limits: By name of the resource, see `resource.setrlimit`.
        shared_memory: Bytes of `/dev/shm`.
    """

    root: str
    binds: list[tuple[str, str, str]]
    links: dict[str, str]
    user: int | None
    confined: bool
    directory: str
    command: list[str]
    limits: dict[str, int]
    shared_memory: int


READY = 3
"""File descriptor that says when the walls stand."""

BROKEN = 125
"""Exit code if they cannot be built."""

_DEVICES = ("null", "zero", "full", "random", "urandom")

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2

_CAPBSET_DROP, _SET_SECCOMP, _SET_SECUREBITS, _SET_NO_NEW_PRIVS = 24, 22, 28, 38
_NOROOT_LOCKED = 3

_NEW_USER = 0x10000000
_X32 = 0x40000000
_NO_SUCH_CALL, _NOT_ALLOWED, _NO_SUCH_FAMILY = 38, 1, 97

# ptrace, process_vm_readv, process_vm_writev, unshare, setns, mount, umount2, pivot_root, chroot, add_key, request_key,
# keyctl, bpf, perf_event_open, userfaultfd, open_by_handle_at, kexec_load, kexec_file_load, init_module, finit_module,
# shmget, memfd_create
_REFUSED = {
    "x86_64": (
        *(101, 310, 311, 272, 308, 165, 166, 155, 161, 248, 249, 250, 321, 298, 323, 304, 246, 320, 175, 313),
        *(29, 319),
    ),
    "aarch64": (
        *(117, 270, 271, 97, 268, 40, 39, 41, 51, 217, 218, 219, 280, 241, 282, 265, 104, 294, 105, 273),
        *(194, 279),
    ),
}
"""System calls by which programs have left sandboxes, reach keys and other processes, or hold memory uncounted."""

# io_uring_setup, io_uring_enter, io_uring_register, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick,
# pidfd_getfd, mount_setattr, memfd_secret
_REFUSED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)
"""The same, with one number on all machines."""

_SOCKET = {"x86_64": 41, "aarch64": 198}
_FAMILIES = (1, 2, 10, 16)
"""Local sockets, both versions of IP, and netlink. Namespaces do not hold others, such as those to the host of a
virtual machine (`AF_VSOCK`)."""

_PIVOT_ROOT, _CLONE, _CLONE3 = {"x86_64": 155, "aarch64": 41}, {"x86_64": 56, "aarch64": 220}, 435
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Build the walls, start the program and end with its exit code."""
    plan: Plan = json.loads(sys.argv[1])
    try:
        if plan["confined"]:
            if plan["root"]:
                _enclose(plan)
            else:
                # Behind the walls of `bwrap` the program can take over the first process, which is as weak as itself.
                _confine()
            child = os.fork()
            if child:
                _wait(child)
            # A group of its own: a signal to the group must not reach who watches it.
            os.setsid()
        _enter(plan)
    except OSError as error:
        print(f"{error.strerror or error} ({error.filename or 'system call'})", file=sys.stderr, flush=True)
        os._exit(BROKEN)


def _wait(child: int) -> None:
    """As the first process of its namespace: end with the program, or as soon as whoever started this is gone."""
    os.close(READY)
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(BROKEN)), daemon=True).start()
    while True:
        ended, status = os.wait()
        if ended == child:
            # With its first process, the kernel ends every other one in the namespace.
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _enclose(plan: Plan) -> None:
    _loopback()
    # The program is another user, who must get through the folders that are made here.
    before = os.umask(0o022)
    _mount("none", "/", "", _REC | _PRIVATE)
    root = plan["root"]
    _mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "size=16m,mode=755")
    for path, target in plan["links"].items():
        Path(_made(root, path)).symlink_to(target)
    for source, target, kind in plan["binds"]:
        _bind(source, _made(root, target, source), kind)
    for name in ("proc", "dev"):
        Path(root, name).mkdir(exist_ok=True)
    _mount("proc", f"{root}/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _bind(f"{root}/proc/sys", f"{root}/proc/sys", "read")
    for name in _DEVICES:
        _bind(f"/dev/{name}", _made(root, f"/dev/{name}", f"/dev/{name}"), "device")
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        Path(root, "dev", name).symlink_to(f"/proc/self/fd/{number}")
    Path(root, "dev/fd").symlink_to("/proc/self/fd")
    Path(root, "dev/shm").mkdir()
    _mount("tmpfs", f"{root}/dev/shm", "tmpfs", _NOSUID | _NODEV, f"size={plan['shared_memory']},mode=1777")  # noqa: S108
    _mount("none", root, "", _REMOUNT | _RDONLY | _NOSUID | _NODEV, "size=16m,mode=755")
    os.chdir(root)
    pivot_root = _PIVOT_ROOT.get(platform.machine())
    if pivot_root is None:
        raise OSError(_NO_SUCH_CALL, f"no sandbox is known for {platform.machine()}")
    _succeed(_libc.syscall(pivot_root, b".", b"."), "pivot_root")
    _succeed(_libc.umount2(b".", _DETACH), "umount2")
    os.chdir("/")
    os.umask(before)


def _loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def _made(root: str, target: str, source: str = "") -> str:
    """A path in the new root, where a folder or an empty file is made to mount on."""
    place = Path(root + target)
    place.parent.mkdir(parents=True, exist_ok=True)
    if Path(source).is_dir() and source:
        place.mkdir(exist_ok=True)
    elif source:
        place.touch()
    return str(place)


def _bind(source: str, target: str, kind: str) -> None:
    _mount(source, target, "", _BIND | _REC)
    if kind == "device":
        return
    # Mounts below it keep their own flags unless they are told, too.
    for mounted, flags in _mounts_at(target):
        _mount("none", mounted, "", _REMOUNT | _BIND | flags | _NOSUID | _NODEV | (0 if kind == "write" else _RDONLY))


def _mounts_at(target: str) -> list[tuple[str, int]]:
    known = {"ro": _RDONLY, "nosuid": _NOSUID, "nodev": _NODEV, "noexec": _NOEXEC}
    times = {"noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split(" ")
        place = fields[4].encode().decode("unicode_escape")
        if place == target or place.startswith(f"{target}/"):
            found.append((place, sum({**known, **times}.get(option, 0) for option in fields[5].split(","))))
    return found


def _enter(plan: Plan) -> None:
    """Give up everything that the program must not have, and become it."""
    os.chdir(plan["directory"])
    if plan["confined"]:
        # If the machine's memory ends, the program goes first.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if plan["root"]:
        _succeed(_libc.prctl(_SET_SECUREBITS, _NOROOT_LOCKED, 0, 0, 0), "secure bits")
        for capability in range(64):
            _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)
    if plan["user"] is not None:
        os.setgroups([])
        os.setresgid(*[plan["user"]] * 3)
        os.setresuid(*[plan["user"]] * 3)
    for name, most in plan["limits"].items():
        _limit(getattr(resource, name), most)
    if plan["confined"]:
        _confine()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.set_inheritable(READY, False)
    os.write(READY, b"ready")
    try:
        os.execv(plan["command"][0], plan["command"])  # noqa: S606
    except OSError as error:
        print(f"{plan['command'][0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _confine() -> None:
    _succeed(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    _refuse_calls(platform.machine())


def _refuse_calls(machine: str) -> None:
    """Let dangerous system calls fail, on machines whose numbers are known; the namespaces hold without it."""
    if machine not in _REFUSED:
        return
    refused = (*_REFUSED[machine], *_REFUSED_EVERYWHERE)
    load, equal, at_least, has_bit, done = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, no = 0x7FFF0000, 0x00050000
    # Each line: code, how many lines to jump if true, if false, and its value. See bpf(4).
    lines = [
        (load, 0, 0, 4),
        (equal, 1, 0, _AUDIT[machine]),
        (done, 0, 0, no | _NOT_ALLOWED),
        (load, 0, 0, 0),
        (at_least, 0, 1, _X32),
        (done, 0, 0, no | _NO_SUCH_CALL),
        (equal, 0, 1, _CLONE3),
        (done, 0, 0, no | _NO_SUCH_CALL),
    ]
    for number in refused:
        lines += [(equal, 0, 1, number), (done, 0, 0, no | _NOT_ALLOWED)]
    count = len(_FAMILIES)
    lines += [
        (equal, 0, count + 3, _SOCKET[machine]),
        (load, 0, 0, 16),
        *((equal, count - place, 0, family) for place, family in enumerate(_FAMILIES)),
        (done, 0, 0, no | _NO_SUCH_FAMILY),
        (done, 0, 0, allow),
        (equal, 0, 3, _CLONE[machine]),
        (load, 0, 0, 16),
        (has_bit, 0, 1, _NEW_USER),
        (done, 0, 0, no | _NOT_ALLOWED),
        (done, 0, 0, allow),
    ]
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    program = struct.pack("@HP", len(lines), ctypes.addressof(buffer := ctypes.create_string_buffer(code)))
    _succeed(_libc.prctl(_SET_SECCOMP, 2, program, 0, 0), "seccomp")
    del buffer


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments: tuple[Any, ...] = (source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None)
    _succeed(_libc.mount(*arguments), f"mounting {target}")


def _succeed(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


if __name__ == "__main__":
    main()
