//===- Config.cpp - Typed access to config.json ---------------------------===//
#include "frontend/checkpoint/Config.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace vlmc {

Failure ConfigLog::failure() const {
  std::string message;
  for (const std::string &error : errors)
    message += (message.empty() ? "" : "\n") + error;
  return Failure{message};
}

ConfigSection::ConfigSection(const Json &object, std::string file,
                             std::string path, ConfigLog &log)
    : values(object), file(std::move(file)), path(std::move(path)), log(log) {}

std::string ConfigSection::where(std::string_view key) const {
  std::string result = file + ": ";
  if (!path.empty())
    result += path + (key.empty() ? "" : ".");
  return result + std::string(key) + ": ";
}

void ConfigSection::error(std::string_view key, const std::string &message) {
  log.errors.push_back(where(key) + message);
}

void ConfigSection::warn(std::string_view key, const std::string &message) {
  log.warnings.push_back(where(key) + message);
}

void ConfigSection::wrong(const std::string &key, const std::string &expected,
                          const Json &found) {
  error(key, "expected " + expected + ", found " + describe(found) +
                 "; mend the file");
}

const Json *ConfigSection::find(const std::string &key) {
  known.insert(key);
  auto found = values.find(key);
  return found == values.end() ? nullptr : &*found;
}

static std::string shown(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

std::optional<int64_t> ConfigSection::toInteger(const std::string &key,
                                                const Json &value, int64_t min,
                                                int64_t max) {
  // Unsigned numbers above int64's range would come out negative.
  bool fits =
      value.is_number_integer() &&
      (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t(max));
  if (fits && value.get<int64_t>() >= min && value.get<int64_t>() <= max)
    return value.get<int64_t>();
  wrong(key,
        min == max ? std::to_string(min)
                   : "an integer from " + std::to_string(min) + " to " +
                         std::to_string(max),
        value);
  return std::nullopt;
}

int64_t ConfigSection::integer(const std::string &key, int64_t fallback,
                               int64_t min, int64_t max) {
  const Json *value = find(key);
  return value ? toInteger(key, *value, min, max).value_or(fallback) : fallback;
}

std::optional<int64_t> ConfigSection::optionalInteger(const std::string &key,
                                                      int64_t min,
                                                      int64_t max) {
  const Json *value = find(key);
  if (!value || value->is_null())
    return std::nullopt;
  return toInteger(key, *value, min, max);
}

double ConfigSection::number(const std::string &key, double fallback,
                             double min, double max) {
  const Json *value = find(key);
  if (!value)
    return fallback;
  double result = value->is_number() ? value->get<double>() : std::nan("");
  if (result >= min && result <= max)
    return result;
  wrong(key, "a number from " + shown(min) + " to " + shown(max), *value);
  return fallback;
}

bool ConfigSection::flag(const std::string &key, bool fallback) {
  const Json *value = find(key);
  if (!value)
    return fallback;
  if (value->is_boolean())
    return value->get<bool>();
  wrong(key, "true or false", *value);
  return fallback;
}

std::optional<bool> ConfigSection::optionalFlag(const std::string &key) {
  const Json *value = find(key);
  if (!value || value->is_null())
    return std::nullopt;
  return flag(key, false);
}

std::string ConfigSection::string(const std::string &key,
                                  std::string_view fallback) {
  const Json *value = find(key);
  if (!value)
    return std::string(fallback);
  if (value->is_string())
    return value->get<std::string>();
  wrong(key, "a string", *value);
  return std::string(fallback);
}

std::vector<std::string> ConfigSection::strings(const std::string &key) {
  const Json *value = find(key);
  if (!value || value->is_null())
    return {};
  std::vector<std::string> result;
  bool isList = value->is_array();
  for (const Json &element : *value) {
    isList = isList && element.is_string();
    if (isList)
      result.push_back(element.get<std::string>());
  }
  if (isList)
    return result;
  wrong(key, "a list of strings", *value);
  return {};
}

const Json *ConfigSection::object(const std::string &key) {
  const Json *value = find(key);
  if (!value || value->is_null())
    return nullptr;
  if (value->is_object())
    return value;
  wrong(key, "an object", *value);
  return nullptr;
}

static bool isEmpty(const Json &value) {
  if (value.is_string())
    return value.get_ref<const std::string &>().empty();
  // Of numbers and flags, empty() says that they are one element.
  return value == false || value == 0 || value.empty();
}

static bool isGeneric(std::string_view key, bool isEmptyValue) {
  static constexpr std::string_view always[] = {
#define KEY(key) #key,
#include "frontend/checkpoint/GenericKeys.def"
  };
  static constexpr std::string_view empty[] = {
#define EMPTY_KEY(key) #key,
#include "frontend/checkpoint/GenericKeys.def"
  };
  return std::ranges::find(always, key) != std::end(always) ||
         (isEmptyValue && std::ranges::find(empty, key) != std::end(empty));
}

void ConfigSection::finish() {
  for (const auto &[key, value] : values.items()) {
    bool empty = isEmpty(value);
    if (known.count(key) || isGeneric(key, empty))
      continue;
    if (empty)
      warn(key, "unknown key with the value " + describe(value) + ", ignored");
    else
      error(key, "unknown key with the value " + describe(value) +
                     ", which may change the result; remove it if it does not");
  }
}

} // namespace vlmc
