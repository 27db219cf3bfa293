// The books' append-only file. What Append returned OK for is on the disk, whatever happens to the process or the
// machine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/sandbox/record.h"

namespace waybill::sandbox {

class BookLog {
 public:
  // Makes the file, or reads it back from the start through `apply`, dropping a torn tail (lines whose append never
  // returned). DATA_LOSS when a damaged line is followed by whole ones; FAILED_PRECONDITION when another process has
  // the file open; UNAVAILABLE when it cannot be opened.
  static absl::StatusOr<std::unique_ptr<BookLog>> Open(const std::string& path,
                                                       const std::function<void(const Record&)>& apply);
  ~BookLog();
  BookLog(const BookLog&) = delete;
  BookLog& operator=(const BookLog&) = delete;

  // Whole lines. On an error none of them counts, and the same append may be tried again. Not thread-safe.
  absl::Status Append(std::string_view lines);

  int64_t lines_read() const { return lines_read_; }
  int64_t bytes_dropped() const { return bytes_dropped_; }

 private:
  BookLog(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status Read(const std::function<void(const Record&)>& apply);
  absl::Status CutTo(int64_t size);
  absl::Status Error(std::string_view what) const;  // from errno

  const std::string path_;
  const int fd_;
  int64_t size_ = 0;    // durable
  bool dirty_ = false;  // something beyond size_ may be in the file
  int64_t lines_read_ = 0;
  int64_t bytes_dropped_ = 0;
};

}  // namespace waybill::sandbox
