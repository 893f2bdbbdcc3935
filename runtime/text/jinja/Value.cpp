//===- Value.cpp - The values of chat templates ---------------------------===//
#include "runtime/text/jinja/Value.h"

#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <charconv>
#include <cmath>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

thread_local int64_t vlmc::rt::jinja::liveBytes = 0;
thread_local int64_t vlmc::rt::jinja::stepsLeft = INT64_MAX;

static const std::string noText;
static const std::vector<Value> noItems;
static const DictData noEntries;

Value::Value(std::string text)
    : what(Kind::String), data(std::make_shared<TextData>(std::move(text))) {}

Value Value::undefined(std::string reason) {
  Value value(std::move(reason));
  value.what = Kind::Undefined;
  return value;
}

Value Value::none() {
  Value value;
  value.what = Kind::None;
  return value;
}

Value Value::boolean(bool given) {
  Value value;
  value.what = Kind::Bool;
  value.number = given;
  return value;
}

Value Value::integer(int64_t given) {
  Value value;
  value.what = Kind::Int;
  value.number = given;
  return value;
}

Value Value::real(double given) {
  Value value;
  value.what = Kind::Float;
  value.fraction = given;
  return value;
}

Value Value::list(std::vector<Value> items, Kind kind, std::string type) {
  Value value;
  value.what = kind;
  value.data = std::make_shared<ListData>(std::move(items), std::move(type));
  return value;
}

Value Value::dict() {
  Value value;
  value.what = Kind::Dict;
  value.data = std::make_shared<DictData>();
  return value;
}

Value Value::nameSpace() {
  Value value = dict();
  value.what = Kind::Namespace;
  return value;
}

Value Value::function(std::string name,
                      std::function<Value(Machine &, Args &)> call) {
  Value value;
  value.what = Kind::Function;
  value.data = std::make_shared<FunctionData>(
      FunctionData{std::move(name), std::move(call)});
  return value;
}

Value Value::loop(std::shared_ptr<LoopData> loop, Kind kind) {
  Value value;
  value.what = kind;
  value.data = std::move(loop);
  return value;
}

double Value::asReal() const {
  return is(Kind::Float) ? fraction : static_cast<double>(number);
}

const std::string &Value::text() const {
  if ((isString() || isUndefined()) && data)
    return static_cast<const TextData *>(data.get())->text;
  if (isItems())
    return static_cast<const ListData *>(data.get())->type;
  return noText;
}

const std::vector<Value> &Value::items() const {
  return isItems() ? static_cast<const ListData *>(data.get())->items : noItems;
}

std::vector<Value> Value::takeItems() const {
  if (!is(Kind::Iterator))
    return items();
  auto *list = static_cast<ListData *>(data.get());
  std::vector<Value> left(list->items.begin() + ptrdiff_t(list->taken),
                          list->items.end());
  list->taken = list->items.size();
  return left;
}

const DictData &Value::entries() const {
  return is(Kind::Dict) || is(Kind::Namespace)
             ? *static_cast<const DictData *>(data.get())
             : noEntries;
}

FunctionData *Value::function() const {
  return is(Kind::Function) ? static_cast<FunctionData *>(data.get()) : nullptr;
}

LoopData *Value::loopData() const {
  return is(Kind::Loop) || is(Kind::Cycler)
             ? static_cast<LoopData *>(data.get())
             : nullptr;
}

unsigned Value::depth() const {
  if (isItems())
    return static_cast<const ListData *>(data.get())->depth;
  return isDict() ? static_cast<const DictData *>(data.get())->depth : 0;
}

void Value::set(const Value &key, Value value) {
  static_cast<DictData *>(data.get())->set(key, std::move(value));
}

void Value::clear() {
  if (is(Kind::Namespace))
    static_cast<DictData *>(data.get())->clear();
}

const Value *Value::get(const Value &key) const { return entries().find(key); }

const Value *Value::named(std::string_view key) const {
  return entries().findText(std::string(key));
}

ListData::ListData(std::vector<Value> given, std::string name)
    : Counted(int64_t(given.size() * sizeof(Value)) + 96),
      items(std::move(given)), type(std::move(name)) {
  for (const Value &item : items)
    depth = std::max(depth, item.depth() + 1);
}

