"""A papermill engine that tells the truth and does not rewrite the notebook for every cell.

papermill's own engine marks cells that never ran `completed`, writes the whole file twice a cell, not atomically, and
waits without bound for a last reply. This one saves whole files, at most every few seconds, and leaves each cell with
what happened to it. Use it by name: `papermill --engine runner in.ipynb out.ipynb`.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_core.utils import run_sync
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager

from runner.report import notebooks
from runner.report.kernels import SPEC, WARM, Specs, WarmProvisioner

Tell = Callable[[dict[str, Any]], None]

SAVE_EVERY = 2.0  # seconds; longer when a save is slow
LEAVING = 2.0  # seconds for a kernel to leave by itself, and to be gone once killed
GREETING = 2.0  # seconds in which a kernel must greet; one that does not is asked
STREAM_LIMIT = 1_000_000  # characters of printed text kept of one cell
_CUT = "\n[the rest of this cell's printed text was cut]\n"


class Keeper(NotebookExecutionManager):  # type: ignore[misc]
    """Keeps the notebook's state on disk and tells of each cell that starts."""

    def __init__(self, nb: NotebookNode, path: Path | None, tell: Tell) -> None:
        super().__init__(nb, output_path=None, progress_bar=False, autosave_cell_every=0)
        self.path = path
        self.tell = tell
        self.indent: int | None = 1
        self.next_save = 0.0

    def save(self, **_: Any) -> None:
        """Save if the last save is long enough ago; a slow save makes the next one rarer."""
        if time.monotonic() >= self.next_save:
            self.save_now()

    def save_now(self) -> None:
        """Save, whatever the clock says."""
        began = time.monotonic()
        if self.path:
            notebooks.write(self.nb, self.path, self.indent)
        self.next_save = time.monotonic() + max(SAVE_EVERY, 20 * (time.monotonic() - began))

    def kernel_began(self, how: str) -> None:
        """Tell how the kernel began."""
        self.tell({"event": "kernel", "how": how})

    def cell_start(self, cell: Any, cell_index: int | None = None, **_: Any) -> None:
        """Note that a cell begins."""
        cell.metadata.papermill.update(start_time=self.now().isoformat(), status=self.RUNNING, exception=False)
        self.tell({"event": "cell", "index": cell_index})
        self.save()

    def notebook_complete(self, **_: Any) -> None:
        """Note the end; what never ran stays `pending`."""
        self.end_time = self.now()
        duration = (self.end_time - self.start_time).total_seconds()
        self.nb.metadata.papermill.update(end_time=self.end_time.isoformat(), duration=duration)
        self.save_now()


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """papermill's client with bounded waiting, a bound on what a cell may print, and kernels that begin warm."""

    cold = ""  # why the kernel is not to be a warm one; empty: it is
    km: Any
    kc: Any

    def create_kernel_manager(self) -> Any:
        """A kernel manager that knows our kernelspec, installed or not."""
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = Specs(cold=self.cold)
        manager.shutdown_wait_time = LEAVING
        return manager

    def execute(self, **kwargs: Any) -> Any:
        """Run every cell. No last question to the kernel: waiting for its answer has no bound."""
        self.reset_execution_trackers()
        self.printed: dict[int, int] = {}
        with self.setup_kernel(**kwargs):
            self.nb_man.kernel_began(getattr(self.km.provisioner, "how", ""))
            self.papermill_execute_cells()
            self.set_widgets_metadata()
        return self.nb

    async def async_start_new_kernel_client(self) -> Any:
        """A client whose kernel answers; told of a subscription, an IPython kernel greets, and that is enough."""
        provisioner = self.km.provisioner
        if not isinstance(provisioner, WarmProvisioner) or provisioner.how != WARM:
            return await super().async_start_new_kernel_client()
        self.kc = self.km.client()
        self.kc.allow_stdin = False
        self.kc.start_channels()
        try:
            await self.kc.iopub_channel.get_msg(timeout=GREETING)
        except queue.Empty:
            await self.kc.wait_for_ready(timeout=self.startup_timeout)
        return self.kc

    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    async def _async_cleanup_kernel(self) -> None:
        """Ask the kernel to leave, wait for its end, and kill it if it stays."""
        provisioner = self.km.provisioner
        if not isinstance(provisioner, WarmProvisioner):
            await super()._async_cleanup_kernel()
            return
        try:
            if provisioner.has_process and await provisioner.poll() is None:
                await self.km.request_shutdown()
                await _left(provisioner)
        finally:
            await self.km.cleanup_resources()
            if self.kc is not None:
                self.kc.stop_channels()
            self.kc = self.km = None

    _cleanup_kernel = run_sync(_async_cleanup_kernel)

    def papermill_execute_cells(self) -> None:
        """Run cells until one fails. A cell is complete only when the kernel said so."""
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, cell_index=index)
            try:
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self.nb_man.cell_exception(cell, cell_index=index, exception=error)
                return
            self.nb_man.cell_complete(cell, cell_index=index)

    def output(self, outs: list[Any], msg: dict[str, Any], display_id: Any, cell_index: int) -> Any:
        """Keep an output, or drop printed text beyond the limit and say so once."""
        if msg["msg_type"] != "stream":
            return super().output(outs, msg, display_id, cell_index)
        before = self.printed.get(cell_index, 0)
        self.printed[cell_index] = before + len(msg["content"]["text"])
        if before >= STREAM_LIMIT:
            return None
        if self.printed[cell_index] >= STREAM_LIMIT:
            msg["content"]["text"] = msg["content"]["text"][: STREAM_LIMIT - before] + _CUT
        return super().output(outs, msg, display_id, cell_index)


