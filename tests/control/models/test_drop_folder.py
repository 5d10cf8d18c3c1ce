"""The drop folder from control's side: there from the first start, and missed only where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.agents.fake_pipeline import fake, pipeline
from inferd.config import settings
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.models import Models
from inferd.control.models.persistent_model_state import PersistentModelState
from inferd.control.models.select_serving import ModelEnvironment
from inferd.system.clock import CountingClock, SystemClock

AT_ONCE = settings.ModelsConfig(look_every_s=1e-6, settle_s=1e-6)


def test_a_first_start_makes_the_drop_folder_and_has_nothing_to_complain_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drop = DropFolder(tmp_path / "models", AT_ONCE, SystemClock())
    drop.changes()
    assert (tmp_path / "models").is_dir()
    assert drop.seen
    assert caplog.messages == []


def test_a_drop_folder_whose_place_is_away_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    drop = DropFolder(tmp_path / "nfs" / "models", AT_ONCE, SystemClock())
    for _ in range(3):
        drop.changes()
    assert len(caplog.messages) == 1
    assert "No such file" in caplog.text


def test_a_drop_folder_that_is_removed_and_comes_back_holds_what_it_held(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    drop = DropFolder(folder, AT_ONCE, SystemClock())
    (folder / "cat.tflite").write_text("cat")
    while not drop.changes().settled:
        pass
    folder.rename(tmp_path / "aside")
    assert drop.changes().gone == ()
    (tmp_path / "aside").rename(folder)
    changes = drop.changes()
    assert (changes.gone, changes.settled) == ((), ())


def test_a_model_that_no_pipeline_follows_is_told_once_with_what_to_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clock = CountingClock()
    state = PersistentModelState(tmp_path, AT_ONCE, clock, "boot")
    models = Models(ModelEnvironment(state, DropFolder(tmp_path / "models", AT_ONCE, clock), AT_ONCE, "", clock))
    models.configure((pipeline(engine=fake()),))
    models.incoming.look()
    (tmp_path / "models/cat+small.tflite").write_bytes(b"TFL3")
    for _ in range(9):
        clock.advance(1)
        models.incoming.look()
    (told,) = [record.getMessage() for record in caplog.records if "no pipeline follows" in record.getMessage()]
    assert 'no pipeline follows cat+small; write model = "cat" in one' in told
