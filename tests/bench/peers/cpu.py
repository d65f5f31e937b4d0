"""What processes and all their children cost."""

import psutil


def tree(pids):
    for pid in pids:
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def cpu_seconds(pids):
    return sum(sum(process.cpu_times()[:2]) for process in tree(pids))


def resident_mb(pids):
    """Shared pages count once: a forked worker shares much with its parent."""
    return sum(process.memory_full_info().pss for process in tree(pids)) / 1e6
