"""clang-tidy over every source of ours in a build folder, two at a time, skipping what was found clean before.

A file is looked at again when its own text, a header of ours that it includes, or .clang-tidy changed.
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
    """{source: the files of ours that its object was compiled from}, as ninja recorded them."""
    inputs, files = {}, None
    deps = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    for line in deps.splitlines():
        if not line.startswith(" "):
            files = None
            continue
        path = pathlib.Path(os.path.normpath(build / line.strip()))
        if ROOT not in path.parents or build in path.parents or not path.is_file():
            continue
        if files is None:  # the first of ours is an object's source
            files = inputs.setdefault(path, set())
        files.add(path)
    return {source: files for source, files in inputs.items() if source.suffix == ".cc"}


def without_parsed_headers(build):
    """A folder with the build's compile commands as they would be without precompiled headers: each file has to include
    what it uses, and clang could not read those of g++."""
    commands = json.loads((build / "compile_commands.json").read_text())
    for command in commands:
        command["command"] = re.sub(r" -Winvalid-pch| -include \S+/cmake_pch\.hxx", "", command["command"])
    folder = build / "tidy"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(commands))
    return folder


def fingerprint(files):
    digest = hashlib.sha256()
    for file in [ROOT / ".clang-tidy", *sorted(files)]:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def tidy(commands, source):
    started = time.monotonic()
    run = subprocess.run(
        ["clang-tidy-14", "-p", commands, "--quiet", "--warnings-as-errors=*", source], capture_output=True, text=True
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

    inputs = own_inputs(build)
    if "--shipped" in sys.argv[2:]:
        inputs = {source: files for source, files in inputs.items() if source.relative_to(ROOT).parts[0] not in ("bench", "tests")}
    todo = {source: known / fingerprint(files) for source, files in inputs.items()}
    for stamp in todo.values():
        if stamp.exists():
            stamp.touch()
    todo = {source: stamp for source, stamp in todo.items() if not stamp.exists()}
    print(f"{len(inputs)} files, {len(todo)} of them changed since they were found clean", flush=True)
    faults = 0
    commands = without_parsed_headers(build)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(tidy, commands, source): source for source in sorted(todo)}
        for number, run in enumerate(concurrent.futures.as_completed(runs), 1):
            clean, output, seconds = run.result()
            name = runs[run].relative_to(ROOT)
            print(f"[{number}/{len(todo)}] {name} {seconds:.0f} s" + ("" if clean else ": FAULTS"), flush=True)
            if clean:
                todo[runs[run]].touch()
            else:
                faults += 1
                print(output, flush=True)
    if faults:
        print(f"clang-tidy has something to say about {faults} files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
