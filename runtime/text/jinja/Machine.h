//===- Machine.h - Rendering a template -----------------------------------===//
//
// Walks the tree of a template for one rendering. The first failure stays; what
// is computed after it is thrown away, so callers need only end their loops.
//
//   Machine machine(limits);
//   machine.define("messages", messages);
//   machine.run(root);
//   if (machine.failed())
//     report(machine.failure());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_JINJA_MACHINE_H
#define VLMC_RUNTIME_TEXT_JINJA_MACHINE_H

#include "runtime/text/jinja/ChatTemplate.h"
#include "runtime/text/jinja/Syntax.h"

#include <initializer_list>

namespace vlmc::rt::jinja {

struct Scope {
  std::vector<std::pair<std::string, Value>> names;
  std::shared_ptr<Scope> parent;
};

struct Failure {
  vlm_code_t code = VLM_OK;
  unsigned line = 0;
  std::string message;
};

class Machine {
public:
  explicit Machine(const RenderLimits &limits);
  ~Machine();
  Machine(const Machine &) = delete;

  void define(const std::string &name, Value value);
  std::string run(const Node &root);

  bool failed() const { return failure.code != VLM_OK; }
  const Failure &why() const { return failure; }
  /// Gives up, with a Python exception's kind before the message.
  Value fail(std::string_view kind, std::string message);
  Value typeError(std::string message) {
    return fail("TypeError", std::move(message));
  }
  /// Takes `count` steps; false once the rendering has failed.
  bool step(int64_t count = 1);
  /// Whether a value of so many bytes may be made.
  bool room(size_t bytes);
  bool room(size_t count, size_t each);

  Value call(const Value &callee, Args &args);
  Value filter(const std::string &name, const Value &value, Args &args);
  bool test(const std::string &name, const Value &value, Args &args);
  /// `value.name` and `value[key]`.
  Value attribute(const Value &value, const std::string &name);
  Value item(const Value &value, const Value &key);
  Value slice(const Value &value, const Value &from, const Value &to,
              const Value &stride);
  Value binary(std::string_view symbol, const Value &left, const Value &right);
  /// Of "==", "!=", "<", "<=", ">", ">=", "in", "not in".
  bool compare(std::string_view symbol, const Value &left, const Value &right);
  bool contains(const Value &value, const Value &in);
  /// What a loop over `value` meets.
  std::vector<Value> iterate(const Value &value);
  Value nameSpace();
  const RenderLimits &limits() const { return bounds; }

private:
  enum class Flow : uint8_t { On, Break, Continue };

  Flow execute(const std::vector<NodePtr> &nodes);
  Flow execute(const Node &node);
  Flow executeFor(const Node &node);
  Flow loop(const Node &node, const Value &over, int64_t depth);
  std::string loopText(const Node &node, const Value &over, int64_t depth,
                       const std::shared_ptr<Scope> &outer);
  Flow executeScoped(const Node &node);
  Flow executeSetBlock(const Node &node);
  void executeCallBlock(const Node &node);
  void assign(const Node &target, const Value &value);
  Value macro(const Node &node);
  Value callMacro(const Node &node, const std::shared_ptr<Scope> &outer,
                  Args &args);
  void bindRest(const Node &node, Args &args);

  Value evaluate(const Node &node);
  Value evaluateNode(const Node &node);
  Value evaluateDict(const Node &node);
  Value evaluateCompare(const Node &node);
  Value evaluateItem(const Node &node);
  Value evaluateFilter(const Node &node, const Value *given);
  Value negate(const Node &node);
  Args arguments(const Node &node, size_t first);
  std::vector<Value> evaluateAll(const Node &node);
  const Value *lookup(const std::string &name) const;
  void push() { scope = std::make_shared<Scope>(Scope{{}, scope}); }
  void pop() { scope = std::shared_ptr<Scope>(scope->parent); }

  RenderLimits bounds;
  Failure failure;
  unsigned line = 0;
  unsigned depth = 0;
  int64_t bytesBefore;
  int64_t stepsBefore;
  std::string out;
  std::shared_ptr<Scope> scope;
  // What may hold itself, to be emptied in the end.
  std::vector<std::shared_ptr<Scope>> captured;
  std::vector<Value> namespaces;
};

/// Arguments by parameter: null where none was given.
struct Bound {
  bool good = false;
  std::vector<const Value *> values;
  const Value *operator[](size_t i) const { return values[i]; }
};
/// Binds arguments to parameters, of which `required` have no default. A name
/// that begins with '/' cannot be given by name.
Bound bind(Machine &machine, std::string_view function, const Args &args,
           std::initializer_list<std::string_view> names, size_t required);

/// Functions that every template sees, or null.
const Value *globalFunction(const std::string &name);

/// A method of a string, list, tuple or dict; undefined if there is none, which
/// `found` tells.
Value method(const Value &value, const std::string &name, bool &found);

/// `text % args` of Python.
Value percentFormat(Machine &machine, const std::string &text,
                    const Value &args);
/// `text.format(...)`.
Value braceFormat(Machine &machine, const std::string &text, const Args &args);

Value callFilter(Machine &machine, const std::string &name, const Value &value,
                 Args &args, bool &known);
bool callTest(Machine &machine, const std::string &name, const Value &value,
              Args &args, bool &known);

/// Sorted by Python's `<`, stable; `keys` go with `items`.
void sortBy(Machine &machine, std::vector<Value> &items,
            std::vector<Value> &keys, bool reverse);

// Text, by characters.
std::u32string characters(std::string_view text);
std::string utf8(std::u32string_view text);
size_t length(std::string_view text);
std::string upper(std::string_view text);
std::string capitalize(std::string_view text);
std::string strip(std::string_view text, const Value *chars, bool left,
                  bool right);
std::string replaceText(Machine &machine, const std::string &text,
                        const std::string &from, const std::string &to,
                        int64_t count);
std::vector<std::string> splitLines(std::string_view text, bool keepEnds);
bool isUpper(std::string_view text);
bool isLower(std::string_view text);

} // namespace vlmc::rt::jinja

#endif // VLMC_RUNTIME_TEXT_JINJA_MACHINE_H
