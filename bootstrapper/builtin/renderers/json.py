"""A plan for programs; `Plan.from_json` reads it again."""

from __future__ import annotations

from bootstrapper.plans import Plan
from bootstrapper.plugin.renderer import Renderer


class JSONRenderer(Renderer):
    format = "json"

    def plan(self, plan: Plan) -> str:
        return plan.to_json()
