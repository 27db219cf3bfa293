#include "services/process/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <regex>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "toml++/toml.h"

namespace waybill::process {
namespace {

std::string NameOf(const CLI::Option& option) { return option.get_lnames().front(); }

// log-level: LOG_LEVEL.
std::string Upper(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
  return name;
}

bool IsFlag(const CLI::Option& option) { return option.get_expected_min() == 0; }

std::string DefaultOf(const CLI::Option& option) {
  return IsFlag(option) && option.get_default_str().empty() ? "false" : option.get_default_str();
}

bool InEnvironment(const CLI::Option& option) {
  const char* value = std::getenv(option.get_envname().c_str());
  return value != nullptr && *value != '\0';
}

// Among the flags, with a value behind it or in it.
bool IsGiven(const std::vector<std::string>& flags, const std::string& name) {
  const std::string flag = "--" + name;
  return std::any_of(flags.begin(), flags.end(),
                     [&](const std::string& given) { return given == flag || given.starts_with(flag + "="); });
}

std::string ValueOf(const std::vector<std::string>& flags, const std::string& name) {
  const std::string flag = "--" + name;
  for (size_t i = 0; i < flags.size(); ++i) {
    if (flags[i].starts_with(flag + "=")) return flags[i].substr(flag.size() + 1);
    if (flags[i] == flag && i + 1 < flags.size()) return flags[i + 1];
  }
  return "";
}

// As it would be written behind a flag; nothing: it is no single value.
std::optional<std::string> TextOf(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return fmt::format("{}", whole->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  return std::nullopt;
}

// How many letters have to be put in, taken out or exchanged.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t above_left = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t exchanged = above_left + (a[i - 1] == b[j - 1] ? 0 : 1);
      above_left = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, exchanged}));
    }
  }
  return row.back();
}

