"""A terminal of so many columns and rows on a pty, as far as `foliopost` uses one: printing with
wrapping and scrolling as a VT100 has them, and the control sequences of cli/screen.c. Any other
sequence is an error of the test."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])")


class Terminal:
    def __init__(self, argv, columns=80, rows=24, env=None):
        self.wrapped = self.scrolled = 0
        self.columns, self.rows = columns, rows
        self.lines, self.x, self.y, self.raw = [""] * rows, 0, 0, ""
        self.master, slave = pty.openpty()
        self._set_size()
        self.modes = termios.tcgetattr(slave)
        self.slave = slave  # kept open: its modes are looked at in the end
        def become_the_terminals_own():  # so that its Ctrl-C reaches it
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=become_the_terminals_own,
                                        env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def _set_size(self):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))

    def resize(self, columns, rows):
        """As xterm does it: what is too long is cut off."""
        self.columns, self.rows = columns, rows
        self.lines = [line[:columns] for line in self.lines][-rows:]
        self.lines += [""] * (rows - len(self.lines))
        self.y = min(self.y, rows - 1)
        self.x = min(self.x, columns - 1)
        self._set_size()

    # --- what the program writes -----------------------------------------------------------

    def _put(self, c):
        width = 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if self.x + width > self.columns:
            self.wrapped += 1
            self.x = 0
            self._down()
        line = self.lines[self.y].ljust(self.x)
        self.lines[self.y] = line[:self.x] + c + line[self.x + 1:]
        self.x += width

    def _down(self):
        if self.y < self.rows - 1:
            self.y += 1
            return
        self.scrolled += 1
        self.lines = self.lines[1:] + [""]

    def _obey(self, number, letter):
        if letter == "A":
            self.y = max(0, self.y - int(number or 1))
        elif letter == "K" and number in ("", "0"):
            self.lines[self.y] = self.lines[self.y][:self.x]
        elif letter == "J" and number in ("", "0"):
            self.lines[self.y:] = [self.lines[self.y][:self.x]] + [""] * (self.rows - self.y - 1)
        elif letter == "H" and number == "":
            self.x = self.y = 0
        else:
            raise AssertionError(f"the control sequence {number}{letter} is none that this terminal knows")

    def _show(self, text):
        while text:
            sequence = SEQUENCE.match(text)
            if sequence:
                self._obey(*sequence.groups())
                text = text[sequence.end():]
                continue
            c, text = text[0], text[1:]
            if c == "\r":
                self.x = 0
            elif c == "\n":
                self._down()
            else:
                assert c.isprintable(), f"{c!r} is no letter"
                self._put(c)

    def read(self, seconds=0.2):
        """What comes within so long; False when the program has gone."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        text = data.decode()
        self.raw += text
        self._show(text)
        return True

    # --- what the test asks ------------------------------------------------------------------

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")

    def await_text(self, *parts, seconds=30, gone=()):
        end = time.monotonic() + seconds
        while not all(p in self.text() for p in parts) or any(p in self.text() for p in gone):
            assert time.monotonic() < end, f"{parts} are not there:\n{self.text()}"
            self.read()
        return self.text()

    def press(self, key):
        os.write(self.master, key)

    def end(self, seconds=30):
        """Reads until the program has gone; its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it goes on:\n{self.text()}"
            self.read()
        while self.read(0.1) and select.select([self.master], [], [], 0)[0]:
            pass
        assert termios.tcgetattr(self.slave) == self.modes, "the terminal's modes are not as they were"
        return self.process.returncode

    def stop_and_go_on(self):
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        self.read()
        os.write(self.slave, b"\r\n[1]+  Stopped\r\n$ fg\r\n")
        self.read()
        self.process.send_signal(signal.SIGCONT)
