//===- Parser.cpp - Tokens to a tree --------------------------------------===//
#include "runtime/text/jinja/Syntax.h"

#include <algorithm>
#include <initializer_list>

using namespace vlmc::rt::jinja;

// A tree deeper than this would need too much stack to be walked.
static constexpr unsigned maxTreeDepth = 300;
static constexpr unsigned maxNesting = 200;

namespace {

using Words = std::initializer_list<std::string_view>;

/// Jinja2's parser. After a fault all functions return null, and it ends.
class Parser {
public:
  Parser(std::vector<Token> tokens, SyntaxFault &fault)
      : tokens(std::move(tokens)), fault(fault) {}

  NodePtr run() {
    NodePtr root = make(NodeKind::Template);
    root->body = statements({});
    seal(*root);
    return failed ? nullptr : std::move(root);
  }

private:
  // Tokens.

  const Token &current() const { return tokens[at]; }
  const Token &look() const {
    return tokens[std::min(at + 1, tokens.size() - 1)];
  }
  void next() { at = std::min(at + 1, tokens.size() - 1); }
  bool isSymbol(std::string_view text) const {
    return current().kind == TokenKind::Operator && current().text == text;
  }
  bool isName(std::string_view text) const {
    return current().kind == TokenKind::Name && current().text == text;
  }
  bool skipSymbol(std::string_view text) {
    bool found = isSymbol(text);
    if (found)
      next();
    return found;
  }
  bool skipName(std::string_view text) {
    bool found = isName(text);
    if (found)
      next();
    return found;
  }

  static std::string describe(const Token &token) {
    switch (token.kind) {
    case TokenKind::End:
      return "end of template";
    case TokenKind::Data:
      return "template data";
    case TokenKind::ExpressionBegin:
      return "begin of print statement";
    case TokenKind::ExpressionEnd:
      return "end of print statement";
    case TokenKind::BlockBegin:
      return "begin of statement block";
    case TokenKind::BlockEnd:
      return "end of statement block";
    case TokenKind::Number:
      return str(token.number);
    default:
      return token.text;
    }
  }

  NodePtr fail(std::string message, unsigned line = 0) {
    if (!failed)
      fault = {line ? line : current().line, std::move(message)};
    failed = true;
    at = tokens.size() - 1;
    return nullptr;
  }

  void expected(std::string_view what) {
    if (current().kind == TokenKind::End)
      fail("unexpected end of template, expected '" + std::string(what) + "'");
    else
      fail("expected token '" + std::string(what) + "', got '" +
           describe(current()) + "'");
  }

  void expectSymbol(std::string_view text) {
    if (!skipSymbol(text))
      expected(text);
  }
  void expectName(std::string_view text) {
    if (!skipName(text))
      expected(text);
  }
  void expect(TokenKind kind, std::string_view what) {
    if (current().kind != kind)
      expected(what);
    else
      next();
  }
  std::string takeName() {
    if (current().kind != TokenKind::Name) {
      expected("name");
      return "";
    }
    std::string name = current().text;
    next();
    return name;
  }

  // Nodes.

  NodePtr make(NodeKind kind, unsigned line = 0) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->line = line ? line : current().line;
    return node;
  }

  /// To be called once a node has its parts.
  void seal(Node &node) {
    auto add = [&](const NodePtr &part) {
      if (part)
        node.depth = std::max(node.depth, part->depth + 1);
    };
    for (auto *parts : {&node.kids, &node.body, &node.orelse})
      std::for_each(parts->begin(), parts->end(), add);
    add(node.moreItems);
    add(node.moreNamed);
    if (node.depth > maxTreeDepth)
      fail("expected at most 300 expressions and statements inside each other",
           node.line);
  }

  template <typename... Parts>
  NodePtr join(NodeKind kind, unsigned line, Parts... parts) {
    NodePtr node = make(kind, line);
    (node->kids.push_back(std::move(parts)), ...);
    seal(*node);
    return node;
  }

  // Statements.

