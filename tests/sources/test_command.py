from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.agents.agent import alive, wait_for
from fixtures.media.pictures import encoded, noise
from fixtures.network.cameras import jpegs, printing
from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.records import Array
from inferd.sources.command import Command
from inferd.sources.command_presets import PRESETS
from inferd.sources.decoding import pcm
from inferd.sources.decoding.buffer_pool import BufferPool
from inferd.sources.decoding.child_program import fill_in
from inferd.sources.decoding.mjpeg import MjpegReader
from inferd.sources.decoding.sliding_windows import Windows
from inferd.system.clock import SystemClock

SMALL = {"width": 4, "height": 2}
PATIENT_S = 10.0


def run(text: str, **options: object) -> Command:
    return Command(settings.CommandSource(command=printing(text), **options), SystemClock())  # type: ignore[arg-type]  # right keys


def pictures(source: Command) -> Iterator[Array]:
    with closing(source):
        while True:
            try:
                yield np.asarray(source.read(PATIENT_S).data)
            except EndOfInput:
                return


@pytest.mark.parametrize(("kind", "shape"), [("bgr", (2, 4, 3)), ("rgb", (2, 4, 3)), ("gray", (2, 4))])
def test_raw_pictures_come_byte_for_byte(kind: str, shape: tuple[int, ...]) -> None:
    wanted = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    program = run(f"out(bytes(range({wanted.size})))", format=kind, **SMALL)
    with closing(program) as source:
        frame = source.read(PATIENT_S)
    assert np.array_equal(np.asarray(frame.data), wanted)
    assert frame.color_order == kind


def test_yuv420_becomes_the_colours_that_it_means() -> None:
    yuv = cv2.cvtColor(np.full((16, 16, 3), (40, 160, 90), np.uint8), cv2.COLOR_BGR2YUV_I420)
    with closing(run(f"out({yuv.tobytes()!r})", format="yuv420", width=16, height=16)) as source:
        picture = np.asarray(source.read(PATIENT_S).data)
    assert picture.shape == (16, 16, 3)
    assert np.abs(picture.astype(int) - (40, 160, 90)).max() <= 3


def test_jpegs_are_found_whatever_stands_between_them() -> None:
    shown = jpegs(3)
    text = f"for jpeg in {shown!r}: out(b'--frame\\r\\n\\r\\n' + jpeg + b'\\r\\n')"
    assert len(list(pictures(run(text, format="mjpeg", finite=True)))) == 3


def test_a_picture_that_comes_in_pieces_is_one_picture() -> None:
    text = "for _ in range(24): out(b'x'); sleep(0.002)"
    assert [picture.shape for picture in pictures(run(text, format="bgr", finite=True, **SMALL))] == [(2, 4, 3)]


def test_a_kept_picture_is_never_written_over() -> None:
    text = "for shade in range(20): out(bytes([shade]) * 24)"
    kept = list(pictures(run(text, format="bgr", finite=True, **SMALL)))
    assert [int(picture[0, 0, 0]) for picture in kept] == list(range(20))


def test_arrays_that_nobody_holds_are_used_again() -> None:
    pool = BufferPool((4,))
    addresses = {pool.acquire().ctypes.data for _ in range(40)}
    assert len(addresses) <= 4


def test_sound_comes_in_windows_that_overlap() -> None:
    text = "import array; out(array.array('h', range(10)).tobytes())"
    source = run(text, format="s16", rate_hz=8000, window=4, hop=2, finite=True)
    windows = [np.round(window[:, 0] * 32768).astype(int).tolist() for window in pictures(source)]
    assert windows == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]


def test_places_in_the_arguments_are_filled_in_and_other_braces_stay() -> None:
    assert fill_in(("a={width}", "{x}", "{{}}"), {"width": "8"}) == ["a=8", "{x}", "{{}}"]


def test_no_shell_reads_the_arguments() -> None:
    command = (*printing("out(sys.argv[1].encode())"), "$(id);{width}")
    source = Command(settings.CommandSource(command=command, format="gray", width=7, height=1), SystemClock())
    with closing(source):
        assert bytes(np.asarray(source.read(PATIENT_S).data)) == b"$(id);7"


