"""What happens where a framework is not installed, and that it is imported only when it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrapper.integrations.extras import extra

FRAMEWORKS = ("celery", "django", "fastapi", "flask", "gunicorn", "litestar", "starlette", "uvicorn")
MODULES = ("asgi", "celery", "django", "flask", "gunicorn", "litestar")
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "{0}":
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Missing())
"""


def test_a_missing_framework_is_an_error_that_names_the_extra() -> None:
    with pytest.raises(ImportError, match=r"^nowhere is not installed: run pip install 'pg-bootstrapper\[nowhere\]'$"):
        extra("nowhere.at.all", "nowhere")


@pytest.mark.parametrize(
    ("framework", "use"),
    [
        ("celery", "from bootstrapper.integrations.celery import install; install(None)"),
        ("django", "from bootstrapper.integrations.django.start import bootstrapped; bootstrapped(None)"),
        (
            "litestar",
            "from bootstrapper.integrations.litestar import BootstrapperPlugin; BootstrapperPlugin().on_app_init(None)",
        ),
    ],
)
def test_an_integration_without_its_framework_names_the_extra_when_it_is_used(framework: str, use: str) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT.format(framework) + use], capture_output=True, text=True)
    error = f"ModuleNotFoundError: {framework} is not installed: run pip install 'pg-bootstrapper[{framework}]'"
    assert done.stderr.splitlines()[-1] == error


def test_an_error_inside_the_framework_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("import lost_in_space")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match=r"^No module named 'lost_in_space'$"):
        extra("broken", "broken")


@pytest.mark.parametrize("imported", ["bootstrapper", *(f"bootstrapper.integrations.{name}" for name in MODULES)])
def test_an_import_imports_no_framework(imported: str) -> None:
    program = f"import sys\nimport {imported}\nprint(*sorted(set({FRAMEWORKS!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