  /// Up to a block that begins with one of `ends`, whose name is current then.
  std::vector<NodePtr> statements(Words ends) {
    std::vector<NodePtr> out;
    if (++nesting > maxNesting)
      fail("expected at most 200 statements and expressions inside each other");
    while (!failed && current().kind != TokenKind::End) {
      if (current().kind == TokenKind::Data) {
        out.push_back(make(NodeKind::Data));
        out.back()->text = current().text;
        next();
      } else if (current().kind == TokenKind::ExpressionBegin) {
        unsigned line = current().line;
        next();
        out.push_back(join(NodeKind::Output, line, tuple({})));
        expect(TokenKind::ExpressionEnd, "end of print statement");
      } else {
        expect(TokenKind::BlockBegin, "begin of statement block");
        if (std::any_of(ends.begin(), ends.end(),
                        [&](auto end) { return isName(end); }))
          break;
        if (NodePtr node = statement(ends))
          out.push_back(std::move(node));
        expect(TokenKind::BlockEnd, "end of statement block");
      }
    }
    --nesting;
    if (ends.size() && !failed && current().kind == TokenKind::End)
      fail("Unexpected end of template. Jinja was looking for the following "
           "tags: " +
           list(ends));
    return out;
  }

  static std::string list(Words words) {
    std::string out;
    for (std::string_view word : words)
      out += (out.empty() ? "'" : " or '") + std::string(word) + "'";
    return out;
  }

  std::vector<NodePtr> bodyUntil(Words ends) {
    skipSymbol(":");
    expect(TokenKind::BlockEnd, "end of statement block");
    return statements(ends);
  }

  NodePtr statement(Words ends) {
    if (current().kind != TokenKind::Name)
      return fail("tag name expected");
    std::string name = current().text;
    unsigned line = current().line;
    next();
    if (name == "if")
      return ifStatement(line);
    if (name == "for")
      return forStatement(line);
    if (name == "set")
      return setStatement(line);
    if (name == "macro" || name == "call")
      return macroStatement(line, name == "call");
    if (name == "filter")
      return filterStatement(line);
    if (name == "with")
      return withStatement(line);
    if (name == "print")
      return printStatement(line);
    if (name == "generation")
      return scoped(line, "endgeneration");
    if (name == "autoescape") {
      NodePtr value = expression();
      if (value &&
          (value->kind != NodeKind::Constant || truth(value->constant)))
        return fail("'autoescape' with another value than false is not "
                    "supported");
      return scoped(line, "endautoescape");
    }
    if (name == "block")
      return blockStatement(line);
    if (name == "break" || name == "continue") {
      if (!loops)
        return fail("'" + name + "' outside loop", line);
      return make(name == "break" ? NodeKind::Break : NodeKind::Continue, line);
    }
    if (name == "include" || name == "import" || name == "from" ||
        name == "extends")
      return fail(
          "'" + name + "' is not supported: a chat template is one file", line);
    return fail("Encountered unknown tag '" + name + "'." +
                    (ends.size() ? " Jinja was looking for the following "
                                   "tags: " +
                                       list(ends)
                                 : ""),
                line);
  }

  NodePtr ifStatement(unsigned line) {
    NodePtr first = make(NodeKind::If, line);
    bool outer = std::exchange(soft, true);
    // Branches hang on each other by `orelse`; their depth is taken as one.
    std::vector<NodePtr> branches;
    branches.push_back(std::move(first));
    while (!failed) {
      branches.back()->kids.push_back(tuple({}, false));
      branches.back()->body = bodyUntil({"elif", "else", "endif"});
      if (isName("elif")) {
        branches.push_back(make(NodeKind::If));
        next();
        continue;
      }
      if (skipName("else"))
        branches.back()->orelse = bodyUntil({"endif"});
      expectName("endif");
      break;
    }
    soft = outer;
    if (branches.size() > maxTreeDepth / 2)
      return fail("expected at most 150 branches of an 'if'", line);
    while (branches.size() > 1) {
      NodePtr last = std::move(branches.back());
      branches.pop_back();
      seal(*last);
      branches.back()->orelse.push_back(std::move(last));
    }
    seal(*branches[0]);
    return std::move(branches[0]);
  }

