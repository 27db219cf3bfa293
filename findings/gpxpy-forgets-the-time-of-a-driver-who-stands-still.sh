#!/usr/bin/env bash
# Expected: get_moving_data() of a track with times splits it into moving and stopped, and both together are how long it took.
# Seen (gpxpy 1.5.0, Debian 12): where two fixes are at the very same place the time between them is in neither sum. A driver who drives
# 20 seconds, waits for ten minutes and is reported there at one place has 0 s of stopped time; with a metre of jitter
# 600 s. raw=True does not change it. Trackers that hold the position while the ignition is off, or that round to five
# decimals, and files that were thinned out give just such fixes. get_duration() has all 620 s.
# For Waybill: `waybill track export` writes positions as they came, repeated ones too. Who pays waiting time by gpxpy
# takes get_duration() less moving_time.
# Needs: Debian's python3-gpxpy 1.5.0.
set -uo pipefail
python=/usr/bin/python3
"$python" -c 'import gpxpy' 2>/dev/null || { echo "needs Debian's python3-gpxpy" >&2; exit 2; }
echo "gpxpy $(dpkg-query -W -f '${Version}' python3-gpxpy), $("$python" --version)"
"$python" - <<'PYTHON' && { echo "still so"; exit 0; }
import sys

import gpxpy


def moving(*points):
    fixes = "".join(f'<trkpt lat="{lat}" lon="20"><time>2026-11-27T{time}Z</time></trkpt>' for lat, time in points)
    track = gpxpy.parse('<?xml version="1.0"?><gpx version="1.1" creator="finding" xmlns="http://www.topografix.com/GPX/1/1">'
                        f"<trk><trkseg>{fixes}</trkseg></trk></gpx>")
    seen = []
    for raw in (False, True):
        data = track.get_moving_data(raw=raw)
        seen.append((data.moving_time, data.stopped_time))
    assert seen[0] == seen[1]
    return f"moving {seen[0][0]:.0f} s, stopped {seen[0][1]:.0f} s, of {track.get_duration():.0f} s"


failed = False
for what, wanted, points in (
    ("waits at one place", "moving 20 s, stopped 0 s, of 620 s",
     ((10, "12:00:00"), (10.001, "12:00:10"), (10.001, "12:10:10"), (10.002, "12:10:20"))),
    ("the same, a fix each minute", "moving 20 s, stopped 0 s, of 620 s",
     ((10, "12:00:00"), *((10.001, f"12:{minute:02}:10") for minute in range(11)), (10.002, "12:10:20"))),
    ("the same with jitter", "moving 20 s, stopped 600 s, of 620 s",
     ((10, "12:00:00"), (10.001, "12:00:10"), (10.00101, "12:10:10"), (10.002, "12:10:20"))),
):
    seen = moving(*points)
    print(f"{what:28} {seen}")
    failed |= seen != wanted
sys.exit(failed)
PYTHON
echo "this has changed"
exit 1
