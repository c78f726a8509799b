"""Where manifest, lock and root are, and what a manifest may not say."""

import errno
import os
import sys
from pathlib import Path

import platformdirs
import pytest

from civsync.cli.project import Project, find_project
from civsync.cli.settings import (
    DEFAULT_API_URL,
    Settings,
    config_dir,
    find_api_url,
    find_documents,
    find_root,
    in_ci,
    state_dir,
    user_config,
)
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, SafetyError, UserError
from civsync.core.problems import DocumentError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of settings, still empty; the working directory is another one."""
    folder = tmp_path / "home" / "civsync"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder.parent))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


def project_in(folder: Path) -> Project:
    return Project(manifest=folder / "civsync.yaml", lock=folder / "civsync.lock")


# --- manifest and lock --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["civsync.yaml", "civsync.lock"])
def test_a_project_is_found_from_a_folder_below_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = Path.cwd()
    (here / name).touch()
    (here / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(here / "a" / "b")
    assert find_project(Settings()) == project_in(here)


def test_the_nearest_project_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path.cwd()
    (here / "inner").mkdir()
    (here / "civsync.yaml").touch()
    (here / "inner" / "civsync.yaml").touch()
    monkeypatch.chdir(here / "inner")
    assert find_project(Settings()) == project_in(here / "inner")


def test_a_manifest_that_cannot_be_seen_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network disk may have lost its server; the folder above holds another project."""
    here = Path.cwd()
    (here / "civsync.yaml").touch()
    (here / "inner").mkdir()
    monkeypatch.chdir(here / "inner")
    real = os.stat

    def lost(path: str) -> os.stat_result:
        if path.startswith(str(here / "inner")):
            raise OSError(errno.ESTALE, "Stale file handle", path)
        return real(path)

    monkeypatch.setattr("civsync.cli.settings.os.stat", lost)
    with pytest.raises(UserError, match="cannot be looked at: Stale"):
        find_documents(Settings())


def test_without_any_project_the_working_directory_is_meant() -> None:
    assert find_project(Settings()) == project_in(Path.cwd())


@pytest.mark.parametrize(
    ("settings", "manifest", "lock"),
    [
        pytest.param(
            Settings(manifest=Path("x/civsync.yaml")),
            "x/civsync.yaml",
            "x/civsync.lock",
            id="the lock lies beside the manifest",
        ),
        pytest.param(
            Settings(manifest=Path("gpu.yaml")),
            "gpu.yaml",
            "gpu.lock",
            id="a manifest of another name has a lock of that name",
        ),
        *(
            pytest.param(Settings(manifest=Path(name)), name, lock, id=name)
            for name, lock in (
                ("a.b.yaml", "a.b.lock"),
                ("models", "models.lock"),
                ("models.", "models..lock"),
                (".models", ".models.lock"),
                ("..yaml", "..lock"),
            )
        ),
        pytest.param(
            Settings(lock=Path("x/civsync.lock")),
            "x/civsync.yaml",
            "x/civsync.lock",
            id="a lock alone",
        ),
        pytest.param(
            Settings(manifest=Path("a.yaml"), lock=Path("b.json")), "a.yaml", "b.json", id="both"
        ),
    ],
)
def test_flags_name_manifest_and_lock(settings: Settings, manifest: str, lock: str) -> None:
    assert find_project(settings) == Project(manifest=Path(manifest), lock=Path(lock))


def test_a_folder_given_as_the_manifest_means_the_manifest_in_it() -> None:
    Path("x").mkdir()
    assert find_project(Settings(manifest=Path("x"))).manifest == Path("x/civsync.yaml")


# --- the root -----------------------------------------------------------------------------


def test_flag_beats_config_beats_manifest(home: Path) -> None:
    here = Path.cwd()
    assert find_root(Settings(), here, "models") == str(here / "models")
    (home / "config.yaml").write_text("root: /data/models\n")
    assert find_root(Settings(), here, "models") == "/data/models"
    assert find_root(Settings(roots=("here",)), here, "models") == "here"


def test_a_root_in_the_config_may_begin_at_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    (home / "config.yaml").write_text("root: ~/models\n")
    if os.name == "posix":
        found = find_root(Settings(), Path.cwd(), "models")
        assert found == "/home/somebody/models"


@pytest.mark.parametrize("root", ["models", "./models", "~nobody-of-that-name/x"])
def test_a_root_in_the_config_that_depends_on_the_folder_is_refused(home: Path, root: str) -> None:
    (home / "config.yaml").write_text(f"root: {root}\n")
    with pytest.raises(UserError, match="not a whole path") as caught:
        find_root(Settings(), Path.cwd(), "models")
    assert caught.value.subject == str(home / "config.yaml")


