"""Golden bytes of the result, on standard output and on the broker, and its bound."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inferd.records import Box, Label, Mask, OutputTensor, Result, StageTimes
from inferd.wire.result import Inference, ResultOrigin, encode_inference, encode_result, inference
from inferd.wire.telemetry import LIMIT_BYTES, SCHEMA_VERSION, Header

HEADER = Header(SCHEMA_VERSION, "pi", "2026-11-05T06:07:08.009Z", "c0ffee", 7)
START = b'{"schema_version":1,"device":"pi","time":"2026-11-05T06:07:08.009Z","boot_id":"c0ffee","seq":7,'
WHENCE = ResultOrigin("cam", "1.2", 41)
TIMES = StageTimes(1_200_000, 150_000, 6_700_049, 9_000, 6_859_049, 8_100_000)
TIMING = b'"timing_ms":{"capture":1.2,"preprocess":0.15,"invoke":6.7,"decode":0.009,"total":6.859}}'


def told(result: Result, task: str = "raw") -> Inference:
    return inference("clip.mp4#3", "digits", task, result, TIMES)


def on_the_broker(result: Result) -> tuple[bytes, dict[str, Any]]:  # Any: decoded JSON
    message = encode_result(HEADER, WHENCE, told(result))
    return message, msgspec.json.decode(message)


def test_labels() -> None:
    result = Result(labels=(Label(7, "seven", 0.983_999_967_5), Label(1, "one", 0.01)))
    assert encode_inference(told(result, "classify")) == (
        b'{"input":"clip.mp4#3","model":"digits","task":"classify","labels":[{"id":7,"label":"seven","score":0.984},'
        b'{"id":1,"label":"one","score":0.01}],' + TIMING
    )


def test_boxes() -> None:
    result = Result(boxes=(Box(0, "person", 0.5, (0.123_456_78, 0.0, 1.0, 0.75)),))
    assert encode_inference(told(result, "detect")) == (
        b'{"input":"clip.mp4#3","model":"digits","task":"detect","boxes":[{"id":0,"label":"person","score":0.5,'
        b'"box":[0.123457,0.0,1.0,0.75]}],' + TIMING
    )


def test_what_somebody_saw_who_looked_closer_stands_in_the_box() -> None:
    seen = {"helmets": Label(1, "helmet", 0.912_345_678)}
    result = Result(boxes=(Box(0, "person", 0.5, (0.0, 0.0, 1.0, 1.0), closer=seen),))
    assert encode_inference(told(result, "detect")) == (
        b'{"input":"clip.mp4#3","model":"digits","task":"detect","boxes":[{"id":0,"label":"person","score":0.5,'
        b'"box":[0.0,0.0,1.0,1.0],"closer":{"helmets":{"id":1,"label":"helmet","score":0.912346}}}],' + TIMING
    )


def test_no_box_found_is_an_empty_list_and_not_a_missing_key() -> None:
    assert b'"boxes":[],' in encode_inference(told(Result(boxes=()), "detect"))


def test_everything_else_a_task_may_say() -> None:
    result = Result(
        keypoints=((0.25, 0.5, 0.9),),
        mask=Mask((2, 4), {"road": 0.333_333_333}),
        embedding=(0.100_000_001_490_116_12, -2.0),
        score=0.75,
        outputs=(OutputTensor("out", (1, 2), "uint8", [[1, 255]]),),
    )
    assert encode_inference(told(result)) == (
        b'{"input":"clip.mp4#3","model":"digits","task":"raw","keypoints":[[0.25,0.5,0.9]],'
        b'"mask":{"shape":[2,4],"labels":{"road":0.333333}},"embedding":[0.100000001,-2.0],"score":0.75,'
        b'"outputs":[{"name":"out","shape":[1,2],"dtype":"uint8","values":[[1,255]]}],' + TIMING
    )


def test_on_the_broker_a_header_and_whence_stand_before_the_same_object() -> None:
    result = Result(labels=(Label(7, "seven", 0.984),))
    message = encode_result(HEADER, WHENCE, told(result, "classify"))
    assert message == START + (
        b'"pipeline":"cam","version":"1.2","frame":41,' + encode_inference(told(result, "classify"))[1:]
    )


def test_raw_values_are_not_rounded() -> None:
    value = 0.123_456_789_012_345_67
    outputs = (OutputTensor("out", (1,), "float64", [value]),)
    assert msgspec.json.decode(encode_inference(told(Result(outputs=outputs))))["outputs"][0]["values"] == [value]


def test_complex_numbers_are_pairs() -> None:
    outputs = (OutputTensor("out", (1,), "complex64", [1 + 2j]),)
    assert b'"values":[[1.0,2.0]]' in encode_inference(told(Result(outputs=outputs)))


def test_a_number_that_is_none_is_null() -> None:
    outputs = (OutputTensor("out", (2,), "float32", [float("nan"), float("inf")]),)
    assert b'"values":[null,null]' in encode_inference(told(Result(outputs=outputs)))


def test_raw_values_that_are_too_large_are_null_and_named() -> None:
    large = OutputTensor("large", (1, 30_000), "uint8", [[1] * 30_000])
    small = OutputTensor("small", (2,), "uint8", [1, 2])
    message, fields = on_the_broker(Result(outputs=(large, small)))
    assert len(message) <= LIMIT_BYTES
    assert [output["values"] for output in fields["outputs"]] == [None, [1, 2]]
    assert fields["omitted"] == ["outputs[0].values"]


def test_of_several_outputs_that_are_too_large_together_the_largest_goes_first() -> None:
    outputs = tuple(OutputTensor(f"o{n}", (n,), "float32", [0.123_456] * n) for n in (800, 1200, 900))
    message, fields = on_the_broker(Result(outputs=outputs))
    assert len(message) <= LIMIT_BYTES
    assert fields["omitted"] == ["outputs[1].values"]


def test_the_best_boxes_stay_where_all_are_too_many() -> None:
    boxes = tuple(Box(n, "person", 1 - n / 1000, (0.123_456, 0.2, 0.3, 0.4)) for n in range(900))
    message, fields = on_the_broker(Result(boxes=boxes))
    assert len(message) <= LIMIT_BYTES
    assert fields["omitted"] == [f"boxes[{len(fields['boxes'])}:]"]
    assert [box["id"] for box in fields["boxes"]] == list(range(len(fields["boxes"])))


def test_an_embedding_that_is_too_large_is_null_and_named() -> None:
    message, fields = on_the_broker(Result(embedding=(0.123_456_7,) * 4096))
    assert len(message) <= LIMIT_BYTES
    assert (fields["embedding"], fields["omitted"]) == (None, ["embedding"])


@pytest.mark.parametrize("struct", [Inference, ResultOrigin])
def test_no_key_hides_one_of_the_header(struct: type[msgspec.Struct]) -> None:
    assert not {*struct.__struct_fields__} & {*Header.__struct_fields__}
    assert not {*Inference.__struct_fields__} & {*ResultOrigin.__struct_fields__}
