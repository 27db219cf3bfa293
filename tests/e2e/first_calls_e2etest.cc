// The first calls of docs/first-calls.md, as they stand there.
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/stack.h"

namespace waybill::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The blocks of a language, in their order, with `port` for waybill-order's.
std::vector<std::string> BlocksOf(const std::string& language, int port) {
  std::ifstream file(WAYBILL_FIRST_CALLS);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> blocks;
  const std::string opening = fmt::format("```{}\n", language);
  for (size_t at = text.find(opening); at != std::string::npos; at = text.find(opening, at + 1)) {
    const size_t begin = at + opening.size();
    std::string block = text.substr(begin, text.find("```", begin) - begin);
    const std::string stated = "127.0.0.1:7411";
    for (size_t address; (address = block.find(stated)) != std::string::npos;) {
      block.replace(address, stated.size(), fmt::format("127.0.0.1:{}", port));
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

std::string OutputOf(const std::string& binary, std::vector<std::string> args) {
  ProcessOptions options;
  options.args = std::move(args);
  auto process = Process::Start(binary, options);
  if (!process.ok()) return process.status().ToString();
  EXPECT_EQ((*process)->Wait(absl::Seconds(60)), 0) << (*process)->Output();
  return (*process)->Output();
}

TEST(FirstCalls, AreAsTheDocumentSays) {
  StackOptions options;
  options.builtin_gateway = true;
  Stack stack(options);
  stack.AddReplica("a").Start();
  stack.PutDrivers(10);
  const int port = stack.replica().side_port();

  const std::vector<std::string> shell = BlocksOf("sh", port);
  ASSERT_THAT(shell, SizeIs(3));
  EXPECT_THAT(OutputOf("/bin/sh", {"-c", shell[0]}), AllOf(HasSubstr("\"first-curl\""), HasSubstr("\"CONFIRMED\"")));
  EXPECT_THAT(OutputOf("/bin/sh", {"-c", shell[1]}), HasSubstr("{\"orders\":[{\"orderId\":"));
  const std::string said =
      shell[2].substr(shell[2].find("# ") + 2, shell[2].find("\"details\"") - shell[2].find("# ") - 2);
  EXPECT_THAT(OutputOf("/bin/sh", {"-c", shell[2]}), AllOf(HasSubstr(said), HasSubstr("BAD_REQUEST")));

  const std::vector<std::string> python = BlocksOf("python", port);
  ASSERT_THAT(python, SizeIs(1));
  EXPECT_THAT(OutputOf("/usr/bin/python3", {"-c", python[0]}),
              AllOf(HasSubstr(" CONFIRMED\n"), HasSubstr("['accepted', 'succeeded', 'succeeded']")));

  const std::vector<std::string> node = BlocksOf("js", port);
  ASSERT_THAT(node, SizeIs(1));
  EXPECT_THAT(OutputOf("/usr/bin/node", {"--input-type=module", "-e", node[0]}), HasSubstr(" CONFIRMED\n"));
}

}  // namespace
}  // namespace waybill::testing
