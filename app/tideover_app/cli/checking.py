"""`tideover check`: is the configuration sound, can each source be read, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tideover_app.check import Document, Source, checked
from tideover_core.alike import like
from tideover_core.model import Problem

from .failure import Code
from .local import DEFAULT_CONFIG, ConfigFile
from .output import Format, Output, show

if TYPE_CHECKING:
    from tideover_app.config import Config, Flaw
    from tideover_core.world import World


def check_command(config: ConfigFile = DEFAULT_CONFIG, output: Output = Format.TABLE) -> int:
    """Check the configuration and what it names.

    The exit code is 0 when the control plane would run with it, though objects may be refused one by
    one; 1 when the file has errors, or a source cannot be read or an API server asked.
    """
    from . import tables_check

    document = _checked(config)
    show(document, output, tables_check.check)
    return Code.DONE if document["ok"] else Code.NO


def _checked(path: Path) -> Document:
    from tideover_app.config import ConfigError, load, unsupported

    try:
        config = load(path)
    except ConfigError as error:
        return checked(str(path), error.flaws, (), ())
    from .checking_live import facts_of, look_at
    from .offline import SlowOnly, read

    live = look_at(config)
    offline = read(config, SlowOnly(), facts_of(live))
    errors = [*unsupported(config), *_unusable_tls(config)]
    known = {flaw.key for flaw in errors}
    errors += [flaw for flaw in offline.unreadable if flaw.key not in known]
    errors += [flaw for one in live for flaw in one.flaws]
    looks = {one.cluster.name: one.look for one in live}
    sources = [
        Source(one.name, str(one.manifests or ""), offline.world.clusters.get(one.name), looks.get(one.name))
        for one in config.clusters
    ]
    if config.policies is not None:
        sources.append(Source("policies", str(config.policies), offline.policies))
    problems = (
        *(problem for one in live for problem in one.problems),
        *offline.problems,
        *_powerless(config),
        *(() if offline.unreadable else _aimless(offline.world)),
    )
    if not config.clusters:
        problems = (
            Problem("Configuration", "names no cluster", "nobody is sent anything", str(path)),
            *problems,
        )
    return checked(str(path), errors, sources, problems)


def _aimless(world: World) -> Iterator[Problem]:
    """Policies for services that no cluster has: a typing mistake, or too early."""
    for policy in world.failover_policies:
        for key in policy.targets:
            if key not in world.services:
                near = like(str(key), map(str, world.services))
                lacks = f"spec.targetRefs: no cluster has a service {key}{near}"
                yield Problem(str(policy), lacks, "says nothing until there is one")


def _powerless(config: Config) -> Iterator[Problem]:
    """Entries of `admins` who have no way to prove themselves."""
    from tideover_identity.permission import cluster_of

    live = {one.name for one in config.clusters if one.live}
    for admin in config.admins:
        cluster = cluster_of(admin)
        if cluster and cluster not in live:
            lacks = f"{cluster!r} is no live cluster of this file"
            yield Problem(f"Admin {admin}", lacks, "may write only where the hub registers that cluster")
        elif not cluster and (config.tls is None or config.tls.client_ca is None):
            yield Problem(
                f"Admin {admin}", "no certificates are asked for: set tls.clientCA", "may not write"
            )


def _unusable_tls(config: Config) -> Iterator[Flaw]:
    """What `run` would refuse to start with."""
    if config.tls is None:
        return
    from tideover_identity.files import BadMaterialError, TlsFiles

    try:
        TlsFiles(config.tls.cert, config.tls.key, config.tls.client_ca)
    except BadMaterialError as error:
        yield config.flaw(str(error), "tls")


def add_to(program: typer.Typer) -> None:
    """Make `check` a command of `program`."""
    program.command("check")(check_command)
