// Any bytes where a saga's row holds a text of ours: they are refused, or read and written again as the same; nothing
// crashes. The first byte chooses which. Run by libFuzzer (preset fuzz), and over seeds by saga_row_fuzz_test.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "examples/trip/book_trip.h"
#include "saga/outcome.h"
#include "storage/postgres/saga_rows.h"

namespace waybill {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void FuzzPayload(std::string_view text) {
  const saga::Codec<example::Trip> codec = example::TripCodec();
  const absl::StatusOr<example::Trip> read = codec.decode(2, text);
  if (!read.ok()) return;
  const std::string written = codec.encode(*read);
  const absl::StatusOr<example::Trip> again = codec.decode(2, written);
  Check(again.ok(), "what was written can be read");
  Check(codec.encode(*again) == written && codec.key(*again) == codec.key(*read), "and is the same");
}

void FuzzBranches(std::string_view text) {
  std::vector<saga::Branch> read, again;
  if (!storage::DecodeBranches(text, read).empty()) return;
  const std::string written = storage::EncodeBranches(read);
  Check(written.empty() == read.empty(), "no branches are NULL");
  if (read.empty()) return;
  Check(storage::DecodeBranches(written, again).empty(), "what was written can be read");
  Check(again.size() == read.size(), "and is as many");
  for (size_t i = 0; i < read.size(); ++i) {
    Check(again[i].step == read[i].step && again[i].state == read[i].state && again[i].attempt == read[i].attempt &&
              again[i].token == read[i].token && again[i].until == read[i].until,
          "and is the same");
  }
}

void FuzzWaits(std::string_view text) {
  if (const std::optional<saga::Wait> wait = saga::ParseWaitName(text)) {
    Check(saga::WaitName(wait->step, wait->direction, wait->token) == text, "a name is its parts");
  }
  std::vector<std::string> names;
  for (std::string_view name : saga::SplitWaitNames(text)) {
    Check(!name.empty() && name.find(' ') == std::string_view::npos, "names have no spaces");
    Check(saga::IsAmong(name, text), "each is among them");
    names.emplace_back(name);
  }
  const std::string joined = saga::JoinWaitNames(names);
  const std::vector<std::string_view> split = saga::SplitWaitNames(joined);
  Check(std::vector<std::string>(split.begin(), split.end()) == names, "they are the same, joined and split");
}

}  // namespace
}  // namespace waybill

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      waybill::FuzzPayload(text);
      break;
    case 1:
      waybill::FuzzBranches(text);
      break;
    default:
      waybill::FuzzWaits(text);
  }
  return 0;
}
