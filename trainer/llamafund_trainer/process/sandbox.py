"""Running a stranger's program behind walls: no network, no home, no other process, and a bound on all that it takes.

The walls are `bwrap`'s where it is installed, else Linux namespaces made with `unshare`; see `enclosure`. A program
runs without them only if its user says that they trust it.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import shutil
import signal
import site
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import llamafund_chain
from llamafund_chain.errors import UncheckedError
from llamafund_chain.files import unfinished_name
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_trainer.process import enclosure
from llamafund_trainer.process.enclosure import Plan

_TEMPORARY = "/tmp"  # noqa: S108 - in the sandbox

Walls = Literal["bwrap", "namespaces", "none"]

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_FILES = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
"""Without them, libraries are not found, or take the processor for another one and give other bits."""

_NOBODY = 65_534
_LOOK_EVERY = 0.25
_MEASURE_EVERY = 1.0
_LOG = 16_384
_DEEPEST = 64
_SPARE_DISK = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What a program may take.

    Attributes:
        memory: Bytes, of all its processes together.
        seconds: By the clock.
        disk: Bytes that it may write.
        files: How many it may make.
        processes: Processes at a time; threads do not count.
    """

    memory: int
    seconds: float
    disk: int
    files: int = 100_000
    processes: int = 512

    @classmethod
    def of_machine(cls, place: Path) -> Limits:
        """A day, and most of this machine's memory and of the free space around a folder."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(memory * 9 // 10, 86_400.0, max(shutil.disk_usage(place).free - _SPARE_DISK, 0))


@dataclass(frozen=True)
class Room:
    """A program's surroundings.

    Attributes:
        own: The folder that it may write to.
        shown: Folders that it may read: path inside to path here.
        where: Where `own` is inside.
    """

    own: Path
    shown: Mapping[str, Path] = field(default_factory=dict)
    where: str = "/room"


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        code: Its exit code; 128 and the signal's number if it was killed.
        log: The end of what it printed.
        exceeded: Which limit it ran into; empty if none.
        seconds: How long it took.
        walls: What it ran behind.
    """

    code: int
    log: str
    exceeded: str
    seconds: float
    walls: Walls


def walls_here() -> Walls:
    """What a program can be run behind on this machine, as far as one can tell without trying."""
    if not sys.platform.startswith("linux"):
        return "none"
    if os.geteuid() != 0 and shutil.which("bwrap"):
        return "bwrap"
    return "namespaces" if shutil.which("unshare") else "none"


@cache
def find_walls() -> tuple[Walls, str]:
    """What programs can be run behind on this machine, tried out; and why, if that is nothing."""
    walls = walls_here()
    if walls == "none":
        return walls, "That takes Linux with bwrap (bubblewrap) or unshare (util-linux)"
    with ScratchFolder("sandbox") as folder:
        (folder / "room").mkdir()
        try:
            room = Room(folder / "room")
            run_program(["-c", ""], room, {}, Limits(1 << 30, 60, 1 << 30), directory="/room", walls=walls)
        except UncheckedError as error:
            return "none", error.why
    return walls, ""


def choose_walls(*, trust: bool) -> Walls:
    """What to run a program behind.

    Args:
        trust: Whether it may be nothing, where there is nothing.

    Raises:
        UncheckedError: There is nothing on this machine, and that is not allowed.
    """
    walls, why = find_walls()
    if walls == "none" and not trust:
        raise UncheckedError(
            "A stranger's program can only run in a sandbox, and this machine has none",
            why,
            "Install bubblewrap, or allow user namespaces. If you have read the program and trust it: llamafund replay "
            "--trust-program",
        )
    return walls


