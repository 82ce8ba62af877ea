"""How the binaries of a release are built: what makes a fault of memory harder to use."""
import platform
import re
import subprocess

import pytest

from foliostack import Stack


def said(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["foliopost", *(f"foliopost-{s}" for s in ("scheduler", "userstream", "stats", "mailer", "inbound"))])
def test_a_binary_is_hardened(name, tmp_path):
    binary = Stack(tmp_path).binary(name)
    cache = (binary.parent.parent / "CMakeCache.txt").read_text()
    if "CMAKE_BUILD_TYPE:STRING=Release" not in cache or not re.search(r"^FP_SANITIZE:\w+=$", cache, re.M):
        pytest.skip("no release")
    elf = said("readelf", "-hldW", binary)
    assert re.search(r"Type:\s+DYN", elf), "not position independent"
    assert "GNU_RELRO" in elf and re.search(r"FLAGS.*BIND_NOW|FLAGS_1.*NOW", elf), "its table of addresses can be written"
    assert re.search(r"GNU_STACK\s.* RW\s", elf), "its stack can be executed"
    names = said("readelf", "--dyn-syms", "-W", binary)
    assert "__stack_chk_fail" in names, "no canaries"
    assert re.search(r"__\w+_chk\b", names), "no checked copies"
    assert b"-fstack-clash-protection" in binary.read_bytes(), "its stack can jump over its guard" # what its debug data say of the compiler
    if platform.machine() == "x86_64":
        assert "endbr64" in said("objdump", "-d", "--disassemble=main", binary), "indirect jumps go anywhere"