@pytest.mark.parametrize("named", ["~nobody-of-that-name/models", "~nobody-of-that-name"])
def test_a_root_in_the_home_of_nobody_is_refused(named: str) -> None:
    with pytest.raises(UserError, match="nobody can say") as caught:
        find_root(Settings(roots=(named,)), Path.cwd(), "models")
    assert caught.value.code is Code.USAGE
    assert f"./{named}" in caught.value.hint


def test_a_link_does_not_lead_the_root_of_a_manifest_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Path("models").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SafetyError) as caught:
        find_root(Settings(), Path.cwd(), "models")
    assert caught.value.code is Code.ROOT_UNUSABLE
    assert find_root(Settings(roots=("models",)), Path.cwd(), "x") == "models"


# --- the API origin -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        (None, DEFAULT_API_URL),
        ("https://civitai.com/", "https://civitai.com"),
        ("HTTPS://Civitai.Com:443", "https://civitai.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_over_tls_or_on_loopback_is_taken(given: str | None, origin: str) -> None:
    assert find_api_url(Settings(api_url=given)) == origin


@pytest.mark.parametrize(
    "given",
    [
        "http://civitai.com",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "ftp://civitai.com",
        "civitai.com",
        "https://civitai.com/api/v1",
        "https://civitai.com?x=1",
        "https://user:secret@civitai.com",
        "https://",
        "https://civitai.com:port",
        "http://[::1",
    ],
)
def test_any_other_address_is_refused_with_the_variable_to_correct(given: str) -> None:
    with pytest.raises(UserError) as caught:
        find_api_url(Settings(api_url=given))
    assert caught.value.code is Code.CONFIG_INVALID
    assert "CIVSYNC_API_URL" in caught.value.hint
    assert "secret" not in str(caught.value) + caught.value.subject


def test_the_config_names_an_origin_and_a_flag_wins(home: Path) -> None:
    (home / "config.yaml").write_text("api_url: https://mirror.example\n")
    assert find_api_url(Settings()) == "https://mirror.example"
    assert find_api_url(Settings(api_url="https://civitai.com")) == "https://civitai.com"


# --- config.yaml --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "{}\n", "null\n"])
def test_an_empty_config_configures_nothing(home: Path, text: str) -> None:
    (home / "config.yaml").write_text(text)
    config = user_config()
    assert (config.root, config.api_url, config.token_command) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        pytest.param("root: /a\nrot: /b\n", 2, "unknown key 'rot'", id="a typo"),
        pytest.param("root: [/a]\n", 1, "root must be text", id="a list"),
        pytest.param("root: 5\n", 1, "root must be text", id="a number"),
        pytest.param("- root\n", 1, "expected a mapping", id="no mapping"),
        pytest.param("root: /a\nroot: /b\n", 2, "stands twice", id="a duplicate"),
        pytest.param("root: 'never closed\n", 2, "", id="no YAML"),
    ],
)
def test_a_faulty_config_is_refused_at_its_line(
    home: Path, text: str, line: int, told: str
) -> None:
    (home / "config.yaml").write_text(text)
    with pytest.raises(DocumentError) as caught:
        user_config()
    (problem,) = caught.value.problems
    assert problem.place.line == line
    assert problem.place.document == str(home / "config.yaml")
    assert told in problem.message
    assert caught.value.exit == 65


def test_a_config_that_cannot_be_read_is_told(home: Path) -> None:
    (home / "config.yaml").mkdir()
    with pytest.raises(CivsyncError, match="cannot be read") as caught:
        user_config()
    assert caught.value.code is Code.CONFIG_INVALID


# --- CI -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", False), ("0", False), ("false", False), ("No", False), ("true", True), ("1", True)],
)
def test_ci_means_yes_unless_it_says_no(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("CI", value)
    assert in_ci() is expected
    monkeypatch.delenv("CI")
    assert not in_ci()


# --- the user's own folders ---------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs itself is asked")
@pytest.mark.parametrize("named", [None, "", "/else where", "/else/", " ", "not/whole", "~/x"])
@pytest.mark.parametrize("home", ["/home/me", "/home/me/", "/"])
def test_the_short_way_to_a_folder_leads_where_platformdirs_does(
    monkeypatch: pytest.MonkeyPatch, named: str | None, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        if named is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, named)
    assert Path(config_dir()) == platformdirs.user_config_path("civsync", appauthor=False)
    assert Path(state_dir()) == platformdirs.user_state_path("civsync", appauthor=False)