def run_program(
    command: Sequence[str],
    room: Room,
    environment: Mapping[str, str],
    limits: Limits,
    *,
    directory: str,
    walls: Walls,
    gpu: bool = False,
) -> Ended:
    """Run a program of a stranger's with this Python, and wait until every process of it is gone.

    Args:
        command: Arguments of the Python interpreter.
        room: What it may see and write.
        environment: All its environment variables.
        limits: What it may take.
        directory: Where it starts, as a path inside.
        walls: As `choose_walls` chose them.
        gpu: Whether to show it the machine's NVIDIA devices.

    Raises:
        UncheckedError: The walls could not be built.
    """
    root = room.own.parent / "root"
    root.mkdir(exist_ok=True)
    plan = _plan(command, room, limits, directory, root if walls == "namespaces" else None, gpu=gpu)
    if walls == "none":
        plan["confined"] = False
        plan["limits"] = {}
    _unlink_from_store(room.own)
    if walls != "none" and os.geteuid() == 0:
        plan["user"] = _NOBODY
        for folder in (room.own, *room.shown.values()):
            _unlink_from_store(folder)
            _give(folder, _NOBODY)
    return _watch(_command(walls, plan), environment, room, limits, walls)


def _plan(command: Sequence[str], room: Room, limits: Limits, directory: str, root: Path | None, *, gpu: bool) -> Plan:
    binds: list[tuple[str, str, str]] = []
    links: dict[str, str] = {}
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            links[str(path)] = str(path.readlink())
        elif path.exists():
            binds.append((str(path), str(path), "read"))
    binds += [(path, path, "read") for path in _FILES if Path(path).exists()]
    binds += [(str(path), str(path), "read") for path in _python_folders()]
    if gpu:
        binds += [
            (str(path), str(path), "device") for path in sorted(Path("/dev").glob("nvidia*")) if not path.is_dir()
        ]
    binds += [(str(source.absolute()), target, "read") for target, source in room.shown.items()]
    binds.append((str(room.own.absolute()), room.where, "write"))
    temporary = room.own / "tmp"
    temporary.mkdir(exist_ok=True)
    if any(Path(target).is_relative_to(_TEMPORARY) for _, target, _ in binds):
        # Python is installed below it, for example; below a link nothing can be mounted.
        if temporary.is_symlink() or any(temporary.iterdir()):
            raise UncheckedError(
                "The program's temporary folder is not new",
                "What an earlier program left there could lead out of the sandbox",
                "Use a new room for each program",
            )
        binds.insert(0, (str(temporary.absolute()), _TEMPORARY, "write"))
    else:
        # A link, so that files can be moved between the two.
        links[_TEMPORARY] = f"{room.where}/tmp"  # noqa: S108
    return Plan(
        root="" if root is None else str(root.absolute()),
        binds=binds,
        links=links,
        user=None,
        confined=True,
        directory=directory,
        command=[sys.executable, *command],
        limits={
            "RLIMIT_CORE": 0,
            "RLIMIT_DATA": limits.memory,
            "RLIMIT_FSIZE": limits.disk,
            "RLIMIT_NPROC": 8 * limits.processes,
            "RLIMIT_NOFILE": 65_536,
        },
        shared_memory=limits.memory // 4,
    )


