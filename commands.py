"""Commands of `flask --app app`: each calls one service and is safe to run twice."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy import func, select

from blueprints._metrics import clear_metrics
from jobs import sweep_once
from models import Plan, StaffRole, db
from services import audit, usage
from services.accounts import EmailInvalid
from services.audit import COMMAND
from services.catalogue_sync import NothingListed, sync_catalogue
from services.demo_accounts import seed_accounts
from services.demo_catalogue import seed_catalogue
from services.mail.reminders import send_reminders
from services.orders import OrderNotFound
from services.reconcile import reconcile
from services.shop import Shop
from services.staff import invite
from services.staff_deliveries import NoSuchStep, Step, take_up
from services.stuck import list_stuck
from services.supplier_webhooks import webhook_url
from services.suppliers import SupplierError

COMMANDS: list[click.Command] = []


def register_commands(app: Flask) -> None:
    """Register every command."""
    for each in COMMANDS:
        app.cli.add_command(each)


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command that runs in the shop's application context."""

    def decorate(function: Callable[..., None]) -> click.Command:
        COMMANDS.append(click.command(name)(with_appcontext(function)))
        return COMMANDS[-1]

    return decorate


def shop() -> Shop:
    """Return the shop's tools."""
    bundle: Shop = current_app.extensions["shop"]
    return bundle


@command("seed-demo")
def seed_demo() -> None:
    """Put the demo catalogue and two accounts into an empty database."""
    if db.session.scalar(select(func.count()).select_from(Plan)):
        click.echo("the database already has plans; nothing was changed")
        return
    with shop().transaction() as session:
        seed_catalogue(session)
        sign_ins = seed_accounts(session, shop().clock.now())
    for sign_in in sign_ins:
        click.echo(f"{sign_in.role}: {sign_in.email} {sign_in.password}")


@command("worker")
def worker() -> None:
    """Do the shop's work: fulfilment, mail, refunds, reconciling; until Ctrl-C or SIGTERM."""
    # What an earlier worker left behind need not wait for the next full minute.
    sweep_once(shop())
    # Threads wait for others most of the time: for the supplier, for Stripe, for the mail server.
    current_app.extensions["queue"].create_consumer(workers=8, worker_type="thread", backoff=1.15, max_delay=1.0).run()


@command("reconcile")
@click.option("--deep", is_flag=True, help="Look back eight days instead of three, 45 for refunds and disputes.")
def reconcile_command(deep: bool) -> None:
    """Put our books beside Stripe's and the supplier's, and finish what is open."""
    report = reconcile(shop(), deep=deep)
    click.echo(", ".join(f"{name}: {count}" for name, count in sorted(report.outcomes.items())) or "nothing to do")
    if report.errors:
        sys.exit(f"{report.errors} could not be looked up; run it again later")


@command("stuck")
def stuck_command() -> None:
    """List what waits for a person, with the reason and what to do next."""
    items = list_stuck(db.session(), shop().clock.now())
    for item in items:
        click.echo(f"{item.since:%Y-%m-%d %H:%M}  {item.name}  {item.reason}\n    {item.advice}")
    click.echo(f"waiting for a person: {len(items)}")


@command("retry-order")
@click.argument("public_id")
def retry_order(public_id: str) -> None:
    """Put a held order back to work after a person has looked at it, or have one that is under way looked at now."""
    try:
        step = take_up(shop(), public_id, by=COMMAND)
    except OrderNotFound:
        sys.exit(f"there is no order {public_id}")
    except NoSuchStep:
        sys.exit("this order is not held, or its money is not ours; nothing was changed")
    click.echo("back to work" if step is Step.RETRY else "it is looked at now")


@command("send-reminders")
def send_reminders_command() -> None:
    """Remind travellers whose data or days run out."""
    click.echo(f"reminders queued: {send_reminders(shop())}")


@command("sync-usage")
def sync_usage() -> None:
    """Read what is left of every living eSIM."""
    click.echo(f"eSIMs read: {usage.sync(shop())}")


@command("sync-catalogue")
def sync_catalogue_command() -> None:
    """Compare the shelf with what the supplier sells."""
    try:
        found = sync_catalogue(shop(), by=COMMAND)
    except (SupplierError, NothingListed) as error:
        sys.exit(f"the supplier could not be asked: {error}")
    click.echo(f"costs changed: {found.costs}, gone: {found.gone}, no longer topped up: {found.no_topup}")


@command("connect-supplier")
def connect_supplier() -> None:
    """Tell the supplier where to send its webhooks; the shop has to be running."""
    try:
        shop().supplier.register_webhook(webhook_url(shop().settings, shop().supplier.code))
    except SupplierError as error:
        sys.exit(f"the supplier did not accept the address: {error}")
    with shop().transaction() as session:
        audit.record(session, audit.Action.SUPPLIER_CONNECTED, audit.SHOP, by=COMMAND, now=shop().clock.now())
    click.echo("the supplier's webhooks come to this shop")


@command("create-staff")
@click.argument("email")
@click.option("--name", help="The name that colleagues know; of a new member, the address before the @ by default.")
@click.option(
    "--role", type=click.Choice([role.value for role in StaffRole]), help="Of a new member, support by default."
)
def create_staff(email: str, name: str | None, role: str | None) -> None:
    """Print a set-up link for a member of staff; a second run prints a fresh one and ends the first."""
    try:
        with shop().transaction() as session:
            wanted = StaffRole(role) if role else None
            invitation = invite(session, email, name, wanted, shop().clock.now(), by=COMMAND)
    except EmailInvalid as error:
        sys.exit(f"{email}: {error}")
    click.echo("open this link within two days to choose a password:")
    click.echo(f"{shop().settings.shop_url}/staff/set-up/{invitation.secret}")


@command("prepare-web")
def prepare_web() -> None:
    """Check the settings once, before the web server starts its processes, and forget its last run's figures."""
    clear_metrics(current_app)
