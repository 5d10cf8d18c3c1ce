"""The child that imports and loads native code for the doctor: it may crash or hang, and that is an answer too.

`python -m inferd.doctor.readers.probe_child runtime MODEL [MODEL ...]`, `... opencv` or `... ACCELERATOR LIBRARY` writes JSON
line before and after each step, at once, so that the last line tells where it died.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from inferd.accelerators.accelerator import Accelerator
from inferd.accelerators.table import ACCELERATORS
from inferd.config.settings import EngineConfig
from inferd.system.clock import SystemClock

GOES_ON = ("numpy", "model:")  # a runtime may be missing as well, and one bad model says nothing of the next
Step = Callable[[], dict[str, object]]


def main(arguments: Sequence[str]) -> int:
    """Take the steps of one subject; return 0 when all went well, 1 after the first that failed."""
    subject, *rest = arguments
    subjects: dict[str, Callable[[Sequence[str]], list[tuple[str, Step]]]] = {
        "runtime": runtime_steps,
        "opencv": opencv_steps,
        **{one.name: partial(accelerator_steps, one) for one in ACCELERATORS},
    }
    steps = subjects[subject](rest)
    return int(not all(taken(name, step) for name, step in steps))


def taken(name: str, step: Step) -> bool:
    """Take a step and tell of it; return whether the next one makes sense."""
    say(step=name, state="begun")
    try:
        told = step()
    except Exception as exc:  # noqa: BLE001 - whatever native code raises is what we are here to tell
        say(step=name, state="failed", kind=type(exc).__name__, why=str(exc)[:1000])
        return name.startswith(GOES_ON)
    say(step=name, state="done", **told)
    return True


def say(**told: object) -> None:
    """Write one line at once."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def runtime_steps(models: Sequence[str]) -> list[tuple[str, Step]]:
    """Return the steps that show whether a runtime works: its first model is ours, the others the configured ones."""
    ours, *configured = models
    return [
        ("numpy", partial(version_of, "numpy")),
        ("import", imports),
        ("construct", partial(construct, ours)),
        *((f"model:{path}", partial(load, path)) for path in configured),
    ]


def opencv_steps(_: Sequence[str]) -> list[tuple[str, Step]]:
    """Return the step that imports OpenCV."""
    return [("opencv", partial(version_of, "cv2"))]


def accelerator_steps(accelerator: Accelerator, paths: Sequence[str]) -> list[tuple[str, Step]]:
    """Return the steps that load an accelerator's library and list its devices."""
    return [("library", partial(library, accelerator, paths[0])), ("devices", partial(devices, accelerator, paths[0]))]


def version_of(module: str) -> dict[str, object]:
    """Import a module by its name, as all that is native is here: so this file itself needs none of it."""
    return {"version": import_module(module).__version__}


def imports() -> dict[str, object]:
    """Import the runtime that an engine would use."""
    found = import_module("inferd.runtime.library").find_runtime()
    return {"name": found.distribution, "version": found.version}


def construct(model: str) -> dict[str, object]:
    """Run a small model: a runtime that only imports proves nothing."""
    runtime = import_module("inferd.runtime.library").find_runtime()
    interpreter = runtime.interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()
    return {}


def load(model: str) -> dict[str, object]:
    """Load a configured model as the worker would on the CPU, and tell what its engine warns of."""
    engine = import_module("inferd.runtime.litert").LiteRt(
        model, EngineConfig(), SystemClock(), model.rpartition("/")[2]
    )
    try:
        return {"warning": engine.info.warning}
    finally:
        engine.close()


def library(accelerator: Accelerator, path: str) -> dict[str, object]:
    """Load a library and read its version."""
    return {"version": accelerator.version(path)}


def devices(accelerator: Accelerator, path: str) -> dict[str, object]:
    """Count the devices that a library lists."""
    return {"devices": len(accelerator.list_devices(path))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
