"""A plan as SARIF; the schema beside this file is that of the npm package @microsoft/jest-sarif (MIT license)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bootstrapper.builtin.renderers.sarif import SARIFRenderer
from bootstrapper.plans import Finding, Hazard, HazardName, Plan, PlannedStep, State
from bootstrapper.testing.sample_plans import PLANS, plan

SCHEMA = json.loads(Path(__file__).with_name("sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
DROP = HazardName.DROP_COLUMN


def rendered(shown: Plan) -> dict[str, Any]:
    renderer = SARIFRenderer()
    renderer.file = "db/bootstrap.yaml"
    log = json.loads(renderer.plan(shown))
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    (run,) = log["runs"]
    return dict(run)


def of(*found: Hazard | Finding) -> Plan:
    hazards = tuple(each for each in found if isinstance(each, Hazard))
    findings = tuple(each for each in found if isinstance(each, Finding))
    return plan(PlannedStep("migrate", "migrate", State.PENDING, hazards=hazards, findings=findings))


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_fits_the_published_schema(name: str) -> None:
    rendered(PLANS[name])


def test_a_hazard_is_a_result_at_its_line() -> None:
    place = "migrations/versions/4f1c add.py:12"
    run = rendered(of(Hazard(DROP, "revision 4f1c", "ALTER TABLE ...", "Keep a backup.", place, allowed=False)))
    assert run["results"] == [
        {
            "ruleId": "drop-column",
            "level": "error",
            "message": {"text": "revision 4f1c: ALTER TABLE ...\nKeep a backup."},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "db/migrations/versions/4f1c%20add.py"},
                        "region": {"startLine": 12},
                    }
                }
            ],
        }
    ]
    (rule,) = run["tool"]["driver"]["rules"]
    assert (rule["id"], rule["help"]["text"]) == ("drop-column", DROP.safer)


@pytest.mark.parametrize(
    ("name", "allowed", "level"),
    [
        (DROP, False, "error"),
        (DROP, True, "note"),
        (DROP, None, "warning"),
        (HazardName.REWRITE, None, "warning"),
        (HazardName.RENAME, None, "note"),
    ],
)
def test_the_level_says_whether_apply_refuses_it(name: HazardName, allowed: bool | None, level: str) -> None:
    (result,) = rendered(of(Hazard(name, "revision 1", "is", place="1.py", allowed=allowed)))["results"]
    assert result["level"] == level


def test_what_has_no_place_is_placed_in_the_file() -> None:
    (result,) = rendered(of(Finding("index public.a", "is invalid")))["results"]
    location = {"physicalLocation": {"artifactLocation": {"uri": "db/bootstrap.yaml"}}}
    assert (result["ruleId"], result["level"], result["locations"]) == ("finding", "warning", [location])


def test_a_file_elsewhere_is_a_file_uri() -> None:
    (result,) = rendered(of(Hazard(DROP, "revision 1", "is", place="/srv/shared/1.py:3")))["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///srv/shared/1.py"
