"""For each promise of reliability: take its protection away, and see the test that keeps it fail.

The table is inferd_tools/mutants/table.py. A protection that is no longer found there is an error, so that controls move with
the code.
"""

from __future__ import annotations

import pytest

from inferd_tools.mutants.table import CONTROLS, Control
from inferd_tools.mutants.trial import copy_of_the_package


@pytest.mark.slow
@pytest.mark.timeout(180)  # a protection that is missed may show by nothing but a wait
@pytest.mark.parametrize("control", CONTROLS, ids=[control.name for control in CONTROLS])
def test_without_its_protection_the_test_goes_red(control: Control) -> None:
    with copy_of_the_package() as copy:
        changed = control.apply(copy.read(control.file).decode()).encode()
        trial = copy.run(control.file, changed, [control.test], limit_s=170.0)
    if trial.outcome == "survived" and " passed" not in trial.output:
        pytest.skip(trial.output.partition("SKIPPED [1] ")[2].partition("\n")[0])
    assert trial.outcome == "killed", trial.output
    assert "1 failed" in trial.output or "Timeout" in trial.output, trial.output  # not an error of another kind
