//===- Components.cpp - The sections of tokenizer.json --------------------===//
#include "frontend/text/Components.h"

#include <algorithm>

using namespace vlmc;
using namespace vlmc::text;

namespace {

/// A kind of component: its name, and what reads it.
struct Kind {
  const char *name;
  void (*read)(const Fields &fields, std::vector<Stage> &out);
};

/// A section: its kinds, and how a sequence of them is written.
struct Section {
  const char *what;
  const char *list; // the field of a Sequence
  const Kind *kinds;
  size_t count;
};

} // namespace

static void readPattern(const Fields &fields, Stage &stage) {
  Fields pattern = fields.inside("pattern");
  bool regex = pattern.has("Regex");
  if (!regex && !pattern.has("String"))
    return pattern.fail(
        "", "expected {\"Regex\": ...} or {\"String\": ...}, found " +
                describe(pattern.json));
  stage.pattern = pattern.string(regex ? "Regex" : "String");
  stage.flags |= regex ? VLM_TEXT_FLAG_REGEX : 0;
  if (!regex && stage.pattern.empty())
    pattern.fail("String", "expected a string that is not empty");
}

template <uint32_t kind>
static void readPlain(const Fields &, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = kind;
  out.push_back(stage);
}

static void readReplace(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_NORMALIZE_REPLACE;
  readPattern(fields, stage);
  stage.content = fields.string("content");
  out.push_back(stage);
}

static void readPrepend(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_NORMALIZE_PREPEND;
  stage.content = fields.string("prepend");
  out.push_back(stage);
}

/// The bytes of a text in base 64, as far as it is one.
static std::string fromBase64(std::string_view text) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    size_t digit = digits.find(c);
    if (digit == digits.npos)
      break;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if ((count += 6) < 8)
      continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return bytes;
}

/// The map stands in the stage's content until its tables are made.
static void readPrecompiled(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_NORMALIZE_PRECOMPILED;
  std::string text = fields.string("precompiled_charsmap");
  stage.content = fromBase64(text);
  if (stage.content.size() != text.size() / 4 * 3 - (text.ends_with("==") ? 2U
                                                     : text.ends_with('=')
                                                         ? 1U
                                                         : 0U))
    fields.fail("precompiled_charsmap",
                "expected bytes in base 64, found other text");
  out.push_back(stage);
}

static void readBert(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_NORMALIZE_BERT;
  bool lower = fields.boolean("lowercase", true);
  // Accents go with upper case unless the file says otherwise.
  bool accents = fields.boolean("strip_accents", lower);
  stage.flags =
      (fields.boolean("clean_text", true) ? VLM_TEXT_FLAG_CLEAN : 0U) |
      (fields.boolean("handle_chinese_chars", true) ? VLM_TEXT_FLAG_IDEOGRAPHS
                                                    : 0U) |
      (accents ? VLM_TEXT_FLAG_ACCENTS : 0U) |
      (lower ? VLM_TEXT_FLAG_LOWERCASE : 0U);
  out.push_back(stage);
}

static void readStrip(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_NORMALIZE_STRIP;
  stage.flags |= fields.boolean("strip_left") ? VLM_TEXT_FLAG_LEFT : 0;
  stage.flags |= fields.boolean("strip_right") ? VLM_TEXT_FLAG_RIGHT : 0;
  out.push_back(stage);
}

/// How Metaspace puts a blank before words: `prepend_scheme`, or
/// `add_prefix_space` of old files.
static uint32_t readScheme(const Fields &fields) {
  if (!fields.find("prepend_scheme"))
    return fields.boolean("add_prefix_space", true) ? VLM_TEXT_PREPEND_ALWAYS
                                                    : VLM_TEXT_PREPEND_NEVER;
  std::string scheme = fields.string("prepend_scheme");
  if (scheme == "always")
    return VLM_TEXT_PREPEND_ALWAYS;
  if (scheme == "first")
    return VLM_TEXT_PREPEND_FIRST;
  if (scheme != "never")
    fields.fail("prepend_scheme",
                "expected \"always\", \"first\" or \"never\", found \"" +
                    scheme + "\"");
  return VLM_TEXT_PREPEND_NEVER;
}

static std::string readBlank(const Fields &fields) {
  std::string blank = fields.string("replacement");
  if (blank.empty())
    fields.fail("replacement", "expected a character, found none");
  return blank;
}

static void readMetaspace(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_METASPACE;
  stage.content = readBlank(fields);
  stage.number = readScheme(fields);
  stage.flags |= fields.boolean("split", true) ? VLM_TEXT_FLAG_SPLIT_WORDS : 0;
  out.push_back(stage);
}

