//===- Machine.cpp - Statements and expressions ---------------------------===//
#include "runtime/text/jinja/Machine.h"

#include <algorithm>

using namespace vlmc::rt;
using namespace vlmc::rt::jinja;

// Of expressions, statements and calls inside each other.
static constexpr unsigned maxDepth = 900;

Machine::Machine(const RenderLimits &limits)
    : bounds(limits), bytesBefore(liveBytes), stepsBefore(stepsLeft),
      scope(std::make_shared<Scope>()) {
  stepsLeft = limits.steps;
}

Machine::~Machine() {
  for (Value &value : namespaces)
    value.clear();
  for (auto &held : captured)
    held->names.clear();
  stepsLeft = stepsBefore;
}

Value Machine::fail(std::string_view kind, std::string message) {
  if (failed())
    return {};
  failure = {VLM_INVALID_ARGUMENT, line, std::move(message)};
  if (!kind.empty())
    failure.message = std::string(kind) + ": " + failure.message;
  return {};
}

bool Machine::step(int64_t count) {
  stepsLeft -= count;
  if (!failed() && stepsLeft < 0)
    failure = {VLM_INVALID_ARGUMENT, line,
               "expected at most " + std::to_string(bounds.steps) +
                   " steps; the template goes through too much"};
  if (!failed())
    room(0);
  return !failed();
}

bool Machine::room(size_t bytes) {
  int64_t alive = liveBytes - bytesBefore + int64_t(out.size());
  if (!failed() &&
      (bytes > size_t(bounds.bytes) || alive + int64_t(bytes) > bounds.bytes))
    failure = {VLM_INVALID_ARGUMENT, line,
               "expected at most " + std::to_string(bounds.bytes) +
                   " bytes of text and values; the template makes more"};
  stepsLeft -= int64_t(std::min(bytes, size_t(bounds.bytes)) / 64);
  return !failed();
}

bool Machine::room(size_t count, size_t each) {
  return each && count > size_t(bounds.bytes) / each ? room(SIZE_MAX)
                                                     : room(count * each);
}

void Machine::define(const std::string &name, Value value) {
  for (auto &[known, old] : scope->names)
    if (known == name) {
      old = std::move(value);
      return;
    }
  scope->names.emplace_back(name, std::move(value));
}

const Value *Machine::lookup(const std::string &name) const {
  for (const Scope *at = scope.get(); at; at = at->parent.get())
    for (const auto &[known, value] : at->names)
      if (known == name)
        return &value;
  return globalFunction(name);
}

std::string Machine::run(const Node &root) {
  execute(root.body);
  step(0);
  return std::move(out);
}

Value Machine::nameSpace() {
  Value value = Value::nameSpace();
  namespaces.push_back(value);
  return value;
}

// Statements.

Machine::Flow Machine::execute(const std::vector<NodePtr> &nodes) {
  for (const NodePtr &node : nodes) {
    Flow flow = execute(*node);
    if (flow != Flow::On || failed())
      return flow;
  }
  return Flow::On;
}

Machine::Flow Machine::execute(const Node &node) {
  line = node.line;
  if (!step())
    return Flow::On;
  if (++depth > maxDepth)
    fail("RecursionError", "statements and calls inside each other too deep");
  Flow flow = Flow::On;
  switch (failed() ? NodeKind::Template : node.kind) {
  case NodeKind::Data:
    out += node.text;
    break;
  case NodeKind::Output:
    for (const NodePtr &kid : node.kids) {
      Value value = evaluate(*kid);
      if (!failed())
        out += str(value);
    }
    break;
  case NodeKind::If:
    flow = execute(truth(evaluate(*node.kids[0])) ? node.body : node.orelse);
    break;
  case NodeKind::For:
    flow = executeFor(node);
    break;
  case NodeKind::Set: {
    Value value = evaluate(*node.kids[1]);
    if (!failed())
      assign(*node.kids[0], value);
    break;
  }
  case NodeKind::SetBlock:
  case NodeKind::FilterBlock:
    flow = executeSetBlock(node);
    break;
  case NodeKind::Macro:
    define(node.text, macro(node));
    break;
  case NodeKind::CallBlock:
    executeCallBlock(node);
    break;
  case NodeKind::With:
  case NodeKind::Scope:
    flow = executeScoped(node);
    break;
  case NodeKind::Break:
    flow = Flow::Break;
    break;
  case NodeKind::Continue:
    flow = Flow::Continue;
    break;
  default:
    break;
  }
  --depth;
  return flow;
}