  NodePtr forStatement(unsigned line) {
    NodePtr node = make(NodeKind::For, line);
    node->kids.push_back(target("in"));
    expectName("in");
    node->kids.push_back(tuple({"recursive"}, false));
    bool outer = std::exchange(soft, false);
    node->kids.push_back(skipName("if") ? expression() : nullptr);
    node->recursive = skipName("recursive");
    ++loops;
    node->body = bodyUntil({"endfor", "else"});
    --loops;
    if (skipName("else"))
      node->orelse = bodyUntil({"endfor"});
    expectName("endfor");
    soft = outer;
    seal(*node);
    return node;
  }

  NodePtr setStatement(unsigned line) {
    NodePtr node = make(NodeKind::Set, line);
    node->kids.push_back(target("", true));
    if (skipSymbol("=")) {
      node->kids.push_back(tuple({}));
    } else {
      node->kind = NodeKind::SetBlock;
      node->kids.push_back(isSymbol("|") ? filters(nullptr) : nullptr);
      bool outer = std::exchange(soft, false);
      node->body = bodyUntil({"endset"});
      soft = outer;
      expectName("endset");
    }
    seal(*node);
    return node;
  }

  void signature(Node &macro) {
    expectSymbol("(");
    while (!failed && !isSymbol(")")) {
      if (!macro.names.empty())
        expectSymbol(",");
      macro.names.push_back(takeName());
      checkTarget(macro.names.back());
      bool given = skipSymbol("=");
      if (!given && !macro.kids.empty() && macro.kids.back())
        fail("non-default argument follows default argument");
      macro.kids.push_back(given ? expression() : nullptr);
    }
    expectSymbol(")");
  }

  /// A macro, or the block of a call, which is a macro named `caller`.
  NodePtr macroStatement(unsigned line, bool call) {
    NodePtr macro = make(NodeKind::Macro, line);
    bool outerSoft = std::exchange(soft, false);
    NodePtr called;
    if (call) {
      macro->text = "caller";
      if (isSymbol("("))
        signature(*macro);
      called = expression();
      if (!failed && called->kind != NodeKind::Call)
        return fail("expected call", line);
    } else {
      macro->text = takeName();
      checkTarget(macro->text);
      signature(*macro);
    }
    unsigned outerLoops = std::exchange(loops, 0);
    macros.push_back(macro.get());
    macro->body = bodyUntil({call ? "endcall" : "endmacro"});
    macros.pop_back();
    loops = outerLoops;
    soft = outerSoft;
    expectName(call ? "endcall" : "endmacro");
    seal(*macro);
    if (!call || failed)
      return macro;
    NodePtr node = join(NodeKind::CallBlock, line, std::move(called));
    node->body.push_back(std::move(macro));
    seal(*node);
    return node;
  }

  NodePtr filterStatement(unsigned line) {
    NodePtr node = make(NodeKind::FilterBlock, line);
    bool outer = std::exchange(soft, false);
    node->kids.push_back(filters(nullptr, true));
    node->body = bodyUntil({"endfilter"});
    soft = outer;
    expectName("endfilter");
    seal(*node);
    return node;
  }

  NodePtr withStatement(unsigned line) {
    NodePtr node = make(NodeKind::With, line);
    bool outer = std::exchange(soft, false);
    while (!failed && current().kind != TokenKind::BlockEnd) {
      if (!node->kids.empty())
        expectSymbol(",");
      node->kids.push_back(target(""));
      expectSymbol("=");
      node->kids.push_back(expression());
    }
    node->body = bodyUntil({"endwith"});
    soft = outer;
    expectName("endwith");
    seal(*node);
    return node;
  }

  NodePtr printStatement(unsigned line) {
    NodePtr node = make(NodeKind::Output, line);
    while (!failed && current().kind != TokenKind::BlockEnd) {
      if (!node->kids.empty())
        expectSymbol(",");
      node->kids.push_back(expression());
    }
    seal(*node);
    return node;
  }

