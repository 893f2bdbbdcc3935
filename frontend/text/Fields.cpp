//===- Fields.cpp - The fields of a JSON object, checked ------------------===//
#include "frontend/text/Fields.h"

using namespace vlmc;
using namespace vlmc::text;

static const Json emptyObject = Json::object();
static const Json emptyArray = Json::array();

Fields::Fields(const Json &json, std::string file, std::string key,
               std::string &fault)
    : json(json), file(std::move(file)), key(std::move(key)), fault(fault) {
  if (!json.is_object())
    fail("", "expected an object, found " + describe(json));
}

std::string Fields::where(const std::string &name) const {
  std::string path = key;
  if (!name.empty() && name[0] != '[' && !path.empty())
    path += '.';
  path += name;
  return path.empty() ? file : file + ": " + path;
}

void Fields::fail(const std::string &name, const std::string &problem,
                  const std::string &remedy) const {
  if (fault.empty())
    fault = where(name) + ": " + problem + "; " + remedy;
}

void Fields::failUnsupported(const std::string &name,
                             const std::string &problem) const {
  fail(name, problem,
       "a copy of the folder without its tokenizer compiles to a model that "
       "takes token ids");
}

void Fields::expected(const char *name, const char *what) const {
  if (!json.is_object())
    return; // told when the fields were made
  auto at = json.find(name);
  fail(name, std::string("expected ") + what +
                 (at == json.end() ? ", which is missing"
                                   : ", found " + describe(*at)));
}

const Json *Fields::find(const char *name) const {
  if (!json.is_object())
    return nullptr;
  auto at = json.find(name);
  return at == json.end() || at->is_null() ? nullptr : &*at;
}

std::string Fields::string(const char *name) const {
  const Json *value = find(name);
  if (value && value->is_string())
    return value->get<std::string>();
  expected(name, "a string");
  return "";
}

std::optional<std::string> Fields::optionalString(const char *name) const {
  if (!find(name))
    return std::nullopt;
  return string(name);
}

bool Fields::boolean(const char *name) const {
  const Json *value = find(name);
  if (value && value->is_boolean())
    return value->get<bool>();
  expected(name, "true or false");
  return false;
}

bool Fields::boolean(const char *name, bool absent) const {
  return find(name) ? boolean(name) : absent;
}

uint32_t Fields::id(const char *name) const {
  const Json *value = find(name);
  if (value && value->is_number_unsigned() && value->get<uint64_t>() < maxIds)
    return value->get<uint32_t>();
  expected(name, "a token id (an integer from 0 to 16777215)");
  return 0;
}

const Json &Fields::object(const char *name) const {
  const Json *value = find(name);
  if (value && value->is_object())
    return *value;
  expected(name, "an object");
  return emptyObject;
}

const Json &Fields::array(const char *name) const {
  const Json *value = find(name);
  if (value && value->is_array())
    return *value;
  expected(name, "an array");
  return emptyArray;
}

Fields Fields::inside(const char *name) const {
  return Fields(object(name), file, key.empty() ? name : key + "." + name,
                fault);
}

Fields Fields::element(const std::string &name, const Json &value,
                       size_t index) const {
  std::string path = key.empty() ? name : key + "." + name;
  return Fields(value, file, path + "[" + std::to_string(index) + "]", fault);
}
