"""The wheel: it has all of the product and nothing else, and both programs run from it in an empty directory.

It is built as the container image builds it, from a copy of the files that the Dockerfile names, without the checkout.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import urllib.request
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from compliance.redis_url import NO_SOCKET
from lab.process import Process, free_port
from lab.redis import RedisServer
from tests.support.asterisk import screen

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LISTED, FREE = "+14155550100", "+14155550199"
PACKAGES = ("admin_web", "agi_gate", "compliance")
DIALPLAN = {f"admin_web/dialplan/{file.name}": file.read_bytes() for file in (ROOT / "dialplan").iterdir()}


class Installed(NamedTuple):
    """The wheel, and the environment in which it is installed."""

    bin: Path
    wheel: Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it into an environment of its own, which borrows the dependencies of this one."""
    directory = tmp_path_factory.mktemp("wheel")
    tree = build_tree(directory / "build")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory), cwd=tree)
    (wheel,) = directory.glob("*.whl")
    environment = directory / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    # No byte code: the few modules that these tests run are compiled as they are imported.
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--no-compile", "--quiet")
    run(sys.executable, "-m", "pip", "--python", str(python), "install", *offline, str(wheel))
    # Python reads .pth files only in the environment's own directory, so the checkout is not importable.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return Installed(python.parent, wheel)


