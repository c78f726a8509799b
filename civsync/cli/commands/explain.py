"""`civsync explain CODE`: what a code or an exit status means and what helps."""

import click

from civsync.cli.options import Context, common_options, pass_context
from civsync.cli.output import Output
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.exits import ExitCode
from civsync.core.explanations import ABOUT, About
from civsync.core.notes import NOTES, STATUSES
from civsync.documents.hints import nearest


@click.command()
@click.argument("code", required=False)
@common_options
@pass_context
def command(context: Context, code: str | None) -> None:
    """Say what an error CODE means and what helps; without one, list all codes.

    CODE may also be that of a note, or an exit status: then the codes that lead to it are
    listed.
    """
    output = context.output
    wanted = (code or "").strip().strip("[]").lower().replace("_", "-")
    if code is None:
        _tell_list(output, list(ABOUT), list(NOTES))
    elif wanted.isdecimal():
        _tell_status(output, wanted)
    elif wanted in NOTES:
        _tell_note(output, wanted)
    else:
        _tell_code(output, _find(wanted, code))


def _tell_list(output: Output, codes: list[Code], notes: list[str]) -> None:
    if output.choice.json:
        _tell_json(output, codes, notes)
        return
    width = max(map(len, ABOUT))
    for each in codes:
        about = ABOUT[each]
        output.data(f"{each:<{width}}  {int(about.exit):>3}  {about.hint}")


def _tell_status(output: Output, text: str) -> None:
    status = {str(int(each)): each for each in ExitCode}.get(text)
    if status is None:
        raise UserError(
            Code.USAGE, f"there is no exit status {text}", hint="See `civsync explain`."
        )
    codes = [code for code, about in ABOUT.items() if about.exit is status]
    if not output.choice.json:
        output.data(f"Exit status {text}: {STATUSES[status]}")
        if codes:
            output.data()
    _tell_list(output, codes, [])


def _tell_note(output: Output, code: str) -> None:
    if output.choice.json:
        _tell_json(output, [], [code])
        return
    output.data(f"{output.paint(code, 'bold', to_stdout=True)} (a note)")
    output.data()
    output.data(NOTES[code])


def _tell_code(output: Output, code: Code) -> None:
    if output.choice.json:
        _tell_json(output, [code], [])
        return
    about = ABOUT[code]
    output.data(f"{output.paint(code, 'bold', to_stdout=True)} (exit status {_status(about)})")
    output.data()
    output.data(about.meaning)
    output.data()
    output.data(f"What to do: {about.hint}")
    if about.retry:
        output.data("civsync tries again by itself a few times before it gives up.")


def _tell_json(output: Output, codes: list[Code], notes: list[str]) -> None:
    shown = {
        "codes": [_document(code) for code in codes],
        "notes": [{"code": code, "meaning": NOTES[code]} for code in notes],
    }
    output.document("civsync.explain", shown)


def _find(wanted: str, text: str) -> Code:
    try:
        return Code(wanted)
    except ValueError:
        near = nearest(wanted, [*map(str, Code), *NOTES])
        hint = f"Did you mean `civsync explain {near}`?" if near else "See `civsync explain`."
        raise UserError(Code.USAGE, f"there is no error code {text!r}", hint=hint) from None


def _status(about: About) -> str:
    return f"{int(about.exit)}, {about.exit.name.lower()}"


def _document(code: Code) -> dict[str, object]:
    about = ABOUT[code]
    return {
        "code": str(code),
        "exit": int(about.exit),
        "owner": about.owner.value,
        "retried": about.retry,
        "hint": about.hint,
        "meaning": about.meaning,
    }
