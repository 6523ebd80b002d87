"""The figures of a run as one small picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INK, PALE, STRONG = "#333333", "#9db8d2", "#2f5d8a"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw CPU and throughput of each peer, and what a transfer costs beside many open ones."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second that only a kept run needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - likewise

    peers = {**found["transfers"], **found["engines"]}
    levels = {name: one for name, one in found["crowd"].items() if name.startswith("open_")}
    figure, (cpu, speed, crowd) = plt.subplots(1, 3, figsize=(10, 3))
    who = list(peers)[::-1]
    worker = [peers[name]["worker_cpu_ms"] for name in who]
    server = [peers[name]["server_cpu_ms"] for name in who]
    cpu.barh(who, worker, color=STRONG, label="worker")
    cpu.barh(who, server, left=worker, color=PALE, label="server")
    cpu.set_title("CPU of a transfer, ms")
    cpu.legend(fontsize=7, frameon=False)
    speed.barh(who, [peers[name]["transfers_per_second"] for name in who], color=STRONG)
    speed.set_yticklabels([])
    speed.set_title("transfers a second")
    opened = [one["open"] for one in levels.values()]
    for name, colour in (("worker", STRONG), ("server", PALE)):
        values = [one[f"{name}_cpu_ms"] for one in levels.values()]
        crowd.plot(opened, values, marker="o", color=colour, label=name)
    crowd.set_ylim(bottom=0)
    crowd.set_title("CPU of a transfer, ms, by open ones")
    crowd.legend(fontsize=7, frameon=False)
    for axes in (cpu, speed, crowd):
        axes.tick_params(labelsize=7, colors=INK)
        axes.title.set_fontsize(9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)
