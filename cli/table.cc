#include "cli/table.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

namespace waybill::cli {
namespace {

constexpr int kGap = 2;
constexpr int kFlexibleWidthMin = 10;
constexpr std::string_view kEllipsis = "…";

std::vector<std::string> CellLines(const Cell& cell, const Column& column, int width) {
  if (DisplayWidth(cell.text) <= width || column.overflow == Column::Overflow::kKeep) return {cell.text};
  if (column.overflow == Column::Overflow::kWrap) return Wrap(cell.text, width);
  return {std::string(FitPrefix(cell.text, width - 1)).append(kEllipsis)};
}

}  // namespace

void Table::Add(std::vector<Cell> row) {
  assert(row.size() == columns_.size());
  for (Cell& cell : row) cell.text = Printable(cell.text);
  rows_.push_back(std::move(row));
}

std::vector<int> Table::Widths(const Terminal& terminal) const {
  std::vector<int> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    int width = DisplayWidth(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[i].text));
    widths.push_back(width);
  }
  if (terminal.width <= 0) return widths;
  int total =
      indent_ + kGap * (static_cast<int>(columns_.size()) - 1) + std::accumulate(widths.begin(), widths.end(), 0);
  for (; total > terminal.width; --total) {
    int* widest = nullptr;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].overflow == Column::Overflow::kKeep) continue;
      if (widths[i] <= std::max(kFlexibleWidthMin, DisplayWidth(columns_[i].title))) continue;
      if (widest == nullptr || widths[i] > *widest) widest = &widths[i];
    }
    if (widest == nullptr) break;
    --*widest;
  }
  return widths;
}

void Table::RenderRow(const std::vector<Cell>& row, const std::vector<int>& widths, const Terminal& terminal,
                      std::string& out) const {
  std::vector<std::vector<std::string>> cells;
  size_t height = 1;
  for (size_t i = 0; i < row.size(); ++i) {
    cells.push_back(CellLines(row[i], columns_[i], widths[i]));
    height = std::max(height, cells.back().size());
  }
  for (size_t line = 0; line < height; ++line) {
    size_t pending = static_cast<size_t>(indent_);  // spaces owed before the next text
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) pending += kGap;
      std::string text = line < cells[i].size() ? cells[i][line] : "";
      size_t padding = static_cast<size_t>(std::max(0, widths[i] - DisplayWidth(text)));
      bool right = columns_[i].align == Column::Align::kRight;
      if (right) pending += padding;
      if (!text.empty()) {
        out.append(pending, ' ').append(Paint(text, row[i].style, terminal));
        pending = 0;
      }
      if (!right) pending += padding;
    }
    out += '\n';
  }
}

std::string Table::Render(const Terminal& terminal) const {
  std::vector<int> widths = Widths(terminal);
  std::string out;
  bool titled =
      std::any_of(columns_.begin(), columns_.end(), [](const Column& column) { return !column.title.empty(); });
  if (titled) {
    std::vector<Cell> header;
    for (const Column& column : columns_) header.emplace_back(column.title, Style::kBold);
    RenderRow(header, widths, terminal, out);
  }
  for (const auto& row : rows_) RenderRow(row, widths, terminal, out);
  return out;
}

std::vector<std::string> Wrap(std::string_view text, int columns) {
  std::vector<std::string> lines;
  while (DisplayWidth(text) > columns) {
    std::string_view fit = FitPrefix(text, columns);
    if (fit.empty()) break;  // not even one character fits: leave the rest as it is
    if (text[fit.size()] != ' ') {
      size_t space = fit.rfind(' ');
      if (space != std::string_view::npos && space > 0) fit = fit.substr(0, space);
    }
    lines.emplace_back(fit);
    text.remove_prefix(fit.size());
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  }
  if (!text.empty() || lines.empty()) lines.emplace_back(text);
  return lines;
}

}  // namespace waybill::cli
