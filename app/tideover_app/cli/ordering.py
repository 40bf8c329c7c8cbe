"""`tideover drain|shift|freeze`, `orders` and `undo`: the operator's hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .connection import ANSWER_WITHIN_S, DEFAULT_SERVER, Server, connected
from .failure import Code, Failure, wrong_use
from .output import Document, Format, Output, document, show

if TYPE_CHECKING:
    from tideover_proto.admin.v1.admin_pb2_grpc import AdminStub

LOOK_EVERY_S = 0.5
PLAN_WITHIN_S = 60.0  # a dry run of a large world takes its time
MARGIN_S = 30.0

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="cluster/C, region/R, zone/Z, service/NS/NAME[@CLUSTER] or endpoint/[NETWORK/]ADDRESS:PORT; "
        "commas mean 'and'.",
    ),
]
For = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, as in 2h or 30m: it expires.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever finds it.")]
Percent = Annotated[float, typer.Option("--percent", help="Of the target's traffic.")]
Over = Annotated[str, typer.Option("--over", metavar="DURATION", help="In steps, over this time.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what it would do; anyone may.")]
Wait = Annotated[bool, typer.Option("--wait", help="Show its progress, until it is wholly in force.")]


def drain_command(  # noqa: PLR0913, PLR0917 (one parameter per option is how typer reads them)
    target: Target,
    lasts: For,
    reason: Reason,
    percent: Percent = 100.0,
    over: Over = "0",
    dry_run: DryRun = False,
    force_empty: Annotated[
        bool, typer.Option("--force-empty", help="Also where it leaves clients without a healthy place.")
    ] = False,
    wait: Wait = False,
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """Take traffic away from a place, service or endpoint.

    Calls that run may end; with --dry-run see first what moves, and where to. Needs the control plane's Unix
    socket (--server unix:STATE/admin.sock), or an identity that its `admins` name."""
    asked = _request("Drain", target, lasts, reason, percent=percent, over=over)
    asked.dry_run, asked.force_empty = dry_run, force_empty
    _place(server, asked, output, wait=wait)


def shift_command(  # noqa: PLR0913, PLR0917 (one parameter per option is how typer reads them)
    target: Target,
    to: Annotated[str, typer.Option("--to", metavar="TARGET", help="cluster/C, region/R or zone/Z.")],
    lasts: For,
    reason: Reason,
    percent: Percent = 100.0,
    over: Over = "0",
    dry_run: DryRun = False,
    wait: Wait = False,
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """Send a part of a target's traffic to another place.

    Needs the control plane's Unix socket (--server unix:STATE/admin.sock), or an identity that its `admins`
    name."""
    asked = _request("Shift", target, lasts, reason, percent=percent, over=over)
    asked.to, asked.dry_run = to, dry_run
    _place(server, asked, output, wait=wait)


def freeze_command(
    target: Target,
    lasts: For,
    reason: Reason,
    dry_run: DryRun = False,
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """Let nothing change by itself there; facts still count.

    Needs the control plane's Unix socket (--server unix:STATE/admin.sock), or an identity that its `admins`
    name."""
    asked = _request("Freeze", target, lasts, reason)
    asked.dry_run = dry_run
    _place(server, asked, output, wait=False)


def orders_command(server: Server = DEFAULT_SERVER, output: Output = Format.TABLE) -> None:
    """List orders.

    How far each is, which others it meets, and what is still open to what it drains."""
    from . import tables_orders

    with connected(server) as stub:
        show(_listed(stub), output, lambda answer: tables_orders.orders(answer, time.time()))


def undo_command(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="Its name, as `orders` prints it.")],
    wait: Annotated[bool, typer.Option("--wait", help="Until its traffic is back.")] = False,
    server: Server = DEFAULT_SERVER,
    output: Output = Format.TABLE,
) -> None:
    """End an order; its traffic comes back in steps.

    Needs the control plane's Unix socket (--server unix:STATE/admin.sock), or an identity that its `admins`
    name."""
    from tideover_proto.admin.v1 import admin_pb2 as pb

    from . import tables_orders

    with connected(server) as stub:
        answer = document(stub.UndoOrder(pb.UndoOrderRequest(order=order), timeout=ANSWER_WITHIN_S))
        if wait:
            answer = _follow(stub, answer, "Over")
        show(answer, output, tables_orders.undone)


def _request(
    action: str, target: str, lasts: str, reason: str, *, percent: float = 0.0, over: str = "0"
) -> Any:
    from tideover_discovery.durations import seconds
    from tideover_proto.admin.v1 import admin_pb2 as pb

    if action != "Freeze" and not 0 < percent <= 100:
        raise wrong_use(f"--percent {percent:g} is not more than 0 and at most 100")
    spans = []
    for option, said in (("--for", lasts), ("--over", over)):
        try:
            spans.append(seconds(said))
        except ValueError as error:
            raise wrong_use(f"{option}: {error}") from None
    return pb.PlaceOrderRequest(
        action=action,
        target=target,
        percent=percent,
        over_seconds=spans[1],
        for_seconds=spans[0],
        reason=reason,
    )


def _place(server: str, asked: Any, output: Format, *, wait: bool) -> None:
    from . import tables_orders

    with connected(server) as stub:
        answer = document(stub.PlaceOrder(asked, timeout=PLAN_WITHIN_S))
        for remark in answer["remarks"]:
            typer.echo(f"tideover: {remark}", err=True)
        if asked.dry_run:
            show(answer, output, tables_orders.dry_run)
            if answer["refusal"]:
                raise Failure(Code.NO, f"it would be refused: {answer['refusal']}")
            return
        if wait:
            goal = "Drained" if asked.action == "Drain" and asked.percent >= 100 else "InForce"
            answer["order"] = _follow(stub, answer["order"], goal)
    show(answer, output, tables_orders.placed)


def _follow(stub: AdminStub, order: Document, goal: str) -> Document:
    """The order once it is in this state, with its progress on stderr."""
    told, until_s, last = "", time.monotonic() + MARGIN_S, order
    while True:
        found = next((one for one in _listed(stub)["orders"] if one["name"] == order["name"]), None)
        state = found["state"] if found is not None else "Over"
        said = f"{order['name']}: {state}" + (f", {found['percentNow']:g} % in force" if found else "")
        if said != told:
            typer.echo(f"tideover: {said}", err=True)
            told = said
            # as long as the control plane says that this takes, and a margin
            until_s = time.monotonic() + max(0.0, found["nextInSeconds"] if found else 0.0) + MARGIN_S
        last = found or {**last, "state": state, "percentNow": 0.0}
        if state == goal:
            return last
        if state in ("Over", "Returning") and goal != "Over":
            raise Failure(Code.NO, f"{order['name']} has ended: {last['why'] or 'it is gone'}")
        if time.monotonic() > until_s:
            raise Failure(Code.NO, f"{order['name']} is {state} for too long; see `tideover orders`")
        time.sleep(LOOK_EVERY_S)


def _listed(stub: AdminStub) -> Document:
    from tideover_proto.admin.v1 import admin_pb2 as pb

    return document(stub.ListOrders(pb.ListOrdersRequest(), timeout=ANSWER_WITHIN_S))


def add_to(program: typer.Typer) -> None:
    """Make these commands of `program`."""
    program.command("drain")(drain_command)
    program.command("shift")(shift_command)
    program.command("freeze")(freeze_command)
    program.command("orders")(orders_command)
    program.command("undo")(undo_command)
