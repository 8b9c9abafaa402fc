"""The site says what is so: examples parse, every field and option is named, and nothing is loaded from elsewhere."""

import dataclasses
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from mkdocs.config.base import load_config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files, get_files

from effsearch import cli
from effsearch.space import space_text
from effsearch.space.shipped_spaces import shipped_space_names
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import BLOCK_KINDS, BlockSpec, HeadSpec, StemSpec

ROOT = Path(__file__).parent.parent
SPACES = (ROOT / "docs" / "spaces.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", SPACES, flags=re.DOTALL)


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    found = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def config_at(path: Path) -> MkDocsConfig:
    """The settings of a site, as hooks get them."""
    config = load_config(str(path))
    config.plugins._current_plugin = "hooks"  # mkdocs sets it before it calls one
    return config


def test_every_example_of_a_space_is_one() -> None:
    names = [space_from_yaml(example).name for example in EXAMPLES]
    assert names == [
        "least",
        "choices",
        "around-a-base",
        "together",
        "tied",
        "layer-by-layer",
        "small-images",
    ]


def test_the_examples_come_to_what_the_page_says() -> None:
    spaces = {space.name: space for space in map(space_from_yaml, EXAMPLES)}
    assert spaces["least"].dimensions == ()
    labels = {dimension.name: dimension.labels for dimension in spaces["around-a-base"].dimensions}
    assert labels == {"stage1.channels": (32, 40, 48), "stage1.repeats": (1, 2, 3)}
    assert [len(dimension.labels) for dimension in spaces["together"].dimensions] == [4]


def test_every_field_of_a_space_is_named() -> None:
    fields = {field.name for spec in (BlockSpec, StemSpec, HeadSpec) for field in dataclasses.fields(spec)}
    fields |= {*space_text._TOP_KEYS, *space_text._STAGE_KEYS, *BLOCK_KINDS, *shipped_space_names()}
    assert [field for field in sorted(fields) if f"`{field}`" not in SPACES] == []


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = set(re.findall(r": (\w+\.md)", text.partition("nav:")[2]))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert named == pages | {"commands.md", "changelog.md"}
    assert yaml.safe_load(text)["strict"] is True


def test_the_reference_has_every_command_and_option(hooks: ModuleType) -> None:
    page = hooks.command_reference()
    for name, command in cli.make_program().commands.items():
        section = page.partition(f"## effsearch {name}\n")[2].partition("\n## ")[0]
        assert section, name
        for parameter in command.params:
            words = parameter.opts if parameter.param_type_name == "option" else [parameter.name.upper()]
            assert all(f"`{word}" in section for word in words), (name, parameter.name)


def test_a_link_to_a_file_that_is_not_there_is_refused(
    hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n")
    (tmp_path / "docs" / "index.md").write_text("[gone](../examples/gone.py)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: x\n")
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    config = config_at(tmp_path / "mkdocs.yml")
    with pytest.raises(PluginError, match=r"examples/gone\.py, which is not in the repository"):
        hooks.on_files(Files([]), config)
    (tmp_path / "examples" / "gone.py").mkdir(parents=True)
    with pytest.raises(PluginError, match="links to the folder"):
        hooks.on_files(Files([]), config)


def test_files_that_pages_link_to_go_along(hooks: ModuleType) -> None:
    config = config_at(ROOT / "mkdocs.yml")
    paths = set(hooks.on_files(get_files(config), config).src_uris)
    assert {"changelog.md", "commands.md", "files/examples/make_photos.py"} <= paths
    page = hooks.on_page_markdown("[x](../examples/make_photos.py)", None, None, None)
    assert page == "[x](files/examples/make_photos.py)"


@pytest.mark.parametrize(
    ("page", "what"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "cdn.example"),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', "fonts.example"),
        ('<img src="http://example/x.png">', "example/x.png"),
        ('<a href="http://example">plain</a>', "http://example"),
    ],
)
def test_a_page_that_needs_another_machine_is_refused(
    hooks: ModuleType, tmp_path: Path, page: str, what: str
) -> None:
    (tmp_path / "index.html").write_text(page)
    with pytest.raises(PluginError, match=re.escape(what)):
        hooks.on_post_build(SimpleNamespace(site_dir=str(tmp_path)))


def test_a_style_that_loads_a_font_is_refused(hooks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("@font-face { src: url('https://fonts.example/x.woff2') }")
    with pytest.raises(PluginError, match=r"x\.css loads something"):
        hooks.on_post_build(SimpleNamespace(site_dir=str(tmp_path)))


def test_a_page_that_needs_none_passes(hooks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="https://example">x</a><script src="assets/x.js"></script>')
    hooks.on_post_build(SimpleNamespace(site_dir=str(tmp_path)))


@pytest.mark.parametrize(
    ("words", "code"),
    [("[fine](index.md#here)\n\n## Here\n", 0), ("[gone](gone.md)", 1), ("[gone](index.md#nowhere)", 1)],
)
def test_the_build_of_the_makefile_fails_for_a_dead_link(tmp_path: Path, words: str, code: int) -> None:
    """--quiet, which hides warnings from a strict build too, once let them pass."""
    [line] = [line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if "-m mkdocs" in line]
    arguments = line.partition("-m mkdocs ")[2].split()
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    kept = {name: settings[name] for name in ("site_name", "use_directory_urls", "strict", "validation")}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(kept | {"theme": "mkdocs"}))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(words)
    command = [sys.executable, "-m", "mkdocs", *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
