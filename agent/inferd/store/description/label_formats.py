"""Reads labels out of the files that training tools write: JSON, YOLO's data.yaml, TensorFlow's pbtxt, CSV. Pure.

Each reader returns labels in order (a list) or by number (a mapping), or refuses in a sentence; none guesses.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from inferd.errors import ModelError

LABEL_SUFFIXES = (".txt", ".json", ".yaml", ".yml", ".pbtxt", ".csv")
LIST_KEYS = ("names", "labels", "classes", "class_names", "id2label", "categories")
NAME_KEYS = ("display_name", "name", "label", "class")
NUMBER_KEYS = ("id", "index", "class_id")
LABEL_COLUMNS = (*NAME_KEYS, "label_name", "class_name", "labels")
REMEDY = "write one label per line into a .txt file, or list them with labels under [output] of the manifest"
PBTXT_FIELD = re.compile(r"""\b(id|name|display_name)\s*:\s*(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|(-?\d+))""")
NUMBER = re.compile(r"\d{1,9}")
YAML_NAMES = re.compile(r"^names\s*:[ \t]*(.*)$", re.MULTILINE)
YAML_ENTRY = re.compile(r"^[ \t]*(?:-|(\d{1,9})\s*:)[ \t]+(.*)$")

FoundLabels = Sequence[str] | Mapping[int, str]


def read_structured(part: str, text: str) -> FoundLabels | None:
    """Return the labels of a file in one of these formats; None for lines of plain text.

    The suffix decides; what calls itself .txt, or lies inside a model, is recognised by how it begins.

    Raises:
        ModelError: it is such a file, but its labels are not found in it.
    """
    suffix = part.rsplit(".", maxsplit=1)[-1].rstrip(")").lower()
    begin = text.lstrip()
    if suffix == "json" or begin.startswith(("{", '["', "['")):
        return _json(part, begin)
    if suffix in ("yaml", "yml") or YAML_NAMES.match(begin):
        return _yaml(part, text)
    if suffix == "pbtxt" or re.match(r"item\s*\{", begin):
        return _pbtxt(part, text)
    return _csv(part, text) if suffix == "csv" else None


def _json(part: str, text: str) -> FoundLabels:
    found = _from_json(_decoded(part, text))
    if found is None:
        raise ModelError(part, f"is JSON without a list of labels; {REMEDY}")
    return found


def _decoded(part: str, text: str) -> Any:  # Any: JSON of a stranger, checked by _from_json
    """Return what JSON holds; older Ultralytics exports write a Python dictionary in its place."""
    try:
        return ast.literal_eval(text) if text.startswith(("{'", "{0:", "['")) else msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, ValueError, SyntaxError, MemoryError, RecursionError) as exc:
        reason = "it is nested too deeply" if isinstance(exc, MemoryError | RecursionError) else str(exc)
        raise ModelError(part, f"is not JSON: {reason}; {REMEDY}") from exc


def _from_json(value: Any) -> FoundLabels | None:
    if isinstance(value, dict):
        for key in LIST_KEYS:
            if isinstance(value.get(key), dict | list):
                return _from_json(value[key])
        return _from_object(value)
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(one, str) for one in value):
        return value
    return _from_records(value) if all(isinstance(one, dict) for one in value) else None


def _from_object(value: Mapping[Any, Any]) -> Mapping[int, str] | None:
    """Read {"0": "cat"}, or {"cat": 0} as Keras writes it."""
    if all(isinstance(one, str) for one in value.values()):
        return _numbered((str(key), one) for key, one in value.items())
    numbers = list(value.values())
    if all(type(one) is int and one >= 0 for one in numbers) and len(set(numbers)) == len(numbers):
        return {one: str(key) for key, one in value.items()}
    return None


def _from_records(records: Iterable[Mapping[str, Any]]) -> FoundLabels | None:
    """Read [{"id": 1, "name": "person"}, ...]; without ids, the order counts."""
    names = [next((one[key] for key in NAME_KEYS if isinstance(one.get(key), str)), None) for one in records]
    numbers = [next((one[key] for key in NUMBER_KEYS if type(one.get(key)) is int), None) for one in records]
    plain = [name for name in names if name is not None]
    ids = [number for number in numbers if number is not None and number >= 0]
    if len(plain) != len(names):
        return None
    if not any(number is not None for number in numbers):
        return plain
    return dict(zip(ids, plain, strict=True)) if len(set(ids)) == len(plain) == len(ids) else None


def _yaml(part: str, text: str) -> FoundLabels:
    """Read `names:` of a data.yaml: a list or a mapping, in one line or one entry a line."""
    found = YAML_NAMES.search(text)
    if found is None:
        raise ModelError(part, f"is YAML without `names:`; {REMEDY}")
    inline = _without_comment(found[1])
    rest = text[found.start(1) :]
    labels = _yaml_inline(part, rest) if inline else _yaml_block(rest.splitlines()[1:])
    if not labels:
        raise ModelError(part, f"has `names:` in a form that is not read here; {REMEDY}")
    return labels


def _yaml_inline(part: str, text: str) -> FoundLabels | None:
    """Read [a, b] or {0: a, 1: b}, over any number of lines."""
    closing = {"[": "]", "{": "}"}.get(text[0], "")
    inside, found, _ = text[1:].replace("\n", " ").partition(closing) if closing else ("", "", "")
    if not found:
        return None
    quote = "'" if "'" in inside and '"' not in inside else '"'
    entries = [one for one in _csv_rows(part, inside, quote)[0] if one] if inside.strip() else []
    if closing == "]":
        return [_unquoted(one) for one in entries]
    pairs = [one.partition(":") for one in entries]
    return _numbered((key.strip(), _unquoted(name)) for key, _, name in pairs)


def _yaml_block(lines: Sequence[str]) -> FoundLabels | None:
    listed: list[str] = []
    numbered: list[tuple[str, str]] = []
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = YAML_ENTRY.match(line)
        if entry is None:
            break
        name = _unquoted(_without_comment(entry[2]))
        if entry[1] is None:
            listed.append(name)
        else:
            numbered.append((entry[1], name))
    return None if listed and numbered else listed or _numbered(numbered)


def _numbered(pairs: Iterable[tuple[str, str]]) -> Mapping[int, str] | None:
    listed = [(int(number) if NUMBER.fullmatch(number) else -1, name) for number, name in pairs]
    labels = {number: name for number, name in listed if number >= 0}
    return labels if labels and len(labels) == len(listed) else None


def _without_comment(text: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", text).strip()


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _pbtxt(part: str, text: str) -> Mapping[int, str]:
    labels: dict[int, str] = {}
    for item in re.split(r"\bitem\s*\{", text)[1:]:
        fields = {key: double or single or number for key, double, single, number in PBTXT_FIELD.findall(item)}
        name, number = fields.get("display_name") or fields.get("name"), fields.get("id", "")
        if not name or not NUMBER.fullmatch(number) or int(number) in labels:
            raise ModelError(part, f"has an item without a name or an id of its own; {REMEDY}")
        labels[int(number)] = name
    if not labels:
        raise ModelError(part, f"holds no item; {REMEDY}")
    return labels


def _csv(part: str, text: str) -> FoundLabels:
    """Read a column of labels, with one of ids beside it where there is one; two columns need a header or whole numbers."""
    rows = _csv_rows(part, text, '"')
    header = [cell.lower() for cell in rows[0]] if rows else []
    name_at = next((header.index(key) for key in LABEL_COLUMNS if key in header), None)
    number_at = next((header.index(key) for key in NUMBER_KEYS if key in header), None)
    if name_at is None and len(header) == 2:  # noqa: PLR2004  # a number and a name
        name_at, number_at, rows = 1, 0, [[], *rows]
    elif name_at is None and len(header) == 1:
        name_at, rows = 0, [[], *rows]
    if name_at is None or any(len(row) != len(header) for row in rows[1:]):
        raise ModelError(part, f"is CSV without a column that is clearly the labels; {REMEDY}")
    names = [row[name_at] for row in rows[1:]]
    if number_at is None:
        return names
    numbered = _numbered((row[number_at], row[name_at]) for row in rows[1:])
    if numbered is None:
        raise ModelError(part, f"has ids that are not whole numbers, or one of them twice; {REMEDY}")
    return numbered


def _csv_rows(part: str, text: str, quote: str) -> list[list[str]]:
    try:
        rows = csv.reader(io.StringIO(text), skipinitialspace=True, quotechar=quote)
        return [[cell.strip() for cell in row] for row in rows if any(row)]
    except csv.Error as exc:
        raise ModelError(part, f"is not CSV: {exc}; {REMEDY}") from exc
