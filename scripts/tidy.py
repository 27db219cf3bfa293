"""clang-tidy over every source of ours in a build folder, several of the units in which they are compiled at once, on all
cores, skipping what was found clean before.

A unit is looked at again when the text of its sources, a header of ours that they include, or .clang-tidy changed.
usage: tidy.py BUILD_FOLDER [--shipped]    --shipped leaves out the tests and the bench
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCES_AT_ONCE = 16


def own_inputs(build):
    """{object: the files of ours that it was compiled from}, as ninja recorded them."""
    inputs, files = {}, None
    deps = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    for line in deps.splitlines():
        if not line.startswith(" "):
            files = inputs.setdefault(line.partition(":")[0], set())
            continue
        path = pathlib.Path(os.path.normpath(build / line.strip()))
        if ROOT in path.parents and build not in path.parents and path.is_file():
            files.add(path)
    return inputs


def without_parsed_headers(build):
    """{object: its compile command}, as it would be without precompiled headers: each file has to include what it uses, and
    clang could not read those of g++."""
    commands = {}
    for command in json.loads((build / "compile_commands.json").read_text()):
        command["command"] = re.sub(r" -Winvalid-pch| -include \S+/cmake_pch\.hxx", "", command["command"])
        commands[re.search(r" -o (\S+)", command["command"])[1]] = command
    return commands


def together(folder, commands, sources):
    """{file: objects}: a file in the folder that includes what is compiled alike into several objects, up to SOURCES_AT_ONCE
    sources, since most of the time goes into what they include; and beside it the compile commands of these and of all."""
    alike = {}
    for unit in sorted(sources):
        flags = re.sub(r" -o \S+| -c \S+", "", commands[unit]["command"])
        groups = alike.setdefault(flags, [[]])
        files = [file for other in [*groups[-1], unit] for file in sources[other]]
        mains = sum(pathlib.Path(file).name == "main.cc" for file in files)
        if groups[-1] and (len(files) > SOURCES_AT_ONCE or mains > 1):
            groups.append([])
        groups[-1].append(unit)
    groups = {f"together_{number}.cc": group for number, group in enumerate(group for groups in alike.values() for group in groups)}
    folder.mkdir(exist_ok=True)
    written = list(commands.values())
    for name, group in groups.items():
        file = folder / name
        file.write_text("".join(f'#include "{commands[unit]["file"]}"\n' for unit in group))
        like = commands[group[0]]
        written.append({**like, "file": str(file), "command": like["command"].replace(like["file"], str(file))})
    (folder / "compile_commands.json").write_text(json.dumps(written))
    return {folder / name: group for name, group in groups.items()}


def fingerprint(files):
    digest = hashlib.sha256()
    for file in [ROOT / ".clang-tidy", *sorted(files)]:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def tidy(folder, file):
    started = time.monotonic()
    # A unit of several sources includes them, which no other file should.
    checks = "--checks=-bugprone-suspicious-include"
    run = subprocess.run(
        ["clang-tidy-14", "-p", folder, "--quiet", "--warnings-as-errors=*", checks, file], capture_output=True, text=True
    )
    return run.returncode == 0, run.stdout + (run.stderr if not run.stdout else ""), time.monotonic() - started


def tidy_together(folder, commands, file, group):
    """[(objects, clean, output, seconds)]: of all at once, or of each by itself when there is something to say: what several
    targets name alike is no fault."""
    clean, output, seconds = tidy(folder, file)
    if clean or len(group) == 1:
        return [(group, clean, output, seconds)]
    return [([unit], *tidy(folder, commands[unit]["file"])) for unit in group]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    # Beside what ccache keeps, so that who keeps the one keeps the other.
    cache = pathlib.Path(os.environ.get("CCACHE_DIR") or pathlib.Path.home() / ".cache" / "ccache")
    known = cache / "waybill-tidy"
    known.mkdir(parents=True, exist_ok=True)
    for stamp in known.iterdir():
        if time.time() - stamp.stat().st_mtime > 60 * 86400:
            stamp.unlink()

    commands = without_parsed_headers(build)
    inputs = {unit: files for unit, files in own_inputs(build).items() if unit in commands}
    sources = {unit: sorted(str(file.relative_to(ROOT)) for file in files if file.suffix == ".cc") for unit, files in inputs.items()}
    sources = {unit: files for unit, files in sources.items() if files}
    if "--shipped" in sys.argv[2:]:
        sources = {unit: files for unit, files in sources.items() if not unit.startswith(("bench/", "tests/"))}
    stamps = {unit: known / fingerprint(inputs[unit]) for unit in sources}
    for stamp in stamps.values():
        if stamp.exists():
            stamp.touch()
    todo = {unit: files for unit, files in sources.items() if not stamps[unit].exists()}
    print(f"{len(sources)} units, {len(todo)} of them changed since they were found clean", flush=True)
    folder = build / "tidy"
    groups = together(folder, commands, todo)
    done, faults = 0, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(tidy_together, folder, commands, file, group) for file, group in groups.items()]
        for run in concurrent.futures.as_completed(runs):
            for units, clean, output, seconds in run.result():
                done += len(units)
                files = " ".join(file for unit in units for file in todo[unit])
                print(f"[{done}/{len(todo)}] {files} {seconds:.0f} s" + ("" if clean else ": FAULTS"), flush=True)
                if clean:
                    for unit in units:
                        stamps[unit].touch()
                else:
                    faults += 1
                    print(output, flush=True)
    if faults:
        print(f"clang-tidy has something to say about {faults} units")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
