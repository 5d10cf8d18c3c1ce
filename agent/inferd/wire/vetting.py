"""The report on a model that was vetted: gate by gate, with figures. For people, for MQTT, for `inferd vet --json`."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA_VERSION = 1
GateName = Literal["integrity", "loads", "contract", "behaviour", "cost"]
GATES: tuple[GateName, ...] = ("integrity", "loads", "contract", "behaviour", "cost")
DOUBTFUL = "doubtful"  # the code of a gate that lets a model pass with a doubt
Finding = Literal["pass", "fail", "not judged"]


class GateResult(msgspec.Struct, frozen=True):
    """What one gate found.

    Attributes:
        gate: its name.
        finding: "not judged" says why in `why`.
        code: the reason in a word, such as "golden_mismatch", or "doubtful"; "" where it passed.
        why: the reason in a sentence.
        figures: by name, units in the name.
    """

    gate: GateName
    finding: Finding
    code: str = ""
    why: str = ""
    figures: dict[str, float] = {}


class VetReport(msgspec.Struct, frozen=True):
    """The report on a vetted model.

    Attributes:
        schema_version: of this report.
        model: its title.
        digest: of its bundle; "" where it could not even be read.
        against: title of the model it was compared with; "" where there was none.
        runtime: the runtime and its version.
        accepted: whether no gate failed.
        verified: whether a digest or golden samples spoke for it.
        gates: in order; those after a failed one were not tried.
    """

    model: str
    digest: str
    against: str
    runtime: str
    accepted: bool
    verified: bool
    gates: tuple[GateResult, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def failed(self) -> GateResult | None:
        """The gate that refused the model; None where none did."""
        return next((gate for gate in self.gates if gate.finding == "fail"), None)

    @property
    def doubt(self) -> str:
        """Why a person should look at a model that passed; "" for no doubt."""
        return next((gate.why for gate in self.gates if gate.code == DOUBTFUL), "")


def passed(gate: GateName, **figures: float) -> GateResult:
    """Return the result of a gate that was passed."""
    return GateResult(gate, "pass", figures=figures)


def failed(gate: GateName, code: str, why: str, **figures: float) -> GateResult:
    """Return the result of a gate that refuses the model."""
    return _said(gate, "fail", code, why, figures)


def not_judged(gate: GateName, why: str, **figures: float) -> GateResult:
    """Return the result of a gate that cannot judge the model."""
    return _said(gate, "not judged", "", why, figures)


def doubtful(gate: GateName, why: str, **figures: float) -> GateResult:
    """Return the result of a gate that lets a model pass, but tells a person to look at it."""
    return _said(gate, "not judged", DOUBTFUL, why, figures)


def _said(gate: GateName, finding: Finding, code: str, why: str, figures: dict[str, float]) -> GateResult:
    return GateResult(gate, finding, code, why, figures)
