//===- Parser.cpp - Tokens to a tree -----------------------------------===//
#include "runtime/text/jinja/Parser.h"

using namespace vlmc::rt::jinja;

NodePtr Parser::run() {
  NodePtr root = make(NodeKind::Template);
  root->body = statements({});
  seal(*root);
  if (!failed && !unknown.empty())
    fail(unknown.front().message, unknown.front().line);
  return failed ? nullptr : std::move(root);
}

bool Parser::skipSymbol(std::string_view text) {
  bool found = isSymbol(text);
  if (found)
    next();
  return found;
}

bool Parser::skipName(std::string_view text) {
  bool found = isName(text);
  if (found)
    next();
  return found;
}

std::string Parser::describe(const Token &token) {
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

NodePtr Parser::fail(std::string message, unsigned line) {
  if (!failed)
    fault = {line ? line : current().line, std::move(message)};
  failed = true;
  at = tokens.size() - 1;
  return nullptr;
}

void Parser::expected(std::string_view what) {
  if (current().kind == TokenKind::End)
    fail("unexpected end of template, expected '" + std::string(what) + "'");
  else
    fail("expected token '" + std::string(what) + "', got '" +
         describe(current()) + "'");
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (current().kind != kind)
    expected(what);
  else
    next();
}

std::string Parser::takeName() {
  if (current().kind != TokenKind::Name) {
    expected("name");
    return "";
  }
  std::string name = current().text;
  next();
  return name;
}

NodePtr Parser::make(NodeKind kind, unsigned line) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->line = line ? line : current().line;
  return node;
}

/// To be called once a node has its parts.
void Parser::seal(Node &node) {
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