  /// What is in a scope of its own up to the tag `end`.
  NodePtr scoped(unsigned line, std::string_view end) {
    NodePtr node = make(NodeKind::Scope, line);
    // Both are functions of their own to Jinja2.
    unsigned outerLoops =
        end == "endgeneration" ? std::exchange(loops, 0) : loops;
    bool outer = std::exchange(soft, false);
    node->body = bodyUntil({end});
    loops = outerLoops;
    soft = outer;
    expectName(end);
    seal(*node);
    return node;
  }

  NodePtr blockStatement(unsigned line) {
    std::string name = takeName();
    while (skipName("scoped") || skipName("required"))
      ;
    if (isSymbol("-"))
      return fail("Block names in Jinja have to be valid Python identifiers "
                  "and may not contain hyphens, use an underscore instead.");
    unsigned outerLoops = std::exchange(loops, 0);
    NodePtr node = scoped(line, "endblock");
    loops = outerLoops;
    skipName(name);
    return node;
  }

  void checkTarget(const std::string &name) {
    for (std::string_view fixed :
         {"true", "false", "none", "True", "False", "None"})
      if (name == fixed)
        fail("can't assign to 'const'");
  }

  /// What is assigned to; `end` is the word behind it.
  NodePtr target(std::string_view end, bool namespaces = false) {
    unsigned line = current().line;
    std::vector<NodePtr> names;
    bool isTuple = false;
    while (!failed) {
      if (!names.empty())
        expectSymbol(",");
      if (atTupleEnd({end}))
        break;
      names.push_back(oneTarget(namespaces));
      if (!isSymbol(","))
        break;
      isTuple = true;
    }
    if (!isTuple && names.size() == 1)
      return std::move(names[0]);
    if (names.empty() && !failed)
      return fail("Expected an expression, got '" + describe(current()) + "'");
    NodePtr node = make(NodeKind::Tuple, line);
    node->kids = std::move(names);
    seal(*node);
    return node;
  }

  NodePtr oneTarget(bool namespaces) {
    if (++nesting > maxNesting)
      return fail("expected at most 200 targets inside each other");
    NodePtr node;
    unsigned line = current().line;
    if (skipSymbol("(")) {
      node = target("", namespaces);
      expectSymbol(")");
    } else if (current().kind == TokenKind::Name) {
      node = make(NodeKind::Name, line);
      node->text = takeName();
      checkTarget(node->text);
      if (namespaces && skipSymbol(".")) {
        node->kind = NodeKind::NamespaceName;
        node->attribute = takeName();
      }
    } else {
      fail("can't assign to '" + describe(current()) + "'");
    }
    --nesting;
    return node;
  }

  // Expressions.

  bool atTupleEnd(Words words) const {
    return current().kind == TokenKind::ExpressionEnd ||
           current().kind == TokenKind::BlockEnd || isSymbol(")") ||
           std::any_of(words.begin(), words.end(), [&](auto word) {
             return !word.empty() && isName(word);
           });
  }

  NodePtr tuple(Words ends, bool conditional = true, bool parentheses = false) {
    unsigned line = current().line;
    std::vector<NodePtr> items;
    bool isTuple = false;
    while (!failed) {
      if (!items.empty())
        expectSymbol(",");
      if (atTupleEnd(ends))
        break;
      items.push_back(expression(conditional));
      if (!isSymbol(","))
        break;
      isTuple = true;
    }
    if (failed)
      return nullptr;
    if (!isTuple && !items.empty())
      return std::move(items[0]);
    if (!isTuple && !parentheses)
      return fail("Expected an expression, got '" + describe(current()) + "'");
    NodePtr node = make(NodeKind::Tuple, line);
    node->kids = std::move(items);
    seal(*node);
    return node;
  }

