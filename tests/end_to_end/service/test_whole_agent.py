"""The whole agent, control and worker, on the synthetic source, the fake engine and the memory link."""

from __future__ import annotations

from pathlib import Path

from fixtures.agents.agent import run_whole
from fixtures.agents.fake_pipeline import fake, pipeline
from inferd.config import settings


def short(name: str = "cam", frames: int = 5, **changes: object) -> settings.Pipeline:
    """Return a pipeline that is through in a moment, each frame inferred."""
    source = settings.SyntheticSource(width=32, height=32, frames=frames)
    return pipeline(name, **{"source": source, "pace": settings.Pace(mode="fast"), **changes})


def test_every_frame_becomes_a_result_on_the_broker(tmp_path: Path) -> None:
    whole = run_whole(tmp_path, short())
    results = whole.bodies("cam/result")
    assert [result["frame"] for result in results] == [0, 1, 2, 3, 4]
    assert results[0]["labels"][0] == {"id": 1, "label": "class 1", "score": 0.9}


def test_a_pipelines_states_are_told_in_order(tmp_path: Path) -> None:
    states = [body["status"] for body in run_whole(tmp_path, short()).bodies("cam/status")]
    assert states[0] == "waiting"
    assert states[-1] == "ended"


def test_the_broker_hears_online_and_at_the_end_offline(tmp_path: Path) -> None:
    heard = run_whole(tmp_path, short()).link.payloads("status")
    assert (heard[0], heard[-1]) == (b"online", b"offline")


def test_the_figures_count_every_frame_once(tmp_path: Path) -> None:
    slow = fake(invoke_ms=30)  # so that the last frame still waits when the input is through
    figures = run_whole(tmp_path, short(frames=7, engine=slow)).bodies("metrics")[-1]["pipelines"]["cam"]
    assert (figures["frames_in"], figures["frames_inferred"], figures["results_reported"]) == (7, 7, 7)


def test_two_pipelines_that_name_the_same_model_share_an_engine(tmp_path: Path) -> None:
    whole = run_whole(tmp_path, short("a"), short("b"))
    assert [len(whole.bodies(f"{name}/result")) for name in ("a", "b")] == [5, 5]
    digests = {body["digest"] for name in ("a", "b") for body in whole.bodies(f"{name}/model") if body["digest"]}
    assert len(digests) == 1


def test_a_model_that_crashes_while_loading_is_refused_and_the_other_pipeline_runs(tmp_path: Path) -> None:
    whole = run_whole(tmp_path, short("good"), short("bad", engine=fake(crash_at_load=True)))
    assert len(whole.bodies("good/result")) == 5
    refused = whole.bodies("bad/status")[-1]
    assert refused["status"] == "failed"
    assert "was killed by SIGSEGV" in refused["why"]


def test_a_worker_that_crashes_is_blamed_on_its_model_and_replaced(tmp_path: Path) -> None:
    endless = short(
        frames=0, engine=fake(crash_at=10)
    )  # the vet child stops before the tenth invoke, a worker does not
    whole = run_whole(tmp_path, endless, until=lambda so_far: len(so_far.bodies("cam/result")) > 12, restart_max_s=0.01)
    died = next(event for event in whole.bodies("event") if event["kind"] == "worker.died")
    assert "killed by SIGSEGV while fake" in died["message"]


def test_a_model_that_hangs_is_named_and_its_worker_replaced(tmp_path: Path) -> None:
    endless = short(frames=0, engine=fake(hang_at=10))
    whole = run_whole(tmp_path, endless, until=lambda so_far: len(so_far.bodies("cam/result")) > 9, deadline_s=1.0)
    hung = next(event for event in whole.bodies("event") if event["kind"] == "worker.hung")
    assert "made no progress" in hung["message"]
    assert hung["model"].startswith("fake")


def test_the_broker_never_sees_the_device_offline_while_its_worker_dies(tmp_path: Path) -> None:
    endless = short(frames=0, engine=fake(crash_at=10))
    whole = run_whole(tmp_path, endless, until=lambda so_far: len(so_far.bodies("cam/result")) > 20, restart_max_s=0.01)
    assert whole.link.payloads("status") == [b"online", b"offline"]  # the last one is the orderly end
    assert whole.events().count("worker.died") >= 2


def test_an_engine_that_refuses_frames_is_a_degraded_pipeline_not_a_dead_one(tmp_path: Path) -> None:
    whole = run_whole(tmp_path, short(frames=20, engine=fake(fail_at=5)))
    assert "pipeline.degraded" in whole.events()
    assert len(whole.bodies("cam/result")) == 19
