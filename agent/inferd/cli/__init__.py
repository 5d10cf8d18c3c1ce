"""The command line: a thin shell around the other packages. It must never hold logic that a library caller would need."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module

import click

from inferd import __version__
from inferd.cli.pasteable_commands import as_called
from inferd.errors import ConfigError, InferdError

BAD_CONFIG = 78  # EX_CONFIG of sysexits.h: systemd is told not to try again

COMMANDS = {
    "run": "inferd.cli.run:run",
    "demo": "inferd.cli.demo:demo",
    "infer": "inferd.cli.models.infer:infer",
    "snapshot": "inferd.cli.snapshot:snapshot",
    "models": "inferd.cli.models.commands:models",
    "vet": "inferd.cli.models.vet:vet",
    "config": "inferd.cli.setup.config:config",
    "init": "inferd.cli.setup.init:init",
    "results": "inferd.cli.results:results",
    "status": "inferd.cli.status:status_command",
    "watch": "inferd.cli.broker.watch:watch",
    "ask": "inferd.cli.broker.request:ask",
    "forget": "inferd.cli.broker.forget:forget",
    "doctor": "inferd.cli.setup.doctor:doctor",
    "selftest": "inferd.cli.setup.selftest:selftest",
    "support-bundle": "inferd.cli.setup.support_bundle:support_bundle",
    "install": "inferd.cli.setup.install:install",
    "uninstall": "inferd.cli.setup.install:uninstall",
    "version": "inferd.cli.setup.version:version",
}


class SuggestingGroup(click.Group):
    """Names the nearest command when a command is unknown."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begins with; fail with the nearest name where there is none."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            near = difflib.get_close_matches(args[0], known, n=1)
            ctx.fail(
                f"there is no command {args[0]!r}; "
                + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}")
            )
        return super().resolve_command(ctx, args)


class Commands(SuggestingGroup):
    """Imports each command when it is called, to keep start-up fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return all names, in the order of first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command, None if it is unknown."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Run TensorFlow Lite models on this device.

    `inferd demo` shows the whole agent at work without a camera, a broker or a configuration. `inferd infer MODEL PICTURE`
    tries a model on a picture. `inferd run` is the service.
    """


def main() -> None:
    """Run the command line; turn errors that the user can fix into one sentence and an exit code."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as exc:  # standard output on a full disk, say; what we foresee has a sentence of its own
        click.echo(f"inferd: {exc.filename or 'output'}: {exc.strerror}", err=True)
        sys.exit(1)
    except UnicodeEncodeError:
        click.echo("inferd: a name on the command line is not UTF-8; rename the file", err=True)
        sys.exit(1)
    except ConfigError as exc:
        click.echo(as_called(f"inferd: {exc}"), err=True)
        sys.exit(BAD_CONFIG)
    except InferdError as exc:
        click.echo(as_called(f"inferd: {exc}"), err=True)
        sys.exit(1)
