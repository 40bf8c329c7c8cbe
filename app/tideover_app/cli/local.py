"""Commands that start something on this machine: `run`, `demo`; and `config schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]
DEFAULT_CONFIG = Path("tideover.yaml")
config_commands = typer.Typer(help="About tideover.yaml.", no_args_is_help=True)


def run_command(config: ConfigFile = DEFAULT_CONFIG) -> int:
    """Run the control plane."""
    from tideover_app.run import run

    return run(config)


def demo_command(
    fast: Annotated[bool, typer.Option("--fast", help="Shorter calm between the faults, for CI.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running at the end, until Ctrl-C.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the reports go.")] = Path(),
) -> int:
    """Watch faults on this machine and nobody noticing.

    Clusters, Envoys, load and faults, live, with a report at the end."""
    from tideover_app.demo import DemoOptions
    from tideover_app.demo.run import run_demo

    return run_demo(DemoOptions(fast=fast, keep=keep, folder=folder))


@config_commands.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of tideover.yaml."""
    from tideover_app.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def add_to(program: typer.Typer) -> None:
    """Make these commands of `program`."""
    program.command("run")(run_command)
    program.command("demo")(demo_command)
    program.add_typer(config_commands, name="config")