def _python_folders() -> Iterator[Path]:
    """Where Python, its packages and ours are, as far as they are not in the system's folders."""
    user = {site.getusersitepackages()} & set(sys.path)
    packages = {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    ours = {str(Path(llamafund_chain.__path__[0])), str(Path(__file__).parents[1])}
    found: list[Path] = []
    # Whoever makes a virtual environment of their project's own folder has more in it than Python.
    own = {str(Path(sys.prefix, name)) for name in ("bin", "lib", "lib64", "pyvenv.cfg")}
    wanted = {sys.base_prefix, *(own if sys.prefix != sys.base_prefix else ()), *packages, *user, *ours}
    for path in sorted(map(Path, wanted), key=lambda path: len(path.parts)):
        if not path.exists() or any(path.is_relative_to(other) for other in (Path("/usr"), *found)):
            continue
        if Path.home().is_relative_to(path):
            raise UncheckedError(
                f"Python is installed in {str(path)!r}, which holds the home folder",
                "A program that sees Python would see your files",
                "Use a virtual environment",
            )
        found.append(path)
    return iter(found)


def package_path() -> str:
    """`PYTHONPATH` by which a program finds our packages and those that only this user has."""
    user = {site.getusersitepackages()} & set(sys.path)
    ours = (str(Path(llamafund_chain.__path__[0]).parent), str(Path(__file__).parents[2]))
    return os.pathsep.join(dict.fromkeys((*ours, *sorted(user))))


def _command(walls: Walls, plan: Plan) -> list[str]:
    inner = [sys.executable, "-I", "-S", enclosure.__file__, json.dumps(plan)]
    if walls == "none":
        return inner
    if walls == "namespaces":
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return [
            str(shutil.which("unshare")),
            *user,
            "--mount",
            "--net",
            "--ipc",
            "--uts",
            "--pid",
            "--cgroup",
            "--fork",
            *inner,
        ]
    shown = [word for source, target, kind in plan["binds"] for word in (f"--{_BWRAP[kind]}", source, target)]
    linked = [word for path, target in plan["links"].items() for word in ("--symlink", target, path)]
    return [
        *(
            str(shutil.which("bwrap")),
            "--unshare-all",
            "--as-pid-1",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
        ),
        *linked,
        *(
            "--proc",
            "/proc",
            "--ro-bind",
            "/proc/sys",
            "/proc/sys",
            "--dev",
            "/dev",
            "--size",
            str(plan["shared_memory"]),
            "--tmpfs",
            "/dev/shm",  # noqa: S108
        ),
        *shown,
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--"),
        *inner,
    ]


_BWRAP = {"read": "ro-bind", "write": "bind", "device": "dev-bind"}


def _watch(
    command: Sequence[str],
    environment: Mapping[str, str],
    room: Room,
    limits: Limits,
    walls: Walls,
) -> Ended:
    """Start the command, end it if it takes too much, and wait for its last process."""
    ready, said = os.pipe()
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _AS_READY, str(said), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            pass_fds=[said],
            start_new_session=True,
        )
    except OSError as error:
        os.close(ready)
        raise UncheckedError("The sandbox could not be started", error.strerror or str(error)) from error
    finally:
        os.close(said)
    log = deque[bytes](maxlen=256)
    exceeded = ""
    try:
        exceeded = _until_end(process, room, limits, log, started)
    finally:
        _kill(process)
        stands = os.read(ready, 16)
        os.close(ready)
    text = b"".join(log)[-_LOG:].decode("utf-8", "replace")
    if not stands and not exceeded:
        raise UncheckedError(
            "The sandbox could not be built",
            " / ".join(text.strip().splitlines()[-3:]) or f"It ended with code {process.returncode}",
        )
    code = process.returncode
    return Ended(code if code >= 0 else 128 - code, text, exceeded, time.monotonic() - started, walls)


_AS_READY = (
    "import os, sys; said = int(sys.argv[1]); os.dup2(said, 3); said == 3 or os.close(said); "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)
"""Gives the descriptor its number, and keeps no other that a program could read the news from."""


