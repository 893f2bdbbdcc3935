#include "runtime/text/PromptInternal.h"
#include "test/runtime/text/TextFixture.h"

using namespace vlmc;
using namespace vlmc::test;

/// Takes the last part off a message, which says how to mend what is wrong.
static std::string withoutRemedy(const std::string &message) {
  for (std::string remedy :
       {"; the file is truncated, fetch it again", "; mend the file",
        "; fetch the file again", "; mend the file or fetch it again",
        "; complete the folder",
        "; save the tokenizer again with transformers, which writes "
        "tokenizer.json",
        "; a copy of the folder without its tokenizer compiles to a model that "
        "takes token ids"})
    if (message.ends_with(remedy))
      return message.substr(0, message.size() - remedy.size());
  ADD_FAILURE() << "no remedy: " << message;
  return message;
}

/// The message with the folder's path as DIR and without its remedy, or the
/// warnings.
static std::string readMessage(const Folder &folder) {
  Result<TokenizerTables> tables = readTokenizer(folder.path());
  std::string message;
  if (!tables)
    message = withoutRemedy(tables.message());
  else
    for (const std::string &warning : tables->warnings)
      message += "warning: " + warning + "\n";
  for (size_t at; (at = message.find(folder.path())) != message.npos;)
    message.replace(at, folder.path().size(), "DIR");
  return message;
}

static const char *kModel =
    R"("vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"])";

static std::string withJson(const std::string &model,
                            const std::string &rest = "") {
  Folder folder;
  folder.write("tokenizer.json", tokenizerJson(model, rest));
  return readMessage(folder);
}

static std::string withConfig(const std::string &config) {
  return readMessage(wordFolder(config));
}

TEST(ReadTokenizer, MissingFiles) {
  Result<TokenizerTables> none = readTokenizer("no/such/folder");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.message(),
            "no/such/folder: expected a folder with a tokenizer, found none; "
            "check the path");
  Folder empty;
  EXPECT_EQ(
      readMessage(empty),
      "DIR: expected tokenizer.json, or a tokenizer_class that vlmc "
      "knows (BertTokenizer, CLIPTokenizer, GemmaTokenizer, GPT2Tokenizer, "
      "GPTNeoXTokenizer, InternLM2Tokenizer, LlamaTokenizer, "
      "Qwen2Tokenizer, Siglip2Tokenizer, SiglipTokenizer, T5Tokenizer) in "
      "tokenizer_config.json, found neither");
  Folder config;
  config.write("config.json", R"({"model_type": "clip"})");
  EXPECT_EQ(readMessage(config), "DIR/vocab.json: expected this file, since "
                                 "there is no tokenizer.json, found none");
  config.write("vocab.json", "{}");
  EXPECT_EQ(readMessage(config), "DIR/merges.txt: expected this file, since "
                                 "there is no tokenizer.json, found none");
  Folder other;
  other.write("tokenizer_config.json", R"({"tokenizer_class": "XLNetTokenizer"})");
  EXPECT_EQ(
      readMessage(other),
      "DIR: expected tokenizer.json, or a tokenizer_class that vlmc "
      "knows (BertTokenizer, CLIPTokenizer, GemmaTokenizer, GPT2Tokenizer, "
      "GPTNeoXTokenizer, InternLM2Tokenizer, LlamaTokenizer, "
      "Qwen2Tokenizer, Siglip2Tokenizer, SiglipTokenizer, T5Tokenizer) in "
      "tokenizer_config.json, found the class XLNetTokenizer");
}

TEST(ReadTokenizer, FaultyJson) {
  Folder folder;
  folder.write("tokenizer.json", R"({"model": {"vocab": {"a": 0)");
  EXPECT_EQ(readMessage(folder).substr(0, 55),
            "DIR/tokenizer.json:1:28: expected JSON, found a fault: ");
  folder.write("tokenizer.json", "{\"model\": \"\xFF\"}");
  EXPECT_NE(readMessage(folder).find("ill-formed UTF-8"), std::string::npos);
  folder.write("tokenizer.json", "[]");
  EXPECT_EQ(readMessage(folder),
            "DIR/tokenizer.json: expected an object, found []");
  folder.write("tokenizer.json", "{}");
  EXPECT_EQ(readMessage(folder),
            "DIR/tokenizer.json: model: expected an object, which is missing");
}

TEST(ReadTokenizer, FaultyModel) {
  const std::string file = "DIR/tokenizer.json: ";
  EXPECT_EQ(withJson(kModel), "");
  EXPECT_EQ(withJson(R"("vocab": 3, "merges": [])"),
            file + "model.vocab: expected an object, found 3");
  EXPECT_EQ(withJson(R"("vocab": {"a": "x"}, "merges": [])"),
            file + "model.vocab.\"a\": expected a token id (an integer from 0 "
                   "to 16777215), found \"x\"");
  EXPECT_EQ(withJson(R"("vocab": {"a": -1}, "merges": [])"),
            file + "model.vocab.\"a\": expected a token id (an integer from 0 "
                   "to 16777215), found -1");
  EXPECT_EQ(withJson(R"("vocab": {"a": 1, "b": 1}, "merges": [])"),
            file + "model.vocab: expected one token for each id, found \"a\" "
                   "and \"b\" for 1");
  EXPECT_EQ(withJson(R"("vocab": {"a": 1})"),
            file + "model.merges: expected an array, which is missing");
  EXPECT_EQ(withJson(R"("vocab": {"a": 1}, "merges": ["a"])"),
            file + "model.merges[0]: expected \"LEFT RIGHT\" or [\"LEFT\", "
                   "\"RIGHT\"], found \"a\"");
  EXPECT_EQ(withJson(R"("vocab": {"a": 1, "b": 2}, "merges": [["a", "b"]])"),
            file + "model.merges[0]: expected tokens of the vocabulary, found "
                   "\"a\" and \"b\", and \"ab\" is not one");
  EXPECT_EQ(withJson(R"("vocab": {"a": 1, "b": 2}, "merges": ["a c"])"),
            file + "model.merges[0]: expected tokens of the vocabulary, found "
                   "\"a\" and \"c\", and \"c\" is not one");
  EXPECT_EQ(withJson(R"("dropout": 0.1, "vocab": {"a": 1}, "merges": [])"),
            file + "model.dropout: expected null, for ids that do not change "
                   "from run to run, found 0.1");
  EXPECT_EQ(withJson(R"("fuse_unk": 1, "vocab": {"a": 1}, "merges": [])"),
            file + "model.fuse_unk: expected true or false, found 1");
  EXPECT_EQ(withJson(R"("unk_token": "?", "vocab": {"a": 1}, "merges": [])"),
            "warning: DIR: the unknown token '?' is not in the vocabulary; "
            "unknown characters are left out\n");
  Folder words;
  words.write("tokenizer.json",
              R"({"model": {"type": "WordLevel", "vocab": {}}})");
  EXPECT_EQ(readMessage(words),
            file + "model.type: expected a model that vlmc supports (BPE, "
                   "Unigram, WordPiece), found \"WordLevel\"");
}

