// What a reconciliation found, for people: on a terminal, in a spreadsheet, as a page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/terminal.h"

namespace waybill::cli {

struct CaseView {
  int64_t id = 0;
  std::string gateway;
  std::string what;          // "missing there (charge)"
  std::string whose;         // an order's id, or the gateway's reference
  std::string ours, theirs;  // "12.50 EUR"; empty: nothing
  absl::Time opened;
  std::string closed;  // by whom, and why; empty: it is open
  std::string action;  // what to do
};

struct ReportView {
  struct Sum {
    int64_t count = 0;
    int64_t minor = 0;
  };
  struct Totals {
    std::string currency;
    Sum charges, refunds, fees, chargebacks, our_charges, our_refunds;
  };
  std::string gateway, name, span;
  int64_t lines = 0;
  std::vector<Totals> totals;
  std::vector<CaseView> cases;
};

std::string RenderCases(const std::vector<CaseView>& cases, const Terminal& terminal);
std::string RenderText(const ReportView& report, const Terminal& terminal);
std::string RenderCsv(const ReportView& report);   // sums, an empty line, cases
std::string RenderHtml(const ReportView& report);  // one page that needs no other file

}  // namespace waybill::cli
