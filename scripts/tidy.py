"""clang-tidy over every source of ours in a build folder, in the units in which they are compiled, two at a time, skipping
what was found clean before.

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
    """A folder with the build's compile commands as they would be without precompiled headers: each file has to include
    what it uses, and clang could not read those of g++. With it, {object: what is compiled}: a source, or several as one,
    which costs little more than a single one, since most of the time goes into what they include."""
    commands = json.loads((build / "compile_commands.json").read_text())
    units = {}
    for command in commands:
        command["command"] = re.sub(r" -Winvalid-pch| -include \S+/cmake_pch\.hxx", "", command["command"])
        units[re.search(r" -o (\S+)", command["command"])[1]] = command["file"]
    folder = build / "tidy"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(commands))
    return folder, units


def fingerprint(files):
    digest = hashlib.sha256()
    for file in [ROOT / ".clang-tidy", *sorted(files)]:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def tidy(commands, unit):
    started = time.monotonic()
    # A unit of several sources includes them, which no other file should.
    checks = "--checks=-bugprone-suspicious-include"
    run = subprocess.run(
        ["clang-tidy-14", "-p", commands, "--quiet", "--warnings-as-errors=*", checks, unit], capture_output=True, text=True
    )
    return run.returncode == 0, run.stdout + (run.stderr if not run.stdout else ""), time.monotonic() - started


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    # Beside what ccache keeps, so that who keeps the one keeps the other.
    cache = pathlib.Path(os.environ.get("CCACHE_DIR") or pathlib.Path.home() / ".cache" / "ccache")
    known = cache / "waybill-tidy"
    known.mkdir(parents=True, exist_ok=True)
    for stamp in known.iterdir():
        if time.time() - stamp.stat().st_mtime > 60 * 86400:
            stamp.unlink()

    commands, units = without_parsed_headers(build)
    inputs = {unit: files for unit, files in own_inputs(build).items() if unit in units}
    inputs = {unit: files for unit, files in inputs.items() if any(file.suffix == ".cc" for file in files)}
    if "--shipped" in sys.argv[2:]:
        inputs = {unit: files for unit, files in inputs.items() if not unit.startswith(("bench/", "tests/"))}
    todo = {unit: known / fingerprint(files) for unit, files in inputs.items()}
    for stamp in todo.values():
        if stamp.exists():
            stamp.touch()
    todo = {unit: stamp for unit, stamp in todo.items() if not stamp.exists()}
    print(f"{len(inputs)} units, {len(todo)} of them changed since they were found clean", flush=True)
    faults = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(tidy, commands, units[unit]): unit for unit in sorted(todo)}
        for number, run in enumerate(concurrent.futures.as_completed(runs), 1):
            clean, output, seconds = run.result()
            sources = sorted(str(file.relative_to(ROOT)) for file in inputs[runs[run]] if file.suffix == ".cc")
            print(f"[{number}/{len(todo)}] {' '.join(sources)} {seconds:.0f} s" + ("" if clean else ": FAULTS"), flush=True)
            if clean:
                todo[runs[run]].touch()
            else:
                faults += 1
                print(output, flush=True)
    if faults:
        print(f"clang-tidy has something to say about {faults} units")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
