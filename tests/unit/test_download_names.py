"""A download of a running sync goes by the names that its entry has, and by its path."""

from dataclasses import replace

import pytest

from civsync.cli.download_names import downloads_named
from civsync.core.codes import Code
from civsync.core.control import Stage
from civsync.core.errors import UserError
from civsync.core.jobs import Download, RunningSync
from civsync.core.names import parse_path


def download(path: str, entry: str, model: str, model_id: int, version_id: int) -> Download:
    return Download(
        path=parse_path(path),
        entry=entry,
        model=model,
        model_id=model_id,
        version_id=version_id,
        size=10,
        held=0,
        stage=Stage.WAITING,
    )


DREAM = download("checkpoints/dream_v8.safetensors", "4384@latest", "DreamShaper", 4384, 128713)
OLD = download("checkpoints/dream_v7.safetensors", "4384@109123", "DreamShaper", 4384, 109123)
STYLE = download("loras/sdxl/style.safetensors", "?types=LORA", "Paper Style", 58390, 62833)
SAME = download("loras/sd15/style.safetensors", "?types=LORA", "Ink", 77, 99)
RUN = RunningSync(
    root="/srv/models",
    pid=1,
    started=0,
    command="civsync sync",
    downloads=(DREAM, OLD, STYLE, SAME),
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("4384@latest", [DREAM], id="key"),
        pytest.param("?types=LORA", [STYLE, SAME], id="key of a search"),
        pytest.param("4384", [DREAM, OLD], id="model id"),
        pytest.param("https://civitai.com/models/4384/dreamshaper", [DREAM, OLD], id="link"),
        pytest.param(
            "https://civitai.com/models/4384?modelVersionId=109123", [OLD], id="link to a version"
        ),
        pytest.param("urn:air:sdxl:lora:civitai:58390@62833", [STYLE], id="AIR"),
        pytest.param("dreamshaper", [DREAM, OLD], id="name of the model"),
        pytest.param("Paper Style", [STYLE], id="name of a model that a search found"),
        pytest.param("loras/sdxl/style.safetensors", [STYLE], id="path"),
        pytest.param("/srv/models/loras/sd15/style.safetensors", [SAME], id="path on disk"),
        pytest.param("style.safetensors", [STYLE, SAME], id="name of a file"),
    ],
)
def test_a_name_finds_its_downloads(name: str, found: list[Download]) -> None:
    assert list(downloads_named(name, RUN)) == found


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("dream", "Did you mean `DreamShaper`?", id="a part of a name"),
        pytest.param("4384@lastest", "Did you mean `4384@latest`?", id="a slip"),
        pytest.param(
            "zzz", "The entries are 4384@latest, 4384@109123, ?types=LORA.", id="nothing like it"
        ),
        pytest.param("", "The entries are 4384@latest, 4384@109123, ?types=LORA.", id="nothing"),
        pytest.param("0", "The entries are 4384@latest, 4384@109123, ?types=LORA.", id="no id"),
    ],
)
def test_a_name_of_nothing_is_a_slip_of_usage_with_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        downloads_named(name, RUN)
    assert (caught.value.code, caught.value.hint) == (Code.USAGE, hint)


def test_unknown_ids_and_names_are_not_all_alike() -> None:
    nameless = replace(DREAM, model="", model_id=0, version_id=0)
    run = replace(RUN, downloads=(nameless,))
    for name in ("", "0"):
        with pytest.raises(UserError):
            downloads_named(name, run)
