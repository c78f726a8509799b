"""`civsync explain CODE`: what an error code means and what helps."""

import difflib

import click

from civsync.cli.options import Context, common_options, pass_context
from civsync.core.codes import About, Code
from civsync.core.errors import UserError
from civsync.core.explanations import ABOUT


@click.command()
@click.argument("code", required=False)
@common_options
@pass_context
def command(context: Context, code: str | None) -> None:
    """Say what an error CODE means and what helps; without one, list all codes."""
    output = context.output
    if code is None:
        if output.choice.json:
            output.document("civsync.explain", {"codes": [_document(each) for each in ABOUT]})
            return
        width = max(map(len, ABOUT))
        for each, about in ABOUT.items():
            output.data(f"{each:<{width}}  {int(about.exit):>3}  {about.hint}")
        return
    found = _find(code)
    if output.choice.json:
        output.document("civsync.explain", {"codes": [_document(found)]})
        return
    about = ABOUT[found]
    output.data(f"{output.paint(found, 'bold', to_stdout=True)} (exit status {_status(about)})")
    output.data()
    output.data(about.meaning)
    output.data()
    output.data(f"What to do: {about.hint}")
    if about.retry:
        output.data("civsync tries again by itself a few times before it gives up.")


def _find(text: str) -> Code:
    wanted = text.strip().strip("[]").lower().replace("_", "-")
    try:
        return Code(wanted)
    except ValueError:
        near = difflib.get_close_matches(wanted, [str(each) for each in Code], n=1)
        hint = f"Did you mean `civsync explain {near[0]}`?" if near else "See `civsync explain`."
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
