"""What a hostile program tries in the sandbox, and what comes of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sandboxes import require_sandbox

from llamafund_chain.errors import UncheckedError
from llamafund_trainer.process import sandbox
from llamafund_trainer.process.sandbox import (
    Ended,
    Limits,
    Room,
    choose_walls,
    find_walls,
    package_path,
    regular_file,
    run_program,
    walls_here,
)

LIMITS = Limits(memory=256 << 20, seconds=30, disk=8 << 20, files=200, processes=20)
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/room", "PYTHONPATH": package_path()}

Run = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    require_sandbox()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    own = tmp_path / "box" / "room"
    own.mkdir(parents=True)
    yield Room(own)
    sandbox.remove(tmp_path / "box")
    assert not own.exists()


@pytest.fixture
def run(room: Room) -> Run:
    def start(text: str, limits: Limits = LIMITS) -> Ended:
        (room.own / "program.py").write_text(text, encoding="utf-8")
        return run_program(["/room/program.py"], room, ENVIRONMENT, limits, directory="/room", walls=walls_here())

    return start


def test_an_honest_program_reads_writes_and_ends(run: Run, room: Room) -> None:
    ended = run("import sys; open('/room/out', 'w').write('done'); print('said'); sys.exit(3)")
    assert (ended.code, ended.log, ended.exceeded) == (3, "said\n", "")
    assert regular_file(room.own, "out") == room.own / "out"


def test_threat_a_program_reaches_the_network(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended = run(
            "import socket\n"
            f"for place in (('127.0.0.1', {port}), ('1.1.1.1', 53), ('::1', {port})):\n"
            "    try: socket.create_connection(place, 2)\n"
            "    except OSError: print('refused')\n"
            "server = socket.create_server(('127.0.0.1', 0))\n"
            "socket.create_connection(server.getsockname(), 2); print('to itself')"
        )
    assert ended.log.split("\n") == ["refused"] * 3 + ["to itself", ""]


def test_threat_a_program_reaches_the_host_of_a_virtual_machine(run: Run) -> None:
    ended = run(
        "import socket\n"
        "def opens(family):\n"
        "    try: socket.socket(family, 1 if family != 16 else 3).close()\n"
        "    except OSError as error: return error.errno != 97\n"
        "    return True\n"
        "print([family for family in range(64) if opens(family)])"
    )
    assert ended.log in ("[1, 2, 10, 16]\n", "[1, 2, 16]\n")


def test_threat_a_program_unsays_that_its_walls_stand(run: Run) -> None:
    ended = run(
        "import os\n"
        "inside = [os.readlink(f'/proc/self/fd/{n}') for n in range(3, 64) if os.path.lexists(f'/proc/self/fd/{n}')]\n"
        "print(inside)"
    )
    assert ended.log == "[]\n"


def test_threat_a_program_takes_over_the_first_process(run: Run) -> None:
    ended = run(
        "import os\n"
        "status = dict(line.split(':', 1) for line in open('/proc/1/status'))\n"
        "try: os.open('/proc/1/mem', os.O_RDWR)\n"
        "except OSError: print('out of reach')\n"
        "else: print('confined like this one' if status['Seccomp'].strip() == '2' else 'free')"
    )
    assert ended.log in ("out of reach\n", "confined like this one\n")


def test_threat_a_program_signals_whoever_watches_it(run: Run) -> None:
    ended = run("import os, signal\nsignal.signal(15, signal.SIG_IGN)\nos.kill(0, 15)\nprint(os.getpgid(0) > 0)")
    assert (ended.code, ended.log) == (0, "True\n")


def test_threat_a_project_in_the_folder_of_its_python_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "lib").mkdir(parents=True)
    (tmp_path / "project" / "keystore.json").write_text("secret", encoding="utf-8")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "project"))
    shown = [path for path in sandbox._python_folders() if path.is_relative_to(tmp_path)]
    assert shown == [tmp_path / "project" / "lib"]


def test_a_python_among_the_temporary_files_is_shown_there_and_nothing_else_is() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        (Path(name) / "secret").touch()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", f"{name}/venv"], check=True)
        text = f"""