  NodePtr expression(bool conditional = true) {
    if (++nesting > maxNesting)
      return fail(
          "expected at most 200 statements and expressions inside each other");
    unsigned line = current().line;
    NodePtr value = logical(false);
    while (conditional && !failed && isName("if")) {
      bool outer = std::exchange(soft, true);
      next();
      NodePtr test = logical(false);
      NodePtr other = skipName("else") ? expression() : nullptr;
      soft = outer;
      value = join(NodeKind::Conditional, line, std::move(value),
                   std::move(test), std::move(other));
    }
    --nesting;
    return failed ? nullptr : std::move(value);
  }

  NodePtr logical(bool isAnd) {
    unsigned line = current().line;
    auto part = [&] { return isAnd ? negation() : logical(true); };
    NodePtr left = part();
    while (!failed && skipName(isAnd ? "and" : "or")) {
      NodePtr right = part();
      left = join(isAnd ? NodeKind::And : NodeKind::Or, line, std::move(left),
                  std::move(right));
    }
    return left;
  }

  NodePtr negation() {
    unsigned line = current().line;
    unsigned count = 0;
    while (skipName("not"))
      ++count;
    NodePtr node = comparison();
    for (; count > 0 && !failed; --count)
      node = join(NodeKind::Not, line, std::move(node));
    return node;
  }

  NodePtr comparison() {
    unsigned line = current().line;
    NodePtr node = make(NodeKind::Compare, line);
    node->kids.push_back(sum());
    while (!failed) {
      std::string name;
      for (std::string_view symbol : {"==", "!=", "<", "<=", ">", ">="})
        if (isSymbol(symbol))
          name = symbol;
      if (name.empty() && isName("in"))
        name = "in";
      if (name.empty() && isName("not") && look().kind == TokenKind::Name &&
          look().text == "in") {
        next();
        name = "not in";
      }
      if (name.empty())
        break;
      next();
      node->names.push_back(name);
      node->kids.push_back(sum());
    }
    if (node->names.empty())
      return std::move(node->kids[0]);
    seal(*node);
    return node;
  }

  template <typename Part> NodePtr binary(Words symbols, const Part &part) {
    unsigned line = current().line;
    NodePtr left = part();
    while (!failed) {
      auto symbol = std::find_if(symbols.begin(), symbols.end(),
                                 [&](auto text) { return isSymbol(text); });
      if (symbol == symbols.end())
        break;
      next();
      NodePtr right = part();
      left = join(NodeKind::Binary, line, std::move(left), std::move(right));
      left->text = *symbol;
    }
    return left;
  }

  NodePtr sum() {
    return binary({"+", "-"}, [&] { return concatenation(); });
  }

  NodePtr concatenation() {
    NodePtr node = make(NodeKind::Concat);
    do
      node->kids.push_back(product());
    while (!failed && skipSymbol("~"));
    if (node->kids.size() == 1)
      return std::move(node->kids[0]);
    seal(*node);
    return node;
  }

  NodePtr product() {
    return binary({"*", "/", "//", "%"},
                  [&] { return binary({"**"}, [&] { return unary(true); }); });
  }

  NodePtr unary(bool filtered) {
    if (++nesting > maxNesting)
      return fail(
          "expected at most 200 statements and expressions inside each other");
    unsigned line = current().line;
    NodePtr node;
    if (isSymbol("-") || isSymbol("+")) {
      NodeKind kind = isSymbol("-") ? NodeKind::Negative : NodeKind::Positive;
      next();
      node = join(kind, line, unary(false));
    } else {
      node = primary();
    }
    node = postfix(std::move(node));
    if (filtered)
      node = filtersAndTests(std::move(node));
    --nesting;
    return failed ? nullptr : std::move(node);
  }

  NodePtr constant(Value value, unsigned line) {
    NodePtr node = make(NodeKind::Constant, line);
    node->constant = std::move(value);
    return node;
  }