TEST(ReadTokenizer, FaultyUnigram) {
  const std::string file = "DIR/tokenizer.json: ";
  auto with = [](const std::string &model) {
    Folder folder;
    folder.write("tokenizer.json",
                 R"({"model": {"type": "Unigram", )" + model + "}}");
    return readMessage(folder);
  };
  EXPECT_EQ(with(R"("vocab": [["?", 0], ["a", -1.5]], "unk_id": 0)"), "");
  EXPECT_EQ(with(R"("vocab": [], "unk_id": 0)"),
            file + "model.vocab: expected at least one token, found none");
  EXPECT_EQ(with(R"("vocab": [["?", 0], ["a"]], "unk_id": 0)"),
            file + "model.vocab[1]: expected [token, score], found [\"a\"]");
  EXPECT_EQ(with(R"("vocab": [["?", 0]], "unk_id": 1)"),
            file + "model.unk_id: expected an id of the vocabulary, found 1");
  EXPECT_EQ(with(R"("vocab": [["?", 0]], "unk_id": null)"),
            file + "model.unk_id: expected the id of the unknown token, found "
                   "none");
}

/// A field of a protobuf message: a string, or a number.
static std::string field(int number, const std::string &bytes) {
  return std::string({char(number << 3 | 2), char(bytes.size())}) + bytes;
}
static std::string field(int number, int value) {
  return {char(number << 3), char(value)};
}

TEST(ReadTokenizer, FaultySentencePiece) {
  const std::string file = "DIR/spiece.model: ";
  const std::string unknown = field(1, field(1, "<unk>") + field(3, 2)),
                    end = field(1, field(1, "</s>") + field(3, 3)),
                    letter = field(1, field(1, "a"));
  auto with = [](const std::string &model) {
    Folder folder;
    folder.write("config.json", R"({"model_type": "siglip"})");
    folder.write("spiece.model", model);
    return readMessage(folder);
  };
  EXPECT_EQ(with(unknown + end + letter), "");
  EXPECT_EQ(with(""), file + "expected a SentencePiece model, found other "
                             "bytes");
  EXPECT_EQ(with("{}"), file + "expected a SentencePiece model, found other "
                               "bytes");
  EXPECT_EQ(with(end + letter),
            file + "expected a piece for unknown characters, found none");
  EXPECT_EQ(with(unknown + letter + letter),
            file + "piece 2: expected a text of its own, found 'a' a second "
                   "time");
  EXPECT_EQ(with(unknown + field(1, field(3, 1))),
            file + "piece 1: expected a text, found none");
  EXPECT_EQ(with(unknown + letter + field(2, field(3, 2))),
            file + "model_type: expected UNIGRAM, found BPE");
  EXPECT_EQ(with(unknown + letter + field(3, field(5, 0))),
            file + "escape_whitespaces: expected true, found false");
  EXPECT_EQ(with(unknown + letter + field(3, field(2, "12345678"))),
            file + "precompiled_charsmap: expected a map of characters with a "
                   "double array and zero-terminated texts, found 8 other "
                   "bytes");
  Folder none;
  none.write("config.json", R"({"model_type": "siglip"})");
  EXPECT_EQ(readMessage(none),
            file + "expected this file, since there is no tokenizer.json, "
                   "found none");
  none.write("tokenizer.json", tokenizerJson(kModel, ""));
  EXPECT_EQ(readMessage(none),
            "warning: " + file +
                "not there; tokenizer.json is used as it stands\n");
}

TEST(ReadTokenizer, FaultyMergesFile) {
  Folder folder = wordFolder("");
  folder.write("merges.txt", "#version: 0.2\na b\n\n");
  EXPECT_EQ(readMessage(folder), "DIR/merges.txt:3: expected two tokens with "
                                 "one blank between them, found ''");
  folder.write("merges.txt", "a \xC3\n");
  EXPECT_EQ(
      readMessage(folder),
      "DIR/merges.txt:1: expected UTF-8, found a broken character at byte 2");
  folder.write("merges.txt", "a b\nb c</w>\nab c</w>\n");
  EXPECT_EQ(readMessage(folder),
            "warning: DIR/merges.txt: expected a merge for each longer token "
            "of vocab.json, found none for 1 of them, such as \"Ã©</w>\"; "
            "fetch the file again if it is truncated\n");
  folder.write("merges.txt", "a b\nb c</w>");
  EXPECT_EQ(readMessage(folder),
            "DIR/merges.txt: expected a merge for each longer token of "
            "vocab.json, found none for 2 of them, such as \"abc</w>\", and "
            "an end inside a line");
  folder.write("merges.txt", "a b\nb c</w>\nab c</w>\nÃ ©</w>");
  EXPECT_EQ(readMessage(folder), "");
  folder.write("merges.txt", "a b\nb a\n");
  EXPECT_EQ(readMessage(folder),
            "DIR/merges.txt: merge [1]: expected tokens of the vocabulary, "
            "found \"b\" and \"a\", and \"ba\" is not one");
}