Machine::Flow Machine::executeScoped(const Node &node) {
  std::vector<Value> values;
  for (size_t i = 1; i < node.kids.size(); i += 2)
    values.push_back(evaluate(*node.kids[i]));
  push();
  for (size_t i = 0; i < values.size() && !failed(); ++i)
    assign(*node.kids[2 * i], values[i]);
  Flow flow = execute(node.body);
  pop();
  return flow;
}

/// `{% set x %}` and `{% filter f %}`.
Machine::Flow Machine::executeSetBlock(const Node &node) {
  std::string before = std::exchange(out, {});
  push();
  Flow flow = execute(node.body);
  pop();
  Value text(std::exchange(out, std::move(before)));
  if (flow != Flow::On || failed())
    return flow;
  bool block = node.kind == NodeKind::FilterBlock;
  const NodePtr &filters = node.kids[block ? 0 : 1];
  if (filters)
    text = evaluateFilter(*filters, &text);
  if (failed())
    return flow;
  if (block)
    out += str(text);
  else
    assign(*node.kids[0], text);
  return flow;
}

void Machine::executeCallBlock(const Node &node) {
  const Node &called = *node.kids[0];
  Value callee = evaluate(*called.kids[0]);
  Args args = arguments(called, 1);
  args.named.emplace_back("caller", macro(*node.body[0]));
  if (failed())
    return;
  Value value = call(callee, args);
  if (!failed())
    out += str(value);
}

void Machine::assign(const Node &target, const Value &value) {
  if (target.kind == NodeKind::Name) {
    define(target.text, value);
    return;
  }
  if (target.kind == NodeKind::NamespaceName) {
    const Value *found = lookup(target.text);
    if (!found || !found->is(Kind::Namespace)) {
      fail("TemplateRuntimeError",
           "cannot assign attribute on non-namespace object");
      return;
    }
    if (target.attribute.starts_with('_')) {
      fail("SecurityError", "Chat templates cannot store underscore-prefixed "
                            "attributes on a namespace, but got " +
                                reprText(target.attribute) +
                                ". Please rename the attribute.");
      return;
    }
    Value copy = *found;
    copy.set(target.attribute, value);
    return;
  }
  std::vector<Value> values = iterate(value);
  if (!failed() && values.size() != target.kids.size())
    fail("ValueError", (values.size() < target.kids.size()
                            ? "not enough values to unpack (expected "
                            : "too many values to unpack (expected ") +
                           std::to_string(target.kids.size()) + ", got " +
                           std::to_string(values.size()) + ")");
  for (size_t i = 0; i < values.size() && !failed(); ++i)
    assign(*target.kids[i], values[i]);
}

Machine::Flow Machine::executeFor(const Node &node) {
  Value over = evaluate(*node.kids[1]);
  return failed() ? Flow::On : loop(node, over, 0);
}

/// The text of a loop inside of itself.
std::string Machine::loopText(const Node &node, const Value &over,
                              int64_t level,
                              const std::shared_ptr<Scope> &outer) {
  std::string before = std::exchange(out, {});
  std::shared_ptr<Scope> inner = std::exchange(scope, outer);
  loop(node, over, level);
  scope = std::move(inner);
  return std::exchange(out, std::move(before));
}

Machine::Flow Machine::loop(const Node &node, const Value &over,
                            int64_t level) {
  std::vector<Value> items = iterate(over);
  if (node.kids[2]) {
    std::vector<Value> kept;
    for (const Value &item : items) {
      push();
      assign(*node.kids[0], item);
      if (!failed() && truth(evaluate(*node.kids[2])))
        kept.push_back(item);
      pop();
      if (failed())
        break;
    }
    items = std::move(kept);
  }
  if (failed())
    return Flow::On;
  auto data = std::make_shared<LoopData>();
  data->items = std::move(items);
  data->depth = level;
  if (node.recursive) {
    auto outer = scope;
    data->recurse = Value::function(
        "loop", [&node, level, outer](Machine &machine, Args &args) -> Value {
          if (args.items.size() != 1 || !args.named.empty())
            return machine.typeError("loop() takes 1 argument");
          return machine.loopText(node, args.items[0], level + 1, outer);
        });
  }
  Flow flow = Flow::On;
  bool wentThrough = false; // to Jinja2, a loop that was is not empty
  for (size_t i = 0; i < data->items.size() && !failed(); ++i) {
    data->at = i;
    push();
    assign(*node.kids[0], data->items[i]);
    define("loop", Value::loop(data));
    // A target may be named `loop`; the loop's own value wins.
    flow = failed() ? Flow::Break : execute(node.body);
    pop();
    if (flow == Flow::Break)
      break;
    wentThrough |= flow == Flow::On;
  }
  if (wentThrough || failed())
    return Flow::On;
  push();
  flow = execute(node.orelse);
  pop();
  return flow;
}