static void decodeMetaspace(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_DECODE_METASPACE;
  stage.content = readBlank(fields);
  bool drops = readScheme(fields) != VLM_TEXT_PREPEND_NEVER;
  stage.flags |= drops ? VLM_TEXT_FLAG_DROP_FIRST : 0;
  out.push_back(stage);
}

static void decodeWordPiece(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_DECODE_WORD_PIECE;
  stage.content = fields.string("prefix");
  stage.flags = fields.boolean("cleanup") ? VLM_TEXT_FLAG_CLEAN : 0;
  out.push_back(stage);
}

static void decodeReplace(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_DECODE_REPLACE;
  readPattern(fields, stage);
  stage.content = fields.string("content");
  if (stage.flags & VLM_TEXT_FLAG_REGEX)
    fields.failUnsupported("pattern", "expected {\"String\": ...}, found a "
                                      "regular expression");
  out.push_back(stage);
}

static void decodeStrip(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_DECODE_STRIP_CHAR;
  stage.content = fields.string("content");
  auto count = [&](const char *name) -> uint32_t {
    const Json *value = fields.find(name);
    if (value && value->is_number_unsigned() && *value < 0x10000)
      return value->get<uint32_t>();
    fields.fail(name, "expected a number from 0 to 65535, found " +
                          (value ? describe(*value) : "none"));
    return 0;
  };
  stage.number = count("start") | count("stop") << 16;
  if (stage.content.empty())
    fields.fail("content", "expected a character, found none");
  out.push_back(stage);
}

static uint32_t readBehavior(const Fields &fields, const char *usual) {
  static const std::string_view behaviors[] = {"Removed", "Isolated",
                                               "MergedWithPrevious",
                                               "MergedWithNext", "Contiguous"};
  std::string behavior =
      usual && !fields.find("behavior") ? usual : fields.string("behavior");
  auto at = std::find(std::begin(behaviors), std::end(behaviors), behavior);
  if (at == std::end(behaviors))
    fields.fail("behavior", "expected Removed, Isolated, MergedWithPrevious, "
                            "MergedWithNext or Contiguous, found \"" +
                                behavior + "\"");
  return at - std::begin(behaviors);
}

static void readSplit(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_SPLIT;
  readPattern(fields, stage);
  stage.number = readBehavior(fields, /*usual=*/nullptr);
  stage.flags |= fields.boolean("invert") ? VLM_TEXT_FLAG_INVERT : 0;
  out.push_back(stage);
}

static void readByteLevel(const Fields &fields, std::vector<Stage> &out) {
  Stage stage;
  stage.kind = VLM_TEXT_BYTE_LEVEL;
  stage.flags |=
      fields.boolean("add_prefix_space") ? VLM_TEXT_FLAG_ADD_PREFIX_SPACE : 0;
  stage.flags |=
      fields.boolean("use_regex", true) ? VLM_TEXT_FLAG_USE_REGEX : 0;
  out.push_back(stage);
}

/// A split at single characters of a class, which become words.
static void splitAt(const char *characters, bool joins,
                    std::vector<Stage> &out) {
  out.push_back({VLM_TEXT_SPLIT, VLM_TEXT_FLAG_REGEX,
                 joins ? uint32_t(VLM_TEXT_BEHAVIOR_CONTIGUOUS)
                       : uint32_t(VLM_TEXT_BEHAVIOR_ISOLATED),
                 characters, ""});
}

static void readDigits(const Fields &fields, std::vector<Stage> &out) {
  // Numbers of Unicode 17, which the class does not have yet.
  splitAt("[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]",
          !fields.boolean("individual_digits", false), out);
}

/// The class P of Unicode 8, which `tokenizers` has here and nowhere else, and
/// ASCII's symbols: P without the characters that came later, and those that
/// have left it.
static constexpr const char *punctuation =
    "(?!["
    "\\x{61D}\\x{9FD}\\x{A76}\\x{C77}\\x{C84}\\x{1B4E}-\\x{1B4F}"
    "\\x{1B7D}-\\x{1B7F}\\x{2E43}-\\x{2E4F}\\x{2E52}-\\x{2E5D}\\x{10D6E}"
    "\\x{10EAD}\\x{10F55}-\\x{10F59}\\x{10F86}-\\x{10F89}"
    "\\x{113D4}-\\x{113D5}\\x{113D7}-\\x{113D8}\\x{1144B}-\\x{1144F}"
    "\\x{1145A}-\\x{1145B}\\x{1145D}\\x{11660}-\\x{1166C}\\x{116B9}"
    "\\x{1183B}\\x{11944}-\\x{11946}\\x{119E2}\\x{11A3F}-\\x{11A46}"
    "\\x{11A9A}-\\x{11A9C}\\x{11A9E}-\\x{11AA2}\\x{11B00}-\\x{11B09}"
    "\\x{11BE1}\\x{11C41}-\\x{11C45}\\x{11C70}-\\x{11C71}"
    "\\x{11EF7}-\\x{11EF8}\\x{11F43}-\\x{11F4F}\\x{11FFF}"
    "\\x{12FF1}-\\x{12FF2}\\x{16D6D}-\\x{16D6F}\\x{16E97}-\\x{16E9A}"
    "\\x{16FE2}\\x{1E5FF}\\x{1E95E}-\\x{1E95F}"
    "])[\\p{P}!-/:-@\\[-`{-~\\x{166D}\\x{111C9}]";

