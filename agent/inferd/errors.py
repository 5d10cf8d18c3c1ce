"""Every error inferd raises on purpose, drawn as one tree.

InferdError                 an external fault; its text is written for people
├── ConfigError             a configuration file is wrong               exit code 78
├── ModelError              a model's file, manifest or labels are wrong or incomplete
│   ├── ModelCutOff         a model's file ends before its content does, as an unfinished copy does
│   ├── NonFiniteOutput     a model answered NaN or infinity
│   └── ModelRefused        a model was tried in a child process and did not survive it
├── EngineError             a runtime or delegate cannot load or run a model
├── SourceError             a source cannot be opened or read
│   ├── SourceTimeout       nothing arrived in time; the source may still be alive
│   │   └── FrameUnfinished something arrived, but not yet a whole frame
│   ├── FrameError          one frame is lost; reading on is allowed
│   └── EndOfInput          a finite source has given its last frame
├── LinkError               the broker cannot be used
├── StoreError              the disk refuses what the store needs
└── WorkerError             the worker, a child or the fork server died, hung or sent an invalid message
    └── ForkRefused         the kernel refuses a process; trying again later is allowed

Our own faults stay AssertionError or RuntimeError and may end the process.
"""

from __future__ import annotations

from inferd.foreign_text import printable


class InferdError(Exception):
    """Something outside inferd is wrong; the text says which part, what, and how to fix it."""

    def __init__(self, part: str, message: str) -> None:
        """Name the part at fault, the fact and the remedy.

        Args:
            part: what is at fault: a file name, a source, an engine, a configuration key.
            message: the fact and the remedy, one sentence without a full stop at its end.
        """
        self.part, self.message = printable(part), printable(message)  # both often quote foreign names
        super().__init__(self.part, self.message)

    def __str__(self) -> str:
        return f"{self.part}: {self.message}"


class ConfigError(InferdError):
    """A configuration file, key or value is wrong."""


class ModelError(InferdError):
    """A model's file, manifest or labels are wrong, or do not say what is needed."""


class ModelCutOff(ModelError):
    """A model's file ends before its content does: it was cut off, or its copy is not finished."""


class ModelRefused(ModelError):
    """A model was tried in a child process, which crashed, hung or ran out of its limits."""


class NonFiniteOutput(ModelError):
    """A model answered NaN or infinity."""


class EngineError(InferdError):
    """A runtime or a delegate cannot load or run a model."""


class SourceError(InferdError):
    """A source cannot be opened or read."""


class SourceTimeout(SourceError):
    """A source gave nothing in the time it was allowed; it may still be alive."""


class FrameUnfinished(SourceTimeout):
    """A frame is on its way: a window of a slow sensor fills. The source is alive; reading again is allowed."""


class FrameError(SourceError):
    """One frame cannot be read; the source goes on with the next."""


class EndOfInput(SourceError):
    """A finite source has given its last frame."""


class LinkError(InferdError):
    """The broker refuses us or cannot be reached."""


class StoreError(InferdError):
    """The disk refuses something the store needs."""


class WorkerError(InferdError):
    """The worker, a child or the fork server died, hung or sent an invalid message."""


class ForkRefused(WorkerError):
    """The kernel refuses to create a process: out of memory, or a limit."""
