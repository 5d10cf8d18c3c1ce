from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.media.pictures import encoded, noise, quarters, with_orientation
from fixtures.models.collection import find_assets
from fixtures.paths import PHOTOS
from inferd.config.settings import ImagesSource
from inferd.errors import EndOfInput, FrameError, SourceError
from inferd.records import Frame
from inferd.sources.files.images import Images, decode
from inferd.system.clock import CountingClock

FORMATS = (".jpg", ".png", ".bmp", ".webp")
RED = (0, 0, 254)


def images(path: Path | str, fps: float = 1.0) -> Images:
    return Images(ImagesSource(path=str(path), fps=fps), CountingClock())


def names(source: Images) -> list[str]:
    """Read to the end; return file names, and in brackets those that could not be read."""
    seen = []
    while True:
        try:
            seen.append(Path(source.read(1.0).origin).name)
        except FrameError as exc:
            seen.append(f"({Path(exc.part).name})")
        except EndOfInput:
            return seen


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_picture_without_loss_comes_as_it_was(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(encoded(suffix, noise(48, 64)))
    assert np.array_equal(decode(file), noise(48, 64))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_16_bits_comes_in_8(tmp_path: Path, channels: int) -> None:
    file = tmp_path / "deep.png"
    full = np.linspace(0, 65535, 48 * 64 * channels).reshape(48, 64, channels).astype(np.uint16)
    file.write_bytes(encoded(".png", full))
    assert np.array_equal(decode(file), np.broadcast_to(full >> 8, (48, 64, 3)))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_picture_of_fewer_bits_in_16_is_refused_where_it_would_be_almost_black(tmp_path: Path, bits: int) -> None:
    file = tmp_path / "camera.png"
    file.write_bytes(encoded(".png", np.full((8, 8), (1 << bits) - 1, np.uint16)))
    with pytest.raises(FrameError, match=f"has 16 bits a pixel, of which {bits} are used, .* scale it to 8 bits"):
        decode(file)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_known_format_is_read(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(encoded(suffix, quarters()))
    assert decode(file).shape == (40, 60, 3)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_picture_that_breaks_off_is_named_and_nothing_else_is_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, share: float
) -> None:
    whole = encoded(suffix, noise(48, 64))
    file = tmp_path / f"cut{suffix}"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FrameError, match=r"cut\.\w+: is "):
        decode(file)
    assert capfd.readouterr().err == ""


def test_a_jpeg_whose_tail_is_zeros_is_named(tmp_path: Path) -> None:
    whole = encoded(".jpg", noise(48, 64))
    (tmp_path / "a.jpg").write_bytes(whole[:1000] + bytes(len(whole) - 1000))
    with pytest.raises(FrameError, match="breaks off before its end"):
        decode(tmp_path / "a.jpg")


def test_the_end_mark_of_a_thumbnail_is_not_taken_for_the_end(tmp_path: Path) -> None:
    whole = encoded(".jpg", noise(48, 64))
    thumbnail = encoded(".jpg", quarters())
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    (tmp_path / "a.jpg").write_bytes(whole[:2] + segment + whole[2:-200])
    with pytest.raises(FrameError, match="breaks off before its end"):
        decode(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\xff\xd8\xff", b"BM", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(FrameError, match=r"a\.jpg: is no picture"):
        decode(tmp_path / "a.jpg")


def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(FrameError, match=r"20000 x 20000 pixels, more than the \d+.\d million"):
        decode(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("orientation", "shape", "red_at"),
    [(1, (40, 60, 3), (5, 5)), (3, (40, 60, 3), (-5, -5)), (6, (60, 40, 3), (5, -5)), (8, (60, 40, 3), (-5, 5))],
)
def test_pictures_are_turned_as_their_exif_says(
    tmp_path: Path, orientation: int, shape: tuple[int, ...], red_at: tuple[int, int]
) -> None:
    (tmp_path / "a.jpg").write_bytes(with_orientation(encoded(".jpg", quarters()), orientation))
    picture = decode(tmp_path / "a.jpg")
    assert picture.shape == shape
    assert tuple(picture[red_at]) == RED


def test_a_folder_gives_its_pictures_by_name_and_leaves_other_files_alone(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.png", "notes.txt", "c.jpg"):
        (tmp_path / name).write_bytes(encoded(".png", quarters()))
    assert names(images(tmp_path)) == ["a.png", "b.PNG", "c.jpg"]


def test_a_pattern_gives_what_it_matches(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b1.png"):
        (tmp_path / name).write_bytes(encoded(".png", quarters()))
    assert names(images(tmp_path / "a*.png")) == ["a1.png", "a2.png"]


def test_a_bad_picture_costs_only_itself(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(encoded(".png", quarters()))
    (tmp_path / "b.png").write_bytes(b"")
    assert names(images(tmp_path)) == ["a.png", "(b.png)", "c.png"]


def test_a_picture_that_went_away_costs_only_itself(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(".png", quarters()))
    source = images(tmp_path)
    (tmp_path / "a.png").unlink()
    assert names(source) == ["(a.png)", "b.png"]


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder without pictures"):
        images(tmp_path)


def test_positions_follow_the_rate(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(".png", quarters()))
    source = images(tmp_path, fps=4.0)
    assert [source.read(1.0).position_s for _ in range(2)] == [0.0, 0.25]


@pytest.mark.parametrize(("folder", "count"), [(PHOTOS, 3), *((one / "images", 18) for one in (find_assets(),) if one)])
def test_every_real_picture_comes_as_opencv_itself_reads_it(folder: Path, count: int) -> None:
    source = images(folder)
    seen = 0
    while True:
        try:
            frame: Frame = source.read(1.0)
        except EndOfInput:
            break
        assert np.array_equal(np.asarray(frame.data), np.asarray(cv2.imread(frame.origin)))
        seen += 1
    assert seen == count
