//===- ParseExpressions.cpp - The expressions of templates -------------===//
#include "runtime/text/jinja/Parser.h"

#include <utility>

using namespace vlmc::rt::jinja;

bool Parser::atTupleEnd(Words words) const {
  return current().kind == TokenKind::ExpressionEnd ||
         current().kind == TokenKind::BlockEnd || isSymbol(")") ||
         std::any_of(words.begin(), words.end(),
                     [&](auto word) { return !word.empty() && isName(word); });
}

NodePtr Parser::tuple(Words ends, bool conditional, bool parentheses) {
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

NodePtr Parser::expression(bool conditional) {
  if (++nesting > maxNesting)
    return fail(
        "expected at most 200 statements and expressions inside each other");
  unsigned line = current().line;
  size_t before = unknown.size();
  NodePtr value = logical(false);
  while (conditional && !failed && isName("if")) {
    unknown.erase(unknown.begin() + ptrdiff_t(before), unknown.end());
    bool outer = std::exchange(soft, true);
    next();
    NodePtr test = logical(false);
    NodePtr other = skipName("else") ? expression() : nullptr;
    soft = outer;
    value = join(NodeKind::Conditional, line, std::move(value), std::move(test),
                 std::move(other));
  }
  --nesting;
  return failed ? nullptr : std::move(value);
}

NodePtr Parser::logical(bool isAnd) {
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

NodePtr Parser::negation() {
  unsigned line = current().line;
  unsigned count = 0;
  while (skipName("not"))
    ++count;
  NodePtr node = comparison();
  for (; count > 0 && !failed; --count)
    node = join(NodeKind::Not, line, std::move(node));
  return node;
}

NodePtr Parser::comparison() {
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

NodePtr Parser::concatenation() {
  NodePtr node = make(NodeKind::Concat);
  do
    node->kids.push_back(product());
  while (!failed && skipSymbol("~"));
  if (node->kids.size() == 1)
    return std::move(node->kids[0]);
  seal(*node);
  return node;
}

NodePtr Parser::unary(bool filtered) {
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

NodePtr Parser::constant(Value value, unsigned line) {
  NodePtr node = make(NodeKind::Constant, line);
  node->constant = std::move(value);
  return node;
}

NodePtr Parser::name() {
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

NodePtr Parser::primary() {
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
NodePtr Parser::display() {
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

NodePtr Parser::postfix(NodePtr node) {
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

NodePtr Parser::filtersAndTests(NodePtr node) {
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

NodePtr Parser::attribute(NodePtr of) {
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

NodePtr Parser::subscript(NodePtr of) {
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

NodePtr Parser::subscribed() {
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
void Parser::arguments(Node &node) {
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

NodePtr Parser::call(NodePtr callee) {
  NodePtr node = make(NodeKind::Call);
  node->kids.push_back(std::move(callee));
  arguments(*node);
  seal(*node);
  return node;
}

std::string Parser::dottedName() {
  std::string name = takeName();
  while (skipSymbol("."))
    name += "." + takeName();
  return name;
}

NodePtr Parser::filters(NodePtr of, bool begun) {
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
    if (!soft && !isFilter(node->text))
      unknown.push_back({node->line, "No filter named '" + node->text + "'."});
    seal(*node);
    of = std::move(node);
  }
  return of;
}

NodePtr Parser::test(NodePtr of) {
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
  if (!soft && !isTest(node->text))
    unknown.push_back({node->line, "No test named '" + node->text + "'."});
  seal(*node);
  return negated ? join(NodeKind::Not, line, std::move(node)) : std::move(node);
}
