// Times on the wire.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "google/protobuf/timestamp.pb.h"

namespace waybill::rpc {

inline void SetTime(absl::Time time, google::protobuf::Timestamp& out) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

// Nothing when it is not a valid timestamp (years 1 to 9999).
inline std::optional<absl::Time> TakeTime(const google::protobuf::Timestamp& time) {
  constexpr int64_t kYear1 = -62'135'596'800;
  constexpr int64_t kYear9999End = 253'402'300'799;
  if (time.seconds() < kYear1 || time.seconds() > kYear9999End) return std::nullopt;
  if (time.nanos() < 0 || time.nanos() > 999'999'999) return std::nullopt;
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// Leaves `out` as it is where the field is not there, or is no valid timestamp, which is a violation.
inline void TakeTimeField(bool has, const google::protobuf::Timestamp& time, std::string field, absl::Time& out,
                          domain::Violations& violations) {
  if (!has) return;
  const std::optional<absl::Time> taken = TakeTime(time);
  if (!taken) violations.Add(std::move(field), "is not a valid timestamp");
  out = taken.value_or(out);
}

// Nothing lies in a span that ends before it begins: whoever asks for it has turned its ends round.
inline void CheckSpan(absl::Time from, absl::Time to, std::string_view from_field, std::string to_field,
                      domain::Violations& violations) {
  if (to < from) violations.Add(std::move(to_field), fmt::format("is before `{}`", from_field));
}

}  // namespace waybill::rpc
