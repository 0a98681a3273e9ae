"""Ports of this machine for the servers that a command starts."""

import socket

import click

from destination.errors import Problem


def free_port(wanted: int = 0) -> int:
    """`wanted`, or any other where it is taken; 0 for any. Raises Problem where there is none."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                click.echo(f"Port {port} is taken: another one is used.", err=True)
                continue
            return int(probe.getsockname()[1])
    raise Problem("There is no free port on 127.0.0.1.")
