"""Who may import whom: read off the imports themselves, those inside functions too."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import effsearch

PACKAGE = Path(effsearch.__file__).parent
HEAVY = ("torch", "optuna", "pandas", "matplotlib", "fvcore", "ray")


@dataclass(frozen=True)
class Import:
    """One import: by which module, of which, where, and whether it runs when its module is loaded."""

    importer: str  # "effsearch.search.baseline"
    imported: str
    line: int
    is_inside_function: bool

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: {self.imported}"


def module_name(path: Path) -> str:
    parts = ("effsearch", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_imports(path: Path) -> Iterator[Import]:
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def walk(node: ast.AST, is_inside_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = is_inside_function or isinstance(
                child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
            )
            found: list[str] = []
            if isinstance(child, ast.Import):
                found = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                source = child.module or ""
                if child.level:
                    parent = ".".join(package.split(".")[: len(package.split(".")) - child.level + 1])
                    source = f"{parent}.{source}".rstrip(".")
                found = [f"{source}.{alias.name}" for alias in child.names]
            elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith(
                ("import_module", "__import__")
            ):
                found = [str(argument.value) for argument in child.args if isinstance(argument, ast.Constant)]
            for imported in found:
                yield Import(name, imported, getattr(child, "lineno", 0), is_inside_function)
            yield from walk(child, inside)

    yield from walk(ast.parse(path.read_text("utf-8")), False)


IMPORTS = [found for path in sorted(PACKAGE.rglob("*.py")) for found in read_imports(path)]


def is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def imports_of(importer: str, imported: str) -> list[Import]:
    return [one for one in IMPORTS if is_of(one.importer, importer) and is_of(one.imported, imported)]


def rooms_imported_by(room: str) -> list[Import]:
    """The imports of effsearch's own modules that lead out of a room."""
    own = f"effsearch.{room}"
    return [one for one in imports_of(own, "effsearch") if not is_of(one.imported, own)]


def show(found: list[Import]) -> list[str]:
    return [str(one) for one in found]


def test_the_reader_sees_imports_everywhere() -> None:
    """A wall that looks at nothing would always stand."""
    assert len(IMPORTS) > 300
    assert imports_of("effsearch.search", "optuna")
    assert imports_of("effsearch.proxy_train", "torch")
    assert any(one.is_inside_function for one in imports_of("effsearch.command_line", "effsearch.commands"))


@pytest.mark.parametrize("room", ["space", "search", "proxy_train", "results"])
def test_rooms_import_only_space(room: str) -> None:
    may_build = f"effsearch.{room}.export"
    outside = [
        one
        for one in rooms_imported_by(room)
        if not is_of(one.imported, "effsearch.space")
        and one.imported != "effsearch.__version__"
        and not (
            room == "results"
            and is_of(one.importer, may_build)
            and is_of(one.imported, "effsearch.proxy_train")
            and one.is_inside_function
        )
    ]
    assert show(outside) == []


@pytest.mark.parametrize(
    ("room", "libraries"),
    [
        ("space", ("torch", "optuna", "pandas", "matplotlib", "fvcore", "ray", "typer", "rich")),
        ("search", ("torch", "pandas", "matplotlib", "fvcore", "typer", "rich")),
        ("proxy_train", ("optuna", "pandas", "matplotlib", "ray", "typer", "rich")),
        ("results", ("torch", "optuna", "fvcore", "ray", "typer", "rich")),
    ],
)
def test_rooms_keep_to_their_libraries(room: str, libraries: tuple[str, ...]) -> None:
    found = [one for library in libraries for one in imports_of(f"effsearch.{room}", library)]
    allowed = "effsearch.results.export"
    assert show([one for one in found if not is_of(one.importer, allowed)]) == []


def test_ray_is_imported_in_one_file_and_only_where_it_is_used() -> None:
    found = imports_of("effsearch", "ray")
    assert {one.importer for one in found} == {"effsearch.search.placement.ray_cluster"}
    assert show([one for one in found if not one.is_inside_function]) == []


def test_space_opens_no_files() -> None:
    """It parses text; shipped YAML comes as package resources. Tasks may name files, for those who open them."""
    for path in sorted((PACKAGE / "space").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("open", "io.open", "os.open", "Path"), path.name
    names_files = "effsearch.space.supernet_work"
    found = imports_of("effsearch.space", "pathlib") + imports_of("effsearch.space", "os")
    assert show([one for one in found if (one.importer, one.imported) != (names_files, "pathlib.Path")]) == []
    asked = {
        node.attr
        for node in ast.walk(ast.parse((PACKAGE / "space" / "supernet_work.py").read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert not asked & (set(dir(Path)) - set(dir(object)) - {"name"}), "a path there is only a name"


def test_nothing_imports_the_command_line() -> None:
    for inner, allowed in (
        ("effsearch.cli", "effsearch.__main__"),
        ("effsearch.command_line", "effsearch.cli"),
    ):
        found = [one for one in IMPORTS if is_of(one.imported, inner) and not is_of(one.importer, inner)]
        refused = [
            one for one in found if one.importer != allowed and not is_of(one.importer, "effsearch.api")
        ]
        assert show(refused) == []


def test_only_the_two_front_doors_import_commands() -> None:
    found = [
        one
        for one in imports_of("effsearch", "effsearch.commands")
        if not any(is_of(one.importer, f"effsearch.{room}") for room in ("command_line", "api", "commands"))
    ]
    assert show(found) == []


def test_the_api_loads_only_space_by_itself_and_commands_inside_functions() -> None:
    """`effsearch.baseline` is to be there at once; what it needs loads when it is called."""
    outside = [
        one
        for one in rooms_imported_by("api")
        if not one.is_inside_function and not is_of(one.imported, "effsearch.space")
    ]
    assert show(outside) == []
    assert any(is_of(one.imported, "effsearch.command_line") for one in rooms_imported_by("api"))


def test_nothing_imports_the_api_but_the_package_itself() -> None:
    found = [one for one in IMPORTS if is_of(one.imported, "effsearch.api")]
    refused = [
        one for one in found if one.importer != "effsearch" and not is_of(one.importer, "effsearch.api")
    ]
    assert show(refused) == []


@pytest.mark.parametrize("module", ["effsearch", "effsearch.cli"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom effsearch.cli import main\nsys.argv = ['effsearch', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('LOADED', *(name for name in {HEAVY} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "baseline" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


@pytest.mark.parametrize("room", ["space", "results"])
def test_rooms_without_torch_load_none(room: str) -> None:
    """What a module of theirs pulls in by way of others counts too."""
    modules = [
        module_name(path)
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if not is_of(module_name(path), "effsearch.results.export")
    ]
    code = f"import sys, importlib\nfor name in {modules}: importlib.import_module(name)\n"
    code += "print(*(name for name in ('torch', 'optuna') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