def _until_end(
    process: subprocess.Popen[bytes],
    room: Room,
    limits: Limits,
    log: deque[bytes],
    started: float,
) -> str:
    """Wait for the end; returns which limit was exceeded before it, or nothing."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    measured = started
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while process.poll() is None:
            for _ in selector.select(_LOOK_EVERY):
                _read(process, log)
            now = time.monotonic()
            if now - started > limits.seconds:
                return f"more than {limits.seconds:.0f} seconds"
            exceeded = _too_much_memory(process.pid, limits)
            if not exceeded and now - measured >= _MEASURE_EVERY:
                measured, exceeded = now, _too_much_disk(room.own, limits)
            if exceeded:
                return exceeded
            # Output that comes all the time must not keep us from looking at the rest, or take a processor.
            time.sleep(0.01)
    _read(process, log)
    return ""


def _read(process: subprocess.Popen[bytes], log: deque[bytes]) -> None:
    assert process.stdout is not None
    for _ in range(64):
        chunk = process.stdout.read(65_536)
        if not chunk:
            return
        log.append(chunk[-_LOG:])


def _too_much_memory(pid: int, limits: Limits) -> str:
    processes = _descendants(pid)
    if len(processes) > limits.processes:
        return f"more than {limits.processes} processes"
    taken = sum(_of_process(one, "status", ("RssAnon", "RssShmem")) for one in processes)
    if taken > limits.memory:
        # What processes share has been counted for each. This is exact, but slow.
        taken = sum(_of_process(one, "smaps_rollup", ("Pss_Anon", "Pss_Shmem")) for one in processes)
    if taken > limits.memory:
        return f"more than {limits.memory >> 20} MiB of memory"
    # What belongs to no process, such as what waits in sockets, shows only here.
    with suppress(OSError, KeyError):
        machine = _kibibytes(Path("/proc/meminfo"))
        if machine["MemAvailable"] < machine["MemTotal"] // 32:
            return "the memory of this machine"
    return ""


def _of_process(pid: int, file: str, names: Sequence[str]) -> int:
    """Bytes that some lines of a file in `/proc` add up to; 0 if the process has ended."""
    try:
        found = _kibibytes(Path(f"/proc/{pid}/{file}"))
    except OSError:
        return 0
    return sum(found.get(name, 0) for name in names) << 10


def _kibibytes(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}


def _descendants(pid: int) -> list[int]:
    """The processes below one, whose tree no process of a sandbox can leave."""
    children: dict[int, list[int]] = {}
    with suppress(OSError):
        for place in Path("/proc").iterdir():
            if place.name.isdecimal():
                with suppress(OSError, ValueError, IndexError):
                    fields = (place / "stat").read_bytes().rpartition(b")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(place.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _too_much_disk(folder: Path, limits: Limits) -> str:
    if shutil.disk_usage(folder).free < _SPARE_DISK // 4:
        return "the free space of the disk"
    size = count = 0
    try:
        for entry in entries_below(folder):
            count += 1
            with suppress(FileNotFoundError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            if count > limits.files:
                return f"more than {limits.files} files"
            if size > limits.disk:
                return f"more than {limits.disk >> 20} MiB of disk"
    except OSError:
        return "what can be counted: it hides its files"
    return ""


def entries_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All files and folders below a folder that a program may be writing to.

    Raises:
        OSError: A folder cannot be read, or is deeper than anybody needs.
    """
    queue = [(str(folder), 0)]
    while queue:
        place, depth = queue.pop()
        if depth > _DEEPEST:
            raise OSError(errno.ELOOP, f"There are folders below {_DEEPEST} others")
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    queue.append((entry.path, depth + 1))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End everything. The first process of the namespace goes first, and takes every other one with it."""
    if process.poll() is None:
        for pid in _descendants(process.pid)[:1]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # Its pipe may be full, and nobody reads it any more.
        _close(process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _unlink_from_store(folder: Path) -> None:
    """Make files that a store shares by links copies of their own, so that nothing reaches the store through them."""
    for place, _, files in os.walk(folder):
        for name in files:
            path = Path(place, name)
            if path.lstat().st_nlink > 1:
                copy = path.with_name(unfinished_name())
                shutil.copyfile(path, copy)
                copy.replace(path)


def _give(folder: Path, user: int) -> None:
    """Make a user the owner of a folder that we have just filled."""
    for place, _, files in os.walk(folder):
        for path in (place, *(os.path.join(place, name) for name in files)):  # noqa: PTH118 - there may be many
            os.chown(path, user, user, follow_symlinks=False)


def regular_file(folder: Path, path: str) -> Path | None:
    """A plain file that a program has written below a folder; `None` if there is none, or a link leads there.

    Args:
        folder: The folder, which is ours.
        path: Relative path, which is safe.
    """
    place = folder
    for part in Path(path).parts:
        place = place / part
        try:
            mode = place.lstat().st_mode
        except OSError:
            return None
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return None
    return place if place.is_file() else None


def remove(folder: Path) -> None:
    """Remove a folder that a program may have made hard to remove."""
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(folder)], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", "--", str(folder)], check=False, capture_output=True)
