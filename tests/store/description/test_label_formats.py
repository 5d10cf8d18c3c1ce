"""Label files that training tools write."""

from __future__ import annotations

import pytest

from inferd.errors import ModelError
from inferd.store.description.labels import LABELS_MAX_BYTES, parse_labels

PET = ("cat", "dog")

SAME = {
    "list": ("l.json", '["cat", "dog"]'),
    "Hugging Face": ("config.json", '{"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}}'),
    "by number": ("l.json", '{"1": "dog", "0": "cat"}'),
    "Keras": ("class_indices.json", '{"cat": 0, "dog": 1}'),
    "records": ("l.json", '[{"name": "cat"}, {"name": "dog"}]'),
    "numbered records": ("l.json", '[{"id": 1, "label": "dog"}, {"id": 0, "label": "cat"}]'),
    "COCO": ("l.json", '{"images": [], "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]}'),
    "JSON named .txt": ("l.txt", '["cat", "dog"]'),
    "YOLO, one line": ("data.yaml", "path: ../pets\nnc: 2\nnames: ['cat', 'dog']  # two\n"),
    "YOLO, many lines": ("data.yaml", "names: [cat,\n  dog]\nnc: 2\n"),
    "YOLO, list": ("data.yaml", "train: x\nnames:\n- cat\n- dog # barks\nnc: 2\n"),
    "YOLO, mapping": ("data.yaml", 'names:\n  # pets\n  0: cat\n  1: "dog"\nnc: 2\n'),
    "YOLO, mapping in one line": ("data.yaml", "names: {0: cat, 1: dog}\n"),
    "YAML named .txt": ("l.txt", "names:\n  0: cat\n  1: dog\n"),
    "TensorFlow": ("m.pbtxt", "item {\n  id: 0\n  name: 'cat'\n}\nitem {\n  name: 'dog'\n  id: 1\n}\n"),
    "TensorFlow, display names": (
        "m.pbtxt",
        'item { name: "/m/01" id: 0 display_name: "cat" } item { id: 1 name: "dog" }',
    ),
    "pbtxt named .txt": ("m.txt", "item {id: 0 name: 'cat'}\nitem {id: 1 name: 'dog'}"),
    "CSV": ("l.csv", "id,name\n0,cat\n1,dog\n"),
    "CSV, other order": ("l.csv", "Name,Index\ndog,1\ncat,0\n"),
    "CSV without header": ("l.csv", "0,cat\n1,dog\n"),
    "CSV of one column": ("l.csv", "cat\ndog\n"),
    "CSV, quoted": ("l.csv", 'label\n"cat"\n"dog"\n'),
}


@pytest.mark.parametrize("name", SAME)
def test_labels_are_read_whatever_tool_wrote_them(name: str) -> None:
    part, content = SAME[name]
    assert parse_labels(part, content.encode()).texts == PET


def test_ids_that_begin_at_one_leave_the_background_as_a_gap() -> None:
    labels = parse_labels("m.pbtxt", b"item {id: 1 name: 'cat'} item {id: 2 name: 'dog'}")
    assert (labels.texts, labels.starts_with_background) == (("", "cat", "dog"), True)


REFUSED = {
    "no labels": ("l.json", '{"model": "pets"}', "is JSON without a list of labels"),
    "JSON cut off": ("l.json", '["cat", "do', "is not JSON"),
    "nested": ("l.json", "[" * 100_000, "nested too deeply"),
    "nested Python": ("l.txt", "['a'," + "(" * 3000, "is not JSON"),
    "an id twice": ("l.json", '[{"id": 0, "name": "cat"}, {"id": 0, "name": "dog"}]', "without a list of labels"),
    "some ids": ("l.json", '[{"id": 0, "name": "cat"}, {"name": "dog"}]', "without a list of labels"),
    "YAML without names": ("data.yaml", "nc: 2\n", "is YAML without `names:`"),
    "YAML in another form": ("data.yaml", "names: &pets\n  - cat\n", "in a form that is not read here"),
    "YAML list without end": ("data.yaml", "names: [cat, dog\n", "in a form that is not read here"),
    "an item without id": ("m.pbtxt", "item { name: 'cat' }", "an item without a name or an id of its own"),
    "an item's id twice": ("m.pbtxt", "item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "an id of its own"),
    "an endless id": ("m.pbtxt", f"item {{ id: {'9' * 5000} name: 'a' }}", "an id of its own"),
    "pbtxt without item": ("m.pbtxt", "", "holds no item"),
    "CSV of unclear columns": ("l.csv", "a,b,c\n0,cat,x\n", "without a column that is clearly the labels"),
    "CSV of ragged rows": ("l.csv", "id,name\n0,cat\n1,dog,extra\n", "without a column that is clearly the labels"),
    "CSV ids": ("l.csv", "id,name\nx,cat\ny,dog\n", "has ids that are not whole numbers"),
    "a number too high": ("l.json", '{"100000": "cat"}', "the highest number is 99,999"),
    "too many": ("l.json", "[" + '"a",' * 100_001 + '"a"]', "at most 100,000"),
    "terminal codes": ("l.json", '["\\u001b[31mcat"]', "cannot be printed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_whose_labels_are_not_clear_is_refused_in_a_sentence(name: str) -> None:
    part, content, why = REFUSED[name]
    assert len(content) <= LABELS_MAX_BYTES
    with pytest.raises(ModelError, match=why):
        parse_labels(part, content.encode())
