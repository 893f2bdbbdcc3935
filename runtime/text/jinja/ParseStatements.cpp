//===- ParseStatements.cpp - The statements of templates ---------------===//
#include "runtime/text/jinja/Parser.h"

#include <utility>

using namespace vlmc::rt::jinja;

/// Up to a block that begins with one of `ends`, whose name is current then.
std::vector<NodePtr> Parser::statements(Words ends) {
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

std::string Parser::list(Words words) {
  std::string out;
  for (std::string_view word : words)
    out += (out.empty() ? "'" : " or '") + std::string(word) + "'";
  return out;
}

std::vector<NodePtr> Parser::bodyUntil(Words ends) {
  skipSymbol(":");
  expect(TokenKind::BlockEnd, "end of statement block");
  return statements(ends);
}

NodePtr Parser::statement(Words ends) {
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
    if (value && (value->kind != NodeKind::Constant || truth(value->constant)))
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
    return fail("'" + name + "' is not supported: a chat template is one file",
                line);
  return fail("Encountered unknown tag '" + name + "'." +
                  (ends.size() ? " Jinja was looking for the following "
                                 "tags: " +
                                     list(ends)
                               : ""),
              line);
}

NodePtr Parser::ifStatement(unsigned line) {
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

NodePtr Parser::forStatement(unsigned line) {
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

NodePtr Parser::setStatement(unsigned line) {
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

void Parser::signature(Node &macro) {
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
NodePtr Parser::macroStatement(unsigned line, bool call) {
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

NodePtr Parser::filterStatement(unsigned line) {
  NodePtr node = make(NodeKind::FilterBlock, line);
  bool outer = std::exchange(soft, false);
  node->kids.push_back(filters(nullptr, true));
  node->body = bodyUntil({"endfilter"});
  soft = outer;
  expectName("endfilter");
  seal(*node);
  return node;
}

NodePtr Parser::withStatement(unsigned line) {
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

NodePtr Parser::printStatement(unsigned line) {
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
NodePtr Parser::scoped(unsigned line, std::string_view end) {
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

NodePtr Parser::blockStatement(unsigned line) {
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

void Parser::checkTarget(const std::string &name) {
  for (std::string_view fixed :
       {"true", "false", "none", "True", "False", "None"})
    if (name == fixed)
      fail("can't assign to 'const'");
}

/// What is assigned to; `end` is the word behind it.
NodePtr Parser::target(std::string_view end, bool namespaces) {
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

NodePtr Parser::oneTarget(bool namespaces) {
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
