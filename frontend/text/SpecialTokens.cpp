//===- SpecialTokens.cpp - What the configuration says of special tokens --===//
#include "frontend/text/SpecialTokens.h"

#include <algorithm>
#include <set>

using namespace vlmc;
using namespace vlmc::text;

// In the order in which transformers keeps them.
static constexpr const char *kRoles[] = {"bos_token", "eos_token", "unk_token",
                                         "sep_token", "pad_token", "cls_token",
                                         "mask_token"};

static bool isRole(const std::string &name) {
  return std::find(std::begin(kRoles), std::end(kRoles), name) !=
         std::end(kRoles);
}

std::optional<std::string>
SpecialTokens::content(const std::string &role) const {
  auto at = roles.find(role);
  if (at == roles.end() || !at->second)
    return std::nullopt;
  return at->second->token.content;
}

void SpecialTokens::setDefault(const std::string &role,
                               const std::string &content) {
  SpecialToken token;
  token.token.content = content;
  token.isString = true;
  roles.try_emplace(role, token);
}

static AddedToken readAddedToken(const Fields &fields) {
  AddedToken token;
  token.content = fields.string("content");
  token.singleWord = fields.boolean("single_word", false);
  token.lstrip = fields.boolean("lstrip", false);
  token.rstrip = fields.boolean("rstrip", false);
  if (fields.find("normalized"))
    token.normalized = fields.boolean("normalized");
  token.special = fields.boolean("special", false);
  return token;
}

/// A string, or an object that describes a token.
static SpecialToken readToken(const Fields &value, const Json &json,
                              const std::string &name, const Fields &parent) {
  SpecialToken out;
  out.isString = json.is_string();
  if (out.isString)
    out.token.content = json.get<std::string>();
  else if (json.is_object())
    out.token = readAddedToken(value);
  else
    parent.fail(
        name, "expected a string or an object that describes a token, found " +
                  describe(json));
  return out;
}

static SpecialToken readToken(const Fields &parent, const std::string &name) {
  const Json &json = parent.json[name];
  if (json.is_object())
    return readToken(parent.inside(name.c_str()), json, name, parent);
  return readToken(parent, json, name, parent);
}

/// `extra_special_tokens`: a list of tokens, or an object of named ones.
static void readExtra(const Fields &fields, const char *name,
                      SpecialTokens &out) {
  const Json *value = fields.find(name);
  if (!value)
    return;
  if (value->is_object()) {
    Fields inside = fields.inside(name);
    for (const auto &[key, token] : value->items())
      out.named.push_back({key, readToken(inside, key)});
    return;
  }
  const Json &list = fields.array(name);
  out.extra.clear();
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i].is_object())
      out.extra.push_back(
          {readAddedToken(fields.element(name, list[i], i)), false});
    else
      out.extra.push_back(
          readToken(fields, list[i],
                    std::string(name) + "[" + std::to_string(i) + "]", fields));
}

static void readExtras(const Fields &fields, SpecialTokens &out) {
  const Json *extra = fields.find("extra_special_tokens");
  readExtra(fields,
            extra && !extra->empty() ? "extra_special_tokens"
                                     : "additional_special_tokens",
            out);
}

static void readConfig(const Fields &config, SpecialTokens &out) {
  if (!config.json.is_object())
    return;
  for (const auto &[name, value] : config.json.items()) {
    if (isRole(name))
      out.roles[name] = value.is_null()
                            ? std::nullopt
                            : std::optional(readToken(config, name));
    else if (name.ends_with("_token") &&
             (value.is_string() ||
              (value.is_object() && value.contains("content"))))
      out.named.push_back({name, readToken(config, name)});
  }
  readExtras(config, out);
}

static void readDecoder(const Fields &config, SpecialTokens &out) {
  Fields decoder = config.inside("added_tokens_decoder");
  for (const auto &[key, value] : decoder.json.items()) {
    bool number = !key.empty() && key.size() <= 8 &&
                  key.find_first_not_of("0123456789") == key.npos;
    uint64_t id = number ? std::stoul(key) : maxIds;
    if (id >= maxIds)
      return decoder.fail(
          "\"" + key + "\"",
          "expected a token id (an integer from 0 to 16777215) as the name");
    out.decoder[id] = readAddedToken(decoder.inside(key.c_str()));
  }
}

