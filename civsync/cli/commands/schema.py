"""`civsync schema NAME`: print a published JSON Schema."""

import click

from civsync.cli.options import Context, common_options, pass_context
from civsync.documents.schema_files import schema_names, schema_text


@click.command()
@click.argument("name", required=False, type=click.Choice(schema_names()))
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
