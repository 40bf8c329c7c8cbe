"""API servers that the operator names by contexts of a kubeconfig, and what to say when that fails."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .failure import Code, Failure, wrong_use

if TYPE_CHECKING:
    from tideover_discovery.kubernetes.client import Api, ApiError
    from tideover_discovery.kubernetes.client.kubeconfig import Chosen


def file_with(context: str, kubeconfig: Path | None) -> Path:
    """The kubeconfig that has this context; a Failure that lists those there are."""
    files = [kubeconfig] if kubeconfig else _usual()
    found: list[str] = []
    for path in files:
        names = _contexts(path, must_be=kubeconfig is not None)
        if context in names:
            return path
        found += names
    where = ", ".join(str(path) for path in files)
    there = f"the contexts there are: {', '.join(sorted(found))}" if found else "there is none"
    raise wrong_use(f"no context {context!r} in {where}; {there}")


def chosen(context: str, path: Path) -> Chosen:
    """What the context names."""
    from tideover_discovery.kubernetes.client import BadKubeconfig
    from tideover_discovery.kubernetes.client.kubeconfig import choose

    try:
        return choose(path.read_bytes(), context, folder=path.absolute().parent)
    except (BadKubeconfig, OSError) as error:
        raise wrong_use(f"kubeconfig {path}, context {context}: {error}") from None


@asynccontextmanager
async def connected(context: str, path: Path) -> AsyncIterator[Api]:
    """The API server of a context; what it refuses in the block becomes a Failure."""
    from tideover_discovery.kubernetes.client import Api, ApiError, KubeconfigFile

    api = Api(KubeconfigFile(path, context), name=context)
    try:
        yield api
    except ApiError as error:
        raise _failure(context, error) from None
    finally:
        await api.close()


async def found(api: Api, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """An object, or a list; None when it does not exist."""
    import msgspec

    from tideover_discovery.kubernetes.client import ApiError

    try:
        body = await api.get(path, query or {})
    except ApiError as error:
        if error.status == 404 and error.body:  # an API server says it in a Status
            return None
        raise
    said: dict[str, Any] = msgspec.json.decode(body)
    return said


def _failure(context: str, error: ApiError) -> Failure:
    if error.status == 0:
        return Failure(Code.NOT_REACHABLE, f"context {context}: {error.reason}")
    if error.status == 403:
        said = error.body.get("message") or error.reason
        return Failure(Code.NO, f"context {context} may not do this: {said}")
    doubt = "; is it a Kubernetes API server?" if error.status == 404 and not error.body else ""
    return Failure(Code.NO, f"context {context}: {error.reason}{doubt}")


def _usual() -> list[Path]:
    named = os.environ.get("KUBECONFIG", "")
    files = [Path(name) for name in named.split(os.pathsep) if name]
    return files or [Path.home() / ".kube" / "config"]


def _contexts(path: Path, *, must_be: bool) -> list[str]:
    import yaml

    try:
        said = yaml.safe_load(path.read_bytes())
    except OSError as error:
        if must_be:
            raise wrong_use(f"cannot read {path}: {error.strerror}") from None
        return []
    except yaml.YAMLError:
        raise wrong_use(f"{path} is not YAML") from None
    entries = said.get("contexts") if isinstance(said, dict) else None
    return [
        str(one.get("name"))
        for one in (entries if isinstance(entries, list) else ())
        if isinstance(one, dict)
    ]
