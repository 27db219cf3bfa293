#!/usr/bin/env bash
# Expected: gpsbabel, which reads a point's <speed> and <course> of GPX 1.0, reads them of GPX 1.1 too, where they stand in Garmin's
# TrackPointExtension (version 2): it takes the temperature and the heart rate of that very element.
# Seen (gpsbabel 1.8.0, Debian 12): speed and course are not read. Converted to another format the columns are gone, without a
# word and with exit code 0. From GPX to GPX they survive, since unknown elements are passed on as they are: so a look at
# the GPX that gpsbabel wrote does not show it.
# For Waybill: `waybill track export` writes valid GPX 1.1, so its speeds and courses do not survive gpsbabel; its CSV does
# (docs/tracks.md says which column to rename).
# Needs: Debian's gpsbabel 1.8.0.
set -uo pipefail
command -v gpsbabel >/dev/null || { echo "needs gpsbabel" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >old.gpx <<'XML'
<?xml version="1.0"?>
<gpx version="1.0" creator="finding" xmlns="http://www.topografix.com/GPX/1/0"><trk><trkseg>
<trkpt lat="52.5" lon="13.4"><time>2026-11-27T10:00:00Z</time><course>90</course><speed>12.5</speed></trkpt>
</trkseg></trk></gpx>
XML
cat >new.gpx <<'XML'
<?xml version="1.0"?>
<gpx version="1.1" creator="finding" xmlns="http://www.topografix.com/GPX/1/1"
 xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v2"><trk><trkseg>
<trkpt lat="52.5" lon="13.4"><time>2026-11-27T10:00:00Z</time><extensions><gpxtpx:TrackPointExtension>
<gpxtpx:atemp>21</gpxtpx:atemp><gpxtpx:hr>77</gpxtpx:hr><gpxtpx:speed>12.5</gpxtpx:speed><gpxtpx:course>90</gpxtpx:course>
</gpxtpx:TrackPointExtension></extensions></trkpt>
</trkseg></trk></gpx>
XML
gpsbabel -V 2>&1 | tr -d '\n'; echo
columns() { # FILE: the columns that unicsv has for it
  gpsbabel -t -i gpx -f "$1" -o unicsv -F out.csv && head -n 1 out.csv
}
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-34s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
has() { # COLUMN COLUMNS
  [[ ,${2%$'\r'}, == *,$1,* ]] && echo yes || echo no
}
old=$(columns old.gpx) && new=$(columns new.gpx) || { echo "gpsbabel failed" >&2; exit 1; }
expect "1.0: reads speed" yes "$(has Speed "$old")"
expect "1.0: reads course" yes "$(has Course "$old")"
expect "1.1: reads the heart rate" yes "$(has Heartrate "$new")"
expect "1.1: reads the temperature" yes "$(has Temperature "$new")"
expect "1.1: reads speed" no "$(has Speed "$new")"
expect "1.1: reads course" no "$(has Course "$new")"
gpsbabel -t -i gpx -f new.gpx -o gpx,gpxver=1.1 -F again.gpx
expect "1.1 to 1.1: speed passed on" yes "$(grep -q '<gpxtpx:speed>12.5<' again.gpx && echo yes || echo no)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