def test_presets_of_ffmpeg_read_the_input_and_write_raw_pictures_of_the_size_that_is_asked_for() -> None:
    for name in ("ffmpeg", "ffmpeg-h264"):
        command = PRESETS[name].command
        assert command[command.index("-i") + 1] == "{input}"
        assert command[-6:] == ("scale={width}:{height}", "-f", "rawvideo", "-pix_fmt", "bgr24", "pipe:1")
    hardware = PRESETS["ffmpeg-h264"].command
    assert hardware.index("-c:v") < hardware.index("-i")  # behind the input it would name an encoder
    assert hardware[hardware.index("-c:v") + 1] == "h264_v4l2m2m"


def test_rpicam_is_asked_only_for_widths_that_it_writes_without_padding() -> None:
    assert PRESETS["rpicam"].width_multiple == 64
    assert "{width}" in PRESETS["rpicam"].command


def test_a_program_that_is_not_installed_is_named() -> None:
    options = settings.CommandSource(command=("no-such-camera",), format="mjpeg")
    with pytest.raises(SourceError, match="no-such-camera: there is no such program"):
        Command(options, SystemClock())


def test_a_preset_that_is_not_installed_names_its_package() -> None:
    if shutil.which("rpicam-vid"):
        pytest.skip("rpicam-vid is installed")
    with pytest.raises(SourceError, match="rpicam-vid: there is no such program; sudo apt-get install rpicam-apps"):
        Command(settings.CommandSource(preset="rpicam", width=224, height=224), SystemClock())


def test_what_it_writes_must_be_said() -> None:
    with pytest.raises(SourceError, match="has no output format"):
        run("pass")


def test_raw_pictures_without_a_size_are_refused() -> None:
    with pytest.raises(SourceError, match="say width and height"):
        run("pass", format="bgr")


def test_a_program_that_dies_is_told_with_its_last_words() -> None:
    with (
        closing(run("err('no camera at port 3'); sys.exit(7)", format="bgr", **SMALL)) as source,
        pytest.raises(SourceError, match="ended with exit code 7; its last output: no camera at port 3"),
    ):
        source.read(PATIENT_S)


def test_a_program_that_is_killed_is_told() -> None:
    with (
        closing(run("import os; os.kill(os.getpid(), 9)", format="bgr", **SMALL)) as source,
        pytest.raises(SourceError, match="was killed by SIGKILL without an error message"),
    ):
        source.read(PATIENT_S)


def test_a_camera_program_that_ends_well_has_ended_all_the_same() -> None:
    with closing(run("pass", format="bgr", **SMALL)) as source, pytest.raises(SourceError, match="exit code 0"):
        source.read(PATIENT_S)


def test_rubbish_instead_of_pictures_is_shown() -> None:
    with (
        closing(run("out(b'usage: cam'); sys.exit(2)", format="bgr", width=64, height=48)) as source,
        pytest.raises(SourceError, match=r"it wrote 'usage: cam' and no whole frame"),
    ):
        source.read(PATIENT_S)


def test_rubbish_without_end_instead_of_jpegs_is_a_lost_source_in_bounded_memory() -> None:
    with (
        closing(run("while True: out(b'rubbish ' * 8192)", format="mjpeg")) as source,
        pytest.raises(FrameError, match="16 MiB without a JPEG"),
    ):
        source.read(PATIENT_S)


def test_a_program_that_stalls_is_a_timeout_and_may_go_on() -> None:
    with closing(run("sleep(0.4); out(bytes(24)); sleep(60)", format="bgr", **SMALL)) as source:
        with pytest.raises(SourceTimeout) as caught:
            source.read(0.05)
        assert not isinstance(caught.value, FrameUnfinished)
        assert source.read(PATIENT_S).seq == 0


def test_a_frame_that_is_on_its_way_is_no_silence() -> None:
    def unfinished(source: Command) -> bool:
        try:
            source.read(0.1)
        except FrameUnfinished:
            return True
        except SourceTimeout:  # the program has not written yet
            return False
        return False

    with closing(run("out(bytes(5)); sleep(60)", format="bgr", **SMALL)) as source:
        assert wait_for(lambda: unfinished(source))


