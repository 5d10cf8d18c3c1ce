from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fixtures.agents.agent import wait_for
from fixtures.network.broker import free_port
from inferd.config.telemetry import Http
from inferd.errors import LinkError
from inferd.histogram import Histogram, HistogramData, merge, quantile
from inferd.records import Message
from inferd.telemetry.metrics import METRICS, assemble
from inferd.telemetry.prometheus.exposition import Family, family_name, text, text_buckets
from inferd.telemetry.prometheus.last_messages import LastMessages
from inferd.telemetry.prometheus.server import MetricsServer

PROGRAM = shutil.which("prometheus", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")


def spread(typical_ms: float, size: int, seed: int) -> HistogramData:
    chance, collected = random.Random(seed), Histogram()  # noqa: S311 - repeatable test data
    for _ in range(size):
        collected.add(round(typical_ms * 1e6 * chance.lognormvariate(0, 0.3)))
    return collected.drain()


def said(echo: LastMessages, data: HistogramData, pipeline: str = "cam") -> None:
    """Let a device say an interval."""
    body = assemble(
        60.0,
        60.0,
        system={"temperature_c": 48.2, "power_w": {"estimated": 3.5}},
        agent={"worker_restarts": 2},
        processes={"worker": {"cpu_pct": 12.5}},
        pipelines={pipeline: {"frames_dropped": {"stale": 7}, "fps": 9.5, "latency_ms": {"total": data}}},
    )
    echo.publish(Message("metrics", msgspec.json.encode(body)))


@pytest.fixture
def echo() -> LastMessages:
    made = LastMessages()
    said(made, spread(5, 500, 1))
    return made


def get(port: int, path: str, **headers: str) -> tuple[int, str, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.headers["Content-Type"], exc.read()


def test_what_a_pipeline_sees_its_status_model_and_alerts_are_told(echo: LastMessages) -> None:
    header = {"time": "2026-12-01T00:00:00.000Z", "device": "pi", "boot_id": "b", "seq": 1}
    state = {"label": "person", "count": 3, "counts": {"person": 2, 'a "dog"': 1}, "occupancy": True, "since": "x"}
    state |= {"zones": {"door": 1}, "lines": {"street": {"in": 4, "out": 2}}}
    status = {"status": "running", "why": "", "since": "x"}
    alert = {"kind": "alert.raised", "severity": "warning", "message": "m", "pipeline": "cam", "data": {"alert": "hot"}}
    for topic, body in (("cam/state", state), ("cam/status", status), ("event", alert)):
        echo.publish(Message(topic, json.dumps({**header, **body}).encode()))
    lines = text(echo.families()).decode().splitlines()
    assert 'inferd_pipeline_objects{pipeline="cam",label="person"} 2.0' in lines
    assert 'inferd_pipeline_objects{pipeline="cam",label="a \\"dog\\""} 1.0' in lines
    assert 'inferd_pipeline_zone_objects{pipeline="cam",zone="door"} 1.0' in lines
    assert 'inferd_pipeline_line_crossings_total{pipeline="cam",line="street",direction="in"} 4.0' in lines
    assert 'inferd_pipeline_status{pipeline="cam",status="running"} 1.0' in lines
    assert 'inferd_alert_active{alert="hot",pipeline="cam"} 1.0' in lines


def test_what_is_known_is_told_with_units_in_the_name_and_what_is_not_is_left_out(echo: LastMessages) -> None:
    lines = text(echo.families()).decode().splitlines()
    assert "inferd_system_temperature_celsius 48.2" in lines
    assert 'inferd_system_power_watts{basis="estimated"} 3.5' in lines
    assert "inferd_agent_worker_restarts_total 2.0" in lines
    assert 'inferd_process_cpu_percent{process="worker"} 12.5' in lines
    assert 'inferd_pipeline_frames_dropped_total{pipeline="cam",cause="stale"} 7.0' in lines
    assert not any("fan" in line for line in lines)


def test_every_metric_of_the_table_has_a_name_that_prometheus_takes() -> None:
    names = [family_name(metric) for metric in METRICS]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalnum() and name.islower() for name in names)


def test_histograms_go_on_over_intervals(echo: LastMessages) -> None:
    said(echo, spread(5, 300, 2))
    (family,) = [family for family in echo.families() if family.kind == "histogram"]
    ((labels, data),) = family.samples
    assert isinstance(data, HistogramData)
    assert (labels, data.count) == ((("pipeline", "cam"), ("stage", "total")), 800)


def test_a_pipeline_that_is_gone_takes_its_histograms_along(echo: LastMessages) -> None:
    said(echo, spread(5, 300, 2), "door")
    pipelines = {
        dict(labels)["pipeline"]
        for family in echo.families()
        if family.kind == "histogram"
        for labels, _ in family.samples
    }
    assert pipelines == {"door"}


def test_text_buckets_are_the_same_for_all_values_and_count_them_all() -> None:
    one, other = list(text_buckets(spread(0.001, 100, 1))), list(text_buckets(spread(90, 100, 1)))
    assert [upper for upper, _ in one] == [upper for upper, _ in other]
    assert (one[0][1], other[-1][1]) == (100, 100)


def test_labels_and_help_are_escaped() -> None:
    family = Family("x", "a\nb\\", "gauge", (((("pipeline", 'a"b\\c\n'),), 1.0),))
    assert text([family]).decode().splitlines() == [
        "# HELP x a\\nb\\\\",
        "# TYPE x gauge",
        'x{pipeline="a\\"b\\\\c\\n"} 1.0',
    ]


def test_health_is_200_unless_something_has_failed(echo: LastMessages) -> None:
    with closing(MetricsServer(Http(enabled=True, port=0), echo)) as door:
        assert get(door.port, "/healthz")[::2] == (200, b'{"state":"online"}')
        echo.publish(Message("cam/status", b'{"status": "failed", "why": "no camera", "since": ""}'))
        assert get(door.port, "/healthz")[::2] == (503, b'{"state":"failed"}')
        assert get(door.port, "/etc/passwd")[0] == 404


def test_text_is_told_unless_protobuf_is_asked_for(echo: LastMessages) -> None:
    with closing(MetricsServer(Http(enabled=True, port=0), echo)) as door:
        assert get(door.port, "/metrics")[1].startswith("text/plain")
        assert get(door.port, "/metrics", Accept="application/vnd.google.protobuf")[1].startswith("application/vnd")


def test_a_port_that_is_taken_is_named(echo: LastMessages) -> None:
    with (
        closing(MetricsServer(Http(enabled=True, port=0), echo)) as door,
        pytest.raises(LinkError, match=r"http\.port"),
    ):
        MetricsServer(Http(enabled=True, port=door.port), echo)


class Prometheus:
    """Debian's prometheus, which scrapes these ports every second."""

    def __init__(self, folder: Path, ports: list[int], *, native: bool, stack: ExitStack) -> None:
        assert PROGRAM is not None
        self.port = free_port()
        targets = ", ".join(f"'127.0.0.1:{port}'" for port in ports)
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n"
            f"- job_name: inferd\n  static_configs: [{{targets: [{targets}]}}]\n"
        )
        command = [PROGRAM, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        command += ["--enable-feature=native-histograms"] if native else []
        log = stack.enter_context((folder / "log").open("w"))
        running = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(running.kill)

    def ask(self, query: str) -> list[Any]:  # Any: JSON
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": query}), timeout=5
            ) as answer:
                told: list[Any] = json.load(answer)["data"]["result"]
                return told
        except OSError:
            time.sleep(0.2)
            return []


