"""Real environments, real packages: what is missing, too old, of another kind, or does not work."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from fixtures.machines.python_installs import OWN, Install, install
from fixtures.models.tflite_writer import CUSTOM, PICTURE, ModelMade, TensorMade
from inferd.bundled_files import bundled
from inferd.doctor.check import DoctorReport, Finding

INTERPRETER = "ai_edge_litert/interpreter"
HEAD = "import os\ndef load_delegate(*_): ...\nclass Interpreter:\n    def __init__(self, **_):"
NO_TFLITE = sys.version_info >= (3, 12)
ONLY_311 = "tflite-runtime has wheels up to Python 3.11 only"


@pytest.fixture
def full(tmp_path: Path) -> Install:
    """Return an environment with everything."""
    return install(tmp_path)


def found(report: DoctorReport) -> dict[str, Finding]:
    return {one.id: one for one in report.findings if one.severity != "note"}


def test_a_full_environment_without_configuration_has_no_finding_but_a_note(full: Install) -> None:
    report = full.doctor()
    assert [one.id for one in report.findings] == ["config.none"]


def test_a_full_environment_leaves_nothing_unchecked(full: Install) -> None:
    assert full.doctor().unchecked == ()


def test_a_bare_environment_lacks_everything_and_the_doctor_still_says_so(tmp_path: Path) -> None:
    findings = found(install(tmp_path, OWN).doctor())
    assert set(findings) == {"runtime.missing", "runtime.numpy", "runtime.paho", "sources.opencv"}


def test_a_missing_runtime_is_named(full: Install) -> None:
    full.hide("ai_edge_litert")
    findings = found(full.doctor())
    assert set(findings) == {"runtime.missing"}
    assert findings["runtime.missing"].mend.endswith("-m pip install ai-edge-litert")


def test_a_runtime_that_only_imports_is_named(full: Install) -> None:
    full.shadow(INTERPRETER, f"{HEAD} raise RuntimeError('no kernels')\n")
    findings = found(full.doctor())
    assert "cannot run a model (no kernels)" in findings["runtime.broken"].what


def test_a_runtime_that_crashes_is_named(full: Install) -> None:
    full.shadow(INTERPRETER, f"{HEAD} os.kill(os.getpid(), 11)\n")
    assert "was killed by SIGSEGV" in found(full.doctor())["runtime.broken"].what


def test_a_runtime_whose_library_is_for_another_system_is_broken_and_not_missing(full: Install) -> None:
    full.shadow(INTERPRETER, 'raise ImportError("/lib/libm.so.6: version `GLIBC_2.38\' not found")\n')
    assert "GLIBC_2.38" in found(full.doctor())["runtime.broken"].what


def test_a_runtime_that_hangs_is_told_as_not_checked(full: Install) -> None:
    full.shadow(INTERPRETER, f"{HEAD} os.read(os.pipe()[0], 1)\n")
    report = full.doctor("--within", "3")
    assert {one.id: one.why for one in report.unchecked}["runtime.broken"].startswith(
        "the child that tries it was still at"
    )


def test_missing_opencv_is_named_where_a_pipeline_takes_pictures(full: Install) -> None:
    full.hide("cv2")
    findings = found(full.doctor())
    assert set(findings) == {"sources.opencv"}


@pytest.mark.slow
@pytest.mark.skipif(NO_TFLITE, reason=ONLY_311)
def test_tflite_runtime_under_numpy_2_is_named(full: Install) -> None:
    full.hide("ai_edge_litert")
    full.pip("--no-deps", "tflite-runtime==2.14.0")
    findings = found(full.doctor())
    assert set(findings) == {"runtime.numpy"}
    assert findings["runtime.numpy"].mend.endswith("-m pip install 'numpy<2'")


@pytest.mark.slow
@pytest.mark.skipif(NO_TFLITE, reason=ONLY_311)
def test_a_quantised_model_that_no_delegate_takes_is_named(full: Install, tmp_path: Path) -> None:
    full.hide("ai_edge_litert")
    full.hide("numpy")
    full.pip("--no-deps", "tflite-runtime==2.14.0", "numpy==1.26.4")
    config = tmp_path / "inferd.toml"
    config.write_text(config_for(bundled("digits")))
    findings = found(full.doctor("--config", str(config)))
    assert set(findings) == {"models.slow"}
    assert findings["models.slow"].mend.endswith("-m pip install ai-edge-litert")


@pytest.mark.slow
def test_the_coral_reef_tool_is_told_from_googles_pycoral(full: Install) -> None:
    full.pip("--no-deps", "pycoral==0.2.0")
    findings = found(full.doctor())
    assert findings["accelerator.pycoral"].mend.endswith("-m pip uninstall --yes pycoral")


@pytest.mark.slow
def test_paho_of_the_old_kind_is_named(full: Install) -> None:
    full.hide("paho")
    full.pip("--no-deps", "paho-mqtt==1.6.1")
    findings = found(full.doctor())
    assert set(findings) == {"runtime.paho"}


def test_labels_that_do_not_fit_are_named(full: Install, tmp_path: Path) -> None:
    model = tmp_path / "digits"
    shutil.copytree(bundled("digits"), model)
    (model / "labels.txt").write_text("zero\none\n")
    config = tmp_path / "inferd.toml"
    config.write_text(config_for(model))
    findings = found(full.doctor("--config", str(config)))
    assert set(findings) == {"models.labels"}


def test_a_model_that_the_runtime_refuses_is_named(full: Install, tmp_path: Path) -> None:
    model = tmp_path / "strange.tflite"
    model.write_bytes(ModelMade([PICTURE], [TensorMade((1, 3))], CUSTOM, "no-such-operator").content())
    config = tmp_path / "inferd.toml"
    config.write_text(config_for(model) + 'overrides = { task = "raw" }\n')
    findings = found(full.doctor("--config", str(config)))
    assert set(findings) == {"models.refused"}
    assert findings["models.refused"].what.startswith("it does not run here")


def config_for(model: Path) -> str:
    clip = bundled("digits") / "clip.avi"
    source = f'source = {{ kind = "video", path = "{clip}" }}'
    return f'[mqtt]\nenabled = false\n[[pipeline]]\nname = "digits"\nmodel = "{model}"\n{source}\n'