Value Machine::macro(const Node &node) {
  auto outer = scope;
  captured.push_back(outer);
  // The block of a call has no name of its own.
  Value made =
      Value::function(node.text == "caller" ? "" : node.text,
                      [&node, outer](Machine &machine, Args &args) -> Value {
                        return machine.callMacro(node, outer, args);
                      });
  made.function()->isMacro = true;
  return made;
}

/// `varargs`, `kwargs` and `caller` of a macro, from the arguments that its
/// parameters left.
void Machine::bindRest(const Node &node, Args &args) {
  Value named = Value::dict(), caller = Value::undefined("No caller defined");
  bool parameter = std::find(node.names.begin(), node.names.end(), "caller") !=
                   node.names.end();
  for (auto &[name, value] : args.named) {
    if (name == "caller" && node.usesCaller && !parameter)
      caller = value;
    else if (node.usesKwargs)
      named.set(name, value);
    else
      typeError("macro " + reprText(node.text) + " takes no keyword argument " +
                reprText(name));
  }
  if (node.usesCaller && !parameter)
    define("caller", caller);
  if (node.usesKwargs)
    define("kwargs", named);
  if (args.items.size() > node.names.size() && !node.usesVarargs)
    typeError("macro " + reprText(node.text) + " takes not more than " +
              std::to_string(node.names.size()) + " argument(s)");
  if (node.usesVarargs)
    define("varargs", Value::tuple({args.items.begin() +
                                        ptrdiff_t(std::min(args.items.size(),
                                                           node.names.size())),
                                    args.items.end()}));
}

Value Machine::callMacro(const Node &node, const std::shared_ptr<Scope> &outer,
                         Args &args) {
  std::shared_ptr<Scope> before =
      std::exchange(scope, std::make_shared<Scope>(Scope{{}, outer}));
  for (size_t i = 0; i < node.names.size() && !failed(); ++i) {
    auto named =
        std::find_if(args.named.begin(), args.named.end(),
                     [&](auto &arg) { return arg.first == node.names[i]; });
    if (named != args.named.end()) {
      if (i < args.items.size())
        typeError("macro " + reprText(node.text) +
                  " got multiple values for argument " +
                  reprText(node.names[i]));
      define(node.names[i], named->second);
      args.named.erase(named);
    } else if (i < args.items.size()) {
      define(node.names[i], args.items[i]);
    } else if (node.kids[i]) {
      define(node.names[i], evaluate(*node.kids[i]));
    } else {
      define(node.names[i],
             Value::undefined("parameter " + reprText(node.names[i]) +
                              " was not provided"));
    }
  }
  bindRest(node, args);
  std::string text = std::exchange(out, {});
  if (!failed())
    execute(node.body);
  std::swap(text, out);
  scope = std::move(before);
  return text;
}

// Expressions.

Value Machine::evaluate(const Node &node) {
  line = node.line;
  if (!step())
    return {};
  if (++depth > maxDepth)
    return fail("RecursionError",
                "expressions and calls inside each other too deep");
  Value value = evaluateNode(node);
  --depth;
  if (value.depth() > maxValueDepth)
    return fail("RecursionError", "values inside each other too deep");
  return failed() ? Value() : value;
}

std::vector<Value> Machine::evaluateAll(const Node &node) {
  std::vector<Value> values;
  for (const NodePtr &kid : node.kids)
    values.push_back(evaluate(*kid));
  return values;
}

