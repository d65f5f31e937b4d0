"""What was measured as a table, or as JSON."""

import json
import statistics


def parts(options, measured):
    rows = [
        {
            "part": name,
            "cpu_ms_per_image": round(statistics.median(values), 2),
            "lowest": round(min(values), 2),
            "highest": round(max(values), 2),
        }
        for name, values in measured.items()
    ]
    if options.json:
        print(
            json.dumps({"model": options.model, "rounds": options.rounds, "parts": rows}, indent=2)
        )
        return
    print(f"{options.model}, {options.rounds} rounds:")
    table(rows)


def no_op(options, tasks, figures):
    rows = []
    for name, measured in figures.items():
        per_cpu_s = [1000 / cpu_ms for cpu_ms in measured["cpu_ms"]]
        rows.append(
            {
                "contestant": name,
                "tasks_per_cpu_s": round(statistics.median(per_cpu_s)),
                "lowest": round(min(per_cpu_s)),
                "highest": round(max(per_cpu_s)),
                "tasks_per_s": round(statistics.median(measured["per_s"])),
                "memory_mb": round(max(measured["mb"])),
            }
        )
    if options.json:
        what = {"tasks": tasks, "rounds": options.rounds}
        print(json.dumps({**what, "no_op": rows}, indent=2))
        return
    print(f"{tasks} tasks without work, {options.rounds} rounds:")
    table(rows)


def whole(options, figures):
    base = statistics.median(figures["Flota"]["cpu_ms"])
    rows = []
    for name, measured in figures.items():
        cpu = measured["cpu_ms"]
        rows.append(
            {
                "contestant": name,
                "cpu_ms_per_image": round(statistics.median(cpu), 2),
                "lowest": round(min(cpu), 2),
                "highest": round(max(cpu), 2),
                "times_flota": round(statistics.median(cpu) / base, 2),
                "images_per_s": round(statistics.median(measured["per_s"]), 1),
                "memory_mb": round(max(measured["mb"])),
            }
        )
    if options.json:
        what = {"model": options.model, "megapixels": options.megapixels, "rounds": options.rounds}
        print(json.dumps({**what, "contestants": rows}, indent=2))
        return
    print(f"{options.model}, {options.megapixels:g} megapixels, {options.rounds} rounds:")
    table(rows)


def table(rows):
    head = list(rows[0])
    print("| " + " | ".join(name.replace("_", " ") for name in head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in head) + " |")