TEST(ReadTokenizer, FaultyCharsmaps) {
  auto with = [](const std::string &charsmap) {
    return withJson(kModel,
                    R"("normalizer": {"type": "Precompiled")" + charsmap + "}");
  };
  const std::string where =
      "DIR/tokenizer.json: normalizer.precompiled_charsmap: ";
  EXPECT_EQ(with(""), where + "expected a string, which is missing");
  EXPECT_EQ(with(R"(, "precompiled_charsmap": "AAA?")"),
            where + "expected bytes in base 64, found other text");
  EXPECT_EQ(with(R"(, "precompiled_charsmap": "BAAAAAAA")"),
            where + "expected a map of characters with a double array and "
                    "zero-terminated texts, found 6 other bytes");
  std::string good = R"({"type": "Precompiled", "precompiled_charsmap": ")"
                     R"(BAAAAAAAAAAA"})";
  std::string other = R"({"type": "Precompiled", "precompiled_charsmap": ")"
                      R"(BAAAAAEAAAAA"})";
  EXPECT_EQ(withJson(kModel, R"("normalizer": )" + good), "");
  EXPECT_EQ(withJson(kModel,
                     R"("normalizer": {"type": "Sequence", "normalizers": [)" +
                         good + ", " + other + "]}"),
            where + "expected one map of characters, found two that differ");
}

TEST(ReadTokenizer, UnknownComponents) {
  const std::string file = "DIR/tokenizer.json: ";
  EXPECT_EQ(
      withJson(kModel, R"("normalizer": {"type": "StripAccents"})"),
      file +
          "normalizer.type: expected a normalizer that vlmc supports "
          "(BertNormalizer, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, "
          "Prepend, Replace, "
          "Strip, Sequence), found \"StripAccents\"");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": 3}]})"),
      file + "normalizer.normalizers[1].type: expected a string, found 3");
  EXPECT_EQ(withJson(kModel, R"("pre_tokenizer": {"type": "UnicodeScripts"})"),
            file + "pre_tokenizer.type: expected a pre-tokenizer that vlmc "
                   "supports (BertPreTokenizer, ByteLevel, CharDelimiterSplit, "
                   "Digits, Metaspace, Punctuation, Split, Whitespace, "
                   "WhitespaceSplit, Sequence), found \"UnicodeScripts\"");
  EXPECT_EQ(
      withJson(kModel,
               R"("pre_tokenizer": {"type": "Punctuation", "behavior": "x"})"),
      file + "pre_tokenizer.behavior: expected Removed, Isolated, "
             "MergedWithPrevious, MergedWithNext or Contiguous, found \"x\"");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": ""})"),
      file + "pre_tokenizer.delimiter: expected a character, found none");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})"),
      file + "pre_tokenizer.prepend_scheme: expected \"always\", \"first\" or "
             "\"never\", found \"last\"");
  EXPECT_EQ(
      withJson(kModel,
               R"("pre_tokenizer": {"type": "Metaspace", "replacement": ""})"),
      file + "pre_tokenizer.replacement: expected a character, found none");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("decoder": {"type": "Strip", "content": " ", "start": -1, "stop": 0})"),
      file + "decoder.start: expected a number from 0 to 65535, found -1");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("decoder": {"type": "Replace", "pattern": {"Regex": "a"}, "content": "b"})"),
      file + "decoder.pattern: expected {\"String\": ...}, found a regular "
             "expression");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Gone", "invert": false})"),
      file +
          "pre_tokenizer.behavior: expected Removed, Isolated, "
          "MergedWithPrevious, MergedWithNext or Contiguous, found \"Gone\"");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("pre_tokenizer": {"type": "Split", "pattern": {"Reg": "a"}, "behavior": "Removed", "invert": false})"),
      file + "pre_tokenizer.pattern: expected {\"Regex\": ...} or {\"String\": "
             "...}, found {\"Reg\":\"a\"}");
  EXPECT_EQ(withJson(kModel, R"("decoder": {"type": "CTC"})"),
            file + "decoder.type: expected a decoder that vlmc supports "
                   "(ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Strip, "
                   "WordPiece, Sequence), found \"CTC\"");
  EXPECT_EQ(
      withJson(kModel, R"("post_processor": {"type": "OtherProcessing"})"),
      file + "post_processor.type: expected a post-processor that vlmc "
             "supports (BertProcessing, ByteLevel, RobertaProcessing, "
             "Sequence, TemplateProcessing), found \"OtherProcessing\"");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("post_processor": {"type": "RobertaProcessing", "cls": ["a", 0], "sep": "b"})"),
      file + "post_processor.sep: expected an array, found \"b\"");
  EXPECT_EQ(
      withJson(
          kModel,
          R"("post_processor": {"type": "TemplateProcessing", "special_tokens": {},
                                 "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}]})"),
      file + "post_processor.special_tokens: expected the token \"<s>\" that "
             "the template names, which is missing");
}

TEST(ReadTokenizer, FaultyConfiguration) {
  const std::string file = "DIR/tokenizer_config.json: ";
  EXPECT_EQ(withConfig(R"({"pad_token": 3})"),
            file + "pad_token: expected a string or an object that describes a "
                   "token, found 3");
  EXPECT_EQ(withConfig(R"({"bos_token": {"content": 3}})"),
            file + "bos_token.content: expected a string, found 3");
  EXPECT_EQ(
      withConfig(R"({"model_max_length": "x"})"),
      file + "model_max_length: expected a number of at least 1, found \"x\"");
  EXPECT_EQ(withConfig(R"({"padding_side": "top"})"),
            file +
                "padding_side: expected \"left\" or \"right\", found \"top\"");
  EXPECT_EQ(withConfig(R"({"tokenizer_class": 3})"),
            file + "tokenizer_class: expected a string, found 3");
  EXPECT_EQ(withConfig(R"({"added_tokens_decoder": {"x": {"content": "a"}}})"),
            file + "added_tokens_decoder.\"x\": expected a token id (an "
                   "integer from 0 to 16777215) as the name");
  EXPECT_EQ(withConfig(R"({"additional_special_tokens": [4]})"),
            file + "additional_special_tokens[0]: expected a string or an "
                   "object that describes a token, found 4");
}

TEST(ReadTokenizer, TakesTheClassesStages) {
  Folder folder;
  folder.write("config.json", R"({"model_type": "clip"})");
  folder.write(
      "tokenizer.json",
      R"({"model": {"type": "BPE", "vocab": {"a</w>": 0, "<|startoftext|>": 1, "<|endoftext|>": 2},
                                      "merges": []}, "normalizer": {"type": "BertNormalizer"}})");
  std::string warnings = readMessage(folder);
  for (const char *section :
       {"normalizer", "pre_tokenizer", "decoder", "post_processor"})
    EXPECT_NE(warnings.find(std::string("DIR/tokenizer.json: ") + section +
                            " differs from that of the tokenizer's class, "
                            "which transformers takes and so does vlmc"),
              std::string::npos)
        << warnings;
  EXPECT_EQ(Opened(folder.path()).encode("A"), (std::vector<int32_t>{1, 0, 2}));
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "SomeTokenizerFast"})");
  folder.write("tokenizer.json", tokenizerJson(kModel, ""));
  EXPECT_EQ(readMessage(folder),
            "warning: DIR/tokenizer_config.json: tokenizer_class: "
            "SomeTokenizer is not known to vlmc; tokenizer.json is "
            "used as it stands\n");
}

