"""`inferd support-bundle`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from inferd.cli.setup.doctor import WITHIN_S, around
from inferd.config.load import device_id
from inferd.doctor.registry import CHECKS
from inferd.doctor.runner import examine
from inferd.doctor.support_bundle import pack, parts
from inferd.errors import InferdError
from inferd.system.files.atomic import write_atomic

PRIVATE = 0o600  # it tells much of the device; who packs it decides who reads it
PACK_S = 10.0  # for logs and listings, after the examination


@click.command("support-bundle")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="Read this file instead of /etc/inferd/inferd.toml."
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Where to write it; else a file here, with its date."
)
def support_bundle(file: Path | None, output: Path | None) -> None:
    """Collect diagnostics into one file for a bug report, without secrets and without pictures.

    It holds the doctor's report, versions, the configuration with secrets hidden, names and sizes of stored files, what the
    models are, the running agent's figures and its models' states, and the end of the log. Nothing is sent anywhere; look into
    it before you do: tar xzf FILE.
    """
    report = examine(around(file, WITHIN_S), CHECKS)
    world = around(file, PACK_S)
    packed = list(parts(world, report))
    today = datetime.fromtimestamp(world.clock.wall_s(), UTC)
    folder = f"inferd-support-{device_id(world.configured)}-{today:%Y%m%d-%H%M%S}"
    bundle = (output or Path(f"{folder}.tar.gz")).absolute()
    try:
        write_atomic(bundle, pack(packed, folder, world.clock.wall_s()), mode=PRIVATE)
    except OSError as exc:
        raise InferdError(str(bundle), f"cannot be written ({exc.strerror}); name another place with --output") from exc
    for part in packed:
        click.echo(
            f"{part.name:<24} {f'{len(part.content):>9,} bytes' if not part.why_not else f'left out: {part.why_not}'}"
        )
    click.echo(f"wrote {bundle} ({bundle.stat().st_size:,} bytes); read it before you send it")