  NodePtr name() {
    unsigned line = current().line;
    std::string text = takeName();
    if (text == "true" || text == "True")
      return constant(Value::boolean(true), line);
    if (text == "false" || text == "False")
      return constant(Value::boolean(false), line);
    if (text == "none" || text == "None")
      return constant(Value::none(), line);
    for (Node *macro : macros) {
      macro->usesCaller |= text == "caller";
      macro->usesVarargs |= text == "varargs";
      macro->usesKwargs |= text == "kwargs";
    }
    NodePtr node = make(NodeKind::Name, line);
    node->text = std::move(text);
    return node;
  }

  NodePtr primary() {
    unsigned line = current().line;
    if (current().kind == TokenKind::Name)
      return name();
    if (current().kind == TokenKind::String) {
      std::string text;
      for (; current().kind == TokenKind::String; next())
        text += current().text;
      return constant(text, line);
    }
    if (current().kind == TokenKind::Number) {
      Value value = current().number;
      next();
      return constant(std::move(value), line);
    }
    if (skipSymbol("(")) {
      NodePtr node = tuple({}, true, true);
      expectSymbol(")");
      return node;
    }
    if (isSymbol("[") || isSymbol("{"))
      return display();
    return fail("unexpected '" + describe(current()) + "'");
  }

  /// A list or a dict.
  NodePtr display() {
    bool isDict = isSymbol("{");
    std::string_view end = isDict ? "}" : "]";
    NodePtr node = make(isDict ? NodeKind::Dict : NodeKind::List);
    next();
    while (!failed && !isSymbol(end)) {
      if (!node->kids.empty())
        expectSymbol(",");
      if (isSymbol(end))
        break;
      node->kids.push_back(expression());
      if (isDict) {
        expectSymbol(":");
        node->kids.push_back(expression());
      }
    }
    expectSymbol(end);
    seal(*node);
    return node;
  }

  NodePtr postfix(NodePtr node) {
    while (!failed) {
      if (isSymbol("."))
        node = attribute(std::move(node));
      else if (isSymbol("["))
        node = subscript(std::move(node));
      else if (isSymbol("("))
        node = call(std::move(node));
      else
        break;
    }
    return node;
  }

  NodePtr filtersAndTests(NodePtr node) {
    while (!failed) {
      if (isSymbol("|"))
        node = filters(std::move(node));
      else if (isName("is"))
        node = test(std::move(node));
      else if (isSymbol("("))
        node = call(std::move(node));
      else
        break;
    }
    return node;
  }

  NodePtr attribute(NodePtr of) {
    unsigned line = current().line;
    next();
    if (current().kind == TokenKind::Number && current().number.isInteger()) {
      NodePtr index = constant(current().number, line);
      next();
      return join(NodeKind::Item, line, std::move(of), std::move(index));
    }
    if (current().kind != TokenKind::Name)
      return fail("expected name or number");
    NodePtr node = join(NodeKind::Attribute, line, std::move(of));
    node->text = takeName();
    return node;
  }

  NodePtr subscript(NodePtr of) {
    unsigned line = current().line;
    next();
    std::vector<NodePtr> parts;
    while (!failed && !isSymbol("]")) {
      if (!parts.empty())
        expectSymbol(",");
      parts.push_back(subscribed());
    }
    expectSymbol("]");
    if (failed)
      return nullptr;
    if (parts.size() == 1)
      return join(NodeKind::Item, line, std::move(of), std::move(parts[0]));
    NodePtr index = make(NodeKind::Tuple, line);
    index->kids = std::move(parts);
    seal(*index);
    return join(NodeKind::Item, line, std::move(of), std::move(index));
  }

  NodePtr subscribed() {
    unsigned line = current().line;
    NodePtr first = isSymbol(":") ? nullptr : expression();
    if (!isSymbol(":"))
      return first;
    next();
    auto part = [&]() -> NodePtr {
      if (isSymbol(":") || isSymbol("]") || isSymbol(","))
        return nullptr;
      return expression();
    };
    NodePtr second = part();
    NodePtr third = skipSymbol(":") ? part() : nullptr;
    return join(NodeKind::Slice, line, std::move(first), std::move(second),
                std::move(third));
  }