/// A folder of a language model's class; the file's own stages are others.
static Folder classFolder(const std::string &config,
                          const std::string &decoder = "Fuse") {
  Folder folder;
  folder.write(
      "tokenizer.json",
      tokenizerJson(
          R"("vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "▁": 3, "a": 4, "1": 5, "▁a": 6, "<0x31>": 7, "Ġ": 8, "11": 9},
             "merges": ["▁ a", "1 1"])",
          R"("added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
             "normalizer": {"type": "Lowercase"}, "decoder": {"type": ")" +
              decoder +
              R"("},
             "post_processor": {"type": "BertProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2]})"));
  folder.write("tokenizer_config.json", config);
  return folder;
}

TEST(ReadTokenizer, ClassesOfLanguageModels) {
  using Ids = std::vector<int32_t>;
  Folder llama = classFolder(R"({"tokenizer_class": "LlamaTokenizerFast"})");
  EXPECT_EQ(readMessage(llama), "");
  Opened first(llama.path());
  // A blank before the text alone, and bytes for what is not known.
  EXPECT_EQ(first.encode("a a</s>a"), (Ids{1, 6, 6, 2, 4, 2}));
  EXPECT_EQ(first.decode({6, 6, 7}), "a a1");
  EXPECT_TRUE(vlm_tokenizer_pads_left(first.tokenizer));
  Folder legacy =
      classFolder(R"({"tokenizer_class": "LlamaTokenizer", "legacy": true})");
  EXPECT_EQ(Opened(legacy.path()).encode("a</s>a", false), (Ids{6, 2, 6}));
  Folder bare = classFolder(
      R"({"tokenizer_class": "LlamaTokenizer", "add_prefix_space": false})");
  EXPECT_EQ(Opened(bare.path()).encode("a", false), (Ids{4}));
  EXPECT_EQ(Opened(bare.path()).decode({6, 4}), " aa");
  Folder qwen = classFolder(R"({"tokenizer_class": "Qwen2Tokenizer"})");
  // One digit at a time.
  EXPECT_EQ(Opened(qwen.path()).encode("11 a", false), (Ids{5, 5, 8, 4}));
  // Bytes in the file, or a model type whose folders name wrong classes: the
  // file's own stages, here lower case.
  Folder bytes =
      classFolder(R"({"tokenizer_class": "LlamaTokenizer"})", "ByteLevel");
  EXPECT_EQ(Opened(bytes.path()).encode("A11", false), (Ids{4, 9}));
  Folder wrong = classFolder(R"({"tokenizer_class": "LlamaTokenizer"})");
  wrong.write("config.json", R"({"model_type": "llava"})");
  EXPECT_EQ(readMessage(wrong), "");
  EXPECT_EQ(Opened(wrong.path()).encode("A", false), (Ids{4}));
}

TEST(ReadTokenizer, FaultyWordPieces) {
  auto with = [](const std::string &model) {
    Folder folder;
    folder.write("tokenizer.json", R"({"model": {)" + model + "}}");
    return readMessage(folder);
  };
  const std::string model = "DIR/tokenizer.json: model";
  const std::string rest =
      R"("unk_token": "?", "continuing_subword_prefix": "##", )";
  EXPECT_EQ(with(R"("type": "WordPiece", )" + rest + R"("vocab": {"?": 0})"),
            model + ".max_input_chars_per_word: expected a number of "
                    "characters, found none");
  EXPECT_EQ(with(rest + R"("max_input_chars_per_word": -1, "vocab": {})"),
            model + ".max_input_chars_per_word: expected a number of "
                    "characters, found -1");
  EXPECT_EQ(with(rest + R"("max_input_chars_per_word": 9, "vocab": {"a": 0})"),
            "DIR: expected the unknown token in the vocabulary, which words "
            "without pieces become, found no '?'");
  Folder none;
  none.write("tokenizer_config.json",
             R"({"tokenizer_class": "BertTokenizer"})");
  EXPECT_EQ(readMessage(none), "DIR/vocab.txt: expected this file, since there "
                               "is no tokenizer.json, found none");
}

/// What is expected is what transformers gives for the same folder.
TEST(ReadTokenizer, WordPiecesOfAFileOfWords) {
  using Ids = std::vector<int32_t>;
  Folder folder;
  folder.write("vocab.txt",
               "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello "
               "\n##lo\r\nhe\n\nworld\n,\n\u732b\n\u00e9t\u00e9\n");
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "BertTokenizerFast"})");
  EXPECT_EQ(readMessage(folder), "");
  Opened text(folder.path());
  EXPECT_EQ(text.encode("hello, world helo"), (Ids{2, 5, 10, 9, 7, 6, 3}));
  // Upper case and accents go, so that only what has none is found.
  EXPECT_EQ(text.encode("H\u00c9LO \u00e9t\u00e9", false), (Ids{7, 6, 1}));
  EXPECT_EQ(text.encode("he\u732bhe\tworld\x01", false), (Ids{7, 11, 7, 9}));
  EXPECT_EQ(text.encode("helox [MASK]", false), (Ids{1, 4}));
  EXPECT_EQ(text.decode({2, 7, 6, 10, 9, 3}), "helo, world");
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false,
                   "tokenize_chinese_chars": false})");
  Opened cased(folder.path());
  EXPECT_EQ(cased.encode("H\u00c9 \u00e9t\u00e9 he\u732b", false),
            (Ids{1, 12, 1}));
}

