"""The two kinds of ARM that are proven here, and what a root for each of them is made of."""

from __future__ import annotations

from dataclasses import dataclass

DEBIAN = "deb http://deb.debian.org/debian bookworm main"  # no updates: two mirrors out of step would stop the build
PYTHON = "3.11"
GLIBC = 36  # Debian 12's
OLDEST_GLIBC = 17  # manylinux2014's

A7 = (
    "Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm\n"
    "CPU implementer\t: 0x41\nCPU architecture: 7\nCPU part\t: 0xc07\n"
)
A72 = "Features\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd08\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of ARM.

    Attributes:
        name: Debian's.
        machine: the kernel's, as wheels name it.
        interpreter: QEMU's registration.
        debian: packages of the root.
        configured: whether their scripts are run; else they are only unpacked, which is all that Python needs.
        from_debian: distributions that come from there, for want of wheels.
        built: distributions that have no wheel and are not in Debian 12: built from their source.
        libraries: folders that only packages' scripts would have made known to the linker.
        core: what QEMU plays. Its default has all extensions there are, and XNNPACK computes wrong scores with them: 32 of 32
            golden samples of the digits model on QEMU 7.2, none on "cortex-a72" and "cortex-a76".
        cpu: the same in /proc/cpuinfo: LiteRT looks there, and finds the host's under emulation.
    """

    name: str
    machine: str
    interpreter: str
    debian: tuple[str, ...]
    configured: bool
    from_debian: frozenset[str]
    built: frozenset[str]
    libraries: tuple[str, ...]
    core: str
    cpu: str

    @property
    def platforms(self) -> list[str]:
        """Tags of the wheels that run there, best first."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(GLIBC, OLDEST_GLIBC - 1, -1)]
        return [*tags, f"manylinux2014_{self.machine}"]

    def cpuinfo(self, cores: int) -> str:
        """Return what /proc/cpuinfo says on a board with so many of these processors."""
        return "\n".join(f"processor\t: {number}\nBogoMIPS\t: 108.00\n{self.cpu}" for number in range(cores))


BASE = ("python3", "libstdc++6", "zlib1g")
KINDS = {
    "arm64": Kind(
        "arm64",
        "aarch64",
        "qemu-aarch64",
        (*BASE, "systemd", "passwd"),
        True,
        frozenset(),
        frozenset(),
        (),
        "cortex-a72",
        A72,
    ),
    "armhf": Kind(
        "armhf",
        "armv7l",
        "qemu-arm",
        (*BASE, "libpython3.11-dev", "python3-numpy", "python3-opencv", "python3-psutil"),
        False,
        frozenset({"numpy", "psutil", "opencv-python-headless"}),
        frozenset({"msgspec"}),
        ("/usr/lib/arm-linux-gnueabihf/blas", "/usr/lib/arm-linux-gnueabihf/lapack"),
        "cortex-a7",
        A7,
    ),
}
