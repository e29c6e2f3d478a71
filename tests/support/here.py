"""Workers that are no processes: jobs run in the test's own, which starts in no time."""

from __future__ import annotations

from benchmarks.runs.jobs import ExitStatus, Job
from benchmarks.runs.worker import error_line, exit_status_of, run_job
from benchmarks.scheduling.protocol import OnMessage, ProcessExit, WorkItem


class Here:
    """Stands for `WorkerProcess`: does the job at once and reports how it ended."""

    asked: list[Job]
    """The jobs so far, as a worker reads them."""

    def __init__(self, item: WorkItem, on_message: OnMessage, **_: object) -> None:
        job = Job.from_json(item.worker_job.to_json())
        self.asked.append(job)
        status: int = ExitStatus.DONE
        try:
            run_job(job, lambda **event: on_message(event))
        except Exception as error:
            on_message({"phase": "failed", "reason": error_line(error)})
            status = exit_status_of(error)
        on_message(ProcessExit(status, ""))

    def stop(self) -> None: ...

    def kill(self) -> None: ...


def worker_here() -> type[Here]:
    """A class of such workers that keeps a list of its own."""
    return type("Here", (Here,), {"asked": []})
