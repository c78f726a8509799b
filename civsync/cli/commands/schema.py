"""`civsync schema NAME`: print a published JSON Schema."""

import click

from civsync.cli.options import Context, common_options, pass_context
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.documents.hints import nearest
from civsync.documents.schema_files import schema_names, schema_text


class _SchemaName(click.Choice[str]):
    """A choice that answers a slip with the nearest name, for all of them would be a screenful."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. Raises UserError usage."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            near = nearest(value, self.choices)
            hint = f"Did you mean `civsync schema {near}`?" if near else "See `civsync schema`."
            raise UserError(Code.USAGE, f"there is no schema {value!r}", hint=hint) from None


@click.command()
@click.argument("name", required=False, type=_SchemaName(schema_names()), metavar="[NAME]")
@common_options
@pass_context
def command(context: Context, name: str | None) -> None:
    """Print the JSON Schema of one of civsync's documents; without NAME, list them."""
    if name is None:
        if context.output.choice.json:
            context.output.document("civsync.schemas", {"schemas": list(schema_names())})
            return
        for each in schema_names():
            context.output.data(each)
        return
    context.output.data(schema_text(name).rstrip("\n"))