static void readPunctuation(const Fields &fields, std::vector<Stage> &out) {
  splitAt(punctuation, /*joins=*/false, out);
  out.back().number = readBehavior(fields, "Isolated");
}

std::vector<Stage> vlmc::text::bertWords() {
  std::vector<Stage> out = {{VLM_TEXT_WHITESPACE_SPLIT, 0, 0, "", ""}};
  splitAt(punctuation, /*joins=*/false, out);
  return out;
}

static void readBertWords(const Fields &, std::vector<Stage> &out) {
  for (Stage &stage : bertWords())
    out.push_back(std::move(stage));
}

static void readWords(const Fields &, std::vector<Stage> &out) {
  out.push_back({VLM_TEXT_SPLIT, VLM_TEXT_FLAG_REGEX | VLM_TEXT_FLAG_INVERT,
                 VLM_TEXT_BEHAVIOR_REMOVED, "\\w+|[^\\w\\s]+", ""});
}

static void readDelimiter(const Fields &fields, std::vector<Stage> &out) {
  out.push_back({VLM_TEXT_SPLIT, 0, VLM_TEXT_BEHAVIOR_REMOVED,
                 fields.string("delimiter"), ""});
  if (out.back().pattern.empty())
    fields.fail("delimiter", "expected a character, found none");
}

static constexpr Kind normalizers[] = {
    {"BertNormalizer", readBert},
    {"Lowercase", readPlain<VLM_TEXT_NORMALIZE_LOWERCASE>},
    {"NFC", readPlain<VLM_TEXT_NORMALIZE_NFC>},
    {"NFD", readPlain<VLM_TEXT_NORMALIZE_NFD>},
    {"NFKC", readPlain<VLM_TEXT_NORMALIZE_NFKC>},
    {"NFKD", readPlain<VLM_TEXT_NORMALIZE_NFKD>},
    {"Nmt", readPlain<VLM_TEXT_NORMALIZE_NMT>},
    {"Precompiled", readPrecompiled},
    {"Prepend", readPrepend},
    {"Replace", readReplace},
    {"Strip", readStrip},
};
static constexpr Kind preTokenizers[] = {
    {"BertPreTokenizer", readBertWords},
    {"ByteLevel", readByteLevel},
    {"CharDelimiterSplit", readDelimiter},
    {"Digits", readDigits},
    {"Metaspace", readMetaspace},
    {"Punctuation", readPunctuation},
    {"Split", readSplit},
    {"Whitespace", readWords},
    {"WhitespaceSplit", readPlain<VLM_TEXT_WHITESPACE_SPLIT>},
};
static constexpr Kind decoders[] = {
    {"ByteFallback", readPlain<VLM_TEXT_DECODE_BYTE_FALLBACK>},
    {"ByteLevel", readPlain<VLM_TEXT_DECODE_BYTE_LEVEL>},
    {"Fuse", readPlain<VLM_TEXT_DECODE_FUSE>},
    {"Metaspace", decodeMetaspace},
    {"Replace", decodeReplace},
    {"Strip", decodeStrip},
    {"WordPiece", decodeWordPiece},
};

static void readComponent(const Section &section, const Fields &fields,
                          std::vector<Stage> &out) {
  std::string type = fields.string("type");
  if (type == "Sequence" && section.list) {
    const Json &list = fields.array(section.list);
    for (size_t i = 0; i < list.size(); ++i)
      readComponent(section, fields.element(section.list, list[i], i), out);
    return;
  }
  std::string supported;
  for (size_t i = 0; i < section.count; ++i) {
    if (type == section.kinds[i].name)
      return section.kinds[i].read(fields, out);
    supported += std::string(i ? ", " : "") + section.kinds[i].name;
  }
  fields.failUnsupported("type", std::string("expected a ") + section.what +
                                     " that vlmc supports (" + supported +
                                     (section.list ? ", Sequence" : "") +
                                     "), found \"" + type + "\"");
}

