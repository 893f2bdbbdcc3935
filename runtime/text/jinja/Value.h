//===- Value.h - The values of chat templates -----------------------------===//
//
// What a template computes with: Python's values as far as templates meet them.
// Lists, tuples and dicts never change once made; a namespace does. Values are
// cheap to copy.
//
//   Value message = Value::dict();
//   message.set("role", "user");
//   message.set("content", "hello");
//   Value messages = Value::list({message});
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_JINJA_VALUE_H
#define VLMC_RUNTIME_TEXT_JINJA_VALUE_H

#include "runtime/vlm.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace vlmc::rt::jinja {

class Value;
class Machine;
struct Args;

enum class Kind : uint8_t {
  Undefined, // text: what an error about it says
  None,
  Bool,
  Int,
  Float,
  String,
  List,
  Tuple,
  Range,
  View,     // of a dict: text is its type's name
  Iterator, // can be gone through once: text is its type's name
  Dict,
  Namespace,
  Function,
  Loop,
  Cycler,
};

/// Bytes of all values of this thread that live.
extern thread_local int64_t liveBytes;
/// Steps that the rendering of this thread has left; comparisons take from it
/// too.
extern thread_local int64_t stepsLeft;

/// Counts itself into liveBytes.
struct Counted {
  explicit Counted(int64_t bytes = 0) { count(bytes); }
  Counted(const Counted &other) : bytes(0) { count(other.bytes); }
  Counted &operator=(const Counted &) = delete;
  ~Counted() { liveBytes -= bytes; }
  void count(int64_t more) {
    bytes += more;
    liveBytes += more;
  }

private:
  int64_t bytes = 0;
};

struct TextData;
struct ListData;
struct DictData;
struct FunctionData;
struct LoopData;

/// More objects and arrays than this inside each other are refused.
constexpr unsigned maxValueDepth = 200;

class Value {
public:
  Value() = default; // undefined
  Value(std::string text);
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char *text) : Value(std::string(text)) {}
  static Value undefined(std::string reason);
  static Value none();
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value real(double value);
  static Value list(std::vector<Value> items, Kind kind = Kind::List,
                    std::string type = "");
  static Value tuple(std::vector<Value> items) {
    return list(std::move(items), Kind::Tuple);
  }
  static Value dict();
  static Value nameSpace();
  static Value function(std::string name,
                        std::function<Value(Machine &, Args &)> call);
  static Value loop(std::shared_ptr<LoopData> data, Kind kind = Kind::Loop);

  Kind kind() const { return what; }
  bool is(Kind kind) const { return what == kind; }
  bool isUndefined() const { return is(Kind::Undefined); }
  bool isNone() const { return is(Kind::None); }
  bool isString() const { return is(Kind::String); }
  bool isDict() const { return is(Kind::Dict); }
  /// Of an integer or a boolean, as Python counts them.
  bool isInteger() const { return is(Kind::Int) || is(Kind::Bool); }
  bool isNumber() const { return isInteger() || is(Kind::Float); }
  bool isItems() const { return what >= Kind::List && what <= Kind::Iterator; }

  int64_t asInteger() const { return number; }
  double asReal() const;
  /// Of a string, an undefined value (the reason), a view or an iterator.
  const std::string &text() const;
  const std::vector<Value> &items() const;
  /// What is left of an iterator, which is then gone through.
  std::vector<Value> takeItems() const;
  const DictData &entries() const;
  FunctionData *function() const;
  LoopData *loopData() const;
  const void *identity() const { return data.get(); }
  unsigned depth() const;

  /// Sets an entry; only while nobody else holds the dict, or of a namespace.
  void set(const Value &key, Value value);
  /// Empties a namespace.
  void clear();
  /// The entry of a dict or namespace, or null.
  const Value *get(const Value &key) const;
  const Value *named(std::string_view key) const;

  /// Text that `safe` or `escape` made.
  bool isMarkup() const { return markup; }
  Value asMarkup() const {
    Value copy = *this;
    copy.markup = copy.isString();
    return copy;
  }

private:
  Kind what = Kind::Undefined;
  bool markup = false;
  union {
    int64_t number = 0;
    double fraction;
  };
  std::shared_ptr<void> data;
};

struct TextData : Counted {
  explicit TextData(std::string given)
      : Counted(int64_t(given.size()) + 64), text(std::move(given)) {}
  std::string text;
};

struct ListData : Counted {
  ListData(std::vector<Value> given, std::string name);
  std::vector<Value> items;
  std::string type;
  size_t taken = 0; // of an iterator
  unsigned depth = 1;
};

struct DictData : Counted {
  const Value *find(const Value &key) const;
  const Value *findText(const std::string &key) const;
  void set(const Value &key, Value value);
  void clear();

  std::vector<std::pair<Value, Value>> items; // in the order of insertion
  unsigned depth = 1;

private:
  std::unordered_map<std::string, size_t> places; // of keys that are strings
};

struct FunctionData {
  std::string name;
  std::function<Value(Machine &, Args &)> call;
  bool isMacro = false; // without a name: the block of a call
};

/// The variable `loop`, and the state of a cycler.
struct LoopData {
  std::vector<Value> items;
  size_t at = 0;
  int64_t depth = 0;
  Value changed;
  bool hasChanged = false;
  Value recurse; // a function, in a recursive loop
};

/// The arguments of a call.
struct Args {
  std::vector<Value> items;
  std::vector<std::pair<std::string, Value>> named;
};

bool truth(const Value &value);
bool equal(const Value &left, const Value &right);
/// Python's name of the value's type.
std::string typeName(const Value &value);
/// Python's str() and repr().
std::string str(const Value &value);
std::string repr(const Value &value);
std::string reprReal(double value);
std::string reprText(std::string_view text);

/// How `tojson` writes.
struct JsonStyle {
  bool ascii = false;
  bool sorted = false;
  bool lines = false; // one element a line, each level indented by `indent`
  std::string indent;
  std::string comma = ", ";
  std::string colon = ": ";
};
/// False with the reason in `fault`: a value that JSON cannot tell.
bool toJson(const Value &value, const JsonStyle &style, std::string &out,
            std::string &fault);

/// Reads JSON. Errors: VLM_INVALID_ARGUMENT with line and column.
vlm_status_t *parseJson(std::string_view json, Value &out);

} // namespace vlmc::rt::jinja

#endif // VLMC_RUNTIME_TEXT_JINJA_VALUE_H