def test_a_finite_program_that_breaks_off_in_a_picture_says_so_once() -> None:
    with closing(run("out(bytes(30))", format="bgr", finite=True, **SMALL)) as source:
        source.read(PATIENT_S)
        with pytest.raises(FrameError, match="middle of a picture"):
            source.read(PATIENT_S)
        with pytest.raises(EndOfInput):
            source.read(PATIENT_S)


def test_closing_ends_the_program_and_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    text = (
        "import os, signal, subprocess; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(file)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "sleep(60)"
    )
    with closing(run(text, format="bgr", **SMALL)):
        assert wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
        left = [int(pid) for pid in file.read_text().split()]
        assert all(map(alive, left))
    assert wait_for(lambda: not any(map(alive, left)))


def test_a_talkative_program_does_not_stall_on_its_complaints() -> None:
    text = "for _ in range(4000): err('warning: ' + 'x' * 100 + chr(10))\nout(bytes(24))"
    assert len(list(pictures(run(text, format="bgr", finite=True, **SMALL)))) == 1


def test_a_jpeg_that_is_cut_off_costs_one_frame() -> None:
    whole = jpegs(2)
    cutter = MjpegReader("cam")
    cutter.feed(whole[0][: len(whole[0]) // 2] + b"\r\n--frame\r\n\r\n" + whole[1])
    with pytest.raises(FrameError, match="cut off in its middle"):
        cutter.pop_jpeg()
    assert cutter.pop_jpeg() == whole[1]


def test_a_jpeg_fed_byte_by_byte_is_the_same() -> None:
    whole = encoded(".jpg", noise(16, 16))
    cutter = MjpegReader("cam")
    found = []
    for byte in b"junk\xff" + whole + b"\xff\xd8" + whole:
        cutter.feed(bytes([byte]))
        jpeg = cutter.pop_jpeg()
        found += [jpeg] if jpeg else []
    assert found[0] == whole


def test_after_any_bytes_at_all_the_next_pictures_are_found() -> None:
    chance = np.random.default_rng(3)
    pieces = (b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda\x00\x02", b"\x00\x10")
    cutter = MjpegReader("cam")
    for _ in range(300):
        cutter.feed(pieces[chance.integers(4)] + chance.bytes(20))
        taken(cutter)
    shown = jpegs(3000 // 48)
    cutter.feed(b"".join(shown))
    assert shown[-1] in taken(cutter)


def taken(cutter: MjpegReader) -> list[bytes]:
    """Return all that can be taken now; what is lost is lost."""
    found: list[bytes] = []
    while True:
        try:
            jpeg = cutter.pop_jpeg()
        except FrameError:
            continue
        if jpeg is None:
            return found
        found.append(jpeg)


@pytest.mark.parametrize("kind", sorted(pcm.BYTES))
def test_full_scale_of_every_kind_of_sound_is_one(kind: str) -> None:
    low = {
        "u8": b"\x00",
        "s16": b"\x00\x80",
        "s24": b"\x00\x00\x80",
        "s32": b"\x00\x00\x00\x80",
        "f32": np.float32(-1).tobytes(),
    }
    assert pcm.decode(low[kind] * 2, kind, 2).tolist() == [[-1.0, -1.0]]


def test_a_hop_longer_than_the_window_leaves_samples_out() -> None:
    cutter = Windows("cam", 2, 5, 1)
    found = []
    for number in range(12):
        window = cutter.add(np.array([[number]], np.float32))
        found += [window[:, 0].tolist()] if window is not None else []
    assert found == [[0, 1], [5, 6], [10, 11]]


def test_the_last_window_is_filled_up_only_if_it_has_something_new() -> None:
    cutter = Windows("cam", 4, 2, 1)
    assert cutter.add(np.arange(4, dtype=np.float32)[:, None]) is not None
    assert cutter.flush(0.0) is None
    cutter.add(np.ones((1, 1), np.float32))
    rest = cutter.flush(0.0)
    assert rest is not None
    assert rest[:, 0].tolist() == [2, 3, 1, 0]


def test_windows_that_cannot_be_are_refused() -> None:
    with pytest.raises(SourceError, match="window is 0"):
        Windows("cam", 0, 0, 1)