Value Machine::evaluateNode(const Node &node) {
  auto kid = [&](size_t i) { return evaluate(*node.kids[i]); };
  switch (node.kind) {
  case NodeKind::Constant:
    return node.constant;
  case NodeKind::Name: {
    const Value *found = lookup(node.text);
    return found ? *found
                 : Value::undefined(reprText(node.text) + " is undefined");
  }
  case NodeKind::List:
    return Value::list(evaluateAll(node));
  case NodeKind::Tuple:
    return Value::tuple(evaluateAll(node));
  case NodeKind::Dict:
    return evaluateDict(node);
  case NodeKind::Conditional:
    if (truth(kid(1)))
      return kid(0);
    return node.kids[2]
               ? kid(2)
               : Value::undefined("the inline if-expression evaluated to false "
                                  "and no else section was defined.");
  case NodeKind::Or: {
    Value left = kid(0);
    return truth(left) ? left : kid(1);
  }
  case NodeKind::And: {
    Value left = kid(0);
    return truth(left) ? kid(1) : left;
  }
  case NodeKind::Not:
    return Value::boolean(!truth(kid(0)));
  case NodeKind::Compare:
    return evaluateCompare(node);
  case NodeKind::Binary: {
    Value left = kid(0), right = kid(1);
    return failed() ? Value() : binary(node.text, left, right);
  }
  case NodeKind::Concat: {
    std::string text;
    for (const Value &value : evaluateAll(node))
      text += str(value);
    return room(text.size()) ? Value(std::move(text)) : Value();
  }
  case NodeKind::Negative:
  case NodeKind::Positive:
    return negate(node);
  case NodeKind::Attribute: {
    Value of = kid(0);
    return failed() ? Value() : attribute(of, node.text);
  }
  case NodeKind::Item:
    return evaluateItem(node);
  case NodeKind::Call: {
    Value callee = kid(0);
    Args args = arguments(node, 1);
    line = node.line;
    return failed() ? Value() : call(callee, args);
  }
  case NodeKind::Filter:
    return evaluateFilter(node, nullptr);
  case NodeKind::Test: {
    Value value = kid(0);
    Args args = arguments(node, 1);
    return failed() ? Value() : Value::boolean(test(node.text, value, args));
  }
  case NodeKind::Slice:
    return typeError("slices stand alone in brackets");
  default:
    return fail("", "not an expression");
  }
}

static bool isHashable(const Value &value) {
  if (value.is(Kind::Tuple))
    return std::all_of(value.items().begin(), value.items().end(), isHashable);
  return !value.is(Kind::List) && !value.isDict();
}

Value Machine::evaluateDict(const Node &node) {
  Value dict = Value::dict();
  for (size_t i = 0; i + 1 < node.kids.size() && !failed(); i += 2) {
    Value key = evaluate(*node.kids[i]);
    Value value = evaluate(*node.kids[i + 1]);
    if (!isHashable(key))
      return typeError("unhashable type: '" + typeName(key) + "'");
    dict.set(key, std::move(value));
  }
  return dict;
}

Value Machine::evaluateCompare(const Node &node) {
  Value left = evaluate(*node.kids[0]);
  bool holds = true;
  for (size_t i = 0; i < node.names.size() && holds && !failed(); ++i) {
    Value right = evaluate(*node.kids[i + 1]);
    holds = !failed() && compare(node.names[i], left, right);
    left = std::move(right);
  }
  return Value::boolean(holds);
}

Value Machine::evaluateItem(const Node &node) {
  Value of = evaluate(*node.kids[0]);
  const Node &key = *node.kids[1];
  if (key.kind != NodeKind::Slice) {
    Value at = evaluate(key);
    return failed() ? Value() : item(of, at);
  }
  Value parts[3];
  for (size_t i = 0; i < 3; ++i)
    parts[i] = key.kids[i] ? evaluate(*key.kids[i]) : Value::none();
  return failed() ? Value() : slice(of, parts[0], parts[1], parts[2]);
}

Value Machine::evaluateFilter(const Node &node, const Value *given) {
  // The first filter of a block has nothing before it.
  Value value = !node.kids[0] ? *given
                : given       ? evaluateFilter(*node.kids[0], given)
                              : evaluate(*node.kids[0]);
  Args args = arguments(node, 1);
  line = node.line;
  return failed() ? Value() : filter(node.text, value, args);
}