  /// The arguments of a call, behind what `node` has already.
  void arguments(Node &node) {
    unsigned line = current().line;
    auto ensure = [&](bool good) {
      if (!good)
        fail("invalid syntax for function call expression", line);
    };
    expectSymbol("(");
    bool comma = false;
    while (!failed && !isSymbol(")")) {
      if (comma) {
        expectSymbol(",");
        if (isSymbol(")"))
          break;
      }
      comma = true;
      if (skipSymbol("*")) {
        ensure(!node.moreItems && !node.moreNamed);
        node.moreItems = expression();
      } else if (skipSymbol("**")) {
        ensure(!node.moreNamed);
        node.moreNamed = expression();
      } else if (current().kind == TokenKind::Name &&
                 look().kind == TokenKind::Operator && look().text == "=") {
        ensure(!node.moreNamed);
        if (std::find(node.names.begin(), node.names.end(), current().text) !=
            node.names.end())
          fail("keyword argument repeated: " + current().text);
        node.names.push_back(takeName());
        next();
        node.kids.push_back(expression());
      } else {
        ensure(!node.moreItems && !node.moreNamed && node.names.empty());
        node.kids.push_back(expression());
      }
    }
    expectSymbol(")");
    node.positional = node.kids.size() - node.names.size();
  }

  NodePtr call(NodePtr callee) {
    NodePtr node = make(NodeKind::Call);
    node->kids.push_back(std::move(callee));
    arguments(*node);
    seal(*node);
    return node;
  }

  std::string dottedName() {
    std::string name = takeName();
    while (skipSymbol("."))
      name += "." + takeName();
    return name;
  }

  NodePtr filters(NodePtr of, bool begun = false) {
    while (!failed && (begun || isSymbol("|"))) {
      if (!begun)
        next();
      begun = false;
      NodePtr node = make(NodeKind::Filter);
      node->text = dottedName();
      node->kids.push_back(std::move(of));
      node->positional = 1;
      if (isSymbol("("))
        arguments(*node);
      if (!failed && !soft && !isFilter(node->text))
        fail("No filter named '" + node->text + "'.", node->line);
      seal(*node);
      of = std::move(node);
    }
    return of;
  }

  NodePtr test(NodePtr of) {
    unsigned line = current().line;
    next();
    bool negated = skipName("not");
    NodePtr node = make(NodeKind::Test, line);
    node->text = dottedName();
    node->kids.push_back(std::move(of));
    node->positional = 1;
    bool word = isName("else") || isName("or") || isName("and");
    if (isSymbol("(")) {
      arguments(*node);
    } else if (!word && (current().kind == TokenKind::Name ||
                         current().kind == TokenKind::String ||
                         current().kind == TokenKind::Number || isSymbol("[") ||
                         isSymbol("{"))) {
      if (isName("is"))
        return fail("You cannot chain multiple tests with is");
      node->kids.push_back(postfix(primary()));
      node->positional = 2;
    }
    if (!failed && !soft && !isTest(node->text))
      fail("No test named '" + node->text + "'.", node->line);
    seal(*node);
    return negated ? join(NodeKind::Not, line, std::move(node))
                   : std::move(node);
  }

  std::vector<Token> tokens;
  SyntaxFault &fault;
  size_t at = 0;
  bool failed = false;
  unsigned nesting = 0;
  unsigned loops = 0; // around what is parsed, in its function
  bool soft = false;  // unknown filters are told only when they are met
  std::vector<Node *> macros;
};

} // namespace

std::unique_ptr<Node> vlmc::rt::jinja::parseTemplate(std::string_view source,
                                                     SyntaxFault &fault) {
  constexpr size_t maxBytes = size_t(4) << 20;
  if (source.size() > maxBytes) {
    fault = {1, "expected at most 4 MiB"};
    return nullptr;
  }
  std::vector<Token> tokens;
  if (!tokenize(source, tokens, fault))
    return nullptr;
  return Parser(std::move(tokens), fault).run();
}
