"""Reading the files: what is no configuration is refused in one sentence, and paths are the file's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.config.check_pipelines import wrong_url
from inferd.config.load import load, state_dir
from inferd.config.settings import Config, VideoSource
from inferd.errors import ConfigError

HOME = {"HOME": "/home/pi"}
VIDEO = '[[pipeline]]\nname = "a"\nsource = {{ kind = "video", path = "{path}" }}\n'


def written(folder: Path, text: str | bytes, name: str = "inferd.toml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def refusal(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, HOME)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = " + b"[" * 3000, "is nested too deeply"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, "is nested too deeply"),
        (b"a = " + b"{b = " * 3000, "is nested too deeply"),
        (b"a." * 3000 + b"b = 1", ""),
        (b'device = "k\xfcche"', "is not UTF-8 in line 1"),
        (b"[mqtt]\nhost = 'a'\n\xff", "is not UTF-8 in line 3"),
        ("device = 'kitchen'".encode("utf-16"), "is not UTF-8 in line 1"),
        (b"a = " + b"1" * 10_000, "is not TOML"),
        (b"a = 2026-13-45", "is not TOML"),
        (b"#" * (1 << 21), "is larger than 1 MiB"),
        (b"[mqtt]\n[mqtt]", "is not TOML"),
        (b"\0", "is not TOML"),
    ],
    ids=range(12),
)
def test_what_is_no_configuration_is_refused_in_a_sentence(content: bytes, why: str, tmp_path: Path) -> None:
    text = refusal(written(tmp_path, content))
    assert text.startswith(f"{tmp_path}/inferd.toml: ")
    assert why in text


@given(st.binary(max_size=200))
def test_no_bytes_end_the_loader_in_another_way_than_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = written(tmp_path_factory.getbasetemp(), content, "fuzzed/inferd.toml")
    try:
        load(file, HOME)
    except ConfigError as exc:
        assert str(exc).startswith(str(file))  # noqa: PT017 - a refusal is allowed, not wanted


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = written(tmp_path, b'\xef\xbb\xbfdevice = "kitchen"')
    assert load(file, HOME).config.device == "kitchen"


@pytest.mark.parametrize("name", [".#b.toml", ".b.toml", "b.toml~", "b.toml.bak", "#b.toml#", "b.txt", ".toml"])
def test_a_hidden_or_backup_file_beside_the_drop_ins_is_no_drop_in(name: str, tmp_path: Path) -> None:
    file = written(tmp_path, 'device = "kitchen"')
    written(tmp_path, "not TOML at all", f"inferd.d/{name}")
    written(tmp_path, "log_level = 'debug'", "inferd.d/10-log.toml")
    loaded = load(file, HOME)
    assert loaded.files == (file, tmp_path / "inferd.d/10-log.toml")
    assert loaded.config.log_level == "debug"


def test_links_to_nothing_pipes_and_folders_are_no_drop_ins(tmp_path: Path) -> None:
    file = written(tmp_path, 'device = "kitchen"')
    folder = tmp_path / "inferd.d"
    folder.mkdir()
    (folder / ".#a.toml").symlink_to("pi@kitchen.4711:1700000000")
    (folder / "b.toml").symlink_to("nowhere")
    os.mkfifo(folder / "c.toml")
    (folder / "d.toml").mkdir()
    assert load(file, HOME).files == (file,)


def test_a_link_to_a_file_is_a_drop_in(tmp_path: Path) -> None:
    file = written(tmp_path, "")
    written(tmp_path, 'device = "cellar"', "elsewhere/x")
    (tmp_path / "inferd.d").mkdir()
    (tmp_path / "inferd.d/x.toml").symlink_to(tmp_path / "elsewhere/x")
    assert load(file, HOME).config.device == "cellar"


def test_a_pipe_or_a_folder_in_place_of_the_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    assert "is a pipe or device and no file" in refusal(tmp_path / "pipe.toml")
    assert "cannot be read" in refusal(tmp_path) or "no file" in refusal(tmp_path)


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    file = written(tmp_path, 'state_dir = "state"\n[mqtt]\npassword_file = "secret"\n' + VIDEO.format(path="in/*.avi"))
    written(tmp_path, '[models]\nfolder = "../dropped"', "inferd.d/m.toml")
    config = load(file, HOME).config
    assert config.state_dir == f"{tmp_path}/state"
    assert config.mqtt.password_file == f"{tmp_path}/secret"
    assert config.models.folder == f"{tmp_path}/inferd.d/../dropped"
    assert config.pipeline[0].source == VideoSource(path=f"{tmp_path}/in/*.avi")


def test_a_tilde_is_the_home_of_the_one_who_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    config = load(written(tmp_path, VIDEO.format(path="~/clip.avi")), HOME).config
    assert config.pipeline[0].source == VideoSource(path="/home/pi/clip.avi")


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("door", "door"),
        ("", ""),
        ("door.tflite", "{folder}/door.tflite"),
        ("models/door", "{folder}/models/door"),
        ("./door", "{folder}/./door"),
        ("/opt/door", "/opt/door"),
    ],
)
def test_a_model_is_a_name_in_the_drop_folder_or_a_path_beside_the_file(model: str, meant: str, tmp_path: Path) -> None:
    text = f'[[pipeline]]\nname = "a"\nmodel = "{model}"\nsource = {{ kind = "synthetic" }}\n'
    assert load(written(tmp_path, text), HOME).config.pipeline[0].model == meant.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[mqtt]\nhost = "mqtt://broker.lan"', "mqtt.host is 'mqtt://broker.lan'; it must be a host name or an address alone"),
        ('[mqtt]\nhost = "broker.lan:1883"', "no port"),
        ('[mqtt]\nhost = "pi@broker"', "no user"),
        ('mqtt = "broker"', "mqtt is 'broker'; it must be a table, such as [mqtt]"),
        ("[mqtt]\nport = '1883'", "mqtt.port is '1883'; it must be a whole number"),
        ("[mqtt]\nport = 94640", "mqtt.port is 94640; it must lie between 1 and 65,535"),
        ("[watch]\nload_deadline_s = inf", "watch.load_deadline_s is inf; it must lie between 0.5 and 86,400"),
        ("keepalive_s = 5", "the top level has no key 'keepalive_s'; did you mean '[mqtt] keepalive_s'?"),
        (VIDEO.format(path="x") + "threshold = 1", "has no key 'threshold'; did you mean '[pipeline.overrides] threshold'?"),
        (VIDEO.format(path="x") + "report = 'never'", "pipeline 'a': report is 'never'; it must be a table"),
        (VIDEO.format(path="x") + "report = { hold = 9 }", "pipeline 'a': report.hold is 9, more than report.window"),
        (VIDEO.format(path="x") + "roi = [0, 0, 1]", "pipeline 'a': roi has 3 values; it must have 4"),
        (VIDEO.format(path="x") + "roi = [1, 0, 0, 1]", "roi is y0, x0, y1, x1 with y0 < y1"),
        (VIDEO.format(path="x") + "schedule = [{ begins = '7:30' }]", "it must be a time such as 07:30"),
        (VIDEO.format(path="x").replace("video", "vidoe"), "source.kind is 'vidoe'; there are synthetic, "),
        ("[[pipeline]]\nname = 'a'", "[pipeline] lacks the key 'source'"),
        ("[homeassistant]\ncount = { people = 'person' }", "homeassistant.count holds something wrong; a list is needed"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_plain_words(text: str, why: str, tmp_path: Path) -> None:
    assert why in refusal(written(tmp_path, text))


@pytest.mark.parametrize("host", ["broker", "broker.lan", "10.0.0.1", "::1", "fe80::1%eth0", "käse.example", "b."])
def test_a_host_may_be_a_name_or_an_address(host: str, tmp_path: Path) -> None:
    assert load(written(tmp_path, f'[mqtt]\nhost = "{host}"'), HOME).config.mqtt.host == host


@pytest.mark.parametrize("host", ["", "a b", "a" * 64 + ".de", "a..b", "[::1]", "a/b"])
def test_what_no_resolver_takes_is_no_host(host: str, tmp_path: Path) -> None:
    assert "mqtt.host" in refusal(written(tmp_path, f'[mqtt]\nhost = "{host}"'))


@pytest.mark.parametrize(
    "url",
    [
        "cam",
        "http://[::1/x",
        "http://cam:99999/x",
        "http://cam:0/",
        "rtsp://admin:pa/ss@cam/live",
        "http:///x",
        "http://a b/",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    text = f'[[pipeline]]\nname = "a"\nsource = {{ kind = "stream", url = "{url}" }}\n'
    why = refusal(written(tmp_path, text))
    assert "source.url" in why
    assert "pa/ss" not in why
    assert "admin" not in why


@given(st.text(max_size=60))
def test_no_text_ends_the_judgement_of_an_address(text: str) -> None:
    for fault in wrong_url(f"rtsp://user:{text}@cam/"):
        assert fault.startswith("source.url")


def test_without_a_file_the_defaults_are_used(tmp_path: Path) -> None:
    assert load(written(tmp_path, ""), HOME).config == Config()


def test_a_state_folder_whose_name_is_not_utf8_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"state_dir: the name /var/st\\xfc is not plain UTF-8"):
        state_dir(Config(), {"STATE_DIRECTORY": os.fsdecode(b"/var/st\xfc")})


def test_pictures_in_the_clear_beside_encrypted_messages_are_refused(tmp_path: Path) -> None:
    pipeline = '[[pipeline]]\nname = "a"\nsource = { kind = "synthetic" }\n[pipeline.image]\npublish = "change"\n'
    text = f'[mqtt]\nseal_key_file = "/key"\n{pipeline}'
    assert "image.publish would send pictures in the clear" in refusal(written(tmp_path, text))
