//===- Config.h - Typed access to config.json -------------------*- C++ -*-===//
//
// A family reads config.json through ConfigSection: each key with its type,
// range and default. Faults are gathered, so that a user sees all of them at
// once; a key that nobody asked for is told too.
//
//   ConfigLog log;
//   ConfigSection vision(json["vision_config"], "config.json", "vision_config",
//                        log);
//   int64_t hidden = vision.integer("hidden_size", 768, 1, 1 << 20);
//   vision.finish();
//   if (!log.errors.empty())
//     return log.failure();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_CHECKPOINT_CONFIG_H
#define VLMC_FRONTEND_CHECKPOINT_CONFIG_H

#include "frontend/support/Json.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc {

/// What was found while a config was read.
struct ConfigLog {
  std::vector<std::string> errors;
  std::vector<std::string> warnings;

  /// All errors, one a line; only where there are any.
  Failure failure() const;
};

/// One object of a config file, read key by key. Borrows the object and the
/// log. Getters return the default where the key is absent and also, after an
/// entry in the log, where its value is wrong.
class ConfigSection {
public:
  /// `path` is the section's key ("" at the top level).
  ConfigSection(const Json &object, std::string file, std::string path,
                ConfigLog &log);

  /// An integer from `min` to `max`.
  int64_t integer(const std::string &key, int64_t fallback, int64_t min,
                  int64_t max);
  /// The same; null and absent are nothing.
  std::optional<int64_t> optionalInteger(const std::string &key, int64_t min,
                                         int64_t max);
  /// A finite number from `min` to `max`.
  double number(const std::string &key, double fallback, double min,
                double max);
  /// True or false.
  bool flag(const std::string &key, bool fallback);
  /// The same; null and absent are nothing.
  std::optional<bool> optionalFlag(const std::string &key);
  std::string string(const std::string &key, std::string_view fallback);
  /// A list of strings; null and absent are the empty list.
  std::vector<std::string> strings(const std::string &key);
  /// An object; null and absent are nothing.
  const Json *object(const std::string &key);

  /// A value of any kind; null and absent are nothing.
  const Json *find(const std::string &key);

  /// Takes note that `key` is known to have no effect on this model.
  void ignore(const std::string &key) { known.insert(key); }
  /// Tells the keys that were neither asked for nor are generic: an error, or a
  /// warning where the value is null, false, zero or empty.
  void finish();

  /// Adds "FILE: SECTION.KEY: MESSAGE" to the log.
  void error(std::string_view key, const std::string &message);
  void warn(std::string_view key, const std::string &message);

private:
  std::string where(std::string_view key) const;
  void wrong(const std::string &key, const std::string &expected,
             const Json &found);
  std::optional<int64_t> toInteger(const std::string &key, const Json &value,
                                   int64_t min, int64_t max);

  const Json &values;
  std::string file;
  std::string path;
  ConfigLog &log;
  std::set<std::string> known;
};

} // namespace vlmc

#endif // VLMC_FRONTEND_CHECKPOINT_CONFIG_H