/// Byte pairs of vocab.json and merges.txt, with the ends that the
/// configuration names; tokenizer.json, where there is one, counts before it.
TEST(ReadTokenizer, ClassOfGpt2) {
  using Ids = std::vector<int32_t>;
  Folder folder;
  folder.write(
      "vocab.json",
      R"({"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120a": 4, "<|endoftext|>": 5, "</s>": 6})");
  folder.write("merges.txt", "#version: 0.2\na b\n\u0120 a\n");
  folder.write(
      "tokenizer_config.json",
      R"({"tokenizer_class": "GPT2Tokenizer", "bos_token": "</s>", "add_bos_token": true})");
  Opened ends(folder.path());
  EXPECT_EQ(ends.encode("ab a"), (Ids{6, 3, 4}));
  folder.write(
      "tokenizer_config.json",
      R"({"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": true})");
  EXPECT_EQ(Opened(folder.path()).encode("ab a<|endoftext|>b"),
            (Ids{2, 3, 4, 5, 2, 1}));
}

/// The same of texts in normal form C; what tokenizer.json says of steps and of
/// what surrounds a text counts for nothing. Ids are those of transformers.
TEST(ReadTokenizer, ClassOfGptNeox) {
  using Ids = std::vector<int32_t>;
  Folder folder;
  folder.write("tokenizer.json", R"({
    "added_tokens": [{"id": 5, "content": "<|endoftext|>", "special": true}],
    "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [5],
                                           "tokens": ["<|endoftext|>"]}}},
    "model": {"type": "BPE",
      "vocab": {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120a": 4,
                "<|endoftext|>": 5, "\u00c3": 6, "\u00a9": 7, "e": 8,
                "\u00c3\u00a9": 9, "\u00cc": 10, "\u0123": 11},
      "merges": ["a b", "\u0120 a", "\u00c3 \u00a9"]}})");
  folder.write(
      "tokenizer_config.json",
      R"({"tokenizer_class": "GPTNeoXTokenizerFast", "add_bos_token": true})");
  Opened opened(folder.path());
  EXPECT_EQ(opened.encode("ab a<|endoftext|>b e\xCC\x81"),
            (Ids{3, 4, 5, 1, 2, 9}));
  // Behind the vocabulary, as no file has it.
  EXPECT_EQ(opened.encode("a<|padding|>b"), (Ids{0, 12, 1}));
}

/// A SentencePiece model of pieces and their types.
static std::string
modelFile(const std::vector<std::pair<std::string, int>> &pieces, int type) {
  std::string file;
  for (const auto &[piece, kind] : pieces)
    file += field(1, field(1, piece) + field(3, kind));
  return file + field(2, field(3, type));
}

/// The expected ids are those of transformers for the same file.
TEST(ReadTokenizer, BytePairsOfSentencePieceFiles) {
  using Ids = std::vector<int32_t>;
  constexpr int normal = 1, unknown = 2, control = 3, user = 4, byte = 6;
  std::vector<std::pair<std::string, int>> pieces = {{"<unk>", unknown},
                                                     {"<s>", control},
                                                     {"</s>", control},
                                                     {"<img>", user},
                                                     {"<0x62>", byte},
                                                     {"ab", normal},
                                                     {"\xE2\x96\x81"
                                                      "a",
                                                      normal},
                                                     {"a", normal},
                                                     {"\xE2\x96\x81", normal},
                                                     {"\xC3\xA9", normal},
                                                     {"a\xC3\xA9", normal}};
  Folder folder;
  folder.write("tokenizer.model", modelFile(pieces, 2));
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true,
                   "add_eos_token": true})");
  EXPECT_TRUE(hasTokenizer(folder.path()));
  EXPECT_EQ(readMessage(folder), "");
  Opened text(folder.path());
  // "ab" is a piece that no two others make: "b" is a byte alone.
  EXPECT_EQ(text.encode("a ab"), (Ids{1, 6, 6, 4, 2}));
  EXPECT_EQ(text.encode("a<img>a\xC3\xA9", false), (Ids{6, 3, 10}));
  EXPECT_EQ(text.decode({1, 6, 4, 3, 2}), "ab<img>");
  // Ends are off where the configuration names none.
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "LlamaTokenizer"})");
  EXPECT_EQ(Opened(folder.path()).encode("a"), (Ids{6}));

  const std::string file = "DIR/tokenizer.model: ";
  folder.write("tokenizer.model", modelFile(pieces, 1));
  EXPECT_EQ(readMessage(folder),
            file + "model_type: expected BPE, found UNIGRAM");
  pieces[5].first = "a";
  folder.write("tokenizer.model", modelFile(pieces, 2));
  EXPECT_EQ(readMessage(folder), file + "piece 7: expected a text of its own, "
                                        "found 'a' a second time");
  folder.write("tokenizer.model", "no model");
  EXPECT_EQ(readMessage(folder),
            file + "expected a SentencePiece model, found other bytes");
}

TEST(ReadTokenizer, PreTokenizersOfCharacterClasses) {
  using Ids = std::vector<int32_t>;
  auto encode = [](const std::string &preTokenizer, const std::string &text) {
    Folder folder;
    folder.write(
        "tokenizer.json",
        tokenizerJson(
            R"("vocab": {"a": 0, "1": 1, ".": 2, "a1": 3, "11": 4, "a.": 5, "..": 6, "؝": 7, "a؝": 8, " ": 9},
               "merges": ["a 1", "1 1", "a .", ". .", "a ؝"])",
            R"("pre_tokenizer": {"type": )" + preTokenizer + "}"));
    return Opened(folder.path()).encode(text);
  };
  EXPECT_EQ(encode(R"("Digits")", "a11"), (Ids{0, 4}));
  EXPECT_EQ(encode(R"("Digits", "individual_digits": true)", "a11"),
            (Ids{0, 1, 1}));
  // The last one is punctuation since Unicode 14.
  EXPECT_EQ(encode(R"("Punctuation")", "a..a؝"), (Ids{0, 2, 2, 8}));
  EXPECT_EQ(encode(R"("Punctuation", "behavior": "Contiguous")", "a..a"),
            (Ids{0, 6, 0}));
  EXPECT_EQ(encode(R"("BertPreTokenizer")", "a. a"), (Ids{0, 2, 0}));
  EXPECT_EQ(encode(R"("Whitespace")", "a1 a..a"), (Ids{3, 0, 6, 0}));
  EXPECT_EQ(encode(R"("CharDelimiterSplit", "delimiter": "1")", "a1a."),
            (Ids{0, 5}));
}

