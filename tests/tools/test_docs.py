from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import msgspec
import pytest

from inferd.wire import telemetry
from inferd.wire.result import Inference, ResultOrigin
from inferd.wire.telemetry import Header
from inferd_tools.docs.__main__ import main

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mqtt.md").read_text(encoding="utf-8")
BODIES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "info": (telemetry.Info,),
    "event": (telemetry.Event,),
    "metrics": (telemetry.Metrics,),
    "<pipeline>/status": (telemetry.PipelineStatus,),
    "<pipeline>/state": (telemetry.State,),
    "<pipeline>/model": (telemetry.Model,),
    "<pipeline>/result": (ResultOrigin, Inference),
}


def example(topic: str) -> bytes:
    section = PAGE.split(f"### `{topic}`\n", maxsplit=1)[1]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1].encode()


def test_the_pages_say_what_the_code_says() -> None:
    assert main(["--check"]) == 0


def test_a_decision_has_a_number_of_its_own() -> None:
    """Two branches that add a decision each take the next number; merged, both would have it."""
    pages = sorted((DOCS / "adr").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.read_text(encoding="utf-8").startswith(f"# {int(page.name[:4])}. ")


@pytest.mark.parametrize("topic", BODIES)
def test_an_example_is_a_message_of_its_topic(topic: str) -> None:
    for struct in (Header, *BODIES[topic]):
        msgspec.json.decode(example(topic), type=struct)


@pytest.mark.parametrize("topic", [topic for topic in BODIES if topic != "<pipeline>/result"])
def test_an_example_has_every_key_and_no_other(topic: str) -> None:
    structs: tuple[type[msgspec.Struct], ...] = (Header, *BODIES[topic])
    fields = {field.encode_name: field.default for struct in structs for field in msgspec.structs.fields(struct)}
    always = {name for name, default in fields.items() if default is not msgspec.UNSET}
    assert always <= set(msgspec.json.decode(example(topic))) <= fields.keys()


def test_every_key_of_a_result_is_explained() -> None:
    section = PAGE.split("### `<pipeline>/result`\n", maxsplit=1)[1].split("###", maxsplit=1)[0]
    told = msgspec.json.decode(example("<pipeline>/result")).keys() | set(
        re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    )
    assert told >= {*Inference.__struct_fields__, *ResultOrigin.__struct_fields__}


def test_the_example_of_metrics_has_every_metric() -> None:
    told = msgspec.json.decode(example("metrics"))
    labels = {
        "throttled_by_s": ".<reason>",
        **dict.fromkeys(("power_w", "inference_energy_mj", "inference_energy_above_idle_mj"), ".<basis>"),
    }
    paths = {f"{group}.{name}{labels.get(name, '')}" for group in ("system", "agent") for name in told[group]}
    paths |= {f"processes.<process>.{name}" for name in told["processes"]["seed"]}
    for name, figure in told["pipelines"]["cam"].items():
        by = {"frames_dropped": ".<cause>", "frames_flawed": ".<flaw>", "latency_ms": ".<stage>"}.get(name, "")
        paths.add(f"pipelines.<pipeline>.{name}{by}")
        assert bool(by) == isinstance(figure, dict)
    assert paths == set(re.findall(r"^\| `((?:system|agent|processes|pipelines)\.[^`]*)`", PAGE, re.MULTILINE))


def test_a_stale_page_is_named_by_a_check_and_mended_by_a_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = copytree(DOCS, tmp_path / "docs")
    (docs / "mqtt.md").write_text(PAGE.replace("Temperature of the processor.", "Weather."), encoding="utf-8")
    assert main(["--check", "--docs", str(docs)]) == 1
    assert "mqtt.md; run `make docs`" in capsys.readouterr().out
    assert main(["--write", "--docs", str(docs)]) == 0
    assert (docs / "mqtt.md").read_text(encoding="utf-8") == PAGE
