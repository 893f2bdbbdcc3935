//===- Parser.h - Tokens to a tree ------------------------------*- C++ -*-===//
//
// Jinja2's parser, by recursive descent. What it has of tokens and nodes is in
// Parser.cpp, statements are in ParseStatements.cpp and expressions in
// ParseExpressions.cpp.
//
//   NodePtr root = Parser(std::move(tokens), fault).run();
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_JINJA_PARSER_H
#define VLMC_RUNTIME_TEXT_JINJA_PARSER_H

#include "runtime/text/jinja/Syntax.h"

#include <algorithm>
#include <initializer_list>

namespace vlmc::rt::jinja {

// A tree deeper than this would need too much stack to be walked.
inline constexpr unsigned maxTreeDepth = 300;
inline constexpr unsigned maxNesting = 200;

using Words = std::initializer_list<std::string_view>;

/// After a fault all functions return null, and it ends.
class Parser {
public:
  Parser(std::vector<Token> tokens, SyntaxFault &fault)
      : tokens(std::move(tokens)), fault(fault) {}
  NodePtr run();

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
  bool skipSymbol(std::string_view text);
  bool skipName(std::string_view text);
  static std::string describe(const Token &token);
  NodePtr fail(std::string message, unsigned line = 0);
  void expected(std::string_view what);
  void expectSymbol(std::string_view text) {
    if (!skipSymbol(text))
      expected(text);
  }
  void expectName(std::string_view text) {
    if (!skipName(text))
      expected(text);
  }
  void expect(TokenKind kind, std::string_view what);
  std::string takeName();

  // Nodes.
  NodePtr make(NodeKind kind, unsigned line = 0);
  /// To be called once a node has its parts.
  void seal(Node &node);
  template <typename... Parts>
  NodePtr join(NodeKind kind, unsigned line, Parts... parts) {
    NodePtr node = make(kind, line);
    (node->kids.push_back(std::move(parts)), ...);
    seal(*node);
    return node;
  }

  // Statements.
  /// Up to a block that begins with one of `ends`, whose name is current then.
  std::vector<NodePtr> statements(Words ends);
  static std::string list(Words words);
  std::vector<NodePtr> bodyUntil(Words ends);
  NodePtr statement(Words ends);
  NodePtr ifStatement(unsigned line);
  NodePtr forStatement(unsigned line);
  NodePtr setStatement(unsigned line);
  void signature(Node &macro);
  /// A macro, or the block of a call, which is a macro named `caller`.
  NodePtr macroStatement(unsigned line, bool call);
  NodePtr filterStatement(unsigned line);
  NodePtr withStatement(unsigned line);
  NodePtr printStatement(unsigned line);
  /// What is in a scope of its own up to the tag `end`.
  NodePtr scoped(unsigned line, std::string_view end);
  NodePtr blockStatement(unsigned line);
  void checkTarget(const std::string &name);
  /// What is assigned to; `end` is the word behind it.
  NodePtr target(std::string_view end, bool namespaces = false);
  NodePtr oneTarget(bool namespaces);

  // Expressions.
  bool atTupleEnd(Words words) const;
  NodePtr tuple(Words ends, bool conditional = true, bool parentheses = false);
  NodePtr expression(bool conditional = true);
  NodePtr logical(bool isAnd);
  NodePtr negation();
  NodePtr comparison();
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
  NodePtr concatenation();
  NodePtr product() {
    return binary({"*", "/", "//", "%"},
                  [&] { return binary({"**"}, [&] { return unary(true); }); });
  }
  NodePtr unary(bool filtered);
  NodePtr constant(Value value, unsigned line);
  NodePtr name();
  NodePtr primary();
  /// A list or a dict.
  NodePtr display();
  NodePtr postfix(NodePtr node);
  NodePtr filtersAndTests(NodePtr node);
  NodePtr attribute(NodePtr of);
  NodePtr subscript(NodePtr of);
  NodePtr subscribed();
  /// The arguments of a call, behind what `node` has already.
  void arguments(Node &node);
  NodePtr call(NodePtr callee);
  std::string dottedName();
  NodePtr filters(NodePtr of, bool begun = false);
  NodePtr test(NodePtr of);
  std::vector<Token> tokens;
  SyntaxFault &fault;
  size_t at = 0;
  bool failed = false;
  unsigned nesting = 0;
  unsigned loops = 0; // around what is parsed, in its function
  bool soft = false;  // unknown filters are told only when they are met
  std::vector<SyntaxFault> unknown; // filters and tests, told in the end
  std::vector<Node *> macros;
};

} // namespace vlmc::rt::jinja

#endif // VLMC_RUNTIME_TEXT_JINJA_PARSER_H