from pathlib import Path
from llamafund_trainer.process.sandbox import Limits, Room, find_walls, run_program
assert find_walls()[0] != "none", find_walls()
room = Room(Path({name!r}) / "box" / "room")
room.own.mkdir(parents=True)
look = "import os; open({name + "-mine"!r}, 'w').close(); print(os.listdir({name!r}))"
limits = Limits(memory=1 << 30, seconds=30, disk=8 << 20, files=200, processes=20)
print(run_program(["-c", look], room, {{}}, limits, directory="/room", walls=find_walls()[0]).log)
"""
        path = os.pathsep.join((package_path(), *(one for one in sys.path if one.endswith("site-packages"))))
        command, environment = [f"{name}/venv/bin/python", "-c", text], {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "['venv']", done.stderr
        assert not Path(f"{name}-mine").exists()


@pytest.mark.skipif(Path(sys.prefix).is_relative_to("/tmp"), reason="Python is among the temporary files")
def test_files_can_be_moved_from_the_temporary_ones_to_the_room(run: Run, room: Room) -> None:
    ended = run("import os; open('/tmp/a', 'w').write('done'); os.rename('/tmp/a', '/room/b')")
    assert (ended.code, (room.own / "b").read_text(encoding="utf-8")) == (0, "done"), ended.log


@pytest.mark.parametrize("left", ["link", "link in it"])
def test_threat_a_program_leaves_a_link_where_the_next_one_has_its_temporary_files(
    room: Room, tmp_path: Path, left: str
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "python").mkdir()
    place = room.own / "tmp"
    if left == "link in it":
        place.mkdir()
        place /= "python"
    place.symlink_to(tmp_path / "secret")
    shown = replace(room, shown={"/tmp/python": tmp_path / "python"})
    with pytest.raises(UncheckedError, match="is not new"):
        run_program(["-c", ""], shown, ENVIRONMENT, LIMITS, directory="/room", walls=walls_here())
    assert not any((tmp_path / "secret").iterdir())


def test_walls_are_built_by_people_who_share_no_new_file(run: Run) -> None:
    before = os.umask(0o077)
    try:
        ended = run("import os; print(os.umask(0))")
    finally:
        os.umask(before)
    assert (ended.code, ended.log) == (0, f"{0o077}\n")


def test_threat_a_program_reads_the_home_and_the_keys(run: Run, tmp_path: Path, monkeypatch) -> None:
    key = tmp_path / "keystore.json"
    key.write_text("secret", encoding="utf-8")
    monkeypatch.setenv("LLAMAFUND_PASSWORD", "secret")
    ended = run(
        "import os\n"
        f"for place in ({str(key)!r}, {str(Path.home() / '.bashrc')!r}, '/etc/passwd', '/etc/shadow', '/var', '/run',\n"
        "              '/proc/1/root/etc/passwd', '/dev/sda', '/dev/mem', '/home'):\n"
        "    print(place) if os.path.exists(place) else None\n"
        "print([name for name in os.environ if 'PASS' in name or 'LLAMAFUND' in name])\n"
        "try: print(b'secret' in open('/proc/1/environ', 'rb').read())\n"
        "except OSError: print(False)"
    )
    assert ended.log == "[]\nFalse\n"


def test_threat_a_program_reaches_another_process(run: Run) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        ended = run(
            "import os, signal\n"
            "print(sorted(int(name) for name in os.listdir('/proc') if name.isdecimal()))\n"
            f"try: os.kill({other.pid}, signal.SIGKILL)\n"
            "except OSError: print('none')\n"
            "try: os.kill(-1, signal.SIGTERM)\n"
            "except OSError: print('none')"
        )
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    assert "none" in ended.log


def test_threat_a_program_changes_what_it_may_only_read(run: Run, room: Room, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "text").write_text("text", encoding="utf-8")
    room = replace(room, shown={"/data": data})
    (room.own / "program.py").write_text(
        "import os, sys\n"
        "for path in ('/data/text', '/data/new', '/dev/x', '/usr/x', '/x', sys.prefix + '/x',\n"
        "             '/proc/sys/kernel/hostname'):\n"
        "    try: open(path, 'w'); print('wrote', path)\n"
        "    except OSError: pass\n"
        "print(open('/data/text').read())",
        encoding="utf-8",
    )
    ended = run_program(["/room/program.py"], room, ENVIRONMENT, LIMITS, directory="/room", walls=walls_here())
    assert ended.log == "text\n"
    assert (data / "text").read_text(encoding="utf-8") == "text"


def test_threat_a_program_leaves_its_walls(run: Run) -> None:
    ended = run(
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.unshare(0x10000000), libc.mount(b'none', b'/room', b'tmpfs', 0, None), libc.chroot(b'/room'))\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print({status[name].strip() for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')})\n"
        "print(status['NoNewPrivs'].strip(), status['Seccomp'].strip())"
    )
    assert ended.log == "-1 -1 -1\n{'0000000000000000'}\n1 2\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("while True: pass", "seconds"),
        ("import time\nheld = []\nwhile True: held.append(bytearray(8 << 20)); time.sleep(0.001)", "memory"),
        (
            "import mmap, time\nm = mmap.mmap(-1, 2**29)\nfor _ in range(512): m.write(bytes(2**20))\ntime.sleep(60)",
            "memory",
        ),
        ("import os, time\nfor _ in range(40):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)", "processes"),
        ("for n in range(500): open(f'/room/{n}', 'w')\nimport time; time.sleep(60)", "files"),
        ("for n in range(9): open(f'/room/{n}', 'wb').write(bytes(1 << 20))\nimport time; time.sleep(60)", "disk"),
        ("while True: print('x' * 4096)", "seconds"),
        ("import os, time\nfor _ in range(150): os.mkdir('d'); os.chdir('d')\ntime.sleep(60)", "hides"),
    ],
    ids=["time", "memory", "shared memory", "processes", "files", "disk", "log", "depth"],
)
def test_threat_a_program_takes_without_end(run: Run, text: str, words: str) -> None:
    limits = replace(LIMITS, seconds=1 if words == "seconds" else 30)
    ended = run(text, limits)
    # Memory of its own also ends at the limit of each process.
    stopped_itself = words == "memory" and "MemoryError" in ended.log
    assert words in ended.exceeded or stopped_itself
    assert len(ended.log) <= 16_384


def test_threat_a_program_hides_memory_from_the_count(run: Run) -> None:
    ended = run(
        "import ctypes, os\n"
        "try: os.memfd_create('x')\n"
        "except PermissionError: print('no file in memory')\n"
        "print(ctypes.CDLL(None).shmget(0, 4096, 0o1600), open('/proc/self/oom_score_adj').read())"
    )
    assert ended.log == "no file in memory\n-1 1000\n\n"


def test_memory_that_processes_share_counts_once(run: Run) -> None:
    ended = run(
        "import mmap, os, time\nm = mmap.mmap(-1, 64 << 20)\nm.write(bytes(64 << 20))\n"
        "for _ in range(5):\n    if os.fork() == 0: m[::4096]; time.sleep(0.6); os._exit(0)\n"
        "time.sleep(0.6)"
    )
    assert (ended.code, ended.exceeded) == (0, "")


def test_a_machine_without_memory_stops_the_program(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read = sandbox._kibibytes
    full = {"MemTotal": 1 << 20, "MemAvailable": 1 << 10}
    monkeypatch.setattr(sandbox, "_kibibytes", lambda path: full if path.name == "meminfo" else read(path))
    assert run("import time; time.sleep(60)").exceeded == "the memory of this machine"


def test_threat_a_program_writes_one_file_without_end(run: Run, room: Room) -> None:
    ended = run("with open('/room/big', 'wb', 0) as file:\n    while True: file.write(bytes(1 << 20))")
    assert ended.code != 0
    assert (room.own / "big").stat().st_size <= LIMITS.disk


def test_threat_a_program_stays_when_it_has_ended(run: Run, room: Room) -> None:
    text = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    while True: open('/room/alive', 'w').write(str(time.time())); time.sleep(0.05)\n"
        "time.sleep(0.3)"
    )
    assert run(text).code == 0
    before = (room.own / "alive").stat().st_mtime_ns
    time.sleep(0.3)
    assert (room.own / "alive").stat().st_mtime_ns == before


def test_threat_a_program_outlives_whoever_runs_it(room: Room, tmp_path: Path) -> None:
    (room.own / "program.py").write_text(
        "import time\nwhile True: open('/room/alive', 'w').write('x'); time.sleep(0.05)", encoding="utf-8"
    )
    script = (
        "import sys; from pathlib import Path\n"
        "from llamafund_trainer.process.sandbox import Limits, Room, run_program, walls_here\n"
        f"run_program(['/room/program.py'], Room(Path({str(room.own)!r})), {{}}, Limits(1 << 30, 60, 1 << 30),\n"
        "            directory='/room', walls=walls_here())"
    )
    verifier = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": package_path()})
    alive = room.own / "alive"
    until = time.monotonic() + 30
    while not alive.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    verifier.send_signal(signal.SIGKILL)
    verifier.wait()
    last = -1
    while time.monotonic() < until:
        now = alive.stat().st_mtime_ns
        if now == last:
            return
        last = now
        time.sleep(0.3)
    pytest.fail("the program still runs")


@pytest.mark.parametrize("path", ["link", "folder/file", "pipe", "nothing"])
def test_threat_a_program_leaves_links_and_pipes_behind(run: Run, room: Room, path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret", encoding="utf-8")
    run(
        f"import os\nos.symlink({str(tmp_path / 'secret' / 'file')!r}, '/room/link')\n"
        f"os.symlink({str(tmp_path / 'secret')!r}, '/room/folder')\nos.mkfifo('/room/pipe')"
    )
    assert regular_file(room.own, path) is None


def test_threat_a_program_writes_into_a_store_through_a_link(run: Run, room: Room, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept", encoding="utf-8")
    owner = kept.stat().st_uid
    (room.own / "start").hardlink_to(kept)
    run("open('/room/start', 'w').write('changed')")
    assert (room.own / "start").read_text(encoding="utf-8") == "changed"
    assert (kept.read_text(encoding="utf-8"), kept.stat().st_uid) == ("kept", owner)


@pytest.fixture
def without_walls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that refuses namespaces."""
    monkeypatch.setattr(sandbox, "_command", lambda *_: ["/bin/sh", "-c", "echo unshare failed: not permitted; exit 1"])
    find_walls.cache_clear()
    yield
    find_walls.cache_clear()


@pytest.mark.usefixtures("without_walls")
def test_without_a_sandbox_a_program_runs_only_for_whoever_trusts_it() -> None:
    with pytest.raises(UncheckedError, match=r"(?s)unshare failed: not permitted.*--trust-program"):
        choose_walls(trust=False)
    assert choose_walls(trust=True) == "none"


def test_a_program_that_is_trusted_runs_where_there_are_no_walls(room: Room) -> None:
    (room.own / "program.py").write_text("import os; print(os.environ['HOME'])", encoding="utf-8")
    command = [str(room.own / "program.py")]
    ended = run_program(command, room, ENVIRONMENT, LIMITS, directory=str(room.own), walls="none")
    assert (ended.log, ended.walls) == ("/room\n", "none")