const Value *DictData::findText(const std::string &key) const {
  auto place = places.find(key);
  return place == places.end() ? nullptr : &items[place->second].second;
}

const Value *DictData::find(const Value &key) const {
  if (key.isString())
    return findText(key.text());
  for (const auto &[name, value] : items)
    if (!name.isString() && equal(name, key))
      return &value;
  return nullptr;
}

void DictData::set(const Value &key, Value value) {
  depth = std::max({depth, value.depth() + 1, key.depth() + 1});
  if (const Value *old = find(key)) {
    *const_cast<Value *>(old) = std::move(value);
    return;
  }
  count(int64_t(2 * sizeof(Value)) + (key.isString() ? 64 : 0));
  if (key.isString())
    places.emplace(key.text(), items.size());
  items.emplace_back(key, std::move(value));
}

void DictData::clear() {
  // Items may lead back here.
  auto old = std::exchange(items, {});
  places.clear();
}

bool vlmc::rt::jinja::truth(const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Int:
    return value.asInteger() != 0;
  case Kind::Float:
    return value.asReal() != 0;
  case Kind::String:
    return !value.text().empty();
  case Kind::List:
  case Kind::Tuple:
  case Kind::Range:
  case Kind::View:
    return !value.items().empty();
  case Kind::Dict:
    return !value.entries().items.empty();
  default:
    return true;
  }
}

static bool equalItems(const std::vector<Value> &left,
                       const std::vector<Value> &right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    equal);
}

static bool equalEntries(const Value &left, const Value &right) {
  const auto &items = left.entries().items;
  if (items.size() != right.entries().items.size())
    return false;
  return std::all_of(items.begin(), items.end(), [&](const auto &entry) {
    const Value *other = right.get(entry.first);
    return other && equal(entry.second, *other);
  });
}

bool vlmc::rt::jinja::equal(const Value &left, const Value &right) {
  // Lists that hold one list many times would take forever.
  if (--stepsLeft < 0)
    return false;
  if (left.isInteger() && right.isInteger())
    return left.asInteger() == right.asInteger();
  if (left.isNumber() && right.isNumber())
    return left.asReal() == right.asReal();
  if (left.kind() != right.kind())
    return false;
  switch (left.kind()) {
  case Kind::Undefined:
  case Kind::None:
    return true;
  case Kind::String:
    return left.text() == right.text();
  case Kind::List:
  case Kind::Tuple:
  case Kind::Range:
    return equalItems(left.items(), right.items());
  case Kind::Dict:
    return equalEntries(left, right);
  default:
    return left.identity() == right.identity();
  }
}

std::string vlmc::rt::jinja::typeName(const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
    return "Undefined";
  case Kind::None:
    return "NoneType";
  case Kind::Bool:
    return "bool";
  case Kind::Int:
    return "int";
  case Kind::Float:
    return "float";
  case Kind::String:
    return value.isMarkup() ? "Markup" : "str";
  case Kind::List:
    return "list";
  case Kind::Tuple:
    return "tuple";
  case Kind::Range:
    return "range";
  case Kind::View:
  case Kind::Iterator:
    return value.text();
  case Kind::Dict:
    return "dict";
  case Kind::Namespace:
    return "TemplateNamespace";
  case Kind::Function:
    return "function";
  case Kind::Loop:
    return "LoopContext";
  case Kind::Cycler:
    return "Cycler";
  }
  return "object";
}

std::string vlmc::rt::jinja::reprReal(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(value),
                           std::chars_format::scientific)
                 .ptr;
  std::string_view shortest(buffer, size_t(end - buffer));
  size_t e = shortest.find('e');
  std::string digits(1, shortest[0]);
  if (e > 1)
    digits.append(shortest.substr(2, e - 2));
  int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  std::string out = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1)
      out += "." + digits.substr(1);
    std::string power = std::to_string(std::abs(exponent));
    return out + (exponent < 0 ? "e-" : "e+") +
           (power.size() < 2 ? "0" + power : power);
  }
  if (exponent < 0)
    return out + "0." + std::string(size_t(-exponent - 1), '0') + digits;
  size_t whole = size_t(exponent) + 1;
  if (digits.size() <= whole)
    return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

