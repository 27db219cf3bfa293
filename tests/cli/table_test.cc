#include "cli/table.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::cli {
namespace {

using ::testing::ElementsAre;

Table Fleet() {
  Table table({{"driver"}, {"orders", Column::Align::kRight}, {"note", Column::Align::kLeft, Column::Overflow::kCut}});
  table.Add({"d-1", "7", "on the way to the northern depot"});
  table.Add({"driver-10", "128", ""});
  return table;
}

TEST(Table, AlignsAndLeavesNoTrailingSpaces) {
  EXPECT_EQ(Fleet().Render(Terminal{}),
            "driver     orders  note\n"
            "d-1             7  on the way to the northern depot\n"
            "driver-10     128\n");
}

TEST(Table, CutsTheFlexibleColumnToTheTerminal) {
  EXPECT_EQ(Fleet().Render(Terminal{false, 36}),
            "driver     orders  note\n"
            "d-1             7  on the way to th…\n"
            "driver-10     128\n");
}

TEST(Table, NeverCutsWhatMustBeKept) {
  Table table({{"id"}, {"note", Column::Align::kLeft, Column::Overflow::kCut}});
  table.Add({"0190c2f4-aaaa-7bbb-8ccc-ddddeeeeffff", "a note that is long"});
  EXPECT_EQ(table.Render(Terminal{false, 20}),
            "id                                    note\n"
            "0190c2f4-aaaa-7bbb-8ccc-ddddeeeeffff  a note th…\n");
}

TEST(Table, WrapsUnderItsColumn) {
  Table table({{""}, {"", Column::Align::kLeft, Column::Overflow::kWrap}}, 2);
  table.Add({"why", "no driver within five kilometres"});
  EXPECT_EQ(table.Render(Terminal{false, 24}),
            "  why  no driver within\n"
            "       five kilometres\n");
}

TEST(Table, CountsColumnsOfTheTerminalNotBytes) {
  Table table({{"name"}, {"x"}});
  table.Add({"Łódź", "1"});
  table.Add({"東京", "2"});
  table.Add({"plain", "3"});
  EXPECT_EQ(table.Render(Terminal{}),
            "name   x\n"
            "Łódź   1\n"
            "東京   2\n"
            "plain  3\n");
}

TEST(Table, ColoursOnlyOnATerminalAndOutsideThePadding) {
  Table table({{"s"}, {"n"}});
  table.Add({Cell("ok", Style::kGood), "1"});
  EXPECT_EQ(table.Render(Terminal{true, 80}), "\x1b[1ms\x1b[0m   \x1b[1mn\x1b[0m\n\x1b[32mok\x1b[0m  1\n");
  EXPECT_EQ(table.Render(Terminal{}), "s   n\nok  1\n");
}

TEST(Printable, DisarmsWhatWouldDriveATerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(Printable("two\nlines\tand\r"), "two\\nlines\\tand\\x0d");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\x9b");                   // C1 CSI
  EXPECT_EQ(Printable("\xe2\x80\xaeten"), "\xef\xbf\xbdten");  // right-to-left override
  EXPECT_EQ(Printable("\xff\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(Printable("Łódź 東京 🚚"), "Łódź 東京 🚚");
}

TEST(DisplayWidth, KnowsCombiningAndWideCharacters) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1);
  EXPECT_EQ(DisplayWidth("東京"), 4);
  EXPECT_EQ(DisplayWidth("🚚"), 2);
}

TEST(FitPrefix, DoesNotSplitACharacter) {
  EXPECT_EQ(FitPrefix("東京", 3), "東");
  EXPECT_EQ(FitPrefix("abc", 5), "abc");
  EXPECT_EQ(FitPrefix("abc", 0), "");
}

TEST(Wrap, BreaksAtSpacesAndSplitsWordsOnlyWhenItMust) {
  EXPECT_THAT(Wrap("one two three", 7), ElementsAre("one two", "three"));
  EXPECT_THAT(Wrap("abcdefghij", 4), ElementsAre("abcd", "efgh", "ij"));
  EXPECT_THAT(Wrap("", 4), ElementsAre(""));
  EXPECT_THAT(Wrap("東京", 1), ElementsAre("東京"));
}

}  // namespace
}  // namespace waybill::cli