TEST(ReadTokenizer, TokensComeFromAllFiles) {
  Folder map = wordFolder(R"({"pad_token": "!"})");
  map.write("special_tokens_map.json",
            R"({"pad_token": {"content": "c</w>", "normalized": false}})");
  Opened fromMap(map.path());
  EXPECT_EQ(vlm_tokenizer_pad_id(fromMap.tokenizer), 7);
  Folder added = wordFolder("");
  added.write("added_tokens.json", R"({"<x>": 30})");
  EXPECT_EQ(Opened(added.path()).encode("<x>", false),
            (std::vector<int32_t>{18}));
  Folder sides =
      wordFolder(R"({"model_max_length": 1e30, "truncation_side": "left"})");
  Opened fromLeft(sides.path());
  EXPECT_EQ(vlm_tokenizer_max_tokens(fromLeft.tokenizer), 0u);
  EXPECT_EQ(fromLeft.encode("a b", false, 1), (std::vector<int32_t>{6}));
}

TEST(ReadTokenizer, ReadsTemplatesAndAddedTokensAsTheyStand) {
  Folder folder;
  folder.write(
      "tokenizer.json",
      tokenizerJson(
          kModel,
          R"("added_tokens": [{"id": 3, "content": "<s>", "special": true}],
      "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [3, 3], "tokens": ["<s>", "<s>"]}}}]},
      "pre_tokenizer": {"type": "Split", "pattern": {"String": "b"}, "behavior": "MergedWithNext", "invert": false})"));
  Opened text(folder.path());
  ASSERT_EQ(text.status, nullptr) << vlm_status_message(text.status);
  EXPECT_EQ(text.encode("aab"), (std::vector<int32_t>{3, 3, 0, 0, 1}));
  EXPECT_EQ(text.decode({3, 0, 2}), "a ab");
  EXPECT_EQ(text.decode({3, 0, 2}, false), "<s> a ab");
}

/// What the tables say of prompts: the template, the token of pictures, how
/// many of them 28 x 42 pixels take, the roles.
static std::string promptsOf(const Folder &folder) {
  Opened opened(folder.path());
  if (opened.status)
    return vlm_status_message(opened.status);
  auto text = [](const char *data, size_t bytes) {
    return data ? std::string(data, bytes) : std::string("-");
  };
  size_t bytes = 0;
  const char *chat = vlm_tokenizer_chat_template(opened.tokenizer, &bytes);
  std::string out = text(chat, bytes);
  const char *picture = vlm_tokenizer_picture_token(opened.tokenizer, &bytes);
  out += " " + text(picture, bytes) + " " +
         std::to_string(vlm_tokenizer_picture_tokens(opened.tokenizer, 28, 42));
  const char *role = nullptr, *token = nullptr;
  size_t roleBytes = 0;
  for (size_t i = 0; vlm_tokenizer_role(opened.tokenizer, i, &role, &roleBytes,
                                        &token, &bytes);
       ++i)
    out += " " + text(role, roleBytes) + "=" + text(token, bytes);
  return out;
}

TEST(ReadTokenizer, PicturesInFrontOfPrompts) {
  Folder folder;
  folder.write(
      "tokenizer.json",
      tokenizerJson(
          kModel,
          R"("added_tokens": [{"id": 3, "content": "<s>", "special": true},
                              {"id": 4, "content": "<image>", "special": true}],
      "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}})"));
  folder.write("config.json", R"({"image_token_index": 4,
      "num_query_tokens": 3, "qformer_config": {}})");
  auto encode = [&](const Opened &opened, const std::string &text,
                    const std::vector<int64_t> &pictures, int special) {
    vlm_ids_t ids{};
    vlm_status_t *status = vlm_tokenizer_encode_prompt(
        opened.tokenizer, text.data(), text.size(), pictures.data(),
        pictures.size(), special, &ids);
    std::string result = vlm_status_message(status);
    for (size_t i = 0; i < ids.count; ++i)
      result += std::to_string(ids.ids[i]) + " ";
    vlm_status_destroy(status);
    vlm_ids_destroy(&ids);
    return result;
  };
  {
    Opened opened(folder.path());
    ASSERT_EQ(opened.status, nullptr) << vlm_status_message(opened.status);
    EXPECT_EQ(vlm_tokenizer_pictures_first(opened.tokenizer), 1);
    EXPECT_EQ(vlm_tokenizer_picture_tokens(opened.tokenizer, 28, 42), 3);
    EXPECT_EQ(encode(opened, "a", {3}, 1), "4 4 4 3 0 ");
    EXPECT_EQ(encode(opened, "a", {3, 1}, 0), "4 4 4 4 0 ");
    EXPECT_EQ(encode(opened, "a", {}, 1), "3 0 ");
    EXPECT_EQ(encode(opened, "", {1}, 1), "4 3 ");
    EXPECT_EQ(encode(opened, "<image>a", {1}, 1),
              "expected a prompt without '<image>', as pictures stand in front "
              "of it; leave it out");
    // Pictures among texts leave no trace in the text.
    const char *parts[] = {nullptr, "a", nullptr, "b"};
    char *text = nullptr;
    size_t bytes = 0;
    ASSERT_EQ(vlm_tokenizer_join(opened.tokenizer, parts, 4, /*ends_parts=*/0,
                                 &text, &bytes),
              nullptr);
    EXPECT_EQ(std::string(text, bytes), "ab");
    vlm_string_destroy(text);
  }
  // The processor's own number counts.
  folder.write("processor_config.json", R"({"num_query_tokens": 2})");
  Opened opened(folder.path());
  EXPECT_EQ(vlm_tokenizer_picture_tokens(opened.tokenizer, 28, 42), 2);
}

