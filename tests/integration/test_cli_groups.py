"""Groups on the command line: what is selected, what is left alone, and what is said of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.cli.output import size_text
from civsync.demo.registry import Model, Registry
from civsync.demo.served import Served, serve
from support.cli import Project
from support.published import faults

FREE, STYLE, VIDEO, BOTH = "free", "style", "video", "both"
NOWHERE = "http://127.0.0.1:1"


class Tree(Project):
    """Four models: one without a group, one in `style`, one in `video`, one in both."""

    models: dict[str, Model]

    def put(self, head: str = "", **directories: str) -> None:
        """Write the manifest; some entries go to another directory."""
        groups = {FREE: [], STYLE: ["style"], VIDEO: ["video"], BOTH: ["style", "video"]}
        self.write(
            *(
                f"{{model: {self.models[name].id}, groups: [{', '.join(each)}]"
                + (f", directory: {directories[name]}" if name in directories else "")
                + "}"
                for name, each in groups.items()
            ),
            head=head,
        )

    def names(self) -> list[str]:
        """The files in the tree without directory and extension, sorted."""
        return sorted(Path(path).stem for path in self.files())


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(Registry()) as world:
        yield world


@pytest.fixture
def tree(tmp_path: Path, served: Served) -> Tree:
    """A manifest of four entries; nothing is locked or synced."""
    tree = Tree(tmp_path / "project", served.api_url)
    tree.models = {}
    for name in (FREE, STYLE, VIDEO, BOTH):
        tree.models[name] = served.registry.add_model(name)
        tree.models[name].add_version().add_file(f"{name}.safetensors")
    tree.put()
    return tree


def sync(tree: Tree, *words: str, env: dict[str, str] | None = None) -> str:
    ran = tree.call("sync", *words, env=env)
    assert ran.status == 0, ran.err
    return ran.err


@pytest.mark.parametrize(
    ("words", "env", "expected"),
    [
        pytest.param([], {}, [FREE], id="plain"),
        pytest.param(["-g", "style"], {}, [BOTH, FREE, STYLE], id="-g"),
        pytest.param(
            ["-g", "style", "--group", "video"], {}, [BOTH, FREE, STYLE, VIDEO], id="-g twice"
        ),
        pytest.param(["--only-group", "video"], {}, [BOTH, VIDEO], id="--only-group"),
        pytest.param(["--all-groups"], {}, [BOTH, FREE, STYLE, VIDEO], id="--all-groups"),
        pytest.param(
            ["--all-groups", "--no-group", "style"], {}, [BOTH, FREE, VIDEO], id="all but one"
        ),
        pytest.param([], {"CIVSYNC_GROUP": "style"}, [BOTH, FREE, STYLE], id="variable"),
        pytest.param(
            [], {"CIVSYNC_GROUP": "style,video"}, [BOTH, FREE, STYLE, VIDEO], id="with a comma"
        ),
        pytest.param(
            [], {"CIVSYNC_ONLY_GROUP": "style video"}, [BOTH, STYLE, VIDEO], id="with a space"
        ),
        pytest.param(
            ["-g", "style"], {"CIVSYNC_GROUP": "video"}, [BOTH, FREE, STYLE], id="flag, variable"
        ),
        pytest.param(
            ["-g", "style"], {"CIVSYNC_ONLY_GROUP": "video"}, [BOTH, FREE, STYLE],
            id="-g over the variable of --only-group",
        ),
        pytest.param(
            ["--only-group", "style"], {"CIVSYNC_ALL_GROUPS": "1"}, [BOTH, STYLE],
            id="--only-group over the variable of --all-groups",
        ),
        pytest.param(
            ["-g", "style"], {"CIVSYNC_NO_GROUP": "style"}, [BOTH, FREE, STYLE],
            id="-g over the variable of --no-group",
        ),
        pytest.param(
            ["--all-groups"], {"CIVSYNC_NO_GROUP": "style"}, [BOTH, FREE, STYLE, VIDEO],
            id="--all-groups over the variable of --no-group",
        ),
        pytest.param(
            [], {"CIVSYNC_ALL_GROUPS": "1", "CIVSYNC_NO_GROUP": "style"}, [BOTH, FREE, VIDEO],
            id="two variables",
        ),
    ],
)  # fmt: skip
def test_flags_and_variables_select(
    words: list[str], env: dict[str, str], expected: list[str], tree: Tree
) -> None:
    sync(tree, *words, env=env)
    assert tree.names() == expected
    told = tree.call("sync", *words, env=env).err
    assert f"{len(expected)} file" in told
    assert "in place, nothing to do" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["-g", "a", "--only-group", "b"], "exclude each other", id="-g"),
        pytest.param(["--only-group", "a", "--all-groups"], "exclude each other", id="all"),
        pytest.param(["--prune-unselected", "--no-prune"], "exclude each other", id="prune"),
        pytest.param(["-g", "vdeo"], "Did you mean `video`? The groups are style", id="a slip"),
        pytest.param(["--no-group", "x"], "no entry is in the group 'x'", id="--no-group"),
        pytest.param(["--only-group", "x"], "no entry is in the group 'x'", id="--only-group"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    words: list[str], message: str, tree: Tree, served: Served
) -> None:
    ran = tree.call("sync", *words)
    assert ran.status == 64
    assert message in ran.err
    assert not tree.lock.exists()
    assert served.requests == []


def test_what_a_run_leaves_out_stays_although_nobody_remembers_it(tree: Tree) -> None:
    sync(tree, "--all-groups")
    before = tree.files()
    told = sync(tree)
    assert "1 file in place, nothing to do" in told
    assert "3 files of groups style, video are not selected (--all-groups)" in told
    assert tree.files() == before
    sync(tree, "--only-group", "video")
    assert tree.files() == before


def test_the_short_way_says_the_same_and_is_not_taken_for_another_selection(
    tree: Tree, served: Served
) -> None:
    first = sync(tree, "-g", "style")
    served.reset_counts()
    short = sync(tree, "-g", "style")
    assert first.splitlines()[-1] != short
    assert short.splitlines() == [
        "3 files in place, nothing to do",
        "1 file of group video is not selected (--all-groups)",
    ]
    assert tree.call("status", "-g", "style").out.splitlines() == short.splitlines()
    assert served.requests == []
    ran = tree.call("sync", "-g", "video", "--check")
    assert (ran.status, "+ " in ran.out) == (2, True)
    (tree.root / next(path for path in tree.files() if BOTH in path)).unlink()
    sync(tree, "--only-group", "video")
    assert tree.names() == [BOTH, FREE, STYLE, VIDEO]


def test_moves_wait_until_the_group_is_selected(tree: Tree) -> None:
    sync(tree, "--all-groups")
    tree.put(free="here", video="there")
    sync(tree)
    paths = sorted(tree.files())
    assert "here/free.safetensors" in paths
    assert "there/video.safetensors" not in paths
    assert VIDEO in tree.names()
    tree.environment["CIVSYNC_API_URL"] = NOWHERE
    assert "1 moved" in sync(tree, "-g", "video")
    assert "there/video.safetensors" in tree.files()


def test_a_new_version_waits_until_the_group_is_selected(tree: Tree) -> None:
    sync(tree, "--all-groups")
    old = tree.files()
    tree.models[VIDEO].add_version(at=0).add_file("video2.safetensors")
    assert tree.call("lock", "--upgrade").status == 0
    sync(tree)
    assert tree.files() == old
    assert "1 downloaded, 1 retired" in sync(tree, "--all-groups")


def test_an_entry_that_is_dropped_is_retired_as_ever_and_others_are_not(tree: Tree) -> None:
    sync(tree, "--all-groups")
    text = tree.manifest.read_text().splitlines(keepends=True)
    tree.manifest.write_text("".join(line for line in text if "[style]" not in line))
    assert "1 retired" in sync(tree)
    assert tree.names() == [BOTH, FREE, VIDEO]


@pytest.mark.fault("4.8/zero", "filter that matches nothing")
def test_only_the_flag_prunes_and_the_guard_stands_before_it(tree: Tree, served: Served) -> None:
    sync(tree, "--all-groups")
    ran = tree.call("sync", "--prune-unselected", "--dry-run")
    assert ran.out.count("(not selected; goes to trash)") == 3
    sync(tree, "--prune-unselected")
    assert tree.names() == [FREE]
    sync(tree, "--all-groups")
    tree.put(head="")
    ran = tree.call("sync", "--only-group", "video", "--no-group", "video", "--prune-unselected")
    assert ran.status == 8
    assert "prune-guard" in ran.err
    assert tree.names() == [BOTH, FREE, STYLE, VIDEO]


def test_a_deleted_file_of_a_group_is_fetched_when_it_is_selected_again(tree: Tree) -> None:
    sync(tree, "--all-groups")
    (tree.root / next(path for path in tree.files() if VIDEO in path)).unlink()
    sync(tree)
    assert tree.names() == [BOTH, FREE, STYLE]
    assert sync(tree) == sync(tree)
    sync(tree, "-g", "video")
    assert tree.names() == [BOTH, FREE, STYLE, VIDEO]


@pytest.mark.parametrize(
    ("groups", "words", "expected"),
    [
        pytest.param("[style]", [], [BOTH, FREE, STYLE], id="a list"),
        pytest.param("all", [], [BOTH, FREE, STYLE, VIDEO], id="all"),
        pytest.param("[style]", ["--no-group", "style"], [FREE], id="taken away"),
        pytest.param("all", ["--no-group", "style"], [BOTH, FREE, VIDEO], id="all, taken away"),
        pytest.param("[style]", ["-g", "video"], [BOTH, FREE, STYLE, VIDEO], id="and more"),
        pytest.param("[style]", ["--only-group", "video"], [BOTH, VIDEO], id="not with only"),
    ],
)
def test_the_manifest_may_select_groups_by_default(
    groups: str, words: list[str], expected: list[str], tree: Tree
) -> None:
    tree.put(f"default_groups: {groups}\n")
    sync(tree, *words)
    assert tree.names() == expected
    assert "nothing to do" in sync(tree, *words)
    assert "nothing to do" in sync(tree, "--frozen", *words)


def test_a_change_of_the_defaults_is_noticed(tree: Tree) -> None:
    sync(tree)
    tree.put("default_groups: [style]\n")
    assert "2 downloaded" in sync(tree)
    tree.put("default_groups: [styles]\n")
    ran = tree.call("status")
    assert "no entry is in styles, which is one of `default_groups`" in ran.err
    assert "3 files of groups style, video are not selected" in ran.out


def test_frozen_takes_the_defaults_from_the_manifest_and_has_none_without_it(tree: Tree) -> None:
    tree.put("default_groups: [style]\n")
    assert tree.call("lock").status == 0
    root = tree.folder / "other"
    sync(tree, "--frozen", "--root", str(root), "--dry-run")
    dry = ("sync", "--frozen", "--root", str(root), "--dry-run")
    assert "3 to download" in tree.call(*dry).out
    tree.manifest.write_text("models: [\n")
    assert tree.call(*dry).status == 65
    assert "4 to download" in tree.call(*dry, "--all-groups").out
    tree.manifest.unlink()
    assert "1 to download" in tree.call(*dry).out
    assert "2 to download" in tree.call(*dry, "--only-group", "style").out


def test_a_lock_without_groups_is_followed_whatever_the_manifest_is(tree: Tree) -> None:
    tree.write(f"model: {tree.models[FREE].id}")
    assert tree.call("lock").status == 0
    tree.manifest.write_text("models: [\n")
    root = str(tree.folder / "other")
    assert tree.call("sync", "--frozen", "--root", root).status == 0


def test_verify_reads_what_is_selected_and_what_was_placed_of_the_rest(tree: Tree) -> None:
    sync(tree, "-g", "style")
    ran = tree.call("verify")
    assert (ran.status, "3 of 3 files as locked" in ran.err) == (0, True)
    assert "1 file of group video is not selected" in ran.err
    free = tree.root / next(path for path in tree.files() if FREE in path)
    read = f"1 of 1 file as locked, {size_text(free.stat().st_size)} in "
    assert read in tree.call("verify", "--no-group", "style").err
    path = tree.root / next(path for path in tree.files() if STYLE in path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert tree.call("verify").status == 5
    assert tree.call("verify", "--only-group", "style").status == 5
    assert tree.call("verify", "--no-group", "style").status == 0
    assert tree.call("verify", "-g", "video").status == 5  # that one is missing
    path.unlink()
    assert tree.call("verify").status == 0


def test_scripts_are_told_how_many_files_are_left_out(tree: Tree) -> None:
    dry = tree.call("sync", "--dry-run", "--json").events
    sync(tree)
    shown = [
        *dry,
        *tree.call("sync", "--json", "-g", "video").events,
        *tree.call("sync", "--json", "-g", "video").events,
        tree.call("status", "--json").json,
        tree.call("verify", "--json").json,
    ]
    assert [problem for each in shown for problem in faults(each)] == []
    counts = [each["unselected"] for each in shown if "unselected" in each]
    assert counts == [3, 1, 1, 1, 3, 1]


def test_a_files_bytes_that_a_group_holds_already_are_not_downloaded_twice(
    tree: Tree, served: Served
) -> None:
    twin = served.registry.add_model("twin")
    original = tree.models[VIDEO].versions[0].files[0]
    twin.add_version().add_file("twin.safetensors", original.body)
    sync(tree, "-g", "video")
    tree.manifest.write_text(tree.manifest.read_text() + f"  - model: {twin.id}\n")
    assert "1 restored without the network" in sync(tree)
    assert tree.names() == [BOTH, FREE, "twin", VIDEO]
