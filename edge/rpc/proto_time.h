// Times on the wire.
#pragma once

#include <optional>

#include "absl/time/time.h"
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

}  // namespace waybill::rpc