TEST(ReadTokenizer, PromptsThatBeginWithPictures) {
  Folder folder;
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  folder.write("tokenizer.json", tokenizerJson(kModel, R"(
      "added_tokens": [{"id": 3, "content": "<s>", "special": true},
                       {"id": 4, "content": "<|image|>", "special": true}],
      "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}})"));
  folder.write("config.json",
               R"({"model_type": "mllama", "image_token_index": 4})");
  Opened opened(folder.path());
  ASSERT_EQ(opened.status, nullptr) << vlm_status_message(opened.status);
  auto encode = [&](const std::string &text, size_t pictures, int special) {
    vlm_ids_t ids{};
    const int64_t one[] = {1, 1, 1};
    vlm_status_t *status =
        vlm_tokenizer_encode_prompt(opened.tokenizer, text.data(), text.size(),
                                    one, pictures, special, &ids);
    std::string result = vlm_status_message(status);
    for (size_t i = 0; i < ids.count; ++i)
      result += std::to_string(ids.ids[i]) + " ";
    vlm_status_destroy(status);
    vlm_ids_destroy(&ids);
    return result;
  };
  EXPECT_EQ(vlm_tokenizer_pictures_first(opened.tokenizer), 0);
  EXPECT_EQ(vlm_tokenizer_picture_tokens(opened.tokenizer, 28, 42), 1);
  // The processor writes a begin token of its own beside the tokenizer's.
  EXPECT_EQ(encode("a", 0, 1), "3 3 0 ");
  EXPECT_EQ(encode("<|image|><|image|>a<|image|>", 3, 1), "3 4 4 3 0 4 ");
  EXPECT_EQ(encode("a<|image|>", 1, 0), "3 0 4 ");
  EXPECT_EQ(encode("<|image|>a<s>", 1, 0), "4 0 3 ");
  EXPECT_EQ(encode("<|image|>a", 2, 1),
            "expected a placeholder '<|image|>' in the prompt for each "
            "picture, found 1 placeholder and 2 pictures; write '<|image|>' "
            "where the picture belongs");
}

TEST(ReadTokenizer, PromptsWithCropsAndVideos) {
  Folder folder;
  folder.write("tokenizer.json", tokenizerJson(kModel, R"(
      "added_tokens": [{"id": 3, "content": "<boi>", "special": true},
                       {"id": 4, "content": "<soft>", "special": true},
                       {"id": 5, "content": "<eoi>", "special": true},
                       {"id": 6, "content": "<video>", "special": true}])"));
  folder.write("tokenizer_config.json",
               R"({"extra_special_tokens": {"boi_token": "<boi>",
                   "image_token": "<soft>", "eoi_token": "<eoi>"}})");
  folder.write("processor_config.json", R"({"image_seq_length": 2})");
  folder.write("config.json",
               R"({"model_type": "gemma3", "image_token_index": 4})");
  struct Asked {
    std::string text;
    std::vector<rt::Medium> media;
  };
  auto encode = [](const Opened &opened, const Asked &asked) {
    vlm_ids_t ids{};
    vlm_status_t *status =
        vlm_tokenizer_encode_media(opened.tokenizer, asked.text.data(),
                                   asked.text.size(), asked.media, 0, &ids);
    std::string result = vlm_status_message(status);
    for (size_t i = 0; i < ids.count; ++i)
      result += std::to_string(ids.ids[i]) + " ";
    vlm_status_destroy(status);
    vlm_ids_destroy(&ids);
    return result;
  };
  auto order = [](const Opened &opened, const std::string &text,
                  size_t pictures, size_t videos) {
    std::vector<size_t> found;
    vlm_status_t *status = vlm_tokenizer_order_media(
        opened.tokenizer, text.data(), text.size(), pictures, videos, found);
    std::string result = vlm_status_message(status);
    for (size_t number : found)
      result += std::to_string(number) + " ";
    vlm_status_destroy(status);
    return result;
  };
  {
    Opened opened(folder.path());
    ASSERT_EQ(opened.status, nullptr) << vlm_status_message(opened.status);
    size_t bytes = 0;
    // The placeholder is another than the token that stands there at last.
    const char *token = vlm_tokenizer_picture_token(opened.tokenizer, &bytes);
    EXPECT_EQ(std::string(token, bytes), "<boi>");
    EXPECT_EQ(vlm_tokenizer_picture_tokens(opened.tokenizer, 28, 42), 2);
    EXPECT_EQ(vlm_tokenizer_video_token(opened.tokenizer, &bytes), nullptr);
    EXPECT_EQ(encode(opened, {"a<boi>b", {{2, 0}}}), "0 3 4 4 5 1 ");
    // With a crop; its words are not in this vocabulary.
    std::string ids = encode(opened, {"<boi>", {{6, 0}}});
    size_t found = 0;
    for (size_t at = 0; (at = ids.find("3 4 4 5", at)) != ids.npos; ++at)
      ++found;
    EXPECT_EQ(found, 3U) << ids;
    EXPECT_EQ(order(opened, "a<boi>b<boi>", 2, 0), "0 1 ");
  }
  folder.write("config.json",
               R"({"model_type": "llava_onevision", "image_token_index": 4})");
  {
    Opened opened(folder.path());
    ASSERT_EQ(opened.status, nullptr) << vlm_status_message(opened.status);
    EXPECT_EQ(order(opened, "<video>a<soft><soft><video>", 2, 2), "2 0 1 3 ");
    EXPECT_EQ(encode(opened, {"<video>a<soft>", {{3, 7}, {1, 0}}}),
              "6 6 6 0 4 ");
    EXPECT_EQ(order(opened, "a", 0, 1),
              "expected a placeholder '<video>' in the prompt for each video, "
              "found 0 placeholders and 1 video; write '<video>' where the "
              "video belongs");
  }
  // Frames that are pictures have names; those that this vocabulary lacks.
  folder.write("tokenizer_config.json",
               R"({"extra_special_tokens": {"context_image_token": "<soft>",
                   "start_image_token": "<boi>", "end_image_token": "<eoi>",
                   "video_token": "<video>"}})");
  folder.write("config.json",
               R"({"model_type": "internvl", "image_token_id": 4})");
  Opened opened(folder.path());
  ASSERT_EQ(opened.status, nullptr) << vlm_status_message(opened.status);
  EXPECT_EQ(encode(opened, {"<soft>", {{3, 0}}}), "3 4 4 4 5 ");
  std::string ids = encode(opened, {"<video>", {{4, 2}}});
  EXPECT_NE(ids.find("3 4 4 5"), ids.npos) << ids;
  EXPECT_NE(ids.rfind("3 4 4 5"), ids.find("3 4 4 5")) << ids;
}

