#!/usr/bin/env bash
# Expected: JsonParseOptions::ignore_unknown_fields passes over fields that are not known, so that a newer client can call an older
# service ("Whether to ignore unknown JSON fields during parsing", says the header). A value that its field does not have is an
# error.
# Seen (libprotobuf 3.21.12, Debian 12): with it an enum's name that is not known is passed over, too. In a repeated field the
# element is gone: ["CONFIRMD"], or ["confirmed"], is an empty list. A word where a number belongs is still an error, and so is the
# misspelt name without the option. It is meant so, for the answers of newer services (protocolbuffers/protobuf issue 7392), and
# @bufbuild/protobuf 2.17.0 does the same; a request's typing errors go the same way. Besides, with and without the option null
# among the elements of a list is dropped, which the mapping of proto3 does not allow and @bufbuild/protobuf refuses.
# For Waybill: it sets this option for calls by HTTP (edge/connect/json.cc), and an empty list means all: ListOrders with statuses
# ["confirmed"] answers with orders of every status (tried), where [99] is refused, and ListSagas with a misspelt state with all
# that are unfinished.
# Needs: Debian's g++, pkg-config, protobuf-compiler and libprotobuf-dev 3.21.
set -uo pipefail
if ! { command -v g++ protoc pkg-config >/dev/null && pkg-config --exists protobuf; }; then
  echo "needs g++, pkg-config, protobuf-compiler and libprotobuf-dev" >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >filter.proto <<'PROTO'
syntax = "proto3";
package finding;
enum Status {
  STATUS_UNSPECIFIED = 0;
  CONFIRMED = 1;
  FAILED = 2;
}
message Filter {
  repeated Status statuses = 1;
  Status only = 2;
  repeated int32 pages = 3;
}
PROTO
cat >filter.cc <<'CC'
#include <iostream>

#include "filter.pb.h"
#include "google/protobuf/util/json_util.h"

int main(int argc, char** argv) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = argv[1] == std::string("lenient");
  finding::Filter filter;
  const auto parsed = google::protobuf::util::JsonStringToMessage(argv[2], &filter, options);
  std::cout << (parsed.ok() ? "{" + filter.ShortDebugString() + "}" : "an error") << "\n";
}
CC
dpkg-query -W -f '${Package} ${Version}\n' libprotobuf-dev
read -ra flags < <(pkg-config --cflags --libs protobuf)
protoc --cpp_out=. filter.proto && g++ -std=c++20 -O0 -I. filter.cc filter.pb.cc -o filter "${flags[@]}" || exit 2
failed=0
expect() { # STRICT OR LENIENT, WANTED, JSON
  local seen
  seen=$(./filter "$1" "$3")
  printf '%-8s %-38s %s\n' "$1" "$3" "$seen"
  [[ $seen == "$2" ]] || failed=1
}
expect lenient "{statuses: CONFIRMED}" '{"statuses": ["CONFIRMED"]}'
expect lenient "{}" '{"statuses": ["CONFIRMD"]}'
expect lenient "{}" '{"statuses": ["confirmed"]}'
expect lenient "{statuses: FAILED}" '{"statuses": ["confirmed", "FAILED"]}'
expect lenient "{}" '{"only": "CONFIRMD"}'
expect strict "an error" '{"statuses": ["CONFIRMD"]}'
expect lenient "an error" '{"pages": ["one"]}'
expect strict "{pages: 1 pages: 2}" '{"pages": [1, null, 2]}'
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"
