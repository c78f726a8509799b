"""`civsync audit`: hold the lock against the policy and against what Civitai says today."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from civsync.cli.documents import load_lock, load_manifest
from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import Output, count_text, show
from civsync.cli.project import find_project
from civsync.core.exits import ExitCode
from civsync.core.lock import Lock
from civsync.decide.findings import Finding, Severity, exit_of_findings

_COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print what is found; json is the same as --json.",
)
@click.option("--offline", is_flag=True, help="Ask nobody: judge by what the lock says.")
@common_options
@pass_context
def command(context: Context, *, form: str, offline: bool) -> ExitCode:
    """Re-check what is locked, and change nothing.

    Every locked file is held against the manifest's policy of today and against what Civitai
    says today: is it still there, are its bytes the locked ones, what do the scans say, what
    does the license allow?

    Exits with 5 if bytes changed, with 8 if something is against the policy or cannot be
    verified, with 7 if files are gone and that is all, with 0 if no error was found.
    """
    project = find_project(context.settings)
    manifest = load_manifest(project)
    lock = load_lock(project)
    now = datetime.now(UTC)
    found: tuple[Finding, ...]
    if offline:
        from civsync.decide.audit import audit_offline

        found = audit_offline(manifest.entries, lock, now=now)
    else:
        from civsync.cli.asking import ask
        from civsync.decide.audit import audit

        conversation = audit(manifest.entries, lock, now=now)
        found = ask(context, conversation, entries=manifest.entries)
    status = exit_of_findings(found)
    output = context.output
    if form == "json" or output.choice.json:
        counts = Counter(each.severity for each in found)
        output.document(
            "civsync.audit",
            {
                "offline": offline,
                "exit": int(status),
                "entries": len(lock.entries),
                "files": len(lock.by_path()),
                "errors": counts[Severity.ERROR],
                "warnings": counts[Severity.WARNING],
                "notes": counts[Severity.NOTE],
                "findings": [_document(each) for each in found],
            },
        )
    else:
        _tell(output, lock, found)
    return status


def _document(finding: Finding) -> dict[str, object]:
    file, place = finding.file, finding.place
    return {
        "severity": str(finding.severity),
        "rule": str(finding.rule),
        "exit": int(finding.exit),
        "entry": finding.entry,
        "message": finding.message,
        "path": file.path if file else None,
        "model_id": file.model_id if file else None,
        "version_id": file.version_id if file else None,
        "file_id": file.file_id if file else None,
        "document": place.document if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def _tell(output: Output, lock: Lock, found: Sequence[Finding]) -> None:
    """Print one line for each finding, as compilers do, and count them."""
    for each in found:
        where = f"{each.place}: " if each.place else ""
        path = f" {show(each.file.path)}:" if each.file else f" {show(each.entry)}:"
        label = output.paint(f"{each.severity}:", _COLORS[each.severity], to_stdout=True)
        output.data(f"{show(where)}{label}{path} {show(each.message)} [{each.rule}]")
    files = count_text(len(lock.by_path()), "file")
    entries = count_text(len(lock.entries), "entry")
    counts = Counter(each.severity for each in found)
    told = [count_text(counts[kind], kind) for kind in Severity if counts[kind]]
    output.talk(f"{files} of {entries}: {', '.join(told) or 'nothing found'}")
