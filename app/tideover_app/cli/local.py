"""Commands that do not ask a running control plane: `run`, `demo`, `config schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .failure import Code, Failure

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]
DEFAULT_CONFIG = Path("tideover.yaml")
config_commands = typer.Typer(help="About tideover.yaml.", no_args_is_help=True)


def run_command(config: ConfigFile = DEFAULT_CONFIG) -> int:
    """Run the control plane, until SIGTERM or Ctrl-C."""
    from tideover_app.config import ConfigError
    from tideover_app.run import run

    try:
        result = run(config)
    except ConfigError as error:
        raise Failure(Code.NO, str(error)) from None
    return result if isinstance(result, int) else Code.DONE


@config_commands.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of tideover.yaml."""
    from tideover_app.config import Config

    typer.echo(json.dumps(Config.model_json_schema(by_alias=True), indent=2))


def add_to(program: typer.Typer) -> None:
    """Make these commands of `program`."""
    program.command("run")(run_command)
    program.add_typer(config_commands, name="config")
