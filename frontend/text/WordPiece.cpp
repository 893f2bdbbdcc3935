//===- WordPiece.cpp - Words of the longest pieces ------------------------===//
#include "frontend/text/WordPiece.h"

#include "frontend/support/MappedFile.h"
#include "frontend/text/AddedVocabulary.h"
#include "frontend/text/BpeFiles.h"
#include "frontend/text/Components.h"

using namespace vlmc;
using namespace vlmc::text;

static constexpr const char *kPrefix = "##";
static constexpr uint32_t kMaxWordChars = 100; // what the package has

bool vlmc::text::isWordPiece(const Fields &root) {
  if (!root.json.is_object() || !root.json.contains("model"))
    return false;
  const Json &model = root.json["model"];
  if (!model.is_object())
    return false;
  // Old files do not name the type.
  return model.contains("type") ? model["type"] == "WordPiece"
                                : model.contains("max_input_chars_per_word");
}

void vlmc::text::readWordPiece(const Fields &root,
                               TokenizerDescription &tokenizer) {
  Fields model = root.inside("model");
  tokenizer.modelKind = VLM_TEXT_MODEL_WORD_PIECE;
  tokenizer.model.unkToken = model.string("unk_token");
  tokenizer.model.wordPrefix = model.string("continuing_subword_prefix");
  const Json *chars = model.find("max_input_chars_per_word");
  if (!chars || !chars->is_number_unsigned())
    return model.fail("max_input_chars_per_word",
                      "expected a number of characters, found " +
                          (chars ? describe(*chars) : "none"));
  tokenizer.maxWordChars = static_cast<uint32_t>(
      std::min<uint64_t>(chars->get<uint64_t>(), UINT32_MAX));
  tokenizer.model.vocabulary = readVocabulary(model.inside("vocab"));
}

/// The bytes of white space that end a text, as Rust's trim_end has it.
static std::string_view trimEnd(std::string_view text) {
  static constexpr std::string_view blanks[] = {
      " ",        "\t",     "\n",     "\v",     "\f",     "\r",     "\xC2\x85",
      "\xC2\xA0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004",
      "\u2005",   "\u2006", "\u2007", "\u2008", "\u2009", "\u200A", "\u2028",
      "\u2029",   "\u202F", "\u205F", "\u3000"};
  for (bool more = true; more;) {
    more = false;
    for (std::string_view blank : blanks)
      if (text.ends_with(blank)) {
        text.remove_suffix(blank.size());
        more = true;
      }
  }
  return text;
}

std::optional<Failure>
vlmc::text::readWordPieceFile(const std::string &path,
                              TokenizerDescription &tokenizer) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return Failure{path + ": expected this file, since there is no "
                          "tokenizer.json, found none; complete the folder"};
  tokenizer.modelKind = VLM_TEXT_MODEL_WORD_PIECE;
  std::string_view text = file->text();
  for (uint32_t id = 0; !text.empty(); ++id) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (id == maxIds)
      return Failure{path + ": expected at most " + std::to_string(maxIds) +
                     " lines, found more; fetch the file again"};
    // Of two equal tokens the last one counts, as in `tokenizers`.
    tokenizer.model.vocabulary[std::string(trimEnd(line))] = id;
  }
  return std::nullopt;
}

void vlmc::text::startWordPiece(TokenizerDescription &tokenizer,
                                SpecialTokens &special, const Fields *config) {
  static constexpr const char *defaults[][2] = {{"unk_token", "[UNK]"},
                                                {"sep_token", "[SEP]"},
                                                {"pad_token", "[PAD]"},
                                                {"cls_token", "[CLS]"},
                                                {"mask_token", "[MASK]"}};
  for (const auto &role : defaults)
    special.setDefault(role[0], role[1]);
  auto flag = [&](const char *name, bool absent) {
    return config ? config->boolean(name, absent) : absent;
  };
  bool lower = flag("do_lower_case", true);
  Stage bert;
  bert.kind = VLM_TEXT_NORMALIZE_BERT;
  bert.flags =
      VLM_TEXT_FLAG_CLEAN |
      (flag("tokenize_chinese_chars", true) ? VLM_TEXT_FLAG_IDEOGRAPHS : 0U) |
      (flag("strip_accents", lower) ? VLM_TEXT_FLAG_ACCENTS : 0U) |
      (lower ? VLM_TEXT_FLAG_LOWERCASE : 0U);
  tokenizer.normalizers = {bert};
  tokenizer.preTokenizers = bertWords();
  tokenizer.decoders = {
      {VLM_TEXT_DECODE_WORD_PIECE, VLM_TEXT_FLAG_CLEAN, 0, "", kPrefix}};
  tokenizer.model.wordPrefix = kPrefix;
  tokenizer.model.unkToken = special.content("unk_token");
  tokenizer.maxWordChars = kMaxWordChars;
}

void vlmc::text::finishWordPiece(TokenizerDescription &tokenizer,
                                 const SpecialTokens &special) {
  tokenizer.post.clear();
  auto add = [&](const char *role) {
    auto content = special.content(role);
    if (auto id = content ? findToken(tokenizer, *content) : std::nullopt)
      tokenizer.post.push_back({VLM_TEXT_PIECE_TOKEN, *id});
  };
  add("cls_token");
  tokenizer.post.push_back({VLM_TEXT_PIECE_TEXT, 0});
  add("sep_token");
}
