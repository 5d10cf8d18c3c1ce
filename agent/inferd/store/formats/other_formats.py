"""Recognises files that are no TFLite models, with a remedy for each. Pure."""

from __future__ import annotations

MODEL_MARK = b"TFL3"
HEADER_BYTES = 8  # offset of the root table, then the mark
LFS = b"version https://git-lfs"
DOWNLOAD = "download it again"

BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (LFS, "is a git-lfs pointer, not the model; run `git lfs pull` where it came from and copy it again"),
    (b"PK\x03\x04", "is a zip archive (a packed download, a Keras or a PyTorch file); unpack or convert it to .tflite"),
    (b"\x89HDF\r\n", "is an HDF5 file, as Keras saves them; convert it with tf.lite.TFLiteConverter"),
    (b"\x1f\x8b", "is packed with gzip; `gunzip` it first"),
    (b"BZh", "is packed with bzip2; `bunzip2` it first"),
    (b"\xfd7zXZ", "is packed with xz; `unxz` it first"),
    (b"GGUF", "is a GGUF language model, which TensorFlow Lite does not run"),
    (b"\x93NUMPY", "is a NumPy array, not a model"),
    (b"\x7fELF", "is a program or library, not a model"),
    # Protobuf: field 1 is a small number, field 2 a string. ONNX files begin with their IR version, 3 or more.
    (b"\x08\x01\x12", "is a TensorFlow SavedModel; convert its folder with tf.lite.TFLiteConverter.from_saved_model"),
    *((bytes((8, ir, 0x12)), "is an ONNX model under another name; rename it to .onnx") for ir in range(3, 20)),
    *((bytes((0x80, v)), "is a Python pickle (PyTorch, scikit-learn); convert it to .tflite") for v in range(2, 6)),
)


def complaint(head: bytes, size: int) -> str | None:
    """Return what is wrong with a file that begins with `head` and has `size` bytes; None where it may be a model."""
    if size == 0:
        return f"is empty (0 bytes), so the copy or download failed; {DOWNLOAD}"
    if head[4:HEADER_BYTES] == MODEL_MARK:
        return None
    return _known_format(head) or _unknown_format(head, size)


def _known_format(head: bytes) -> str | None:
    for beginning, what in BEGINNINGS:
        if head.startswith(beginning):
            return what
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            f"is a web page (an error or log-in page saved under this name), not a model; check the link and {DOWNLOAD}"
        )
    return None


def _unknown_format(head: bytes, size: int) -> str:
    if size < HEADER_BYTES:
        return f"has only {size} bytes, so the copy or download failed; {DOWNLOAD}"
    if not any(head):
        return f"begins with zeros only, as files do after a power cut while they were copied; {DOWNLOAD}"
    if _is_text(head):
        return "is a text file, not a model; check that the right file was copied"
    mark = head[4:HEADER_BYTES]
    if mark.startswith(b"TFL") and mark.isalnum():
        return f"has the mark {mark.decode()} instead of TFL3: damaged, or of another file format version; {DOWNLOAD}"
    return "is not a TensorFlow Lite model (there is no TFL3 mark at byte 4); check that the right file was copied"


def _is_text(head: bytes) -> bool:
    try:
        return head.decode("ascii").replace("\n", "").replace("\r", "").replace("\t", "").isprintable()
    except UnicodeDecodeError:
        return False
