"""What `make arm` is made of; the emulation itself needs root and minutes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inferd_tools.arm.__main__ import EMULATORS, TESTS
from inferd_tools.arm.boards import KINDS
from inferd_tools.arm.packages import wanted

PROJECT = Path(__file__).parents[2]


def test_each_kind_of_arm_gets_its_own_runtime() -> None:
    found = {
        kind.name: {one.name for one in wanted(kind, PROJECT)} & {"ai-edge-litert", "tflite-runtime"}
        for kind in KINDS.values()
    }
    assert found == {"arm64": {"ai-edge-litert"}, "armhf": {"tflite-runtime"}}


def test_what_has_no_wheel_for_32_bits_comes_from_debian_or_is_built() -> None:
    kind = KINDS["armhf"]
    assert {"numpy", "psutil", "msgspec"} <= kind.from_debian | kind.built


def test_wheels_for_a_newer_glibc_than_debians_are_not_taken() -> None:
    assert KINDS["arm64"].platforms[0] == "manylinux_2_36_aarch64"


def test_each_core_stands_in_cpuinfo() -> None:
    assert re.findall(r"^processor\t: (\d)$", KINDS["armhf"].cpuinfo(2), re.MULTILINE) == ["0", "1"]


@pytest.mark.parametrize("place", sorted({path for paths in TESTS.values() for path in paths} | set(EMULATORS)))
def test_what_is_run_or_left_out_exists(place: str) -> None:
    file, _, name = place.partition("::")
    assert (PROJECT / file).exists()
    assert not name or f"def {name}(" in (PROJECT / file).read_text()
