"""From click's options to the call that assembly takes."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from auto_loop.domain.call import AutorunCall


def autorun_call(ctx: click.Context, options: Mapping[str, Any]) -> AutorunCall:
    """The call; `given` holds the options that really stood on the command line."""
    names = {item.name for item in fields(AutorunCall)}
    values = {name: value for name, value in options.items() if name in names}
    given = {n for n in values if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE and values[n] != ()}
    return AutorunCall(**values, given=frozenset(given))
