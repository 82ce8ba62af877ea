"""NNG can crash in a PUSH socket when a peer leaves while it is sent to, in every version
so far (docs/architecture.md; tests/tools/nng_push.c). That is a kill which the plan does not
know: the process is started again, counted in the report, and nobody may be missed. Only a
crash whose own stack (lib/service/fatal.h) ends in NNG is taken for one."""
import re

_FRAME = re.compile(r"^(\S+)\([^)]*\) ?\[0x[0-9a-f]+\]$")


def crashed_in(log):
    """The innermost frame's file of the last fatal signal in a log that is neither the
    handler's nor the C library's (which aborts for others); None without a report."""
    report = log.rsplit("fatal signal ", 1)
    if len(report) == 1:
        return None
    files = [m.group(1) for m in map(_FRAME.match, report[1].splitlines()) if m]
    return next((f for f in files[1:] if "/libc.so" not in f), None)


def died_of_it(log):
    return "/libnng.so" in (crashed_in(log) or "")
