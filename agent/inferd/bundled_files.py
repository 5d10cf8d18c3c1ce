"""Where the model and the clip are that come with inferd."""

from __future__ import annotations

from pathlib import Path

from inferd.config import settings


def bundled(name: str) -> Path:
    """Return the folder of a model that comes with inferd: inside the installed package, or beside its sources."""
    package = Path(__file__).parent
    installed = package / "bundled" / name
    return installed if installed.exists() else package.parents[1] / "models" / name


def digits_pipeline() -> settings.Pipeline:
    """Return a pipeline that needs nothing of its device: the digits model on the clip that comes with it, for ever."""
    folder = bundled("digits")
    return settings.Pipeline(
        name="digits",
        model=str(folder),
        source=settings.VideoSource(path=str(folder / "clip.avi")),
        pace=settings.Pace(at_end="loop"),
        report=settings.ReportConfig(max_per_s=0),
    )
