#include "services/sandbox/book_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "fmt/format.h"

namespace waybill::sandbox {

absl::StatusOr<std::unique_ptr<BookLog>> BookLog::Open(const std::string& path,
                                                       const std::function<void(const Record&)>& apply) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return absl::UnavailableError(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  std::unique_ptr<BookLog> log(new BookLog(path, fd));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(fmt::format("another process keeps its books in {}", path));
  }
  // The file's name is to outlast a crash of the machine as well.
  std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    ::fsync(folder_fd);
    ::close(folder_fd);
  }
  if (auto status = log->Read(apply); !status.ok()) return status;
  return log;
}

BookLog::~BookLog() { ::close(fd_); }

absl::Status BookLog::Append(std::string_view lines) {
  if (dirty_) {
    if (auto status = CutTo(size_); !status.ok()) return status;
    dirty_ = false;
  }
  dirty_ = true;
  std::string_view rest = lines;
  while (!rest.empty()) {
    ssize_t written = ::pwrite(fd_, rest.data(), rest.size(), size_ + static_cast<int64_t>(lines.size() - rest.size()));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error("write");
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (::fdatasync(fd_) != 0) return Error("fdatasync");
  dirty_ = false;
  size_ += static_cast<int64_t>(lines.size());
  return absl::OkStatus();
}

absl::Status BookLog::Read(const std::function<void(const Record&)>& apply) {
  std::ifstream in(path_, std::ios::binary);
  if (!in) return Error("read");
  std::string line;
  std::optional<int64_t> damaged;  // number of the first line that is not whole
  int64_t number = 0;
  while (std::getline(in, line)) {
    ++number;
    bool whole = !in.eof();  // ended by a newline
    std::optional<Record> record = whole ? ParseLine(line) : std::nullopt;
    if (!record.has_value()) {
      if (!damaged.has_value()) damaged = number;
      continue;
    }
    if (damaged.has_value()) return absl::DataLossError(fmt::format("{}: line {} is damaged", path_, *damaged));
    apply(*record);
    ++lines_read_;
    size_ += static_cast<int64_t>(line.size()) + 1;
  }
  struct stat file;
  if (::fstat(fd_, &file) != 0) return Error("stat");
  bytes_dropped_ = file.st_size - size_;
  return bytes_dropped_ > 0 ? CutTo(size_) : absl::OkStatus();
}

absl::Status BookLog::CutTo(int64_t size) {
  if (::ftruncate(fd_, size) != 0 || ::fdatasync(fd_) != 0) return Error("truncate");
  return absl::OkStatus();
}

absl::Status BookLog::Error(std::string_view what) const {
  return absl::UnavailableError(fmt::format("cannot {} {}: {}", what, path_, std::strerror(errno)));
}

}  // namespace waybill::sandbox