Value Machine::negate(const Node &node) {
  Value value = evaluate(*node.kids[0]);
  bool negative = node.kind == NodeKind::Negative;
  if (value.is(Kind::Float))
    return negative ? Value::real(-value.asReal()) : value;
  if (value.isInteger()) {
    int64_t whole = value.asInteger();
    if (whole == INT64_MIN)
      return fail("OverflowError", "whole numbers have at most 64 bits");
    return Value::integer(negative ? -whole : whole);
  }
  if (value.isUndefined())
    return fail("UndefinedError", value.text());
  return typeError(std::string("bad operand type for unary ") +
                   (negative ? "-" : "+") + ": '" + typeName(value) + "'");
}

/// The arguments of a call, filter or test, whose kids begin with `first`
/// others.
Args Machine::arguments(const Node &node, size_t first) {
  Args args;
  for (size_t i = first; i < node.positional && !failed(); ++i)
    args.items.push_back(evaluate(*node.kids[i]));
  if (node.moreItems) {
    std::vector<Value> more = iterate(evaluate(*node.moreItems));
    args.items.insert(args.items.end(), more.begin(), more.end());
  }
  for (size_t i = 0; i < node.names.size() && !failed(); ++i)
    args.named.emplace_back(node.names[i],
                            evaluate(*node.kids[node.positional + i]));
  if (!node.moreNamed || failed())
    return args;
  Value more = evaluate(*node.moreNamed);
  if (!more.isDict())
    typeError("argument after ** must be a mapping, not " + typeName(more));
  for (const auto &[key, value] : more.entries().items) {
    if (!key.isString())
      typeError("keywords must be strings");
    if (std::any_of(args.named.begin(), args.named.end(),
                    [&](auto &arg) { return arg.first == key.text(); }))
      typeError("got multiple values for keyword argument " + repr(key));
    args.named.emplace_back(key.text(), value);
  }
  return args;
}

Value Machine::call(const Value &callee, Args &args) {
  if (!step())
    return {};
  if (callee.isUndefined())
    return fail("UndefinedError", callee.text());
  if (++depth > maxDepth)
    return fail("RecursionError", "calls inside each other too deep");
  Value value;
  if (FunctionData *function = callee.function())
    value = function->call(*this, args);
  else if (callee.is(Kind::Loop) && callee.loopData()->recurse.function())
    value = callee.loopData()->recurse.function()->call(*this, args);
  else if (callee.is(Kind::Loop))
    typeError("The loop must have the 'recursive' marker to be called "
              "recursively.");
  else
    typeError("'" + typeName(callee) + "' object is not callable");
  --depth;
  return failed() ? Value() : value;
}

Value Machine::filter(const std::string &name, const Value &value, Args &args) {
  bool known = false;
  Value result = callFilter(*this, name, value, args, known);
  if (!known)
    return fail("TemplateRuntimeError", "No filter named '" + name + "'.");
  return result;
}

bool Machine::test(const std::string &name, const Value &value, Args &args) {
  bool known = false;
  bool result = callTest(*this, name, value, args, known);
  if (!known)
    fail("TemplateRuntimeError", "No test named '" + name + "'.");
  return result;
}

Bound vlmc::rt::jinja::bind(Machine &machine, std::string_view function,
                            const Args &args,
                            std::initializer_list<std::string_view> names,
                            size_t required) {
  Bound bound;
  bound.values.assign(names.size(), nullptr);
  std::string prefix = std::string(function) + "() ";
  if (args.items.size() > names.size()) {
    machine.typeError(prefix + "takes at most " + std::to_string(names.size()) +
                      " argument(s) (" + std::to_string(args.items.size()) +
                      " given)");
    return bound;
  }
  for (size_t i = 0; i < args.items.size(); ++i)
    bound.values[i] = &args.items[i];
  for (const auto &[name, value] : args.named) {
    auto place = std::find(names.begin(), names.end(), name);
    size_t i = size_t(place - names.begin());
    if (place == names.end() || bound.values[i]) {
      machine.typeError(prefix +
                        (place == names.end()
                             ? "got an unexpected keyword argument "
                             : "got multiple values for argument ") +
                        reprText(name));
      return bound;
    }
    bound.values[i] = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!bound.values[i]) {
      std::string name(names.begin()[i]);
      machine.typeError(prefix + "missing required argument '" +
                        name.substr(name.starts_with('/')) + "'");
      return bound;
    }
  bound.good = !machine.failed();
  return bound;
}
