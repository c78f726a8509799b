"""`civsync list`: what is locked, with sizes."""

from collections.abc import Iterable

import click

from civsync.cli.documents import load_lock
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import Output, count_text, show, size_text
from civsync.cli.settings import find_project
from civsync.core.lock import Lock


@click.command()
@click.option(
    "--sort",
    type=click.Choice(["path", "size"]),
    default="path",
    show_default=True,
    help="Order of the files.",
)
@common_options
@pass_context
def command(context: Context, *, sort: str) -> None:
    """List the locked files with their sizes, models and versions."""
    lock = load_lock(find_project(context.settings))
    output = context.output
    if output.choice.json:
        files = [
            {
                "path": file.path,
                "size": file.size,
                "sha256": file.sha256,
                "entry": entry.key,
                "model_id": file.model_id,
                "version_id": file.version_id,
                "file_id": file.file_id,
                "model": file.model,
                "version": file.version,
                "gone": entry.gone,
            }
            for entry, file in lock.files()
        ]
        output.document("civsync.list", {"files": files})
        return
    for line in _lines(lock, sort, output):
        output.data(line)


def _lines(lock: Lock, sort: str, output: Output) -> Iterable[str]:
    rows = []
    for entry, file in lock.files():
        origin = f"{file.model} · {file.version}"
        gone = "  (gone from Civitai)" if entry.gone else ""
        rows.append((file.path, file.size, show(origin) + gone))
    rows.sort(key=lambda row: (-row[1], row[0]) if sort == "size" else (0, row[0]))
    width = min(72, max((len(show(path)) for path, _, _ in rows), default=0))
    for path, size, origin in rows:
        dim = output.paint(origin, "dim", to_stdout=True)
        yield f"{size_text(size):>10}  {show(path):<{width}}  {dim}"
    total = sum(size for _, size, _ in rows)
    yield f"{size_text(total):>10}  {count_text(len(rows), 'file')}"
