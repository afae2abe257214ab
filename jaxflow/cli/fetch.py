"""`jaxflow fetch`: get a built-in model."""

import argparse

from jaxflow._parser import Commands, Parser
from jaxflow.cli.commands import COMMANDS
from jaxflow.models import builtin

NAMES = {"name": "NAME"}


def add(commands: Commands) -> Parser:
    """Add the command."""
    parser = commands.add_parser("fetch", help=COMMANDS["fetch"], description="Get a built-in model, once.")
    _ = parser.add_argument("name", metavar="NAME", help="the model's name: minilm")
    _ = parser.add_argument("--force", action="store_true", help="fetch it again, whatever is there")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Get the model."""
    _ = builtin.fetch(arguments.name, report=print, force=arguments.force)
    return 0
