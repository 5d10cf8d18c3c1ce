"""deploy/locks/ against pyproject.toml, and what the check of them refuses."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from inferd_tools.locks.lockfile import LOCKS, PROJECT, TARGETS, faults, pins_for, read_pins, wanted

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
SMALL: dict[str, Any] = {  # Any: TOML
    "build-system": {"requires": ["hatchling>=1.27"]},
    "project": {
        "name": "inferd",
        "dependencies": ["numpy>=1.26; platform_machine != 'armv7l'"],
        "optional-dependencies": {
            "test": ["inferd[demo]", "pytest>=9"],
            "demo": ["amqtt==0.12.*"],
            "lock": ["uv>=0.9"],
        },
    },
}
HASH = "--hash=sha256:" + "0" * 64


def lock(*pins: str) -> str:
    return "".join(f"{pin} \\\n    {HASH}\n    # via something\n" for pin in pins)


def right() -> dict[str, str]:
    return {
        "base": lock("numpy==2.4.6"),
        "build": lock("hatchling==1.33.0", "editables==0.6"),
        "demo": lock("numpy==2.4.6", "amqtt==0.12.1"),
        "lock": lock("uv==0.13.9"),
        "test": lock("numpy==2.4.6", "amqtt==0.12.1", "pytest==9.2.0"),
        "tflite-runtime": lock(
            "numpy==1.26.4", "pytest==9.2.0", "tflite-runtime==2.14.0", "opencv-python-headless==4.11.0"
        ),
    }


def test_the_projects_locks_satisfy_its_pyproject() -> None:
    assert faults(PYPROJECT, {path.stem: path.read_text() for path in LOCKS.glob("*.txt")}) == []


@pytest.mark.parametrize("name", [name for name in wanted(PYPROJECT) if name not in {"train", "tflite-runtime"}])
def test_an_extras_lock_has_the_versions_of_the_development_lock(name: str) -> None:
    for target in TARGETS:
        dev = pins_for((LOCKS / "dev.txt").read_text(), target)
        pins = pins_for((LOCKS / f"{name}.txt").read_text(), target)
        assert [str(pin) for package, pin in pins.items() if str(dev.get(package, pin)) != str(pin)] == []


def test_right_locks_have_no_faults() -> None:
    assert faults(SMALL, right()) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("demo", lock("numpy==2.4.6"), "demo.txt: amqtt is missing"),
        ("test", lock("numpy==2.4.6", "pytest==9.2.0"), "test.txt: amqtt is missing"),
        ("base", lock("numpy==1.25.0"), "base.txt: numpy==1.25.0 is not >=1.26"),
        ("base", lock("numpy==2.4.6 ; python_version < '3.12'"), "base.txt: numpy is missing"),
        ("base", lock("numpy>=2"), "base.txt: numpy>=2 is not an exact version with hashes"),
        ("base", "numpy==2.4.6\n", "base.txt: numpy==2.4.6 is not an exact version with hashes"),
        ("base", "--index-url=x\n" + right()["base"], "base.txt: --index-url=x is not an exact version with hashes"),
        ("fleet", lock("numpy==2.4.6"), "fleet.txt is a lock of nothing in pyproject.toml"),
    ],
)
def test_a_lock_that_does_not_fit_is_named(name: str, text: str, fault: str) -> None:
    assert fault in faults(SMALL, {**right(), name: text})


def test_a_missing_lock_is_named() -> None:
    locks = right()
    del locks["demo"]
    assert "demo.txt is missing" in faults(SMALL, locks)


def test_a_version_for_one_python_is_not_taken_for_another() -> None:
    text = lock("numpy==2.4.6 ; python_full_version < '3.12'", "numpy==2.5.5 ; python_full_version >= '3.12'")
    found = {target.python: str(pins_for(text, target)["numpy"].requirement.specifier) for target in TARGETS}
    assert found == {(3, 11): "==2.4.6", (3, 13): "==2.5.5"}


def test_a_pin_is_written_for_pip_without_its_marker() -> None:
    (pin,) = read_pins(lock("numpy==2.4.6 ; python_full_version < '3.12'"))
    assert str(pin) == f"numpy==2.4.6 {HASH}"
