//===- Families.cpp - The list of families --------------------------------===//
#include "frontend/families/Family.h"

#include <filesystem>

namespace vlmc {

#define FAMILY(name) extern const Family family##name;
#include "frontend/families/Families.def"

static constexpr const Family *families[] = {
#define FAMILY(name) &family##name,
#include "frontend/families/Families.def"
};

const Family *findFamily(std::string_view name) {
  for (const Family *family : families)
    if (family->name == name)
      return family;
  return nullptr;
}

const Family *findFamilyByFile(const std::string &folder) {
  std::error_code ignored;
  for (const Family *family : families)
    if (family->configFile &&
        std::filesystem::exists(
            std::filesystem::path(folder) / family->configFile, ignored))
      return family;
  return nullptr;
}

std::vector<std::string_view> familyNames() {
  std::vector<std::string_view> names;
  for (const Family *family : families)
    if (!family->refusal)
      names.push_back(family->name);
  return names;
}

} // namespace vlmc
