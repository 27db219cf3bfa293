// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill::http {
namespace {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = {""};
  for (const char* request : {
           "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n",
           "HEAD / HTTP/1.0\r\n\r\n",
           "GET http://x/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
           "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
           "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
           "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;n=v\r\na\r\n0\r\nt: v\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nPOST /c HTTP/1.1\r\nHost: "
           "x\r\nContent-Length: 1\r\n\r\nc",
           "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
           "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
           "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
           "GET /%41/../b HTTP/1.1\r\nHost: [::1]:80\r\nupgrade: h2c\r\n\r\n",
           "DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n",
           "\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
       }) {
    for (const char cut : {'\x10', '\x80'}) seeds.push_back(cut + std::string(request));
  }
  return seeds;
}

TEST(HttpRequestFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) testing::RunTarget(seed);
}

TEST(HttpRequestFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(Seeds(), 5'000, 20'261'128); }

}  // namespace
}  // namespace waybill::http
