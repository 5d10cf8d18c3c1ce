"""The configuration: every key, its default and its bounds. The sample file is generated from these docstrings.

Each class's docstring is the comment above its table; each attribute line becomes the comment above its key.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from inferd.config.base import ConfigTable
from inferd.config.mqtt import Mqtt
from inferd.config.pipeline_options import (
    DAYS,
    ChangeConfig,
    LineConfig,
    MaskConfig,
    Samples,
    Schedule,
    TrackConfig,
    ZoneConfig,
)
from inferd.config.source_options import (
    CommandSource,
    CropsSource,
    IioSource,
    ImagesSource,
    LinesSource,
    NpzSource,
    Source,
    StreamSource,
    SyntheticSource,
    V4l2Source,
    VideoSource,
    WavSource,
    kind_of,
)
from inferd.config.telemetry import Alert, HomeAssistant, Http, MetricsConfig
from inferd.wire.bounds import (
    DAY_S,
    HOUR_S,
    Count,
    FilePath,
    Finite,
    Megabytes,
    ModelName,
    Name,
    Share,
    Text,
    WholeMegabytes,
)
from inferd.wire.manifest import Activation, Decoder, Filter, QualitySection, Resize, Task

# What stands in files of its own; all that is defined here is meant too.
__all__ = [
    "DAYS",
    "Alert",
    "ChangeConfig",
    "CommandSource",
    "CropsSource",
    "HomeAssistant",
    "Http",
    "IioSource",
    "ImagesSource",
    "LineConfig",
    "LinesSource",
    "MaskConfig",
    "MetricsConfig",
    "Mqtt",
    "NpzSource",
    "Samples",
    "Schedule",
    "Source",
    "StreamSource",
    "SyntheticSource",
    "TrackConfig",
    "V4l2Source",
    "VideoSource",
    "WavSource",
    "ZoneConfig",
    "kind_of",
]


class Pace(ConfigTable, frozen=True):
    """When a source that could give frames at any time gives the next one.

    Attributes:
        mode: "recorded" (as the recording or camera has it), "fixed" (`fps` a second), "fast" (as soon as the model has
            taken the last one; no frame is dropped).
        fps: for "fixed".
        at_end: what follows the last frame: "stop" or "loop".
    """

    mode: Literal["recorded", "fixed", "fast"] = "recorded"
    fps: Annotated[float, Meta(ge=0.001, le=1000)] = 10.0
    at_end: Literal["stop", "loop"] = "stop"


class FakeEngine(ConfigTable, frozen=True):
    """What the fake engine answers and how it misbehaves. Counts are of invokes, from 1; 0 is never.

    Attributes:
        scores: the output tensor.
        input_shape: shape of its one uint8 input.
        invoke_ms: what an invoke takes.
        load_ms: what loading takes.
        fail_at: raise an engine error at this invoke.
        crash_at: die by SIGSEGV at this invoke.
        hang_at: never return from this invoke.
        crash_at_load: die by SIGSEGV while loading.
        crash_at_close: die by SIGABRT when the model is closed, as one that corrupted memory does.
        fail_from: raise an engine error at this invoke and every later one.
        nan_from: answer NaN at this invoke and every later one.
        slow_from: take `slow_ms` at this invoke and every later one.
        slow_ms: see `slow_from`.
        memory_mb: what loading takes of memory.
        leak_from: take `leak_mb` more of memory at this invoke and every later one, and never free it.
        leak_mb: see `leak_from`.
    """

    scores: tuple[Finite, ...] = (0.1, 0.9)
    input_shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=16_384)], ...], Meta(max_length=8)] = (1, 32, 32, 3)
    invoke_ms: Annotated[float, Meta(ge=0, le=1000 * DAY_S)] = 0.0
    load_ms: Annotated[float, Meta(ge=0, le=1000 * DAY_S)] = 0.0
    fail_at: Count = 0
    crash_at: Count = 0
    hang_at: Count = 0
    crash_at_load: bool = False
    crash_at_close: bool = False
    fail_from: Count = 0
    nan_from: Count = 0
    slow_from: Count = 0
    slow_ms: Annotated[float, Meta(ge=0, le=1000 * DAY_S)] = 0.0
    memory_mb: WholeMegabytes = 0
    leak_from: Count = 0
    leak_mb: WholeMegabytes = 0


class EngineConfig(ConfigTable, frozen=True):
    """How the model is run.

    Attributes:
        kind: "litert" (TensorFlow Lite), "onnx", or "fake" for tests; a .onnx file takes "onnx" by itself.
        threads: CPU threads of one inference.
        delegate: what runs a TensorFlow Lite model instead of the CPU: "edgetpu" (any), "usb", "usb:0", "pci:0", ":1"
            (that Edge TPU), or a delegate's library by its path; "" is the CPU, or any Edge TPU for a model of its own.
        delegate_options: what the delegate's library is told, as text.
        providers: what runs an ONNX model: execution providers by name, the first that can takes a node.
        provider_options: what each provider is told, by its name, as text.
        fake: what a fake engine does, for tests.
    """

    kind: Text = "litert"
    threads: Annotated[int, Meta(ge=1, le=256)] = 2
    delegate: ModelName = ""
    delegate_options: dict[Text, Text] = msgspec.field(default_factory=dict)
    providers: tuple[Text, ...] = ("CPUExecutionProvider",)
    provider_options: dict[Text, dict[Text, Text]] = msgspec.field(default_factory=dict)
    fake: FakeEngine = FakeEngine()


class Overrides(ConfigTable, frozen=True):
    """Replaces what a model's manifest says; None leaves it as it is.

    Attributes:
        task: "classify", "detect", "segment", "pose", "embed", "anomaly", "regress" or "raw".
        labels: a file of labels.
        resize: "stretch", "letterbox" or "crop".
        resize_filter: "fast_area", "area", "linear", "nearest" or "cubic".
        mean: of pixel values, one or one per channel.
        std: of pixel values, one or one per channel.
        activation: "none", "softmax" or "sigmoid".
        decoder: how the outputs become boxes or keypoints.
        threshold: scores below it are left out.
        top_k: at most so many labels or boxes.
        average: scores are the mean over the last so many frames; 0 is over all since the source began.
        normalize: whether an embedding is divided by its length.
        limit: an anomaly score above it is an anomaly.
    """

    task: Task | None = None
    labels: FilePath | None = None
    resize: Resize | None = None
    resize_filter: Filter | None = None
    mean: tuple[Finite, ...] | None = None
    std: tuple[Finite, ...] | None = None
    activation: Activation | None = None
    decoder: Decoder | None = None
    threshold: Share | None = None
    top_k: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    average: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    normalize: bool | None = None
    limit: Annotated[float, Meta(ge=0, le=1e12)] | None = None


class ReportConfig(ConfigTable, frozen=True):
    """Which results leave the device.

    Attributes:
        when: "every" result, only when the answer changes ("change"), or "never".
        hold: a changed answer counts when `hold` of the last `window` results agree on it.
        window: see `hold`.
        min_score: results whose best score is lower are not reported.
        max_per_s: at most so many a second; 0 is without limit.
        keep: whether results that the broker misses are kept on the disk, in the room of `mqtt.spool_mb`.
    """

    when: Literal["every", "change", "never"] = "every"
    hold: Annotated[int, Meta(ge=1, le=1000)] = 3
    window: Annotated[int, Meta(ge=1, le=1000)] = 5
    min_score: Share = 0.0
    max_per_s: Annotated[float, Meta(ge=0, le=10_000)] = 10.0
    keep: bool = False


class ImageConfig(ConfigTable, frozen=True):
    """Pictures that leave the device over MQTT, on `<pipeline>/image`; off by default, and not with mqtt.seal_key_file.

    Attributes:
        publish: "never", or "change": the next frame whenever the settled answer changes.
        drawn: whether boxes, zones and labels are drawn on it.
        interval_s: at least so long between two pictures.
        retain: whether the broker keeps the last picture.
        max_kb: largest JPEG, in kB; a larger one is made smaller.
    """

    publish: Literal["never", "change"] = "never"
    drawn: bool = True
    interval_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 5.0
    retain: bool = False
    max_kb: Annotated[int, Meta(ge=5, le=1000)] = 60


class Pipeline(ConfigTable, frozen=True):
    """A pipeline: source → preprocess → engine → task → outputs. Repeat the table for more of them.

    Attributes:
        name: how it is called in topics; letters, digits, - and _.
        model: the name of a model in the drop folder; or the path of a .tflite file, or of a folder that holds
            model.tflite; "" follows the newest model in the drop folder that fits the pipeline's task.
        source: where frames come from.
        pace: when the next frame is taken.
        engine: how the model is run.
        overrides: what the manifest does not say, or says wrongly.
        roi: the part of the picture that is used: y0, x0, y1, x1, each 0..1.
        report: which results leave the device.
        quality: which frames are too poor to trust; goes before what the model's manifest says.
        track: whether objects keep a number.
        zone: where objects are counted.
        line: whose crossing is counted.
        mask: which parts of the picture are covered or do not count.
        change: whether the model sees frames in which nothing has changed.
        schedule: when the pipeline runs.
        samples: which frames are kept for improving the model.
        image: pictures that leave the device.
    """

    name: Name
    source: Source
    model: ModelName = ""
    pace: Pace = Pace()
    engine: EngineConfig = EngineConfig()
    overrides: Overrides = Overrides()
    roi: tuple[Share, Share, Share, Share] = (0.0, 0.0, 1.0, 1.0)
    report: ReportConfig = ReportConfig()
    quality: QualitySection = QualitySection()
    track: TrackConfig = TrackConfig()
    zone: tuple[ZoneConfig, ...] = ()
    line: tuple[LineConfig, ...] = ()
    mask: tuple[MaskConfig, ...] = ()
    change: ChangeConfig = ChangeConfig()
    schedule: tuple[Schedule, ...] = ()
    samples: Samples = Samples()
    image: ImageConfig = ImageConfig()


class ModelsConfig(ConfigTable, frozen=True):
    """The drop folder, and the conditions under which a new model serves.

    Attributes:
        folder: where models are dropped; "" takes `models` in the state directory.
        look_every_s: seconds between two looks into it; 0 never looks.
        settle_s: a file that has not changed for so long is whole.
        trial_s: how long a new model is on trial.
        trial_results: a trial ends earlier with so many results.
        trial_errors: share of a trial's frames (0..1) that may fail.
        replay_mb: memory for frames of a trial, which are shown to the model before where the new one's answers look
            suspicious; they are never written to the disk; 0 keeps none.
        faults_a_day: a committed model that hangs or crashes the worker so often within 24 hours is given up for the one before
            it; 0 never gives it up.
        slower_max: a new model may take so many times as long as the one it replaces; a [budget] says it better.
        vet_deadline_s: how long vetting may take.
        vet_memory_mb: address space that vetting may take; 0 is without limit.
        keep: so many models are kept, the active and the previous one always.
        keep_mb: so much room they may take together.
    """

    folder: FilePath = ""
    look_every_s: Annotated[float, Meta(ge=0, le=DAY_S)] = 1.0
    settle_s: Annotated[float, Meta(ge=0, le=HOUR_S)] = 2.0
    trial_s: Annotated[float, Meta(ge=0, le=7 * DAY_S)] = 60.0
    trial_results: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 300
    trial_errors: Share = 0.1
    replay_mb: Annotated[float, Meta(ge=0, le=100_000)] = 8.0
    faults_a_day: Annotated[int, Meta(ge=0, le=10_000)] = 5
    slower_max: Annotated[float, Meta(ge=0.1, le=1e6)] = 4.0
    vet_deadline_s: Annotated[float, Meta(ge=1, le=DAY_S)] = 120.0
    vet_memory_mb: WholeMegabytes = 4096
    keep: Annotated[int, Meta(ge=1, le=10_000)] = 20
    keep_mb: Annotated[int, Meta(ge=1, le=10_000_000)] = 2000


class Watch(ConfigTable, frozen=True):
    """When a worker counts as hung, and how it is restarted.

    Attributes:
        deadline_s: a worker that makes no progress for this long (or for 20 times its p95) is replaced.
        load_deadline_s: a model that has not loaded after this long is refused.
        restart_max_s: longest pause before a worker that keeps dying is started again.
        memory_max_mb: memory (PSS) beyond which the worker is replaced, and a model on trial blamed; 0 is 70 % of the board's.
    """

    deadline_s: Annotated[float, Meta(ge=0.5, le=DAY_S)] = 10.0
    load_deadline_s: Annotated[float, Meta(ge=0.5, le=DAY_S)] = 60.0
    restart_max_s: Annotated[float, Meta(ge=0.1, le=DAY_S)] = 60.0
    memory_max_mb: Megabytes = 0.0


class Config(ConfigTable, frozen=True):
    """inferd's configuration.

    Attributes:
        device: this device's id in topics; "" takes the host name.
        state_dir: where models and what must outlive a restart are kept; "" takes systemd's, or the user's own.
        log_level: "debug", "info", "warning" or "error".
        log_format: "auto" (for the journal where it listens, else for people) or "json", a line each.
    """

    device: Text = ""
    state_dir: FilePath = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json"] = "auto"
    mqtt: Mqtt = Mqtt()
    metrics: MetricsConfig = MetricsConfig()
    homeassistant: HomeAssistant = HomeAssistant()
    http: Http = Http()
    alert: tuple[Alert, ...] = ()
    watch: Watch = Watch()
    models: ModelsConfig = ModelsConfig()
    pipeline: tuple[Pipeline, ...] = ()
