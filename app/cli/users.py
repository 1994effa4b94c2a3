"""``linecall user``: accounts."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.base import database, new_app, settings, table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.db.tables import User

app = new_app("user", "Accounts: make the first admin, list them, print a sign-in link, disable one.")
Email = Annotated[str, typer.Argument(help="The account's e-mail address.")]


@app.command("create-admin")
def create_admin(
    email: Email,
    name: Annotated[str, typer.Option(help="The name that others see.")] = "Admin",
    link: Annotated[bool, typer.Option("--link", help="Print a one-time sign-in link in place of a password.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Make a site admin, who may create projects and see every one. Asks for a password twice.

    Exit codes: 0 made; 1 refused; 2 wrong usage.
    """
    from app.services import accounts, passwords

    if link and password_stdin:
        raise typer.BadParameter("a link or a password, not both", param_hint="--link")
    password = None if link else _password(password_stdin)
    email, name = accounts.clean_email(email), accounts.clean_name(name)
    config = settings()
    with database(config) as db:
        # Hashing is slow, so it comes before the transaction.
        hashed = None if password is None else passwords.hash_password(password)
        with db.write() as session:
            user = accounts.insert_user(session, email=email, name=name, password_hash=hashed, is_site_admin=True)
            token = _link_token(session, user) if link else ""
    typer.echo(f"{config.resolved_base_url}/sign-in/{token}" if link else f"{email} can sign in.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True))


@app.command("list")
def list_users() -> None:
    """Print every account.

    Exit codes: 0 printed; 1 failed; 2 wrong usage.
    """
    from sqlalchemy import select

    from app.db.tables import User

    with database(settings()) as db, db.read() as session:
        users = session.scalars(select(User).order_by(User.email)).all()
    rows = [(u.email, u.name, "admin" if u.is_site_admin else "", "disabled" if u.disabled_at else "") for u in users]
    typer.echo(table(("e-mail", "name", "site", "state"), rows))


@app.command("link")
def link(email: Email) -> None:
    """Print a link that signs this person in once, within a day. It is the whole account: give it to nobody else.

    Exit codes: 0 printed; 1 no such account, or disabled; 2 wrong usage.
    """
    from app.errors import Conflict

    config = settings()
    with database(config) as db, db.write() as session:
        user = _find(session, email)
        if user.disabled_at is not None:
            raise Conflict(f"{user.email} is disabled. 'linecall user disable --enable {user.email}' ends that.")
        token = _link_token(session, user)
    typer.echo(f"{config.resolved_base_url}/sign-in/{token}")


@app.command("disable")
def disable(
    email: Email, enable: Annotated[bool, typer.Option("--enable", help="Let them in again instead.")] = False
) -> None:
    """Sign someone out everywhere and keep them out; their answers stay.

    Exit codes: 0 done; 1 no such account; 2 wrong usage.
    """
    from app.services import accounts

    with database(settings()) as db, db.write() as session:
        user = _find(session, email)
        accounts.set_disabled(session, user, disabled=not enable)
    typer.echo(f"{user.email} is {'enabled' if enable else 'disabled'}.")


def _find(session: "Session", email: str) -> "User":
    from app.errors import NotFound
    from app.services import accounts

    user = accounts.find_user(session, email)
    if user is None:
        raise NotFound(f"There is no account {email}.")
    return user


def _link_token(session: "Session", user: "User") -> str:
    from app.services import invitations

    return invitations.create_sign_in_link(session, user.id)