// As TOML takes it: numbers and truths as they are, all else quoted.
std::string Quoted(const std::string& value) {
  static const std::regex plain("true|false|[+-]?(0|[1-9][0-9]*)(\\.[0-9]+)?");
  if (std::regex_match(value, plain)) return value;
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

// For people, what CLI11 says of an option's type and checks: "INT:INT in [1 - 64]", "TEXT:{debug,info}".
std::string TypeOf(const CLI::Option& option) {
  if (IsFlag(option)) return "true or false";
  static const std::map<std::string, std::string> names = {{"INT", "whole number"},
                                                           {"UINT", "whole number"},
                                                           {"FLOAT", "number"},
                                                           {"TEXT", "text"},
                                                           {"DURATION", "duration"}};
  static const std::regex range("(\\w+):\\w+ in \\[(.+) - (.+)\\]"), choice("TEXT:\\{(.+)\\}");
  const std::string type = option.get_type_name();
  if (std::smatch of; std::regex_match(type, of, choice)) return std::regex_replace(of[1].str(), std::regex(","), ", ");
  std::smatch of;
  const bool limited = std::regex_match(type, of, range);
  const auto name = names.find(limited ? of[1].str() : type);
  const std::string shown = name != names.end() ? name->second : type;
  return limited ? fmt::format("{}, {} to {}", shown, of[2].str(), of[3].str()) : shown;
}

std::string ForTable(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

}  // namespace

Settings::Settings(CLI::App& app, const std::string& prefix) : app_(app) {
  Adopt(app, prefix);
  for (CLI::App* group : app.get_subcommands([](CLI::App*) { return true; })) Adopt(*group, prefix);
  config_ = app.add_option("--config", "TOML file with settings, each named like its flag: log-level = \"debug\"")
                ->type_name("FILE")
                ->envname(prefix + "CONFIG")
                ->configurable(false);
  app.add_flag("--print-config", print_, "Print what is in force and where it comes from, as TOML, and exit")
      ->configurable(false);
  app.add_flag("--list-settings", list_, "Print all settings as a Markdown table, and exit")->configurable(false);
  app.add_flag_callback(
         "--list-failpoints",
         [] {
           std::string names = ListFailpoints();
           while (names.ends_with('\n')) names.pop_back();
           throw CLI::CallForVersion(names, 0);  // printed, and that is all
         },
         "Print the names of the compiled-in failpoints, and exit")
      ->configurable(false);
  app.set_version_flag("--version", WAYBILL_VERSION);
}

void Settings::Adopt(CLI::App& group, const std::string& prefix) {
  for (CLI::Option* option : group.get_options()) {
    const bool mine = option->get_configurable() && !option->get_lnames().empty() && option != group.get_help_ptr() &&
                      option != group.get_version_ptr();
    if (!mine) continue;
    if (option->get_envname().empty()) option->envname(prefix + Upper(NameOf(*option)));
    options_.push_back(option);
  }
}

std::vector<std::string> Settings::ReadFile(const std::string& path, const std::vector<std::string>& flags) {
  toml::table file;
  try {
    file = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    const auto line = error.source().begin.line;
    throw CLI::FileError(fmt::format("{}{}: {}", path, line > 0 ? fmt::format(":{}", line) : "", error.description()));
  }
  std::vector<std::string> read;
  for (const auto& [key, node] : file) {
    const std::string name(key.str());
    const std::string place = fmt::format("{}:{}", path, key.source().begin.line);
    const auto setting =
        std::find_if(options_.begin(), options_.end(), [&](CLI::Option* option) { return NameOf(*option) == name; });
    if (setting == options_.end()) {
      const auto close = std::min_element(options_.begin(), options_.end(), [&](CLI::Option* a, CLI::Option* b) {
        return Distance(NameOf(*a), name) < Distance(NameOf(*b), name);
      });
      const bool likely =
          close != options_.end() && Distance(NameOf(**close), name) <= std::max<size_t>(2, name.size() / 3);
      throw CLI::FileError(fmt::format("{}: there is no setting {}{}; --list-settings prints all", place, name,
                                       likely ? fmt::format(" (is {} meant?)", NameOf(**close)) : ""));
    }
    std::vector<std::string> values;
    const toml::array* several = node.as_array();
    for (size_t i = 0; i < (several == nullptr ? 1 : several->size()); ++i) {
      std::optional<std::string> text = TextOf(several == nullptr ? node : (*several)[i]);
      if (!text)
        throw CLI::FileError(
            fmt::format("{}: {} is neither text, number, true, false nor a list of them", place, name));
      values.push_back(*std::move(text));
    }
    if (!origins_.try_emplace(*setting, place).second) continue;
    for (const std::string& value : values) read.push_back(fmt::format("--{}={}", name, value));
  }
  return read;
}

std::optional<int> Settings::Read(int argc, const char* const* argv, const std::function<absl::Status()>& check,
                                  std::ostream& out, std::ostream& err) {
  std::vector<std::string> flags(argv + 1, argv + argc);
  const auto mistake = [&](const std::string& what) {
    err << fmt::format("{}: {}\n", app_.get_name(), what);
    return 2;
  };
  try {
    for (const CLI::Option* option : options_) {
      if (IsGiven(flags, NameOf(*option))) {
        origins_[option] = "flag";
      } else if (InEnvironment(*option)) {
        origins_[option] = option->get_envname();
      }
    }
    std::string path = ValueOf(flags, NameOf(*config_));
    if (path.empty() && InEnvironment(*config_)) path = std::getenv(config_->get_envname().c_str());
    if (!path.empty()) {
      const std::vector<std::string> read = ReadFile(path, flags);
      flags.insert(flags.begin(), read.begin(), read.end());
    }
    std::reverse(flags.begin(), flags.end());  // as CLI11 takes them
    app_.parse(std::move(flags));
  } catch (const CLI::Success& answer) {
    app_.exit(answer, out, err);
    return 0;
  } catch (const CLI::FileError& error) {
    return mistake(error.what());
  } catch (const CLI::ParseError& error) {
    // The message begins with the flag, wherever the value came from.
    std::string what = error.what();
    for (const Setting& setting : InForce()) {
      if (setting.from == "default" || setting.from == "flag" || !what.starts_with("--" + setting.name + ":")) continue;
      what += fmt::format(" ({})", setting.from);
    }
    return mistake(what + "; --help prints all flags");
  }
  if (list_) {
    List(out);
    return 0;
  }
  if (absl::Status fit = check(); !fit.ok()) return mistake(std::string(fit.message()));
  if (print_) {
    Print(out);
    return 0;
  }
  return std::nullopt;
}

std::vector<Setting> Settings::InForce() const {
  std::vector<Setting> settings;
  for (const CLI::Option* option : options_) {
    Setting& setting = settings.emplace_back();
    setting.name = NameOf(*option);
    if (option->count() == 0) {
      setting.value = DefaultOf(*option);
      setting.from = "default";
      continue;
    }
    setting.value = fmt::format("{}", fmt::join(option->results(), ","));
    const auto origin = origins_.find(option);
    setting.from = origin == origins_.end() ? "flag" : origin->second;
  }
  return settings;
}

bool CanChange(std::string_view setting) { return setting == "log-level"; }

void Settings::Print(std::ostream& out) const {
  for (const Setting& setting : InForce()) {
    // What has no value is not set at all.
    out << fmt::format("{}{} = {}  # {}\n", setting.value.empty() ? "# " : "", setting.name,
                       Quoted(WithoutPasswords(setting.value)), setting.from);
  }
}

void Settings::List(std::ostream& out) const {
  out << "| setting | variable | type | default | means |\n| --- | --- | --- | --- | --- |\n";
  for (const CLI::Option* option : options_) {
    const std::string name = NameOf(*option);
    out << fmt::format("| `{}` | `{}` | {} | {} | {}{} |\n", name, option->get_envname(), ForTable(TypeOf(*option)),
                       ForTable(WithoutPasswords(DefaultOf(*option))), ForTable(option->get_description()),
                       CanChange(name) ? ". Can be changed while running" : "");
  }
}

std::string WithoutPasswords(std::string_view text) {
  std::string shown(text);
  // user:password@ in front of a host: up to the last @ of what stands before the path.
  for (size_t at = 0; (at = shown.find("://", at)) != std::string::npos; at += 3) {
    const size_t begin = at + 3;
    const std::string_view authority =
        std::string_view(shown).substr(begin, shown.find_first_of("/?# ", begin) - begin);
    const size_t end = authority.rfind('@'), colon = authority.find(':');
    if (end == std::string_view::npos || colon >= end) continue;
    shown.replace(begin + colon + 1, end - colon - 1, "***");
  }
  static const std::regex parameter("(password|sslpassword)(\\s*=\\s*)('([^'\\\\]|\\\\.)*'|[^&\\s]*)");
  return std::regex_replace(shown, parameter, "$1$2***");
}

}  // namespace waybill::process
