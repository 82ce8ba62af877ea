"""What the commands share: a stack in a folder of its own, a run on it, and the end of both."""
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from chaos.stack import ChaosStack


def say(text):
    print(f"chaos: {text}", file=sys.stderr, flush=True)


def on_a_stack(args, do):
    """do(stack) with a stack that is up; what it returns. The stack is gone afterwards."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    folder = Path(tempfile.mkdtemp(prefix="foliopost-chaos.", dir="/tmp"))
    folder.chmod(0o755)
    stack = ChaosStack(folder, args)
    try:
        say(f"starting in {folder}")
        stack.up(args.users)
        return do(stack)
    finally:
        stack.end()
        if args.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def judged_run(args, make_run):
    """make_run(stack) makes the run; returned when it is over and judged."""
    def do(stack):
        run = make_run(stack)
        run.run()
        return run
    return on_a_stack(args, do)
