"""What the store keeps: no more bundles than the configuration allows, however many models are dropped."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fixtures.disks.failing_disk import RefusingDisk
from inferd.config import settings
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.models import Models
from inferd.control.models.persistent_model_state import PersistentModelState
from inferd.control.models.select_serving import ModelEnvironment
from inferd.control.processes.vet_job import ENVIRONMENT
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.state import Version
from inferd.system.clock import CountingClock
from inferd.system.processes.fork_server import ForkServer


def test_the_oldest_models_beyond_the_limit_are_removed_while_the_agent_runs(tmp_path: Path) -> None:
    clock, options = CountingClock(), settings.ModelsConfig(keep=2)
    state = PersistentModelState(tmp_path, options, clock, "boot")
    models = Models(ModelEnvironment(state, DropFolder(tmp_path / "models", options, clock), options, "", clock))
    with ForkServer((), ENVIRONMENT) as fork_server:
        for digit in "abcd":
            state.apply(slots.arrive, Version(digit * 64, "cat"), "cat", 0.0)
            models.turn(fork_server)
    assert list(state.state.versions) == ["c" * 64, "d" * 64]


def test_a_disk_that_refuses_is_told_once_and_once_more_when_it_works_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, disk = CountingClock(), RefusingDisk(10**9, errno.ENOSPC, for_ever=True)
    state = PersistentModelState(tmp_path, settings.ModelsConfig(), clock, "boot", disk)
    disk.at = disk.calls
    state.disk_failed("bundles", "the disk is full")
    for _ in range(100):
        state.apply(slots.unsee)
        state.apply(slots.start_vetting, "item", str(clock.monotonic_ns()))
        clock.advance(30.0)
        state.retry_save()
    assert [event.failed for event in state.pop_disk_events()] == [True]
    assert len(caplog.records) == 0  # the event is logged, once
    disk.at = 10**9
    clock.advance(30.0)
    state.retry_save()
    assert state.pop_disk_events() == []  # models cannot be copied yet
    state.disk_works("bundles")
    assert [event.failed for event in state.pop_disk_events()] == [False]
