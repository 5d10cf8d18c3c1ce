"""Installing into a system image: files below a root, and the system's programs recorded instead of run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from inferd.config.load import load
from inferd.errors import InferdError
from inferd.install import layout
from inferd.install.environment import Environment, reachable
from inferd.install.host import Host
from inferd.install.steps import PACKAGED, install, uninstall

CODE = Path("inferd/__init__.py")


class Image:
    """A system image, and the programs that were run on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[tuple[str, ...]] = []
        self.failing: set[str] = set()
        self.systemd = 252

    def run(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """Record a command; be a systemd of some version."""
        self.commands.append(command)
        text = f"systemd {self.systemd} ({self.systemd}.1-1)" if "--version" in command else ""
        return subprocess.CompletedProcess(command, int(command[0] in self.failing), text, "it refuses")

    def host(self) -> Host:
        """Return the image as `install` sees it."""
        return Host(self.root, self.run, lambda _: None)

    def files(self) -> dict[str, str]:
        """Return every file and link with its content."""
        found = (path for path in self.root.rglob("*") if path.is_symlink() or path.is_file())
        return {str(path.relative_to(self.root)): "" if path.is_symlink() else path.read_text() for path in found}


@pytest.fixture
def image(tmp_path: Path) -> Image:
    root = tmp_path / "image"
    root.mkdir()
    return Image(root)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Lie where a home would: the tests' folder is below /tmp, which the service does not see."""
    prefix = tmp_path / "home/pi/venv"
    package = prefix / "lib/python3.11/site-packages" / CODE.parent
    package.mkdir(parents=True)
    (package / CODE.name).write_text("version = 1\n")
    return Environment(prefix, Path("/usr/bin/python3.11"), Path("/usr"), package, (3, 11))


def test_the_service_the_account_and_the_folders_are_made(image: Image, environment: Environment) -> None:
    install(image.host(), environment, start=True)
    rooted = f"--root={image.root}"
    assert image.commands[1:] == [
        ("systemd-sysusers", rooted, "/etc/sysusers.d/inferd.conf"),
        ("systemd-tmpfiles", rooted, "--create", "/etc/tmpfiles.d/inferd.conf"),
        ("systemctl", rooted, "enable", "--quiet", "inferd.service"),
    ]


def test_installing_twice_changes_nothing(image: Image, environment: Environment) -> None:
    install(image.host(), environment, start=True)
    before, again = image.files(), image.host()
    install(again, environment, start=True)
    assert (again.changed, image.files()) == (False, before)


def test_an_environment_below_a_home_is_copied_to_where_the_service_sees_it(
    image: Image, environment: Environment
) -> None:
    install(image.host(), environment, start=True)
    assert (image.root / "opt/inferd/lib/python3.11/site-packages" / CODE).read_text() == "version = 1\n"
    assert "ExecStart=/opt/inferd/bin/inferd run\n" in (image.root / "etc/systemd/system/inferd.service").read_text()


def test_an_upgraded_environment_replaces_the_copy(image: Image, environment: Environment) -> None:
    install(image.host(), environment, start=True)
    (environment.packages / CODE).write_text("version = 20\n")
    install(image.host(), environment, start=True)
    assert (image.root / "opt/inferd/lib/python3.11/site-packages" / CODE).read_text() == "version = 20\n"
    assert not list(image.root.glob("opt/inferd.*"))


def test_a_folder_that_is_not_ours_is_never_replaced(image: Image, environment: Environment) -> None:
    (image.root / "opt/inferd").mkdir(parents=True)
    with pytest.raises(InferdError, match="was not placed by `inferd install`"):
        install(image.host(), environment, start=True)


def test_a_configuration_that_is_there_is_kept(image: Image, environment: Environment) -> None:
    config = image.root / "etc/inferd/inferd.toml"
    config.parent.mkdir(parents=True)
    config.write_text('device = "mine"\n')
    install(image.host(), environment, start=True)
    assert config.read_text() == 'device = "mine"\n'


def test_the_first_configuration_is_right_and_names_no_pipeline(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text(layout.starting_config())
    assert load(file, {"HOME": str(tmp_path)}).config.pipeline == ()


def test_what_an_old_systemd_does_not_know_is_left_out(image: Image, environment: Environment) -> None:
    install(image.host(), environment, start=True)
    assert not (image.root / "etc/systemd/system/inferd.service.d").exists()


def test_a_new_systemd_gets_its_words(image: Image, environment: Environment) -> None:
    image.systemd = 257
    install(image.host(), environment, start=True)
    dropin = image.root / "etc/systemd/system/inferd.service.d/10-systemd-254.conf"
    assert "Type=notify-reload\n" in dropin.read_text()


def test_uninstalling_keeps_configuration_and_state(image: Image, environment: Environment) -> None:
    install(image.host(), environment, start=True)
    (image.root / "var/lib/inferd/models").mkdir(parents=True)
    (image.root / "var/lib/inferd/models/mine.tflite").write_text("model")
    uninstall(image.host(), environment, purge=False)
    assert sorted(image.files()) == [
        "etc/inferd/inferd.toml",
        "var/lib/inferd/.groups-made",
        "var/lib/inferd/models/mine.tflite",
    ]


def test_purging_leaves_nothing(image: Image, environment: Environment) -> None:
    install(image.host(), environment, start=True)
    uninstall(image.host(), environment, purge=True)
    assert image.files() == {}


def test_purging_removes_the_groups_that_were_made_and_no_others(image: Image, environment: Environment) -> None:
    (image.root / "etc").mkdir()
    (image.root / "etc/group").write_text("video:x:44:\nplugdev:x:46:\naudio:x:29:\nrender:x:1:\n")
    install(image.host(), environment, start=True)
    uninstall(image.host(), environment, purge=True)
    removed = [command[-1] for command in image.commands if command[0] == "groupdel"]
    assert removed == ["dialout", "gpio", "i2c", "inferd-view"]


def test_uninstalling_where_nothing_is_installed_changes_nothing(image: Image, environment: Environment) -> None:
    host = image.host()
    uninstall(host, environment, purge=False)
    assert not host.changed


def test_a_debian_package_is_left_to_apt(image: Image, environment: Environment) -> None:
    image.host().place(PACKAGED, "", 0o644)
    with pytest.raises(InferdError, match="use apt"):
        install(image.host(), environment, start=True)


def test_a_source_folder_is_refused(image: Image, environment: Environment) -> None:
    editable = Environment(environment.prefix, environment.base_python, Path("/usr"), Path("/src/inferd"), (3, 11))
    with pytest.raises(InferdError, match="make deb"):
        install(image.host(), editable, start=True)


def test_a_python_in_a_home_is_refused(image: Image, environment: Environment) -> None:
    python = Path("/home/pi/.pyenv/bin/python3")
    hidden = Environment(environment.prefix, python, python.parents[1], environment.package, (3, 11))
    with pytest.raises(InferdError, match="the service cannot see this Python"):
        install(image.host(), hidden, start=True)


def test_a_program_of_the_system_that_fails_is_named_with_what_it_said(image: Image, environment: Environment) -> None:
    image.failing.add("systemd-sysusers")
    with pytest.raises(InferdError, match=r"systemd-sysusers .*: it refuses"):
        install(image.host(), environment, start=True)


def test_a_command_of_the_same_name_is_left_alone(image: Image, environment: Environment) -> None:
    other = image.root / "usr/local/bin/inferd"
    other.parent.mkdir(parents=True)
    other.write_text("another")
    install(image.host(), environment, start=True)
    uninstall(image.host(), environment, purge=True)
    assert image.files() == {"usr/local/bin/inferd": "another"}


def test_the_system_is_reachable() -> None:
    assert reachable(Path("/usr/bin"))
