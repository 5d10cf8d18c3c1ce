"""Who may drop a model may not have inferd read, and publish, what only inferd may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.models.tflite_writer import classifier
from inferd.errors import ModelError
from inferd.store.storage.bundle_store import BundleStore

MANIFEST = '[output]\nlabels = "names.txt"\n[golden]\nsamples = "g.npz"\npictures = ["p.png"]\n'
FILES = ("m.tflite", "m.toml", "m.txt", "names.txt", "g.npz", "p.png", "p.json")


def dropped(folder: Path) -> Path:
    for name in FILES:
        (folder / name).write_bytes(b"a\nb\nc\n")
    (folder / "m.toml").write_text(MANIFEST)
    (folder / "m.tflite").write_bytes(classifier().content())
    return folder / "m.tflite"


def test_a_bundle_without_links_is_copied(tmp_path: Path) -> None:
    model = dropped(tmp_path)
    with BundleStore(tmp_path / "state").copy(model, no_links=True) as copied:
        assert sorted(path.name for path in copied.folder.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_link_beside_a_dropped_model_is_refused_and_nothing_of_its_target_is_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / "drop").mkdir()
    model, secret = dropped(tmp_path / "drop"), tmp_path / "secret"
    content = (tmp_path / "drop" / name).read_bytes()
    secret.write_bytes(content)
    (tmp_path / "drop" / name).unlink()
    (tmp_path / "drop" / name).symlink_to(secret)
    store = BundleStore(tmp_path / "state")
    with (
        pytest.raises(ModelError, match=f"{name}: is a symbolic link, which is not followed"),
        store.copy(model, no_links=True),
    ):
        pass
    with store.copy(model) as copied:  # a configured path may be a link: whoever configures it may read it
        assert copied.size_bytes > 0
