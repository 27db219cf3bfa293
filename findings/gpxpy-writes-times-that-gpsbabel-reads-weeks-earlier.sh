#!/usr/bin/env bash
# Expected: a time of a GPX file that is read and written again is the same time, in the form of XML Schema: ...+05:30, or ...Z.
# Guessed: gpxpy writes all times in UTC.
# Seen (gpxpy 1.5.0 and gpsbabel 1.8.0, Debian 12): gpxpy keeps the offset and writes it as +0530, without the colon, which XML Schema
# does not have. Perl's Geo::Gpx and JavaScript's Date read that all the same; gpsbabel takes it for 530 hours without a word: 27 November
# 12:00:10 at +05:30 becomes 5 November 10:00:10, and 14 March at -07:00 is in April, with exit code 0. What gpxpy has read, with
# the colon, gpsbabel reads rightly. Times in UTC go through both.
# For Waybill: `waybill track export` writes UTC, and `waybill track replay` reads both forms. Whoever cuts or merges tracks of loggers
# that write local time by gpxpy sets each point's time to UTC first: point.time = point.time.astimezone(timezone.utc).
# Needs: Debian's python3-gpxpy 1.5.0 and gpsbabel 1.8.0.
set -uo pipefail
python=/usr/bin/python3
"$python" -c 'import gpxpy' 2>/dev/null && command -v gpsbabel >/dev/null ||
  { echo "needs Debian's python3-gpxpy and gpsbabel" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
echo "gpxpy $(dpkg-query -W -f '${Version}' python3-gpxpy), $(gpsbabel -V | tr -d '\n')"
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-42s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
utc() { TZ=UTC gpsbabel -t -i gpx -f "$1" -o unicsv,utc=0 -F - | tail -1 | tr -d '\r' | cut -d, -f4,5; }
for time in 2026-11-27T12:00:10+05:30 2026-11-27T06:30:10Z; do
  cat >first.gpx <<GPX
<?xml version="1.0" encoding="UTF-8"?>
<gpx xmlns="http://www.topografix.com/GPX/1/1" version="1.1" creator="finding">
<trk><trkseg><trkpt lat="10.0" lon="20.0"><time>$time</time></trkpt></trkseg></trk></gpx>
GPX
  "$python" -c 'import gpxpy; print(gpxpy.parse(open("first.gpx")).to_xml())' >second.gpx
  wrote=$(sed -n 's:.*<time>\(.*\)</time>.*:\1:p' second.gpx)
  case $time in
    *Z) expect "gpxpy writes $time as" "$time" "$wrote" && expect "gpsbabel reads that as" "2026/11/27,06:30:10" "$(utc second.gpx)" ;;
    *)
      expect "gpsbabel reads $time as" "2026/11/27,06:30:10" "$(utc first.gpx)"
      expect "gpxpy writes $time as" "2026-11-27T12:00:10+0530" "$wrote"
      expect "gpsbabel reads that as" "2026/11/05,10:00:10" "$(utc second.gpx)"
      ;;
  esac
done
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