@pytest.fixture
def devices() -> Iterator[tuple[list[MetricsServer], list[HistogramData]]]:
    """Give two devices that Prometheus may ask, and what they measured."""
    data = [spread(6.7, 5000, 1), spread(19, 1500, 2)]
    with ExitStack() as stack:
        doors = []
        for one in data:
            echo = LastMessages()
            said(echo, one)
            doors.append(stack.enter_context(closing(MetricsServer(Http(enabled=True, port=0), echo))))
        yield doors, data


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="there is no prometheus; apt-get install prometheus")
@pytest.mark.parametrize(("native", "within"), [(True, 0.01), (False, 0.05)])
def test_histograms_of_two_devices_added_by_prometheus_give_the_percentiles_of_all_their_values(
    tmp_path: Path, devices: tuple[list[MetricsServer], list[HistogramData]], *, native: bool, within: float
) -> None:
    doors, data = devices
    union = merge(*data)
    with ExitStack() as stack:
        prometheus = Prometheus(tmp_path, [door.port for door in doors], native=native, stack=stack)
        assert wait_for(lambda: len(prometheus.ask("up == 1")) == len(doors), 30.0), (tmp_path / "log").read_text()
        name = "inferd_pipeline_latency_milliseconds" + ("" if native else "_bucket")
        by = "" if native else " by (le)"
        for q in (0.5, 0.95, 0.99):
            query = f'histogram_quantile({q}, sum{by} ({name}{{stage="total"}}))'
            assert wait_for(lambda query=query: prometheus.ask(query), 15.0)  # type: ignore[misc]  # bound here
            told = float(prometheus.ask(query)[0]["value"][1])
            assert told == pytest.approx(quantile(union, q), rel=within), (native, q)
