"""Puts a fetched model into the drop folder, whole or not at all."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from inferd.errors import StoreError
from inferd.system.files.atomic import put, write_atomic

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MODEL, MANIFEST = "model.tflite", "model.toml"


def place(drop_folder: Path, name: str, content: bytes, manifest: str) -> Path:
    """Return the new folder `name` in the drop folder, which holds the model and its manifest ("" where there is none).

    It is made beside the drop folder and renamed into it, so that it is never seen half. The same model is left as it is.

    Raises:
        StoreError: another model has that name, the name cannot be one, or the disk refuses.
    """
    if not NAME.fullmatch(name):
        raise StoreError(name, "cannot be a name; letters, digits, . - and _ can, with --name")
    target = drop_folder / name
    if target.exists():
        if (target / MODEL).is_file() and (target / MODEL).read_bytes() == content:
            return target
        raise StoreError(str(target), "is another model already; remove it, or choose another --name")
    try:
        drop_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".inferd-get-", dir=drop_folder.parent) as beside:
            made = Path(beside) / name
            made.mkdir(mode=0o755)
            write_atomic(made / MODEL, content)
            if manifest:
                write_atomic(made / MANIFEST, manifest.encode())
            put(made, target)
    except OSError as exc:
        raise StoreError(
            str(target), f"cannot be written ({exc.strerror}); try again with sudo, or name --into"
        ) from exc
    return target