def stages() -> dict[str, str]:
    """Return the text of each stage of the Dockerfile, by name."""
    parts = re.split(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def build_tree(tree: Path) -> Path:
    """Copy the files that the Dockerfile's stage `build` copies, if .dockerignore lets them through."""
    context = (ROOT / ".dockerignore").read_text().splitlines()
    for words in re.findall(r"^COPY (?!--)(.+)$", stages()["build"], flags=re.MULTILINE):
        *sources, target = words.split()
        for name in sources:
            assert f"!{name}" in context
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tree / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (tree / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, tree / target)
    return tree


def run(*words: str, cwd: Path | None = None) -> None:
    """Run a command that must succeed."""
    ended = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


class Shell:
    """An operator in an empty directory, with an environment that has only the given settings."""

    def __init__(self, installed: Installed, directory: Path) -> None:
        self.directory = directory
        self._bin = installed.bin
        self._settings: dict[str, str] = {}

    def set(self, **settings: str) -> None:
        self._settings |= settings

    def words(self, program: str, *words: str) -> list[str]:
        settings = [f"{name}={value}" for name, value in self._settings.items()]
        return ["env", "-i", "PATH=/usr/bin:/bin", *settings, str(self._bin / program), *words]

    def run(self, program: str, *words: str) -> tuple[int, str, str]:
        """Run one command; return its exit code, standard output and standard error."""
        ended = subprocess.run(
            self.words(program, *words),
            cwd=self.directory, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout, ended.stderr

    def serving(self, program: str, *words: str) -> Process:
        """Start a program that keeps running; the caller ends it."""
        log = self.directory / f"{program}-{words[0]}.log"
        return Process(self.words(program, *words), log, cwd=self.directory)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except OSError:  # urllib's own errors are among them
        return 0


def text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def shell(installed: Installed, short_path: Path) -> Shell:
    return Shell(installed, short_path)


@pytest.fixture(scope="module")
def record(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that `dnc-admin migrate` creates in an empty directory."""
    directory = tmp_path_factory.mktemp("record")
    assert Shell(installed, directory).run("dnc-admin", "migrate")[0] == 0
    return directory.resolve() / "var" / "dnc.sqlite3"


def test_the_wheel_holds_every_file_of_the_product_and_nothing_else(installed: Installed):
    with zipfile.ZipFile(installed.wheel) as wheel:
        found = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file())
    product = {str(file.relative_to(ROOT)): file.read_bytes() for file in files if "__pycache__" not in file.parts}
    assert found == product | DIALPLAN
    # Check that the comparison above covers each kind of file.
    assert {*product} >= {f"{package}/py.typed" for package in PACKAGES}
    for kind in ("templates/base.html", "static/site.css", "migrations/script.py.mako"):
        assert any(name.endswith(kind) for name in product)


def test_the_lab_is_not_installed_and_the_product_is_the_wheels(installed: Installed, shell: Shell):
    asked = "import importlib.util as found; print(*(bool(found.find_spec(name)) for name in ('lab', 'admin_web')))"
    code, out, err = shell.run("python", "-c", f"{asked}; import admin_web; print(admin_web.__file__)")
    assert (code, err) == (0, "")
    assert out.startswith("False True\n")
    assert Path(out.splitlines()[1]).is_relative_to(installed.bin.parent)


def test_without_settings_each_program_says_in_one_line_what_is_missing(shell: Shell, record: Path):
    url = f"unix://{record.parent}/redis.sock"
    shell.directory = record.parent.parent
    shell.set(**{f"DNC_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("AGI", "METRICS")})
    with shell.serving("agi-gate", "serve") as gate:
        gate.wait_until(lambda: bool(gate.log_end()), within_s=60)
        (line,) = (json.loads(line) for line in gate.log.read_text().splitlines())
        assert (line["event"], line["redis"], line["trouble"]) == ("waiting for redis", url, NO_SOCKET)
    assert shell.run("dnc-admin", "rebuild") == (2, "", f"dnc-admin: no usable Redis at {url}: {NO_SOCKET}\n")


def test_with_a_redis_both_programs_work(shell: Shell, record: Path, redis_server: RedisServer):
    shell.set(DNC_DATABASE_URL=f"sqlite:///{record}", DNC_DEADLINE_MS="1000")
    ports = {name: free_port() for name in ("AGI", "METRICS", "WEB")}
    site = f"http://127.0.0.1:{ports['WEB']}"
    shell.set(DNC_REDIS_URL=redis_server.url, **{f"DNC_{name}_BIND": f"127.0.0.1:{ports[name]}" for name in ports})
    with (
        shell.serving("dnc-admin", "worker"),
        shell.serving("dnc-admin", "serve") as serving,
        shell.serving("agi-gate", "serve") as gate,
    ):
        gate.wait_until(lambda: status(f"http://127.0.0.1:{ports['METRICS']}/readyz") == 200, within_s=60)
        code, out, err = shell.run("dnc-admin", "suppress", LISTED)
        assert (code, err) == (0, "")
        assert out.endswith("in force\n")
        assert screen(ports["AGI"], LISTED).reason == "internal-dnc"
        assert screen(ports["AGI"], FREE).reason == "not-listed"
        serving.wait_until(lambda: status(f"{site}/readyz") == 200, within_s=60)
        linked = re.findall(r'(?:src|href)="(/static/[^"]+)"', text(f"{site}/sign-in"))
        assert linked
        assert {status(site + path) for path in linked} == {200}
        about = json.loads(text(f"{site}/api/v1/openapi.json"))["info"]
        assert (about["title"], about["version"]) == (PROJECT["name"], PROJECT["version"])


@pytest.mark.parametrize("stage", ["gate", "pbx"])
def test_each_image_installs_the_wheel_and_no_copy_of_the_packages(stage: str):
    assert "COPY --from=build /wheels" in stages()[stage]
    assert re.search(r"pip install .*wheels/\*\.whl", stages()[stage])
    copied = re.findall(r"^COPY (?!--)(.+)$", stages()[stage], flags=re.MULTILINE)
    assert not {*PACKAGES} & {name for words in copied for name in words.split()}


def test_the_dialplan_is_written_from_the_wheel(shell: Shell):
    code, out, err = shell.run("dnc-admin", "dialplan", "asterisk/dnc")
    assert (code, err) == (0, "")
    written = {f"admin_web/dialplan/{file.name}": file.read_bytes() for file in shell.directory.glob("asterisk/dnc/*")}
    assert written == DIALPLAN
    assert all(Path(name).name in out for name in DIALPLAN)
