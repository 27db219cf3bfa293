#include "runtime/text.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"
#include "tests/support/even_ranges.h"

namespace waybill {
namespace {

TEST(Utf8, CountsCodePointsAndSeesWhatIsInside) {
  Utf8 text = ReadUtf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x95");
  EXPECT_TRUE(text.valid);
  EXPECT_EQ(text.characters, 4u);
  EXPECT_FALSE(text.has_control || text.has_blank || text.has_nul);
  EXPECT_TRUE(ReadUtf8("\xe3\x80\x80").has_blank);
  EXPECT_TRUE(ReadUtf8("\xc2\x85").has_control);
  EXPECT_TRUE(ReadUtf8(std::string_view("\0", 1)).has_nul);
  EXPECT_TRUE(ReadUtf8("\xf4\x8f\xbf\xbf").valid);
  for (const char* bad : {"\x80", "\xc1\x81", "\xe0\x80\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf5\x80\x80\x80",
                          "\xe2\x82", "\xe2(\xac"}) {
    EXPECT_FALSE(ReadUtf8(bad).valid) << bad;
  }
}

TEST(EscapedHtml, IsNoMarkupWhereverItStands) {
  EXPECT_EQ(EscapedHtml("<b a=\"x\">A & B</b>"), "&lt;b a=&quot;x&quot;&gt;A &amp; B&lt;/b&gt;");
  EXPECT_EQ(EscapedHtml(""), "");
}

TEST(CleanText, LeavesWhatIsFit) {
  for (std::string fit : {"", "declined", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x95"}) EXPECT_EQ(CleanText(fit, 100), fit);
  EXPECT_EQ(CleanText("1234", 4), "1234");
}

TEST(CleanText, ReplacesWhatCannotBeKept) {
  EXPECT_EQ(CleanText(std::string("ch\0x", 4), 100), "ch\xef\xbf\xbdx");
  EXPECT_EQ(CleanText("ferm\xe9", 100), "ferm\xef\xbf\xbd");
  EXPECT_EQ(CleanText("a\r\n\tb\x1b[31m\x7f\xc2\x85", 100), "a   b\xef\xbf\xbd[31m\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(CleanText, CutsBeforeACharacter) {
  EXPECT_EQ(CleanText("123456", 5), "12\xe2\x80\xa6");
  EXPECT_EQ(CleanText("1\xe2\x82\xac\xe2\x82\xac", 6), "1\xe2\x80\xa6");
}

RC_GTEST_PROP(CleanText, IsAlwaysFitBoundedAndDoneOnce, (const std::string& text)) {
  const size_t max = *testing::Within<size_t>(3, 40);
  const std::string clean = CleanText(text, max);
  Utf8 read = ReadUtf8(clean);
  RC_ASSERT(read.valid && !read.has_control);
  RC_ASSERT(clean.size() <= max);
  RC_ASSERT(CleanText(clean, max) == clean);
}

TEST(WithoutPasswords, HidesThemWhereverAServerWouldTakeThem) {
  for (const auto& [value, shown] : std::vector<std::pair<std::string, std::string>>{
           {"redis://:p@127.0.0.1:6379/0", "redis://:***@127.0.0.1:6379/0"},
           {"redis://me:ab/c?d@e\"f@h:6379/0", "redis://me:***@h:6379/0"},
           {"postgresql://me:p@ss@h/db", "postgresql://me:***@h/db"},
           {"postgresql://me:se?c#r\"e t@h/db", "postgresql://me:***@h/db"},
           {"postgresql://me:un/escaped@h/db", "postgresql://me:***@h/db"},
           {"postgres://me:p@h1:1,h2:2/db", "postgres://me:***@h1:1,h2:2/db"},
           {"postgresql:///d?user=me&password=p\"q&sslmode=require",
            "postgresql:///d?user=me&password=***&sslmode=require"},
           {"postgresql:///d?pass%77ord=p&sslpassword=s", "postgresql:///d?pass%77ord=***&sslpassword=***"},
           {"host=h user=me password=p&q dbname=d", "host=h user=me password=*** dbname=d"},
           {"host=h password=ab://cd dbname=d", "host=h password=*** dbname=d"},
           {"host=h password=\"p\" dbname=d", "host=h password=*** dbname=d"},
           {"host=h password=p\\ q\\'r dbname=d", "host=h password=*** dbname=d"},
           {"host=h password = 'a b\\'c' dbname=d", "host=h password = *** dbname=d"},
           {"password='open", "password=***"},
           {"password=\\", "password=***"},
           {"password=" + std::string(100'000, 'p'), "password=***"}}) {
    EXPECT_EQ(WithoutPasswords(value), shown);
  }
}

TEST(WithoutPasswords, LeavesAllElse) {
  for (const std::string& value :
       {std::string("redis://127.0.0.1:6379/0"), std::string("postgresql://me@h1:1,h2:2/db"),
        std::string("postgresql:///waybill"), std::string("host=h user=me dbname=d"), std::string("the password"),
        std::string("grpc://host:1"), std::string("127.0.0.1:7410"), std::string("1:2@3"), std::string("://"),
        std::string("?"), std::string(), std::string(100'000, 'w')}) {
    EXPECT_EQ(WithoutPasswords(value), value);
  }
}

}  // namespace
}  // namespace waybill
