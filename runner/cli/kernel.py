"""The command about warm kernels."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli.base import AsJson, app, load

KERNEL = """Make the warm kernel known to Jupyter in this environment.

JupyterLab, nbclient, nbval and papermill then start it by the name `runner`: a kernel forked from a parent that has
pandas, matplotlib and all else imported. Where that cannot be, an ordinary kernel serves.

\b
Examples:
  runner kernel
  jupyter lab --MultiKernelManager.default_kernel_name=runner
  papermill --kernel runner in.ipynb out.ipynb
"""


@app.command("kernel", help=KERNEL, short_help="Make the warm kernel known to Jupyter.")
def kernel_command(
    context: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Take the kernelspec away.")] = False,  # noqa: FBT002
    stop: Annotated[bool, typer.Option("--stop", help="Let this project's warm parent go.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Install or remove the kernelspec."""
    from runner.commands import kernel  # noqa: PLC0415

    raise typer.Exit(kernel.kernel(load(context), remove=remove, stop=stop, as_json=as_json))
