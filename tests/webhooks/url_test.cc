#include "webhooks/url.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::webhooks {
namespace {

TEST(WebhookUrl, IsTakenApart) {
  absl::StatusOr<Url> url = ParseUrl("https://shop.example/hooks/1?x=%20");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "shop.example");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/hooks/1?x=%20");
  url = ParseUrl("http://[::1]:8080?x");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_FALSE(url->tls);
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->target, "/?x");
  EXPECT_EQ(ParseUrl("http://a")->port, 80);
  EXPECT_EQ(ParseUrl("http://a")->target, "/");
}

TEST(WebhookUrl, OfAnotherShapeIsRefused) {
  for (const char* text : {"",
                           "ftp://a/",
                           "//a/",
                           "https://",
                           "https:///x",
                           "https://:443/",
                           "https://user@a/",
                           "https://u:p@a/",
                           "https://a:0/",
                           "https://a:65536/",
                           "https://a:x/",
                           "https://a:/",
                           "https://a/#f",
                           "https://a/\r\nx: y",
                           "https://a b/",
                           "https://a./",
                           "https://[::1]x443/",
                           "https://[::1/",
                           "https://[x]/",
                           "https://a\\b/",
                           "https://ä/"}) {
    EXPECT_FALSE(ParseUrl(text).ok()) << text;
  }
  EXPECT_FALSE(ParseUrl("https://a/" + std::string(kUrlBytesMax, 'x')).ok());
}

}  // namespace
}  // namespace waybill::webhooks
