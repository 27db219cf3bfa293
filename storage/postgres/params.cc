#include "storage/postgres/params.h"

#include <bit>
#include <cassert>
#include <cstring>
#include <limits>

namespace waybill::storage {
namespace {

// Header of an array: dimensions, has-null flag, element type, then size and lower bound of the one dimension.
constexpr size_t kArrayHeader = 5 * sizeof(int32_t);
constexpr size_t kEmptyArrayHeader = 3 * sizeof(int32_t);  // an empty array has no dimension

void StoreBigEndian(char* out, uint64_t value, int width) {
  for (int i = width - 1; i >= 0; --i) {
    out[i] = static_cast<char>(value & 0xff);
    value >>= 8;
  }
}

absl::Time PostgresEpoch() { return absl::FromUnixSeconds(946'684'800); }  // 2000-01-01T00:00:00Z

}  // namespace

Oid ArrayOid(Oid element) {
  switch (element) {
    case kOidBool:
      return 1000;
    case kOidBytea:
      return 1001;
    case kOidInt8:
      return 1016;
    case kOidInt2:
      return 1005;
    case kOidInt4:
      return 1007;
    case kOidText:
      return 1009;
    case kOidFloat4:
      return 1021;
    case kOidFloat8:
      return 1022;
    case kOidTimestamptz:
      return 1185;
    case kOidUuid:
      return 2951;
    default:
      return 0;  // the server infers it
  }
}

int64_t ToPostgresMicros(absl::Time time) {
  if (time == absl::InfiniteFuture()) return std::numeric_limits<int64_t>::max();
  if (time == absl::InfinitePast()) return std::numeric_limits<int64_t>::min();
  return absl::ToUnixMicros(time) - absl::ToUnixMicros(PostgresEpoch());
}

absl::Time FromPostgresMicros(int64_t micros) {
  if (micros == std::numeric_limits<int64_t>::max()) return absl::InfiniteFuture();
  if (micros == std::numeric_limits<int64_t>::min()) return absl::InfinitePast();
  return PostgresEpoch() + absl::Microseconds(micros);
}

Param Param::Fixed(Oid oid, uint64_t value, int width) {
  Param param(oid);
  StoreBigEndian(param.held_.data(), value, width);
  param.held_size_ = static_cast<uint8_t>(width);
  return param;
}

Param Param::Null(Oid oid) {
  Param param(oid);
  param.is_null_ = true;
  return param;
}

Param Param::Bool(bool value) { return Fixed(kOidBool, value ? 1 : 0, 1); }
Param Param::Int2(int16_t value) { return Fixed(kOidInt2, static_cast<uint64_t>(value), 2); }
Param Param::Int4(int32_t value) { return Fixed(kOidInt4, static_cast<uint64_t>(value), 4); }
Param Param::Int8(int64_t value) { return Fixed(kOidInt8, static_cast<uint64_t>(value), 8); }
Param Param::Double(double value) { return Fixed(kOidFloat8, std::bit_cast<uint64_t>(value), 8); }
Param Param::Time(absl::Time value) {
  return Fixed(kOidTimestamptz, static_cast<uint64_t>(ToPostgresMicros(value)), 8);
}

Param Param::Id(const Uuid& value) {
  Param param(kOidUuid);
  std::memcpy(param.held_.data(), value.bytes.data(), value.bytes.size());
  param.held_size_ = static_cast<uint8_t>(value.bytes.size());
  return param;
}

Param Param::Text(std::string_view value) {
  Param param(kOidText);
  param.view_ = value;
  return param;
}

Param Param::Bytes(std::string_view value) {
  Param param(kOidBytea);
  param.view_ = value;
  return param;
}

Param::Param(const ArrayParam& array) : oid_(ArrayOid(array.element())), view_(array.bytes()) {}

ArrayParam::ArrayParam(Oid element) : element_(element), buffer_(kArrayHeader, '\0') {}

void ArrayParam::Append(uint64_t value, int width) {
  char field[4 + 8];
  StoreBigEndian(field, static_cast<uint64_t>(width), 4);
  StoreBigEndian(field + 4, value, width);
  buffer_.append(field, 4 + static_cast<size_t>(width));
  ++size_;
}

void ArrayParam::AddId(const Uuid& value) {
  assert(element_ == kOidUuid);
  char field[4 + 16];
  StoreBigEndian(field, value.bytes.size(), 4);
  std::memcpy(field + 4, value.bytes.data(), value.bytes.size());
  buffer_.append(field, sizeof(field));
  ++size_;
}

void ArrayParam::AddText(std::string_view value) {
  assert(element_ == kOidText || element_ == kOidBytea);
  char length[4];
  StoreBigEndian(length, value.size(), 4);
  buffer_.append(length, sizeof(length));
  buffer_.append(value);
  ++size_;
}

void ArrayParam::AddInt(int64_t value) {
  assert(element_ == kOidInt2 || element_ == kOidInt4 || element_ == kOidInt8);
  Append(static_cast<uint64_t>(value), element_ == kOidInt8 ? 8 : element_ == kOidInt4 ? 4 : 2);
}

void ArrayParam::AddDouble(double value) {
  assert(element_ == kOidFloat8 || element_ == kOidFloat4);
  if (element_ == kOidFloat8) {
    Append(std::bit_cast<uint64_t>(value), 8);
  } else {
    Append(std::bit_cast<uint32_t>(static_cast<float>(value)), 4);
  }
}

void ArrayParam::AddBool(bool value) {
  assert(element_ == kOidBool);
  Append(value ? 1 : 0, 1);
}

void ArrayParam::AddTime(absl::Time value) {
  assert(element_ == kOidTimestamptz);
  Append(static_cast<uint64_t>(ToPostgresMicros(value)), 8);
}

void ArrayParam::AddNull() {
  buffer_.append("\xff\xff\xff\xff", 4);
  has_null_ = true;
  ++size_;
}

void ArrayParam::Clear() {
  buffer_.resize(kArrayHeader);
  size_ = 0;
  has_null_ = false;
}

std::string_view ArrayParam::bytes() const {
  char* header = buffer_.data();
  StoreBigEndian(header, size_ > 0 ? 1 : 0, 4);
  StoreBigEndian(header + 4, has_null_ ? 1 : 0, 4);
  StoreBigEndian(header + 8, element_, 4);
  if (size_ == 0) return std::string_view(buffer_).substr(0, kEmptyArrayHeader);
  StoreBigEndian(header + 12, size_, 4);
  StoreBigEndian(header + 16, 1, 4);
  return buffer_;
}

}  // namespace waybill::storage
