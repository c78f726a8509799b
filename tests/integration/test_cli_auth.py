"""The API key: where it comes from, where it is kept, and that nothing ever prints it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from support.cli import Project, Ran

KEY = "correct-horse-battery-staple"
OTHER = "another-key-of-somebody"
FAKE_KEYRING = """
import json, os, pathlib
_FILE = pathlib.Path(os.environ["FAKE_KEYRING"])

def _all():
    return json.loads(_FILE.read_text()) if _FILE.exists() else {}

def get_password(service, name):
    return _all().get(f"{service}/{name}")

def set_password(service, name, password):
    _FILE.write_text(json.dumps(_all() | {f"{service}/{name}": password}))

def delete_password(service, name):
    left = _all()
    del left[f"{service}/{name}"]
    _FILE.write_text(json.dumps(left))
"""
BROKEN_KEYRING = """
def get_password(service, name):
    raise RuntimeError("the keyring is locked")

set_password = delete_password = get_password
"""


@pytest.fixture
def served() -> Iterator[Served]:
    registry = Registry(tokens={KEY, OTHER})
    model = registry.add_model("members", id=1)
    model.add_version(id=2, require_auth=True).add_file("members.safetensors")
    with serve(registry) as world:
        yield world


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    return Project(tmp_path / "project", served.api_url)


def token_files(project: Project) -> list[Path]:
    return sorted((project.folder / ".home" / "civsync").glob("token-*"))


def with_keyring(project: Project, source: str) -> None:
    """Let civsync find this as the `keyring` package."""
    folder = project.folder / "packages"
    folder.mkdir()
    (folder / "keyring.py").write_text(source)
    project.environment["PYTHONPATH"] = str(folder)
    project.environment["FAKE_KEYRING"] = str(folder / "kept.json")


def quiet_about(key: str, *rans: Ran) -> bool:
    return all(key not in ran.out + ran.err for ran in rans)


def test_login_reads_the_key_from_a_pipe_checks_it_and_keeps_it_for_this_user_alone(
    project: Project, served: Served
) -> None:
    ran = project.run("auth", "login", stdin=f"{KEY}\n")
    assert ran.status == 0, ran.err
    assert "Logged in as demo-user; the key is in the file" in ran.err
    assert quiet_about(KEY, ran)
    assert served.count(path_prefix="/api/v1/me") == served.count() == 1
    (file,) = token_files(project)
    assert file.read_text() == f"{KEY}\n"
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    shown = project.run("auth", "status", "--json")
    assert shown.status == 0
    assert (shown.json["logged_in"], shown.json["account"]) == (True, "demo-user")
    assert quiet_about(KEY, shown)

    assert "Removed the key" in project.run("auth", "logout").err
    assert token_files(project) == []
    assert "No key was kept." in project.run("auth", "logout").err
    after = project.run("auth", "status")
    assert (after.status, "Not logged in" in after.out) == (6, True)


def test_a_key_that_civitai_does_not_know_is_not_kept(project: Project) -> None:
    ran = project.run("auth", "login", stdin="mistyped\n")
    assert (ran.status, "[token-refused]" in ran.err) == (6, True)
    assert token_files(project) == []
    assert project.run("auth", "login", "--no-check", stdin="mistyped\n").status == 0
    assert len(token_files(project)) == 1


@pytest.mark.parametrize("text", ["", "\n", "two words\n", "tab\there\n", "kéy\n", "x" * 5000])
def test_what_cannot_be_a_key_is_refused_without_asking_anybody(
    project: Project, served: Served, text: str
) -> None:
    ran = project.run("auth", "login", stdin=text)
    assert ran.status == 64
    assert "error: the API key" in ran.err
    assert "account settings" in ran.err
    assert served.count() == 0


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(
    project: Project, mode: int
) -> None:
    assert project.run("auth", "login", "--no-check", stdin=KEY).status == 0
    (file,) = token_files(project)
    file.chmod(mode)
    ran = project.run("auth", "status")
    assert ran.status == 65
    assert "others can read the file with the API key" in ran.err
    assert f"chmod 600 {file}" in ran.err
    assert quiet_about(KEY, ran)


def test_a_key_that_cannot_be_kept_is_told_and_not_a_crash(project: Project) -> None:
    (project.folder / ".home").write_text("a file where the folder should be")
    ran = project.run("auth", "login", "--no-check", stdin=KEY)
    assert ran.status == 65
    assert "the API key cannot be kept" in ran.err
    assert "CIVITAI_API_KEY" in ran.err
    assert quiet_about(KEY, ran)


def test_the_keyring_is_used_where_there_is_one(project: Project) -> None:
    assert project.run("auth", "login", "--no-check", stdin=OTHER).status == 0
    assert len(token_files(project)) == 1
    with_keyring(project, FAKE_KEYRING)
    ran = project.run("auth", "login", stdin=KEY)
    assert "the key is in the keyring" in ran.err
    assert token_files(project) == []  # the older key does not linger
    assert "key from the keyring" in project.run("auth", "status").out
    assert "Removed the key from the keyring." in project.run("auth", "logout").err
    assert project.run("auth", "status").status == 6


def test_a_keyring_that_fails_gives_way_to_the_file(project: Project) -> None:
    with_keyring(project, BROKEN_KEYRING)
    assert "the key is in the file" in project.run("auth", "login", stdin=KEY).err
    assert "key from the file" in project.run("auth", "status").out
    assert "Removed the key from the file" in project.run("auth", "logout").err


def test_a_refused_key_is_named_by_where_it_comes_from(project: Project, served: Served) -> None:
    assert project.run("auth", "login", stdin=KEY).status == 0
    ran = project.run("auth", "status", env={"CIVITAI_TOKEN": "revoked-long-ago"})
    assert ran.status == 6
    assert "the variable CIVITAI_TOKEN: Civitai does not know this API key" in ran.err
    project.write("model: 1")
    for words in (["lock"], ["auth", "login"]):
        ran = project.run(*words, env={"CIVITAI_TOKEN": "revoked-long-ago"}, stdin="wrong-too")
        assert (ran.status, "[token-refused]" in ran.err) == (6, True)
        assert quiet_about("revoked-long-ago", ran)
    assert not project.lock.exists()
    warned = project.run("auth", "login", stdin=KEY, env={"CIVITAI_TOKEN": OTHER})
    assert "CIVITAI_TOKEN is set and wins" in warned.err


@pytest.mark.fault("4.2/credentials", "on redirect")
def test_no_command_prints_the_key_however_much_it_says(project: Project, served: Served) -> None:
    project.write("model: 1")
    environment = {"CIVITAI_API_KEY": KEY}
    rans = [
        project.run(*words, env=environment)
        for words in (
            ["lock", "--verbose"],
            ["sync", "--verbose", "--json"],
            ["auth", "status", "--verbose"],
            ["status", "--json"],
            ["verify", "--verbose"],
        )
    ]
    assert [ran.status for ran in rans] == [0] * 5
    assert quiet_about(KEY, *rans)
    written = [path for path in project.folder.rglob("*") if path.is_file()]
    assert all(KEY.encode() not in path.read_bytes() for path in written)
    assert all(
        request.header("authorization") is None
        for request in served.requests
        if request.origin == "storage"
    )


def test_without_a_key_a_members_file_says_how_to_log_in(project: Project) -> None:
    project.write("model: 1")
    assert project.run("lock").status == 0
    ran = project.run("sync")
    assert (ran.status, "[login-needed]" in ran.err) == (6, True)
    assert "civsync auth login" in ran.err
