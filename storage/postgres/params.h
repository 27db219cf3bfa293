// Parameters in Postgres' binary format: scalars, and one-dimensional arrays for set-based statements.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "runtime/ids.h"

namespace waybill::storage {

// Type OIDs, as in Postgres' catalog pg_type; they never change.
using Oid = uint32_t;
inline constexpr Oid kOidBool = 16;
inline constexpr Oid kOidBytea = 17;
inline constexpr Oid kOidInt8 = 20;
inline constexpr Oid kOidInt2 = 21;
inline constexpr Oid kOidInt4 = 23;
inline constexpr Oid kOidText = 25;
inline constexpr Oid kOidFloat4 = 700;
inline constexpr Oid kOidFloat8 = 701;
inline constexpr Oid kOidTimestamptz = 1184;
inline constexpr Oid kOidUuid = 2950;
// The array type of one of the element types above.
Oid ArrayOid(Oid element);

// Microseconds since 2000-01-01 UTC, rounded down; the infinities become Postgres' own.
int64_t ToPostgresMicros(absl::Time time);
absl::Time FromPostgresMicros(int64_t micros);

class ArrayParam;

// One parameter of one call. Numbers, times and ids are held inside; text, bytes and arrays are only pointed at, and
// have to outlive the call.
class Param {
 public:
  static Param Null(Oid oid);
  static Param Bool(bool value);
  static Param Int2(int16_t value);
  static Param Int4(int32_t value);
  static Param Int8(int64_t value);
  static Param Double(double value);
  static Param Time(absl::Time value);
  static Param Id(const Uuid& value);
  static Param Text(std::string_view value);
  static Param Bytes(std::string_view value);
  Param(const ArrayParam& array);  // NOLINT(google-explicit-constructor): an array is a parameter

  Oid oid() const { return oid_; }
  bool is_null() const { return is_null_; }
  std::string_view bytes() const { return held_size_ > 0 ? std::string_view(held_.data(), held_size_) : view_; }

 private:
  explicit Param(Oid oid) : oid_(oid) {}
  static Param Fixed(Oid oid, uint64_t value, int width);

  Oid oid_;
  bool is_null_ = false;
  uint8_t held_size_ = 0;
  std::array<char, 16> held_{};
  std::string_view view_;
};

// A one-dimensional array, built element by element into one buffer. Clear keeps the buffer, so that a writer that
// fills the same array batch after batch does not allocate.
class ArrayParam {
 public:
  explicit ArrayParam(Oid element);

  // Each fits one element type (AddInt: int2, int4 and int8; AddText also bytea); asserted in builds with assertions.
  void AddId(const Uuid& value);
  void AddText(std::string_view value);
  void AddBytes(std::string_view value) { AddText(value); }
  void AddInt(int64_t value);
  void AddDouble(double value);  // float8 or float4
  void AddBool(bool value);
  void AddTime(absl::Time value);
  void AddNull();

  // An empty optional becomes NULL.
  void AddId(const std::optional<Uuid>& value) { value ? AddId(*value) : AddNull(); }
  void AddInt(const std::optional<int64_t>& value) { value ? AddInt(*value) : AddNull(); }
  void AddDouble(const std::optional<double>& value) { value ? AddDouble(*value) : AddNull(); }
  void AddTime(const std::optional<absl::Time>& value) { value ? AddTime(*value) : AddNull(); }

  void Clear();
  size_t size() const { return size_; }
  Oid element() const { return element_; }
  // The array in Postgres' binary format; invalidated by the next Add or Clear.
  std::string_view bytes() const;

 private:
  void Append(uint64_t value, int width);

  Oid element_;
  size_t size_ = 0;
  mutable std::string buffer_;  // header, then per element its length and its bytes
  bool has_null_ = false;
};

}  // namespace waybill::storage
