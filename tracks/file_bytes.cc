#include "tracks/file_bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "fmt/format.h"

namespace waybill::tracks {
namespace {

constexpr size_t kHeldBytes = 128 * 1024;
constexpr unsigned char kGzipMagic[] = {0x1f, 0x8b};

std::string ReasonOf(int error) { return std::generic_category().message(error); }

// zlib's gzread would end as if all were well at what stands behind a member and is none.
class GzipBytes final : public ByteSource {
 public:
  // Closes `file`. `size`: as it lies there; nullopt when it has none.
  GzipBytes(int file, std::optional<uint64_t> size) : file_(file), size_(size), held_(kHeldBytes) {
    stream_.next_in = held_.data();
  }
  GzipBytes(const GzipBytes&) = delete;
  GzipBytes& operator=(const GzipBytes&) = delete;
  ~GzipBytes() override {
    if (packed_) inflateEnd(&stream_);
    close(file_);
  }

  absl::StatusOr<size_t> Read(char* to, size_t size) override {
    while (size > 0) {
      absl::Status filled = Fill(state_ == State::kIn || state_ == State::kPlain ? 1 : sizeof(kGzipMagic));
      if (!filled.ok()) return filled;
      if (state_ == State::kIn) {
        absl::StatusOr<size_t> got = Inflate(to, size);
        if (!got.ok() || *got > 0) return got;
      } else if (state_ == State::kPlain || available() == 0) {
        return TakePlain(to, size);
      } else if (available() >= sizeof(kGzipMagic) &&
                 std::memcmp(stream_.next_in, kGzipMagic, sizeof(kGzipMagic)) == 0) {
        if ((packed_ ? inflateReset(&stream_) : inflateInit2(&stream_, 15 + 16)) != Z_OK) {
          return absl::ResourceExhaustedError("cannot be unpacked: no memory");
        }
        packed_ = true;
        state_ = State::kIn;
      } else if (state_ == State::kBegin) {
        state_ = State::kPlain;
      } else if (*stream_.next_in == 0) {  // padding, as tapes have it; gzip passes over it, too
        ++stream_.next_in;
        --stream_.avail_in;
      } else {
        return absl::InvalidArgumentError("what stands behind the compressed data is not compressed");
      }
    }
    return size_t{0};
  }

  std::optional<double> Share() const override {
    if (!size_ || *size_ == 0) return std::nullopt;
    return std::min(1.0, static_cast<double>(taken_ - available()) / static_cast<double>(*size_));
  }

 private:
  enum class State { kBegin, kPlain, kIn, kBehind };  // a member

  size_t available() const { return stream_.avail_in; }

  // Reads on until so many bytes are there, or the file has ended.
  absl::Status Fill(size_t least) {
    while (available() < least && !ended_) {
      std::memmove(held_.data(), stream_.next_in, available());
      stream_.next_in = held_.data();
      const ssize_t got = read(file_, held_.data() + available(), held_.size() - available());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return absl::UnavailableError("cannot be read: " + ReasonOf(errno));
      ended_ = got == 0;
      taken_ += static_cast<uint64_t>(got);
      stream_.avail_in += static_cast<unsigned>(got);
    }
    return absl::OkStatus();
  }

  size_t TakePlain(char* to, size_t size) {
    const size_t got = std::min(size, available());
    if (got > 0) std::memcpy(to, stream_.next_in, got);
    stream_.next_in += got;
    stream_.avail_in -= static_cast<unsigned>(got);
    return got;
  }

  // 0: ask again.
  absl::StatusOr<size_t> Inflate(char* to, size_t size) {
    stream_.next_out = reinterpret_cast<unsigned char*>(to);
    stream_.avail_out = static_cast<unsigned>(std::min(size, kHeldBytes));
    const unsigned room = stream_.avail_out;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    const size_t got = room - stream_.avail_out;
    if (code == Z_STREAM_END) state_ = State::kBehind;
    if (got > 0 || code == Z_OK || code == Z_STREAM_END) return got;
    if (code == Z_BUF_ERROR && ended_) return absl::InvalidArgumentError("the compressed data break off");
    if (code == Z_BUF_ERROR) return size_t{0};
    return absl::InvalidArgumentError(
        fmt::format("cannot be unpacked: {}", stream_.msg != nullptr ? stream_.msg : zError(code)));
  }

  const int file_;
  const std::optional<uint64_t> size_;
  std::vector<unsigned char> held_;
  z_stream stream_ = {};  // its input is what `held_` still has
  State state_ = State::kBegin;
  bool packed_ = false;  // `stream_` is set up
  bool ended_ = false;
  uint64_t taken_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenBytes(const std::string& path) {
  const int file = path == "-" ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return absl::NotFoundError(ReasonOf(errno));
  struct stat about = {};
  std::optional<uint64_t> size;
  if (path != "-" && fstat(file, &about) == 0 && S_ISREG(about.st_mode)) size = static_cast<uint64_t>(about.st_size);
  return std::make_unique<GzipBytes>(file, size);
}

}  // namespace waybill::tracks
