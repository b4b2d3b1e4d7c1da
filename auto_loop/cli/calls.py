"""From click's options to the call that assembly takes."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import click
from click.core import ParameterSource

from auto_loop.domain.call import AutorunCall, VariantCall


def autorun_call(ctx: click.Context, options: Mapping[str, Any]) -> AutorunCall:
    """The call; `given` holds the options that really stood on the command line."""
    names = {item.name for item in fields(AutorunCall)}
    values = {name: value for name, value in options.items() if name in names}
    given = {n for n in values if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE and values[n] != ()}
    return AutorunCall(**values, given=frozenset(given))


def variant_call(ctx: click.Context, options: Mapping[str, Any]) -> VariantCall:
    """The call of generate_and_run: the variant, and the autorun call that would run it."""
    run = autorun_call(ctx, {name: value for name, value in options.items() if value is not None})
    return VariantCall(
        base_cfg=options["base_cfg"],
        reason=options["reason"],
        changes=options["changes"],
        out_dir=options["out_dir"],
        steps=options["steps"],
        log_freq=options["log_freq"],
        eval_freq=options["eval_freq"],
        run=replace(run, extra=options["extra_args"]),
    )
