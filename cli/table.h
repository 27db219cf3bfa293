// Aligned columns for people.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace waybill::cli {

struct Cell {
  // Rows are written as lists of texts.
  Cell(std::string t, Style s = Style::kPlain) : text(std::move(t)), style(s) {}  // NOLINT(google-explicit-constructor)
  Cell(const char* t) : text(t) {}                                                // NOLINT(google-explicit-constructor)
  std::string text;  // may come from others: it is made printable
  Style style = Style::kPlain;
};

struct Column {
  enum class Align { kLeft, kRight };
  // What may happen to the column where the terminal is too narrow: nothing, cut with an ellipsis, or broken into
  // lines.
  enum class Overflow { kKeep, kCut, kWrap };
  std::string title;
  Align align = Align::kLeft;
  Overflow overflow = Overflow::kKeep;
};

// Columns stand two spaces apart. A header line unless every title is empty; no trailing spaces.
class Table {
 public:
  explicit Table(std::vector<Column> columns, int indent = 0) : columns_(std::move(columns)), indent_(indent) {}

  void Add(std::vector<Cell> row);  // as many cells as columns
  bool empty() const { return rows_.empty(); }
  std::string Render(const Terminal& terminal) const;

 private:
  std::vector<int> Widths(const Terminal& terminal) const;
  void RenderRow(const std::vector<Cell>& row, const std::vector<int>& widths, const Terminal& terminal,
                 std::string& out) const;

  std::vector<Column> columns_;
  int indent_;
  std::vector<std::vector<Cell>> rows_;
};

// Printable text in lines of at most `columns`, broken at spaces where there are any.
std::vector<std::string> Wrap(std::string_view text, int columns);

}  // namespace waybill::cli
