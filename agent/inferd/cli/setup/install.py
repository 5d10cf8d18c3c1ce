"""`inferd install` and `inferd uninstall`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from inferd.errors import InferdError
from inferd.install.environment import Environment
from inferd.install.host import Host, run_program
from inferd.install.steps import install as install_on
from inferd.install.steps import uninstall as uninstall_from

ROOT = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="/",
    help="Work on the system image in this folder instead of this system.",
)


@click.command()
@ROOT
@click.option("--no-start", is_flag=True, help="Enable the service, but do not start it now.")
def install(root: Path, *, no_start: bool) -> None:
    """Make a system service of this inferd: user, folders, units, a sample configuration; then start it.

    Needs root. Run it again after an upgrade: it updates everything and keeps configuration and state. The Debian package
    does all of this itself.
    """
    _need_root(root, "install")
    host = Host(root.resolve(), run_program, click.echo)
    install_on(host, Environment.running(), start=not no_start)
    click.echo("inferd is installed" if host.changed else "inferd is installed already; nothing changed")
    if host.booted:
        click.echo("see its state: systemctl status inferd; journalctl -u inferd")
        click.echo("let your account drop models into /var/lib/inferd/models: sudo usermod -aG inferd $USER")


@click.command()
@ROOT
@click.option("--purge", is_flag=True, help="Remove configuration, models, state and the user inferd as well.")
def uninstall(root: Path, *, purge: bool) -> None:
    """Undo `inferd install`. Configuration and state stay where they are unless --purge is given."""
    _need_root(root, "uninstall")
    host = Host(root.resolve(), run_program, click.echo)
    uninstall_from(host, Environment.running(), purge=purge)
    kept = "" if purge else "; /etc/inferd and /var/lib/inferd are kept (--purge removes them)"
    click.echo(f"inferd is uninstalled{kept}" if host.changed else "inferd was not installed; nothing changed")


def _need_root(root: Path, verb: str) -> None:
    if root.resolve() == Path("/") and os.geteuid() != 0:
        program = Path(sys.argv[0]).absolute()
        raise InferdError(f"inferd {verb}", f"changes the system and so needs root; run `sudo {program} {verb}`")
