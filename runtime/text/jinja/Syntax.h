//===- Syntax.h - Tokens and trees of Jinja templates ---------------------===//
//
// The lexer and the parser of chat templates, after Jinja2's own two.
//
//   SyntaxFault fault;
//   std::unique_ptr<Node> root = parseTemplate(source, fault);
//   if (!root)
//     report(fault.line, fault.message);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TEXT_JINJA_SYNTAX_H
#define VLMC_RUNTIME_TEXT_JINJA_SYNTAX_H

#include "runtime/text/jinja/Value.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vlmc::rt::jinja {

struct SyntaxFault {
  unsigned line = 0;
  std::string message;
};

enum class TokenKind : uint8_t {
  End,
  Data,
  ExpressionBegin, // {{
  ExpressionEnd,
  BlockBegin, // {%
  BlockEnd,
  Name,
  String,
  Number,
  Operator,
};

struct Token {
  TokenKind kind = TokenKind::End;
  unsigned line = 1;
  std::string text; // of names, strings, data and operators
  Value number;
};

/// False with the reason in `fault`.
bool tokenize(std::string_view source, std::vector<Token> &out,
              SyntaxFault &fault);

enum class NodeKind : uint8_t {
  // Statements. `kids` are expressions, `body` and `orelse` statements.
  Template,
  Data,   // text
  Output, // kids
  If,     // test, body, orelse
  For,    // target, iterated, condition or null
  Set,    // target, value
  SetBlock,
  Macro,
  CallBlock, // the call
  FilterBlock,
  With, // targets and values in turn
  Scope,
  Break,
  Continue,
  // Expressions.
  Constant,
  Name,
  NamespaceName, // text.attribute, a target
  List,
  Tuple,
  Dict, // keys and values in turn
  Conditional,
  Or,
  And,
  Not,
  Compare, // kids; operators in `names`
  Binary,  // text is the operator
  Concat,
  Negative,
  Positive,
  Attribute,
  Item,
  Slice, // three, or null
  Call,  // the callee, then arguments
  Filter,
  Test,
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct Node {
  NodeKind kind = NodeKind::Template;
  bool recursive = false; // of a for loop
  bool usesCaller = false, usesVarargs = false, usesKwargs = false; // a macro
  unsigned line = 0;
  unsigned depth = 1;
  size_t positional = 0; // how many of `kids` are before the named arguments
  std::string text;
  std::string attribute;
  Value constant;
  std::vector<NodePtr> kids;      // may be null where said above
  std::vector<std::string> names; // of named arguments, parameters, operators
  NodePtr moreItems, moreNamed;   // *arguments and **arguments of a call
  std::vector<NodePtr> body, orelse;
};

std::unique_ptr<Node> parseTemplate(std::string_view source,
                                    SyntaxFault &fault);

/// What the parser knows of filters and tests (Filters.cpp, Tests.cpp).
bool isFilter(std::string_view name);
bool isTest(std::string_view name);

} // namespace vlmc::rt::jinja

#endif // VLMC_RUNTIME_TEXT_JINJA_SYNTAX_H