/// special_tokens_map.json: what it says replaces the configuration's.
static void readMap(const Fields &map, SpecialTokens &out) {
  if (!map.json.is_object())
    return;
  for (const auto &[name, value] : map.json.items()) {
    if (!isRole(name))
      continue;
    if (value.is_null()) {
      out.roles[name] = std::nullopt;
      continue;
    }
    SpecialToken token = readToken(map, name);
    token.token.special = !token.isString;
    out.roles[name] = token;
  }
  readExtras(map, out);
}

/// added_tokens.json: id by content.
static void readAddedFile(const Fields &added, SpecialTokens &out) {
  std::set<std::string> special;
  for (const auto &[role, token] : out.roles)
    if (token)
      special.insert(token->token.content);
  for (const SpecialToken &token : out.extra)
    special.insert(token.token.content);
  for (const auto &[content, value] : added.json.items()) {
    AddedToken token;
    token.content = content;
    token.special = special.contains(content);
    token.normalized = !token.special;
    out.decoder[added.id(content.c_str())] = token;
  }
}

std::vector<std::pair<uint32_t, AddedToken>>
vlmc::text::readAddedTokens(const Fields &root) {
  std::vector<std::pair<uint32_t, AddedToken>> out;
  if (!root.find("added_tokens"))
    return out;
  const Json &list = root.array("added_tokens");
  for (size_t i = 0; i < list.size(); ++i) {
    Fields token = root.element("added_tokens", list[i], i);
    out.push_back({token.id("id"), readAddedToken(token)});
  }
  return out;
}

SpecialTokens vlmc::text::readSpecialTokens(const SpecialTokenFiles &files) {
  SpecialTokens out;
  if (files.config)
    readConfig(*files.config, out);
  if (files.config && files.config->find("added_tokens_decoder")) {
    readDecoder(*files.config, out);
  } else {
    if (files.map)
      readMap(*files.map, out);
    if (files.added)
      readAddedFile(*files.added, out);
    if (files.tokenizer)
      for (auto &[id, token] : readAddedTokens(*files.tokenizer))
        out.decoder[id] = token;
  }
  // A role's token is the added token of that content where there is one.
  std::map<std::string, AddedToken> byContent;
  for (const auto &[id, token] : out.decoder)
    byContent[token.content] = token;
  for (auto &[role, token] : out.roles)
    if (token)
      if (auto at = byContent.find(token->token.content); at != byContent.end())
        token = SpecialToken{at->second, false};
  return out;
}

std::vector<AddedToken>
SpecialTokens::inOrder(const std::map<uint32_t, AddedToken> &present) const {
  std::vector<SpecialToken> adding;
  std::set<std::string> contents, special;
  for (const auto &[id, token] : present)
    contents.insert(token.content);
  auto isPresent = [&](const AddedToken &token) {
    return std::any_of(present.begin(), present.end(), [&](const auto &entry) {
      return entry.second == token;
    });
  };
  for (const auto &[id, token] : decoder)
    if (!isPresent(token)) {
      adding.push_back({token, false});
      contents.insert(token.content);
    }
  // A string and a described token are never the same to transformers, so a
  // pad token given as a string is added beside the same token described.
  auto add = [&](const SpecialToken &token) {
    auto same = [&](const SpecialToken &other) {
      return other.isString == token.isString &&
             (token.isString ? other.token.content == token.token.content
                             : other.token == token.token);
    };
    if (!contents.contains(token.token.content) &&
        std::none_of(adding.begin(), adding.end(), same))
      adding.push_back(token);
  };
  auto addNamed = [&](const SpecialToken &token) {
    special.insert(token.token.content);
    add(token);
  };
  for (const char *role : kRoles)
    if (auto at = roles.find(role); at != roles.end() && at->second)
      addNamed(*at->second);
  for (const auto &[name, token] : named)
    addNamed(token);
  for (const SpecialToken &token : extra)
    add(token);
  std::vector<AddedToken> out;
  for (const SpecialToken &token : adding) {
    out.push_back(token.token);
    out.back().special |=
        token.isString || special.contains(token.token.content);
  }
  return out;
}
