//===- Fields.h - The fields of a JSON object, checked --------------------===//
//
// Reads fields by name and type. The first fault is kept and the rest reads as
// absent, so that a reader checks once, at its end.
//
//   Fields fields(json, "models/foo/tokenizer.json", "normalizer", fault);
//   std::string content = fields.string("content");
//   bool invert = fields.boolean("invert", false);
//   if (!fault.empty()) ...
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_TEXT_FIELDS_H
#define VLMC_FRONTEND_TEXT_FIELDS_H

#include "frontend/support/Json.h"

#include <cstdint>
#include <optional>

namespace vlmc::text {

class Fields {
public:
  /// `key` is the path of `json` within the file, "" for the whole.
  Fields(const Json &json, std::string file, std::string key,
         std::string &fault);

  /// The value of a field, or null if it is absent or null.
  const Json *find(const char *name) const;
  bool has(const char *name) const {
    return json.is_object() && json.contains(name);
  }

  std::string string(const char *name) const;
  std::optional<std::string> optionalString(const char *name) const;
  bool boolean(const char *name) const;
  bool boolean(const char *name, bool absent) const;
  /// A token id.
  uint32_t id(const char *name) const;
  /// An object or array that has to be there; an empty one after a fault.
  const Json &object(const char *name) const;
  const Json &array(const char *name) const;
  Fields inside(const char *name) const;
  /// Element `index` of the array `name`, which holds `value` there.
  Fields element(const std::string &name, const Json &value,
                 size_t index) const;

  /// "FILE: KEY.name".
  std::string where(const std::string &name = "") const;
  /// Keeps a fault of a field, unless there is one already; `remedy` says how
  /// to mend it.
  void fail(const std::string &name, const std::string &problem,
            const std::string &remedy = "mend the file") const;
  /// The same where the file is right but vlmc cannot do what it says.
  void failUnsupported(const std::string &name,
                       const std::string &problem) const;

  const Json &json;

private:
  void expected(const char *name, const char *what) const;

  std::string file;
  std::string key;
  std::string &fault;
};

/// The largest token id plus one that tables are made for.
inline constexpr uint32_t maxIds = 1u << 24;

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_FIELDS_H
