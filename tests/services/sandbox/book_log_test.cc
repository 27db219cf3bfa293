#include "services/sandbox/book_log.h"

#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_directory.h"

namespace waybill::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SandboxBookLog : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<BookLog>> Open() {
    keys_.clear();
    return BookLog::Open(path_, [this](const Record& record) { keys_.push_back(record.key); });
  }
  static std::string Line(const std::string& key) {
    Record record;
    record.key = key;
    record.time = absl::UnixEpoch();
    return ToLine(record);
  }
  std::string Content() const {
    std::ostringstream content;
    content << std::ifstream(path_).rdbuf();
    return content.str();
  }
  void Write(const std::string& content) { std::ofstream(path_) << content; }

  testing::TempDirectory directory_;
  const std::string path_ = directory_.path() / "books.log";
  std::vector<std::string> keys_;
};

TEST_F(SandboxBookLog, ReadsBackWhatWasAppended) {
  {
    auto log = Open();
    ASSERT_TRUE(log.ok()) << log.status();
    EXPECT_TRUE((*log)->Append(Line("a") + Line("b")).ok());
    EXPECT_TRUE((*log)->Append(Line("c")).ok());
  }
  auto log = Open();
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_THAT(keys_, ElementsAre("a", "b", "c"));
  EXPECT_TRUE((*log)->Append(Line("d")).ok());
  EXPECT_EQ(Content(), Line("a") + Line("b") + Line("c") + Line("d"));
}

TEST_F(SandboxBookLog, DropsATornTailAtAnyByte) {
  const std::string whole = Line("a") + Line("b");
  const std::string last = Line("c");
  for (size_t torn = 0; torn < last.size(); ++torn) {
    Write(whole + last.substr(0, torn));
    {
      auto log = Open();
      ASSERT_TRUE(log.ok()) << log.status();
      EXPECT_THAT(keys_, ElementsAre("a", "b"));
      EXPECT_EQ((*log)->bytes_dropped(), static_cast<int64_t>(torn));
      EXPECT_TRUE((*log)->Append(Line("d")).ok());
    }
    EXPECT_EQ(Content(), whole + Line("d"));
  }
}

TEST_F(SandboxBookLog, DropsGarbageAtTheEnd) {
  Write(Line("a") + std::string(100, '\0') + "\n" + std::string(10, '\0'));
  auto log = Open();
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(Content(), Line("a"));
}

TEST_F(SandboxBookLog, RefusesDamageInTheMiddle) {
  std::string damaged = Line("b");
  damaged[0] = 'x';
  Write(Line("a") + damaged + Line("c"));
  auto log = Open();
  EXPECT_EQ(log.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(log.status().message()), HasSubstr("line 2"));
}

TEST_F(SandboxBookLog, BelongsToOneProcess) {
  auto log = Open();
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SandboxBookLog, SaysWhyItCannotBeOpened) {
  auto log = BookLog::Open(directory_.path() / "no" / "such" / "folder", [](const Record&) {});
  EXPECT_EQ(log.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(log.status().message()), HasSubstr("No such file"));
}

TEST_F(SandboxBookLog, AnAppendThatFailedHalfwayLeavesNothing) {
  auto log = Open();
  ASSERT_TRUE(log.ok()) << log.status();
  ASSERT_TRUE((*log)->Append(Line("a")).ok());
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit full = before;
  full.rlim_cur = Line("a").size() + 10;  // ten bytes of the next line still fit
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  absl::Status first = (*log)->Append(Line("b"));
  absl::Status second = (*log)->Append(Line("b"));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(first.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE((*log)->Append(Line("c")).ok());
  EXPECT_EQ(Content(), Line("a") + Line("c"));
}

}  // namespace
}  // namespace waybill::sandbox
