"""`civsync init`: write a manifest to start from, or one that describes what is there."""

from pathlib import Path
from typing import Final

import click

from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import show
from civsync.cli.settings import MANIFEST
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.limits import DEFAULT_JOBS, MAX_JOBS
from civsync.core.roots import DEFAULT_ROOT
from civsync.documents.layout_tables import PRESETS, ROOT_OF
from civsync.documents.layouts import DEFAULT_LAYOUT
from civsync.documents.schema_files import schema_text

ROOTS: Final = {"a1111": ".", "forge": ".", "swarmui": "Models"}
"""Roots of programs that keep models in several folders, or in one of another name."""

SCHEMA_FILE: Final = "civsync.schema.json"
"""Lies beside the manifest, so that it is found on every machine that has the checkout."""

TEMPLATE: Final = """\
# yaml-language-server: $schema={schema}
version: 1

# {root_of}
root: {root}
layout: {layout}

prefer:                       # ranked; the first that exists wins
  format: [SafeTensor, GGUF]  # weights in other formats are never chosen
  precision: [fp16, bf16, fp8, fp32]
  size: [pruned, full]

policy:
  pickle: deny                # pickles can run code; an entry may say allow_pickle: true

# Paste the address of any Civitai page, an AIR, or write `model:` and `version:`.
#   - https://civitai.com/models/4384
#   - urn:air:sdxl:checkpoint:civitai:101055@128078
#   - model: 58390
#     version: latest         # latest | newest | a version's id | "a version's name"
models:{models}
"""


@click.command()
@click.argument("links", nargs=-1)
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Describe the models in DIR, known by their hashes, in manifest and lock.",
)
@click.option(
    "--layout",
    type=click.Choice(sorted(PRESETS)),
    help="The program whose folders to use [comfyui; with --from, the one that DIR is like].",
)
@click.option("--force", is_flag=True, help="Overwrite a manifest (and a lock) that is there.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, MAX_JOBS),
    default=DEFAULT_JOBS,
    show_default=True,
    envvar="CIVSYNC_JOBS",
    help="Files to read at the same time.",
)
@common_options
@pass_context
def command(
    context: Context,
    *,
    links: tuple[str, ...],
    folder: Path | None,
    layout: str | None,
    force: bool,
    jobs: int,
) -> None:
    """Write a civsync.yaml with the given LINKS (Civitai pages or AIRs) to start from.

    With --from, write civsync.yaml and civsync.lock for a folder of models as it is. Nothing
    is downloaded, moved or owned; what Civitai does not know is listed.
    """
    if folder is None:
        _write_new(context, links, layout or DEFAULT_LAYOUT, force=force)
        return
    if links:
        raise UserError(
            Code.USAGE,
            "--from describes a folder, and takes no LINKS",
            hint="Add them afterwards: `civsync add LINK`.",
        )
    from civsync.cli.identifying import Wishes, describe_folder

    wishes = Wishes(folder=folder, layout=layout, force=force, jobs=jobs, schema_file=SCHEMA_FILE)
    describe_folder(context, wishes)


def _write_new(context: Context, links: tuple[str, ...], layout: str, *, force: bool) -> None:
    from civsync.documents.manifest import read_manifest

    settings, output = context.settings, context.output
    path = Path(settings.manifest or MANIFEST)
    if path.is_dir():
        path = path / MANIFEST
    text = manifest_text(layout, links)
    read_manifest(text, name=path.name)
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        schema = path.with_name(SCHEMA_FILE)
        schema.write_text(schema_text("manifest"), encoding="utf-8", newline="\n")
    except FileExistsError:
        raise UserError(
            Code.USAGE, "there is a manifest already", subject=str(path), hint="Use --force."
        ) from None
    except OSError as error:
        raise UserError(
            Code.USAGE, f"it cannot be written: {error.strerror}", subject=str(path)
        ) from None
    if output.choice.json:
        output.document("civsync.init", {"manifest": str(path), "entries": len(links)})
        return
    output.talk(f"Wrote {show(str(path))} ({layout} layout).")
    if links:
        output.talk("Next: `civsync lock`, then `civsync sync`.")
    else:
        output.talk("Next: `civsync add LINK`, or list your models in it and run `civsync sync`.")


def manifest_text(layout: str, links: tuple[str, ...]) -> str:
    """Return a manifest with comments that explain the keys people change first."""
    models = "".join(f"\n  - {_quoted(link)}" for link in links) or " []"
    root_of = f"Where files go, below this folder: {ROOT_OF[layout]}"
    return TEMPLATE.format(
        schema=f"./{SCHEMA_FILE}",
        root=ROOTS.get(layout, DEFAULT_ROOT),
        root_of=root_of,
        layout=layout,
        models=models,
    )


def _quoted(text: str) -> str:
    """Quote what YAML could take for something else than text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    plain = text.isprintable() and not any(sign in text for sign in " #\"\\{}[],&*!|>%@`'")
    return text if plain and text[:1].isalpha() else f'"{escaped}"'