std::vector<Stage> vlmc::text::readNormalizer(const Fields &root) {
  std::vector<Stage> out;
  if (root.find("normalizer"))
    readComponent(
        {"normalizer", "normalizers", normalizers, std::size(normalizers)},
        root.inside("normalizer"), out);
  return out;
}

std::vector<Stage> vlmc::text::readPreTokenizer(const Fields &root) {
  std::vector<Stage> out;
  if (root.find("pre_tokenizer"))
    readComponent({"pre-tokenizer", "pretokenizers", preTokenizers,
                   std::size(preTokenizers)},
                  root.inside("pre_tokenizer"), out);
  return out;
}

std::vector<Stage> vlmc::text::readDecoder(const Fields &root) {
  std::vector<Stage> out;
  if (root.find("decoder"))
    readComponent({"decoder", "decoders", decoders, std::size(decoders)},
                  root.inside("decoder"), out);
  else
    readPlain<VLM_TEXT_DECODE_JOIN_SPACES>(root, out);
  return out;
}

//===----------------------------------------------------------------------===//
// Post-processors
//===----------------------------------------------------------------------===//

/// A token as ["<s>", 0].
static uint32_t readTokenPair(const Fields &fields, const char *name) {
  const Json &pair = fields.array(name);
  bool good = pair.size() == 2 && pair[0].is_string() &&
              pair[1].is_number_unsigned() && pair[1].get<uint64_t>() < maxIds;
  if (!good)
    fields.fail(name, "expected [token, id], found " + describe(pair));
  return good ? pair[1].get<uint32_t>() : 0;
}

/// A token before the text and one behind it.
static std::vector<PostPiece> readClassified(const Fields &fields) {
  return {{VLM_TEXT_PIECE_TOKEN, readTokenPair(fields, "cls")},
          {VLM_TEXT_PIECE_TEXT, 0},
          {VLM_TEXT_PIECE_TOKEN, readTokenPair(fields, "sep")}};
}

/// The ids that a template's special token stands for.
static void readTemplateToken(const Fields &fields, const std::string &name,
                              std::vector<PostPiece> &out) {
  Fields tokens = fields.inside("special_tokens");
  if (!tokens.has(name.c_str()))
    return fields.fail("special_tokens",
                       "expected the token \"" + name +
                           "\" that the template names, which is missing");
  Fields token = tokens.inside(name.c_str());
  for (const Json &id : token.array("ids")) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= maxIds)
      return token.fail("ids", "expected token ids, found " + describe(id));
    out.push_back({VLM_TEXT_PIECE_TOKEN, id.get<uint32_t>()});
  }
}

static std::vector<PostPiece> readTemplate(const Fields &fields) {
  std::vector<PostPiece> out;
  const Json &single = fields.array("single");
  for (size_t i = 0; i < single.size(); ++i) {
    Fields piece = fields.element("single", single[i], i);
    if (piece.has("SpecialToken")) {
      readTemplateToken(fields, piece.inside("SpecialToken").string("id"), out);
    } else if (piece.inside("Sequence").string("id") == "A") {
      out.push_back({VLM_TEXT_PIECE_TEXT, 0});
    } else {
      piece.fail("Sequence.id", "expected \"A\", the only text there is");
    }
  }
  return out;
}

static std::vector<PostPiece> readProcessor(const Fields &fields) {
  std::string type = fields.string("type");
  if (type == "RobertaProcessing" || type == "BertProcessing")
    return readClassified(fields);
  if (type == "TemplateProcessing")
    return readTemplate(fields);
  if (type == "ByteLevel") // moves offsets, not ids
    return {};
  if (type != "Sequence") {
    fields.failUnsupported(
        "type", "expected a post-processor that vlmc supports (BertProcessing, "
                "ByteLevel, RobertaProcessing, Sequence, TemplateProcessing), "
                "found \"" +
                    type + "\"");
    return {};
  }
  std::vector<PostPiece> out;
  const Json &list = fields.array("processors");
  for (size_t i = 0; i < list.size(); ++i) {
    std::vector<PostPiece> next =
        readProcessor(fields.element("processors", list[i], i));
    if (!out.empty() && !next.empty())
      fields.failUnsupported(
          "processors", "expected one processor that adds tokens, found two");
    if (!next.empty())
      out = next;
  }
  return out;
}

std::vector<PostPiece> vlmc::text::readPostProcessor(const Fields &root) {
  return root.find("post_processor")
             ? readProcessor(root.inside("post_processor"))
             : std::vector<PostPiece>();
}
