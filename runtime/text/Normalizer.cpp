//===- Normalizer.cpp - What is done to a text before it is split ---------===//
#include "runtime/text/Normalizer.h"

#include "runtime/text/Regex.h"
#include "runtime/text/Stages.h"
#include "runtime/text/Unicode.h"

using namespace vlmc::rt::text;

namespace {

struct NormalForm : Normalizer {
  explicit NormalForm(bool compose) : compose(compose) {}
  bool apply(std::string &text) const override {
    text = normalForm(text, compose);
    return true;
  }
  bool compose;
};

struct Lowercase : Normalizer {
  bool apply(std::string &text) const override {
    text = lowerCase(text);
    return true;
  }
};

struct Replace : Normalizer {
  bool apply(std::string &text) const override {
    std::vector<Span> found;
    if (!pattern->findAll(text, found))
      return false;
    if (found.empty())
      return true;
    std::string out;
    size_t last = 0;
    for (Span span : found) {
      out.append(text, last, span.begin - last).append(content);
      last = span.end;
    }
    text = out.append(text, last);
    return true;
  }
  std::unique_ptr<Regex> pattern;
  std::string content;
};

} // namespace

std::string vlmc::rt::text::makeNormalizer(const Tables &tables,
                                           const vlm_text_stage &stage,
                                           std::unique_ptr<Normalizer> &out) {
  switch (stage.kind) {
  case VLM_TEXT_NORMALIZE_NFC:
  case VLM_TEXT_NORMALIZE_NFD:
    out = std::make_unique<NormalForm>(stage.kind == VLM_TEXT_NORMALIZE_NFC);
    return "";
  case VLM_TEXT_NORMALIZE_LOWERCASE:
    out = std::make_unique<Lowercase>();
    return "";
  case VLM_TEXT_NORMALIZE_REPLACE: {
    auto replace = std::make_unique<Replace>();
    replace->content = tables.string(stage.content);
    std::string problem = makePattern(tables, stage, replace->pattern);
    out = std::move(replace);
    return problem;
  }
  default:
    return "unknown normalizer " + std::to_string(stage.kind);
  }
}
