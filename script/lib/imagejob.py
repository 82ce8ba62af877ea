"""A whole job with the programs of an image: imagejob.py ROOT BUILD.

Each program runs in the image's root, read-only, as user 65532 and with no capability; PostgreSQL and the
sink that takes the mails are this machine's. Ends with 0 when the job is COMPLETED and the sink has as many mails as it sent.
"""
import re
import shutil
import sys
import tempfile
from pathlib import Path

from foliostack import SERVICES, Stack

USERS = 2000


def wrap(folder, root, build):
    """A folder like build/, whose programs are the image's."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/sink").symlink_to((Path(build) / "bin/sink").resolve())
    for name in ("foliopost", *(f"foliopost-{s}" for s in SERVICES)):
        path = folder / "bin" / name
        path.write_text(f"""#!/bin/sh
# exec keeps the process id; its own mounts: the root read-only, /proc for the memory in /metrics.
exec unshare --mount --propagation private sh -euc '
mount --bind {root} {root}
mount -t proc proc {root}/proc
mount -o remount,bind,ro {root}
exec chroot --userspec=65532:65532 --groups=65532 {root} /usr/bin/{name} "$@"' wrapper "$@"
""")
        path.chmod(0o755)


def main(root, build):
    folder = Path(tempfile.mkdtemp(prefix="foliopost-image.", dir="/tmp"))
    folder.chmod(0o755)
    wrap(folder / "build", root, build)
    stack = Stack(folder / "stack", folder / "build")
    try:
        stack.postgres.start()
        stack.make_database(USERS)
        stack.start_sink()
        stack.options["mailer"] = {"templates": "/usr/share/foliopost/templates"}
        stack.start_services()
        end = stack.foliopost("submit", "monthly", "--watch", timeout=180).stdout.strip().splitlines()[-1]
        sent = int(re.search(r"sent ([\d,]+)", end).group(1).replace(",", ""))
        mails = len(stack.record.read_text().splitlines())
        print(f"{end}\nthe sink has {mails} mails")
        return sent == 0 or sent != mails # nothing here loses a connection
    finally:
        stack.stop_services()
        stack.postgres.stop("immediate")
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
