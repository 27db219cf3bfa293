#include "edge/connect/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <stdexcept>

#include "fmt/format.h"

namespace waybill::connect {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib's way to ask for gzip and not for zlib's own format
constexpr int kMemory = 8;            // zlib's default
constexpr size_t kStepMax = 64 << 10;

}  // namespace

std::string Gzip(std::string_view plain) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string packed(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);  // ends: there is room for all of it
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

absl::StatusOr<std::string> Gunzip(std::string_view packed, size_t bytes_max) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string plain;
  int result = Z_OK;
  while (result == Z_OK && plain.size() <= bytes_max) {
    const size_t step = std::min(kStepMax, bytes_max + 1 - plain.size());  // one more says that there is too much
    const size_t before = plain.size();
    plain.resize(before + step);
    stream.next_out = reinterpret_cast<Bytef*>(plain.data() + before);
    stream.avail_out = static_cast<uInt>(step);
    result = inflate(&stream, Z_NO_FLUSH);
    plain.resize(before + step - stream.avail_out);
  }
  const bool whole = result == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (plain.size() > bytes_max) {
    return absl::ResourceExhaustedError(fmt::format("the message is larger than {} bytes", bytes_max));
  }
  if (!whole) return absl::InvalidArgumentError("the message is not gzip, or not all of it");
  return plain;
}

}  // namespace waybill::connect
