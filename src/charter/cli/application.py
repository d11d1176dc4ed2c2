"""The command line as a whole: what stands before the commands."""

from typing import Annotated

import typer

app = typer.Typer(
    name="charter",
    help="Adapt foundation models under a written charter, and ship a model only with its proof.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"charter {version('charter')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and leave")
    ] = False,
) -> None:
    """Options before the command."""
