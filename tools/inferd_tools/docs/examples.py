"""Captures docs/examples.json: one message of each topic, and one answer to each request, of a real run.

python -m inferd_tools.docs.examples     needs the extra "demo" for a broker; takes half a minute
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from inferd.config.settings import Mqtt
from inferd.control.commands.local_socket import NAME
from inferd.demo.broker import find_broker, free_port
from inferd.telemetry.mqtt.subscriber import Subscriber
from inferd.wire.requests import VERBS
from inferd.wire.topics import METRICS, REQUEST, RESPONSE, ROLLUP, TOPICS
from inferd_tools.docs.asyncapi import EXAMPLES

HERE = Path(__file__).parents[3]
DEVICE, PIPELINE = "kitchen", "cam"
WAIT_S = 40.0
LOOK_S = 0.1
DATA: dict[str, object] = {
    "interval": {"interval_s": 60.0},
    "models/activate": {"pipeline": PIPELINE, "model": "digits"},
    "models/rollback": {"pipeline": PIPELINE},
    "models/pin": {"pipeline": PIPELINE},
    "models/unpin": {"pipeline": PIPELINE},
    "snapshot": {"pipeline": PIPELINE},
    "label": {"pipeline": PIPELINE, "label": "4", "boot_id": "c0ffeec0ffee", "seq": 7},
    "pipeline/sleep": {"pipeline": PIPELINE},
    "pipeline/wake": {"pipeline": PIPELINE},
    "models/release": {"model": "digits"},
    "models/forget": {"model": "digits"},
}
CONFIG = """
device = "{device}"
state_dir = "{folder}/state"
[mqtt]
port = {port}
requests = "all"
snapshots = true
[metrics]
interval_s = 3
metered = {metered}
[[pipeline]]
name = "{pipeline}"
model = "{here}/models/digits"
source = {{kind = "video", path = "{here}/models/digits/clip.avi"}}
pace = {{at_end = "loop"}}
report = {{max_per_s = 1}}
"""

PICTURE = re.compile(r'("jpeg":"[^"]{40})[^"]*')  # its beginning is example enough
Heard = dict[str, Any]  # topic below the device → JSON


def main() -> int:
    """Capture and write."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = find_broker(free_port(0), folder / "broker.log", stack, _pause)
        if found.settings is None:
            print(found.told)
            return 1
        miss(folder)
        heard = {**capture(found.settings, folder, metered=True), **capture(found.settings, folder, metered=False)}
    wanted = [topic.path for topic in TOPICS] + [f"{way}{verb}" for verb in VERBS for way in (REQUEST, RESPONSE)]
    missing = [path for path in wanted if path not in heard]
    EXAMPLES.write_text(json.dumps({path: heard[path] for path in wanted if path in heard}, indent=1) + "\n")
    print(f"{EXAMPLES}: {len(wanted) - len(missing)} of {len(wanted)}; missing: {', '.join(missing) or 'none'}")
    return int(bool(missing))


def miss(folder: Path) -> None:
    """Have the device run without a broker for a moment, so that there is something to replay."""
    agent = _started(folder, free_port(0), metered=False)
    _until((folder / "state" / NAME).exists)
    agent.terminate()
    agent.wait()


def capture(broker: Mqtt, folder: Path, *, metered: bool) -> Heard:
    """Return what a device said, by the path of its topic; and, unless it is on a metered line, what it was asked."""
    heard: Heard = {}
    with Subscriber(broker, [f"{broker.prefix}/{DEVICE}/#"]) as ear:

        def hears(path: str) -> bool:
            return _take(ear, broker, folder, heard) and path in heard

        _until(lambda: ear.ready)
        agent = _started(folder, broker.port, metered=metered)
        try:
            _until(partial(hears, "<pipeline>/state"))
            for verb in () if metered else VERBS:
                request = {"id": f"watcher-{verb}", **({"data": DATA[verb]} if verb in DATA else {})}
                heard[f"{REQUEST}{verb}"] = request
                ear.send(f"{broker.prefix}/{DEVICE}/{REQUEST}{verb}", json.dumps(request).encode())
                _until(partial(hears, f"{RESPONSE}{verb}"))
            if not metered:
                _until(partial(hears, METRICS.path))
        finally:
            agent.terminate()
            agent.wait()
        if metered:
            _until(partial(hears, ROLLUP.path))
    return heard


def _started(folder: Path, port: int, *, metered: bool) -> subprocess.Popen[bytes]:
    file = folder / "inferd.toml"
    said = {"device": DEVICE, "pipeline": PIPELINE, "port": port, "here": HERE, "folder": folder}
    file.write_text(CONFIG.format(metered=str(metered).lower(), **said))
    command = [sys.executable, "-m", "inferd", "run", "--config", str(file)]
    return subprocess.Popen(command, env=dict(os.environ))  # noqa: S603 - our own


def _take(ear: Subscriber, broker: Mqtt, folder: Path, heard: Heard) -> bool:
    for one in ear.pop_all():
        below = one.topic.removeprefix(f"{broker.prefix}/{DEVICE}/")
        text = one.payload.decode().replace(str(HERE), "/opt/inferd").replace(str(folder), "/var/lib/inferd")
        path = below.replace(f"{PIPELINE}/", "<pipeline>/", 1) if below.startswith(f"{PIPELINE}/") else below
        if text and not below.startswith(REQUEST) and text != "offline":
            heard[path] = json.loads(PICTURE.sub(r"\1...", text)) if text.startswith(("{", "[")) else text
    return True


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _until(happened: Callable[[], bool]) -> None:
    for _ in range(round(WAIT_S / LOOK_S)):
        if happened():
            return
        time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
