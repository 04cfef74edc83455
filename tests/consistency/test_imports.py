"""The arrows between the parts of the shop; .importlinter holds those between packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SHOP = sorted(
    [ROOT / f"{name}.py" for name in ("app", "commands", "config", "jobs", "models")]
    + [file for folder in ("blueprints", "services") for file in (ROOT / folder).rglob("*.py")]
)
SERVICES = [file for file in SHOP if file.is_relative_to(ROOT / "services") or file.name == "models.py"]
# prometheus_client takes the folder of its figures from the environment and from nowhere else.
READ_THE_ENVIRONMENT = {"app.py", "config.py", "blueprints/_metrics.py"}


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for every import."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def name(file: Path) -> str:
    """Return the path inside the project."""
    return file.relative_to(ROOT).as_posix()


def test_import_linter_is_content() -> None:
    """The contracts of .importlinter hold."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", SERVICES, ids=name)
def test_services_know_nothing_of_a_request(file: Path) -> None:
    """A service works the same in a view, a task and a command."""
    web = {("flask", what) for what in ("request", "session", "g", "url_for", "flash")}
    assert not web & set(imports(file))


@pytest.mark.parametrize("file", SHOP, ids=name)
def test_outside_libraries_stay_at_the_edge(file: Path) -> None:
    """One module speaks to Stripe, suppliers speak HTTP, nothing speaks to the sandbox as a module."""
    modules = {module.split(".")[0] for module, _name in imports(file)}
    assert "sandbox" not in modules
    if file.name != "stripe_gateway.py":
        assert "stripe" not in modules
    if "suppliers" not in file.parts:
        assert not modules & {"httpx", "requests", "urllib3"}


@pytest.mark.parametrize("file", SHOP, ids=name)
def test_settings_come_from_one_place(file: Path) -> None:
    """Nothing but config.py decides by the environment."""
    if name(file) not in READ_THE_ENVIRONMENT:
        assert not {("os", "environ"), ("os", "getenv")} & set(imports(file))
        assert "os.environ" not in file.read_text(encoding="utf-8")


def test_models_hold_no_queries() -> None:
    """Tables, constraints, enumerations, and nothing of the shop above them."""
    modules = set(imports(ROOT / "models.py"))
    assert ("sqlalchemy", "select") not in modules
    assert not {module.split(".")[0] for module, _name in modules} & {"services", "blueprints", "config", "app"}