static void appendHex(std::string &out, const char *prefix, char32_t c,
                      int digits) {
  out += prefix;
  for (int i = digits - 1; i >= 0; --i)
    out += "0123456789abcdef"[(c >> (4 * i)) & 15];
}

static bool isPrintable(char32_t c) {
  if (c == ' ')
    return true;
  std::string_view category =
      text::categoryName(text::charClass(text::charClassId(c)).category);
  return category[0] != 'C' && category[0] != 'Z';
}

std::string vlmc::rt::jinja::reprText(std::string_view text) {
  char quote =
      text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    char32_t c = text::nextChar(text, at);
    if (c == char32_t(quote) || c == '\\')
      (out += '\\') += char(c);
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (isPrintable(c))
      text::appendUtf8(out, c);
    else if (c < 0x100)
      appendHex(out, "\\x", c, 2);
    else if (c < 0x10000)
      appendHex(out, "\\u", c, 4);
    else
      appendHex(out, "\\U", c, 8);
  }
  return out + quote;
}

// A namespace may hold itself, by way of others.
static constexpr unsigned maxReprDepth = maxValueDepth + 2;

static void appendRepr(std::string &out, const Value &value, unsigned level);

static void appendItems(std::string &out, const std::vector<Value> &items,
                        unsigned level) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i)
      out += ", ";
    appendRepr(out, items[i], level + 1);
  }
}

static void appendEntries(std::string &out, const Value &dict, unsigned level) {
  out += '{';
  bool first = true;
  for (const auto &[key, item] : dict.entries().items) {
    if (!first)
      out += ", ";
    first = false;
    appendRepr(out, key, level + 1);
    out += ": ";
    appendRepr(out, item, level + 1);
  }
  out += '}';
}

static void appendSequence(std::string &out, const Value &value,
                           unsigned level) {
  switch (value.kind()) {
  case Kind::List:
    out += '[';
    appendItems(out, value.items(), level);
    out += ']';
    return;
  case Kind::Tuple:
    out += '(';
    appendItems(out, value.items(), level);
    out += value.items().size() == 1 ? ",)" : ")";
    return;
  case Kind::View:
    out += value.text() + "([";
    appendItems(out, value.items(), level);
    out += "])";
    return;
  case Kind::Range:
    out += value.text();
    return;
  default:
    out += "<" + value.text() + " object>";
  }
}

static void appendRepr(std::string &out, const Value &value, unsigned level) {
  // The rendering that wants so much ends with its next step.
  if (level > maxReprDepth || out.size() > (size_t(1) << 26)) {
    stepsLeft = -1;
    return;
  }
  switch (value.kind()) {
  case Kind::Undefined:
    out += "Undefined";
    return;
  case Kind::None:
    out += "None";
    return;
  case Kind::Bool:
    out += value.asInteger() ? "True" : "False";
    return;
  case Kind::Int:
    out += std::to_string(value.asInteger());
    return;
  case Kind::Float:
    out += reprReal(value.asReal());
    return;
  case Kind::String:
    out += value.isMarkup() ? "Markup(" + reprText(value.text()) + ")"
                            : reprText(value.text());
    return;
  case Kind::Dict:
    appendEntries(out, value, level);
    return;
  case Kind::Namespace:
    out += "<Namespace ";
    appendEntries(out, value, level);
    out += '>';
    return;
  case Kind::Function:
    if (!value.function()->isMacro)
      out += "<function " + value.function()->name + ">";
    else if (value.function()->name.empty())
      out += "<Macro anonymous>";
    else
      out += "<Macro " + reprText(value.function()->name) + ">";
    return;
  case Kind::Loop:
    out += "<LoopContext " + std::to_string(value.loopData()->at + 1) + "/" +
           std::to_string(value.loopData()->items.size()) + ">";
    return;
  case Kind::Cycler:
    out += "<Cycler object>";
    return;
  default:
    appendSequence(out, value, level);
  }
}

std::string vlmc::rt::jinja::repr(const Value &value) {
  std::string out;
  appendRepr(out, value, 0);
  return out;
}

std::string vlmc::rt::jinja::str(const Value &value) {
  if (value.isString())
    return value.text();
  return value.isUndefined() ? std::string() : repr(value);
}
