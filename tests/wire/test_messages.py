"""Golden bytes: what is on the broker today must be on the broker tomorrow."""

from __future__ import annotations

import msgspec
import pytest

from inferd.records import EngineInfo, LabelSummary, ModelRef
from inferd.wire import telemetry
from inferd.wire.telemetry import Header, encode

HEADER = Header(telemetry.SCHEMA_VERSION, "pi", "2026-11-05T06:07:08.009Z", "c0ffee", 7)
START = b'{"schema_version":1,"device":"pi","time":"2026-11-05T06:07:08.009Z","boot_id":"c0ffee","seq":7,'
REF = ModelRef("digits", "1.2", "ab" * 32)
ENGINE = EngineInfo("ai-edge-litert", "2.3.0", "2.4.6", "cpu", 12, 10, 2, 4.20049, 9.1, (), (), "one op is slow")


def test_info() -> None:
    info = telemetry.Info(
        version="0.1.0",
        python="3.11.2",
        machine="aarch64",
        os="Debian GNU/Linux 12 (bookworm)",
        board="Raspberry Pi 4 Model B Rev 1.4",
        runtime=telemetry.RuntimeInfo("ai-edge-litert", "2.3.0", "2.4.6"),
        metrics_interval_s=60.0,
        pipelines={"cam": telemetry.PipelineInfo("video", "classify", "digits")},
        unavailable={"temperature_c": "no thermal zone"},
    )
    assert encode(HEADER, info) == START + (
        b'"version":"0.1.0","python":"3.11.2","machine":"aarch64","os":"Debian GNU/Linux 12 (bookworm)",'
        b'"board":"Raspberry Pi 4 Model B Rev 1.4",'
        b'"runtime":{"name":"ai-edge-litert","version":"2.3.0","numpy_version":"2.4.6"},"metrics_interval_s":60.0,'
        b'"pipelines":{"cam":{"source":"video","task":"classify","model":"digits"}},'
        b'"unavailable":{"temperature_c":"no thermal zone"}}'
    )


def test_metrics() -> None:
    latency = telemetry.Latency(3, 20.5, 6.1, 7.9, 6.5, 7.9, 7.9, 6, 0, 166, [1, 1, -20, 1])
    metrics = telemetry.Metrics(
        uptime_s=12.5,
        interval_s=60.0,
        system={"cpu_pct": 12.5, "temperature_c": None},
        agent={"worker_restarts": 0},
        processes={"control": {"rss_mb": 22.1}},
        pipelines={"cam": {"frames_dropped": {"superseded": 4}, "latency_ms": {"invoke": latency, "decode": None}}},
    )
    assert encode(HEADER, metrics) == START + (
        b'"uptime_s":12.5,"interval_s":60.0,"system":{"cpu_pct":12.5,"temperature_c":null},'
        b'"agent":{"worker_restarts":0},"processes":{"control":{"rss_mb":22.1}},"pipelines":{"cam":{'
        b'"frames_dropped":{"superseded":4},"latency_ms":{"invoke":{"count":3,"sum":20.5,"min":6.1,"max":7.9,"p50":6.5,'
        b'"p95":7.9,"p99":7.9,"scale":6,"zero_count":0,"offset":166,"counts":[1,1,-20,1]},"decode":null}}},"power_source":null}'
    )


def test_pipeline_status() -> None:
    status = telemetry.PipelineStatus("waiting", "the source gives nothing", "2026-11-05T06:00:00.000Z")
    assert encode(HEADER, status) == START + (
        b'"status":"waiting","why":"the source gives nothing","since":"2026-11-05T06:00:00.000Z"}'
    )


def test_state() -> None:
    state = telemetry.settled_state(LabelSummary({"person": 2, "dog": 1}), "2026-11-05T06:00:00.000Z")
    assert encode(HEADER, state) == START + (
        b'"label":"person","count":3,"counts":{"person":2,"dog":1},"occupancy":true,"since":"2026-11-05T06:00:00.000Z"}'
    )


def test_state_where_nothing_is_seen() -> None:
    assert encode(HEADER, telemetry.settled_state(LabelSummary({}), "2026-11-05T06:00:00.000Z")) == START + (
        b'"label":null,"count":0,"counts":{},"occupancy":false,"since":"2026-11-05T06:00:00.000Z"}'
    )


def test_an_active_model() -> None:
    assert encode(HEADER, telemetry.active_model(REF, ENGINE, "classify", ("zero", "one"))) == START + (
        b'"name":"digits","version":"1.2","digest":"' + b"ab" * 32 + b'",'
        b'"labels_digest":"82d9b71108a930754ffd5c78a7b2c6566c386525ec9402794bea9d248acf5f92","task":"classify",'
        b'"state":"active","accelerator":"cpu","degraded":false,"reason":"","runtime":"ai-edge-litert",'
        b'"runtime_version":"2.3.0","numpy_version":"2.4.6","threads":2,"nodes":12,"nodes_delegated":10,"load_ms":4.2,'
        b'"warmup_ms":9.1,"warning":"one op is slow"}'
    )


def test_a_refused_model_has_the_same_keys() -> None:
    assert encode(HEADER, telemetry.idle_model("refused", "not a TFLite file", "broken")) == START + (
        b'"name":"broken","version":"","digest":"","labels_digest":"","task":null,"state":"refused","accelerator":null,'
        b'"degraded":false,"reason":"not a TFLite file","runtime":null,"runtime_version":null,"numpy_version":null,'
        b'"threads":null,"nodes":null,"nodes_delegated":null,"load_ms":null,"warmup_ms":null,"warning":""}'
    )


def test_event() -> None:
    event = telemetry.Event("worker.died", "error", "signal 11", "cam", "digits", {"signal": 11, "took_s": 0.4})
    assert encode(HEADER, event) == START + (
        b'"kind":"worker.died","severity":"error","message":"signal 11","pipeline":"cam","model":"digits",'
        b'"data":{"signal":11,"took_s":0.4}}'
    )


def test_a_sentence_without_end_is_cut() -> None:
    message = encode(HEADER, telemetry.Event("source.failed", "warning", "x" * 30_000))
    assert len(message) <= telemetry.LIMIT_BYTES
    assert msgspec.json.decode(message)["message"] == "x" * 1000 + "…"


@pytest.mark.parametrize(
    "body",
    [telemetry.Info, telemetry.Metrics, telemetry.PipelineStatus, telemetry.State, telemetry.Model, telemetry.Event],
)
def test_no_key_of_a_body_hides_one_of_the_header(body: type[msgspec.Struct]) -> None:
    assert not {*body.__struct_fields__} & {*Header.__struct_fields__}


@pytest.mark.parametrize(
    ("wall_s", "iso"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.1239, "2023-11-14T22:13:20.123Z"),
        (1_700_000_000.9999, "2023-11-14T22:13:20.999Z"),
    ],
)
def test_time_is_utc_in_iso_8601_with_milliseconds(wall_s: float, iso: str) -> None:
    assert telemetry.iso_time(wall_s) == iso
