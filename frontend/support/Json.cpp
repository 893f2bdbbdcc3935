//===- Json.cpp - Reading JSON files strictly -----------------------------===//
#include "frontend/support/Json.h"

#include "frontend/support/MappedFile.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace vlmc {

static constexpr size_t maxDepth = 64;
static constexpr uint64_t maxFileBytes = 256 << 20;

/// "LINE:COLUMN" of a byte, both from 1.
static std::string position(std::string_view text, size_t byte) {
  std::string_view before = text.substr(0, std::min(byte, text.size()));
  size_t line = std::count(before.begin(), before.end(), '\n') + 1;
  size_t column = before.size() - (before.rfind('\n') + 1) + 1;
  return std::to_string(line) + ":" + std::to_string(column);
}

namespace {
/// Builds the value from the parser's events and stops at the first fault. The
/// library's own builder keeps the last of two equal names and has no limit.
class Builder {
public:
  // The parser calls these by the names that it gives them.
  // NOLINTBEGIN(readability-identifier-naming)
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string &) { return add(value); }
  bool string(std::string &value) { return add(std::move(value)); }
  bool binary(Json::binary_t &) { return false; }

  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string &name) {
    auto [place, isNew] = stack.back()->emplace(name, nullptr);
    if (!isNew) {
      fault = "the name \"" + name + "\" stands twice in one object";
      return false;
    }
    target = &*place;
    return true;
  }

  bool parse_error(size_t byte, const std::string &,
                   const Json::exception &error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    std::string_view what = error.what();
    if (size_t colon = what.find(": "); colon != what.npos)
      what.remove_prefix(colon + 2);
    fault = std::string(what);
    faultByte = byte ? byte - 1 : 0;
    return false;
  }

  // NOLINTEND(readability-identifier-naming)

  Json root;
  std::string fault;
  std::optional<size_t> faultByte;

private:
  /// Puts a value where the next one belongs.
  Json *put(Json value) {
    if (stack.empty()) {
      root = std::move(value);
      return &root;
    }
    if (stack.back()->is_array())
      return &stack.back()->emplace_back(std::move(value));
    *target = std::move(value);
    return target;
  }
  bool add(Json value) {
    put(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (stack.size() == maxDepth) {
      fault = "more than " + std::to_string(maxDepth) +
              " objects and arrays inside each other";
      return false;
    }
    stack.push_back(put(std::move(value)));
    return true;
  }
  bool close() {
    stack.pop_back();
    return true;
  }

  // An array grows only while none of its elements is open, so that the
  // pointers stay valid.
  std::vector<Json *> stack;
  Json *target = nullptr;
};
} // namespace

Result<Json> parseJson(std::string_view text, const std::string &file) {
  Builder builder;
  if (Json::sax_parse(text.begin(), text.end(), &builder))
    return std::move(builder.root);
  std::string where = file;
  if (builder.faultByte)
    where += ":" + position(text, *builder.faultByte);
  return Failure{where + ": expected JSON, found a fault: " + builder.fault +
                 "; mend the file or fetch it again"};
}

Result<Json> readJsonFile(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.takeFailure();
  if (file->size() > maxFileBytes)
    return Failure{path + ": expected a JSON file of at most " +
                   std::to_string(maxFileBytes) + " bytes, found " +
                   std::to_string(file->size()) + "; check the path"};
  return parseJson(file->text(), path);
}

std::string describe(const Json &value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

} // namespace vlmc
