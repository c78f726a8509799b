"""`civsync import`: lists of links and comfy-locks, good and bad, into a manifest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.core.limits import MANIFEST_BYTES
from civsync.demo.served import Served, serve
from civsync.demo.world import demo_registry
from support.cli import Project
from support.published import faults

PAGE = "https://civitai.com/models/1133590"
WASH = "https://civitai.com/models/967204"


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(demo_registry()) as world:
        yield world


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    project = Project(tmp_path / "project", served.api_url)
    project.manifest.write_text(f"version: 1\nmodels:\n  # mine\n  - {WASH}   # ink\n")
    return project


def listed(project: Project, text: str, name: str = "list.txt") -> str:
    (project.folder / name).write_text(text)
    return name


LIST = """\
# models of the workshop

https://civitai.com/models/1204385?modelVersionId=1401876#versions   # a comment
urn:air:sdxl:lora:civitai:1133590@1276310
{WASH}
  https://civitai.com/models/967204
https://civitai.com/api/download/models/1401876
""".replace("{WASH}", WASH)


def test_every_line_becomes_an_entry_once_and_the_rest_stays_as_it_is(
    project: Project, served: Served
) -> None:
    ran = project.call("import", listed(project, LIST))
    assert ran.status == 0, ran.err
    assert project.manifest.read_text() == (
        f"version: 1\nmodels:\n  # mine\n  - {WASH}   # ink\n"
        '  - "https://civitai.com/models/1204385?modelVersionId=1401876#versions"\n'
        "  - urn:air:sdxl:lora:civitai:1133590@1276310\n"
    )
    assert f"list.txt:5: {WASH}: listed already, in civsync.yaml:4:5" in ran.err
    assert (
        "list.txt:7: https://civitai.com/api/download/models/1401876: listed already, in line 3"
    ) in ran.err
    assert "Added 2 entries to civsync.yaml; now run `civsync lock`." in ran.err
    assert served.requests == []
    assert project.call("lock").status == 0


def test_the_list_may_come_from_standard_input_with_any_ends_of_line(project: Project) -> None:
    ran = project.run("import", "-", stdin=LIST.replace("\n", "\r\n"))
    assert ran.status == 0, ran.err
    assert "standard input:5:" in ran.err
    assert "1133590@1276310" in project.manifest.read_text()


def test_a_second_import_adds_nothing(project: Project) -> None:
    name = listed(project, LIST)
    project.call("import", name)
    before = project.manifest.read_bytes()
    ran = project.call("import", name)
    assert (ran.status, project.manifest.read_bytes()) == (0, before)
    assert "Nothing was added" in ran.err


def test_the_json_names_what_came_and_what_was_there(project: Project) -> None:
    told = project.call("import", listed(project, LIST), "--json").json
    assert faults(told) == []
    assert told["entries"] == ["1204385@1401876", "1133590@1276310"]
    assert [each["line"] for each in told["skipped"]] == [5, 6, 7]


def test_every_bad_line_is_told_with_its_number_and_nothing_is_written(project: Project) -> None:
    before = project.manifest.read_bytes()
    ran = project.call("import", listed(project, f"{WASH}\nnonsense\n967204\nhttps://x.example/\n"))
    assert ran.status == 65
    assert "list.txt:2:" in ran.err
    assert "list.txt:3: 967204 alone may be a model id or a version id" in ran.err
    assert "list.txt:4:" in ran.err
    assert project.manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"\xff\xfe", "not UTF-8", id="not UTF-8"),
        pytest.param(b"#" * (MANIFEST_BYTES + 1), "too large", id="too large"),
        pytest.param(b"\x1b[31mx", "list.txt:1: ", id="a name that colors the terminal"),
    ],
)
def test_what_is_no_list_is_refused(project: Project, data: bytes, said: str) -> None:
    (project.folder / "list.txt").write_bytes(data)
    ran = project.call("import", "list.txt")
    assert ran.status == 65
    assert said in ran.err
    assert "\x1b" not in ran.err


def test_a_file_or_a_manifest_that_is_not_there_is_said(project: Project) -> None:
    assert project.call("import", "none.txt").status == 64
    project.manifest.unlink()
    ran = project.call("import", listed(project, LIST))
    assert (ran.status, "civsync init" in ran.err) == (65, True)


def test_a_key_in_a_link_does_not_get_into_the_manifest(project: Project) -> None:
    link = "https://civitai.com/api/download/models/1401876?token=0123456789abcdef"
    ran = project.call("import", listed(project, link))
    assert ran.status == 0
    assert "0123456789abcdef" not in project.manifest.read_text() + ran.err


def test_an_empty_list_adds_nothing(project: Project) -> None:
    before = project.manifest.read_bytes()
    assert project.call("import", listed(project, "# nothing\n\n")).status == 0
    assert project.manifest.read_bytes() == before


def test_a_comfy_lock_that_was_exported_leads_back_to_the_same_files(project: Project) -> None:
    project.write(
        WASH, "{model: 1133590, version: 1198002}", "{model: 843127, files: [{type: VAE}]}"
    )
    assert project.call("lock").status == 0
    wanted = hashes(project)
    exported = project.call("export", "--format", "comfy-lock", "-o", "comfy-lock.yaml")
    assert exported.status == 0, exported.err
    project.manifest.write_text("version: 1\nmodels: []\n")
    project.lock.unlink()
    ran = project.call("import", "--format", "comfy-lock", "comfy-lock.yaml")
    assert ran.status == 0, ran.err
    ran = project.call("lock")
    assert ran.status == 0, ran.err
    assert hashes(project) == wanted


def test_several_files_of_one_version_come_back_from_a_comfy_lock(
    project: Project, served: Served
) -> None:
    version = served.registry.models[1133590].versions[0]
    vae = version.add_file("theatre.vae.safetensors", type="VAE")
    project.write(WASH, f"{{version: {version.id}, files: [{{type: Model}}, {{type: VAE}}]}}")
    assert project.call("lock").status == 0
    wanted = hashes(project)
    assert vae.sha256.lower() in wanted
    assert project.call("export", "--format", "comfy-lock", "-o", "comfy-lock.yaml").status == 0
    project.write()
    project.lock.unlink()
    ran = project.call("import", "--format", "comfy-lock", "comfy-lock.yaml")
    assert (ran.status, "listed already" in ran.err) == (0, False), ran.err
    assert project.call("lock").status == 0
    assert hashes(project) == wanted
    before = project.manifest.read_bytes()
    assert project.call("import", "--format", "comfy-lock", "comfy-lock.yaml").status == 0
    assert project.manifest.read_bytes() == before


def test_a_file_of_a_version_that_is_listed_with_others_is_left_and_told(project: Project) -> None:
    link = "https://civitai.com/api/download/models/1401876?fileId="
    project.write(f"{link}1")
    before = project.manifest.read_bytes()
    ran = project.call("import", listed(project, f"{link}1\n{link}2\n"))
    assert ran.status == 4
    assert f"list.txt:2: {link}2 was not added: other files of this version are asked for" in (
        ran.err
    )
    assert project.manifest.read_bytes() == before


def test_a_password_in_a_link_gets_neither_into_the_manifest_nor_on_the_screen(
    project: Project,
) -> None:
    before = project.manifest.read_bytes()
    for host in ("civitai.com", "huggingface.co"):
        name = listed(project, f"https://me:hunter2@{host}/models/1401876\n")
        ran = project.call("import", name)
        assert (ran.status, "list.txt:1: " in ran.err) == (65, True)
        assert "hunter2" not in ran.out + ran.err
        assert "hunter2" not in project.call("add", f"https://me:hunter2@{host}/models/5").err
    assert project.manifest.read_bytes() == before


def hashes(project: Project) -> set[str]:
    return {file["sha256"] for file in project.call("list", "--json").json["files"]}


def test_models_from_elsewhere_are_found_by_their_hash_and_the_rest_is_told(
    project: Project, served: Served
) -> None:
    file = served.registry.models[1133590].versions[1].files[0]
    name = listed(
        project,
        "basics: {}\n"
        "models:\n"
        "  - model: theatre\n"
        "    url: https://huggingface.co/a/b/resolve/main/theatre.safetensors\n"
        "    paths: [{path: models/loras/theatre.safetensors}]\n"
        f"    hashes: [{{hash: 0123abcd, type: AutoV2}}, {{hash: '{file.sha256}', type: SHA256}}]\n"
        "  - model: unknown\n"
        f"    hashes: [{{hash: '{'0' * 64}', type: SHA256}}]\n"
        "  - model: nothing known\n"
        "    url: https://huggingface.co/x\n"
        "  - just text\n"
        "custom_nodes: {comfyui: abc}\n",
        "comfy-lock.yaml",
    )
    ran = project.call("import", "--format", "comfy-lock", name)
    assert ran.status == 4
    assert f"1198002?fileId={file.id}" in project.manifest.read_text()
    assert "comfy-lock.yaml:7: unknown was not added: Civitai has no file" in ran.err
    assert "comfy-lock.yaml:9: nothing known was not added: it has neither" in ran.err
    assert "comfy-lock.yaml:11:" in ran.err
    assert served.count(method="POST") == 1


def test_a_hash_as_comfy_cli_has_written_it_is_read_too(project: Project, served: Served) -> None:
    file = served.registry.models[1133590].versions[0].files[0]
    text = f"models:\n  - name: x\n    url: {PAGE}\n    hash: {file.sha256}\n"
    ran = project.call("import", "--format", "comfy-lock", listed(project, text))
    assert ran.status == 0, ran.err
    assert f"1276310?fileId={file.id}" in project.manifest.read_text()


@pytest.mark.parametrize(
    "text",
    ["[]", "models: 3\n", "a: &x 1\nmodels: [*x]\n", "models: {}\n", "\t- x"],
    ids=["a list", "a number", "an alias", "a mapping", "no yaml"],
)
def test_what_is_no_comfy_lock_is_refused(project: Project, text: str) -> None:
    before = project.manifest.read_bytes()
    ran = project.call("import", "--format", "comfy-lock", listed(project, text))
    assert ran.status == 65, ran.err
    assert project.manifest.read_bytes() == before


def test_a_comfy_lock_that_is_read_as_a_list_of_links_says_which_format_it_is(
    project: Project,
) -> None:
    before = project.manifest.read_text()
    text = f"custom_nodes: []\nmodels:\n  - model: a.safetensors\n    url: {PAGE}\n"
    ran = project.call("import", listed(project, text, "comfy-lock.yaml"))

    assert ran.status == 64
    assert "comfy-lock.yaml: this is YAML with `models:`, not a list of links" in ran.err
    assert "civsync import --format comfy-lock comfy-lock.yaml" in ran.err
    assert len(ran.err.splitlines()) < 5
    assert project.manifest.read_text() == before


@pytest.mark.parametrize("line", ["402977", "foo"], ids=["a number", "a word"])
def test_a_hint_about_a_line_names_no_flag_that_import_does_not_have(
    project: Project, line: str
) -> None:
    ran = project.call("import", listed(project, line + "\n"))

    assert ran.status == 65
    assert "list.txt:1: " in ran.err
    assert "hint: Write " in ran.err
    assert "--model" not in ran.err
