//===-- Calls.cpp - the operations of a GPU by name -----------------------===//
#include "test/emulator/Calls.h"

using namespace vlmc::emulator;

const Call *vlmc::emulator::findCall(std::string_view name) {
  static const std::map<std::string_view, const Call *> all = [] {
    std::map<std::string_view, const Call *> map;
    for (auto calls :
         {barrierCalls(), copyCalls(), matrixCalls(), mbarrierCalls(),
          tensorCalls(), warpCalls(), wgmmaCalls()})
      for (const Call &call : calls)
        map[call.name] = &call;
    return map;
  }();
  auto found = all.find(name);
  return found == all.end() ? nullptr : found->second;
}
