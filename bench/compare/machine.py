"""The machine that figures are of, and what else runs on it meanwhile."""

import os
import re
import resource
import subprocess

PACKAGES = ["wrk", "nghttp2-client", "libcurl4", "libcurl4t64", "liburing-dev", "gcc", "libc6"]


def read(path, otherwise="unknown"):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return otherwise


def field(text, name):
    match = re.search(r"^%s\s*:\s*(.*)$" % re.escape(name), text, re.M)
    return match.group(1).strip() if match else "unknown"


def output(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
                              timeout=20).stdout.strip()
    except OSError:
        return ""


def choose_cores(allowed):
    """(server's, client's): two of the cores that we may use, or one for both when there is one."""
    cores = sorted(allowed)
    return cores[0], cores[-1]


def facts(server_core, client_core, tree):
    versions = output("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", *PACKAGES)
    installed = dict(line.split()[1:3] for line in versions.split("\n") if line.startswith("installed "))
    kernel = os.uname()
    return {
        "cpu": field(read("/proc/cpuinfo"), "model name"),
        "cores": os.cpu_count(),
        "server_core": server_core,
        "client_core": client_core,
        "memory": field(read("/proc/meminfo"), "MemTotal"),
        "kernel": "%s %s %s" % (kernel.sysname, kernel.release, kernel.version),
        "governor": read("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor" % client_core, "none"),
        "idle_driver": read("/sys/devices/system/cpu/cpuidle/current_driver", "none"),
        "congestion_control": read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "virtual": "hypervisor" in read("/proc/cpuinfo"),
        "load_average": read("/proc/loadavg"),
        "packages": installed,
        "tree": output("git", "-C", tree, "describe", "--always", "--dirty") or "unknown",
    }


def busy_s(core):
    """Time that a core has been at work, in seconds since the start, stolen time included."""
    for line in read("/proc/stat").split("\n"):
        if line.startswith("cpu%d " % core):
            user, nice, system, _, _, irq, softirq, steal = [int(n) for n in line.split()[1:9]]
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0


def raise_limits():
    """As many descriptors as are allowed: thousands of connections need one each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