TEST(ReadTokenizer, PromptsOfTheProcessor) {
  Folder folder;
  folder.write("tokenizer.json", tokenizerJson(kModel, ""));
  EXPECT_EQ(promptsOf(folder), "- - 0");
  folder.write("tokenizer_config.json",
               R"({"eos_token": "b", "bos_token": null,
                   "chat_template": [{"name": "tool", "template": "T"},
                                     {"name": "default", "template": "D"}]})");
  EXPECT_EQ(promptsOf(folder), "D - 0 eos_token=b");
  // What the model has counts where the processor names no patch.
  folder.write("config.json", R"({"image_token_index": 2,
      "vision_config": {"patch_size": 14},
      "vision_feature_select_strategy": "full"})");
  EXPECT_EQ(promptsOf(folder), "D <image> 7 eos_token=b");
  folder.write("chat_template.jinja", "J");
  folder.write("processor_config.json",
               R"({"patch_size": 7, "image_token": "<img>",
                   "vision_feature_select_strategy": "default"})");
  EXPECT_EQ(promptsOf(folder), "J <img> 23 eos_token=b");
  folder.write("chat_template.json", R"({"chat_template": "L"})");
  folder.write("processor_config.json",
               R"({"patch_size": 7, "num_additional_image_tokens": 1,
                   "vision_feature_select_strategy": "full"})");
  EXPECT_EQ(promptsOf(folder), "L <image> 25 eos_token=b");
  folder.write("tokenizer_config.json",
               R"({"extra_special_tokens": {"image_token": "b"}})");
  folder.write("processor_config.json",
               R"({"patch_size": 7, "chat_template": "P"})");
  EXPECT_EQ(promptsOf(folder), "P b 24");
  folder.write("processor_config.json", R"({"patch_size": 0})");
  EXPECT_EQ(readMessage(folder), "DIR/processor_config.json: patch_size: "
                                 "expected an integer from 1 to 65536, found "
                                 "0");
  folder.write("processor_config.json", R"({"chat_template": {"tool": "T"}})");
  EXPECT_EQ(readMessage(folder),
            "warning: DIR/processor_config.json: chat_template: has no "
            "template of the name 'default'; conversations have to name "
            "one\n");
  folder.write("processor_config.json", R"({"chat_template": {"tool": 3}})");
  EXPECT_EQ(readMessage(folder),
            "DIR/processor_config.json: chat_template: expected a template, or "
            "several by name (an object, or a list of objects with name and "
            "template), found {\"tool\":3}");
}

/// A conversation by the template of a request; or what is wrong.
static std::string chatOf(const Folder &folder, const std::string &chosen) {
  Opened opened(folder.path());
  if (opened.status)
    return vlm_status_message(opened.status);
  const std::string request =
      R"({"messages": [{"role": "user", "b": 1, "a": 2}])" +
      (chosen.empty() ? "" : R"(, "chat_template": ")" + chosen + "\"") + "}";
  char *text = nullptr;
  size_t bytes = 0;
  vlm_status_t *status = vlm_tokenizer_render_chat(
      opened.tokenizer, request.data(), request.size(), &text, &bytes, nullptr);
  std::string out = status ? vlm_status_message(status) : text;
  vlm_status_destroy(status);
  vlm_string_destroy(text);
  return out;
}

TEST(ReadTokenizer, SeveralChatTemplates) {
  Folder folder;
  folder.write("tokenizer.json", tokenizerJson(kModel, ""));
  EXPECT_EQ(chatOf(folder, ""),
            "conversation: expected a checkpoint with a chat template "
            "(chat_template.jinja), found none; give the prompt itself");
  EXPECT_EQ(chatOf(folder, "rag"),
            "chat_template: expected a template or the name of one of the "
            "checkpoint's (it has none), found 'rag'");
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "default", "template": "D"},
                                     {"name": "rag", "template": "R"}]})");
  EXPECT_EQ(chatOf(folder, ""), "D");
  EXPECT_EQ(chatOf(folder, "default"), "D");
  EXPECT_EQ(chatOf(folder, "rag"), "R");
  EXPECT_EQ(chatOf(folder, "{{ messages[0] }}{{ chat_template }}"),
            "{'role': 'user', 'b': 1, 'a': 2}");
  EXPECT_EQ(chatOf(folder, "other"),
            "chat_template: expected a template or the name of one of the "
            "checkpoint's (default, rag), found 'other'");
  // Files of their own go before those in the tokenizer's.
  std::filesystem::create_directory(folder.path() +
                                    "/additional_chat_templates");
  folder.write("additional_chat_templates/tool_use.jinja", "T");
  EXPECT_EQ(chatOf(folder, ""),
            "conversation: expected a chat template of the name default, found "
            "only tool_use; name one of them");
  EXPECT_EQ(chatOf(folder, "tool_use"), "T");
  folder.write("chat_template.jinja", "J");
  EXPECT_EQ(chatOf(folder, ""), "J");
  EXPECT_EQ(chatOf(folder, "tool_use"), "T");
  folder.write("chat_template.json", R"({"chat_template": "L"})");
  EXPECT_EQ(readMessage(folder),
            "warning: DIR/additional_chat_templates: ignored, as "
            "chat_template.json is there; save the default template as "
            "chat_template.jinja\n");
  EXPECT_EQ(chatOf(folder, ""), "L");
  folder.write("processor_config.json",
               R"({"chat_template": {"default": "P", "rag": "Q"}})");
  EXPECT_EQ(chatOf(folder, ""), "P");
  EXPECT_EQ(chatOf(folder, "rag"), "Q");
}

TEST(ReadTokenizer, APlaceholderBehindTheVocabulary) {
  Folder folder;
  folder.write("tokenizer.json", tokenizerJson(kModel, ""));
  folder.write("config.json",
               R"({"mm_vision_tower": "some/tower", "vocab_size": 40})");
  EXPECT_EQ(promptsOf(folder), "- <image> 0");
  Opened opened(folder.path());
  ASSERT_EQ(opened.status, nullptr);
  vlm_ids_t ids{};
  ASSERT_EQ(vlm_tokenizer_encode(opened.tokenizer, "a<image>", 8, 0, 0, &ids),
            nullptr);
  ASSERT_EQ(ids.count, 2u);
  EXPECT_EQ(ids.ids[1], 40);
  vlm_ids_destroy(&ids);
  folder.write("tokenizer.json", tokenizerJson(kModel, R"(
      "added_tokens": [{"id": 3, "content": "<x>", "special": true}])"));
  folder.write("config.json",
               R"({"mm_vision_tower": "some/tower", "vocab_size": 3})");
  EXPECT_EQ(readMessage(folder),
            "DIR/config.json: vocab_size: expected at least 4, as the "
            "tokenizer has the token '<x>' of that id, found 3");
}