async def _left(provisioner: WarmProvisioner) -> None:
    try:
        await asyncio.wait_for(provisioner.wait(), LEAVING)
    except TimeoutError:
        await provisioner.kill()
        await asyncio.wait_for(provisioner.wait(), LEAVING)


class RunnerEngine(Engine):  # type: ignore[misc]
    """The engine named `runner`."""

    @classmethod
    def execute_notebook(  # noqa: PLR0913, PLR0917 - papermill's signature
        cls,
        nb: NotebookNode,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: Any = True,  # noqa: ARG003, FBT002
        log_output: bool = False,  # noqa: FBT001, FBT002
        autosave_cell_every: int = 30,  # noqa: ARG003
        keep: Path | None = None,
        tell: Tell = lambda _: None,
        began: Callable[[Keeper], None] = lambda _: None,
        **kwargs: Any,
    ) -> Any:
        """Execute; `tell` hears of cells, `began` is handed the keeper, and `cold` says why no kernel is to be warm.

        With `keep`, a path, the executed notebook lies there and what is handed back has no outputs but errors.
        """
        keeper = Keeper(nb, keep or (Path(output_path) if output_path else None), tell)
        keeper.indent = None if keep else 1  # what is kept is read by a program, which writes the final file
        keeper.notebook_start()
        began(keeper)
        try:
            cls.execute_managed_notebook(keeper, kernel_name, log_output=log_output, **kwargs)
        finally:
            keeper.notebook_complete()
        return _hollow(keeper.nb) if keep else keeper.nb

    @classmethod
    def execute_managed_notebook(cls, nb_man: Keeper, kernel_name: str, **kwargs: Any) -> None:
        """Run the cells in a kernel of this name; an ordinary one for Python begins warm unless `cold` says why not."""
        timeout = kwargs.get("execution_timeout")
        client = Client(
            nb_man,
            kernel_name=SPEC if kernel_name == "python3" else kernel_name,
            timeout=int(timeout) if timeout else None,
            startup_timeout=kwargs.get("start_timeout", 60),
            iopub_timeout=30,  # seconds; the default of 4 fails on a stalled machine
            force_raise_errors=True,
        )
        client.cold = kwargs.get("cold") or ""
        if client.kernel_name == SPEC:
            client.extra_arguments = ["--HistoryManager.hist_file=:memory:"]  # nobody looks back, and all would wait
        client.execute()


def _hollow(nb: NotebookNode) -> NotebookNode:
    """The notebook with its errors and without other outputs: papermill looks for those, and writes all the rest."""
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.output_type == "error"]
    return nb
